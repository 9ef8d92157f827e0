import { assert, layer } from "@effect/vitest"
import * as Blob from "@terrace/core/Blob"
import * as Key from "@terrace/core/Key"
import * as S3Server from "@terrace/testkit/S3Server"
import * as S3Tier from "@terrace/tier-s3/S3Tier"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { readFile } from "node:fs/promises"
import { environmentOf, follow, redirecting, signatureOf, withDeployment } from "./support/Bucket.ts"
import { bytesOf, jsonOf, problemOf, put, send, Server } from "./support/Http.ts"
import { png } from "./support/images.ts"
import { start } from "./support/TestServer.ts"

const image = (seed = 1) => Effect.promise(() => png(90, 60, seed))

/** What `GET /images/:id/presigned` answers. */
interface Presigned {
  readonly id: string
  readonly url: string
  readonly method: string
  readonly expiresAt: string
  readonly version: string
  readonly etag: string
  readonly contentType: string
  readonly bytes: number
}

const presigned = (id: string, query = "") =>
  Effect.gen(function* () {
    const response = yield* send(`/images/${id}/presigned${query}`)
    assert.strictEqual(response.status, 200)
    assert.strictEqual(response.headers.get("cache-control"), "no-store")
    return yield* Effect.promise(() => response.json() as Promise<Presigned>)
  })

const refusal = (path: string) =>
  Effect.gen(function* () {
    const response = yield* send(`/images/${path}`)
    assert.strictEqual(response.headers.get("cache-control"), "no-store", path)
    const { detail, status } = yield* jsonOf(response.clone())
    return { type: yield* problemOf(response), status, detail: String(detail) }
  })

const now = (): number => performance.timeOrigin + performance.now()

layer(S3Server.layer(), { excludeTestServices: true, timeout: 120_000 })("presigned URLs", (it) => {
  it.effect("lead anybody to the stored image, whatever its size and the delivery", () =>
    withDeployment(
      () =>
        Effect.gen(function* () {
          const uploaded = yield* jsonOf(yield* put("hero", yield* image()))

          const { expiresAt, url, ...facts } = yield* presigned("hero")

          assert.deepStrictEqual(facts, {
            id: "hero",
            method: "GET",
            version: String(uploaded.digest).slice(0, 16),
            etag: String(uploaded.etag),
            contentType: "image/webp",
            bytes: Number(uploaded.bytes)
          })
          const readme = yield* Effect.promise(() => readFile(new URL("../../README.md", import.meta.url), "utf8"))
          const shown: object = JSON.parse(/```json\n({\s*"id": "bottle",\s*"url"[^]*?)```/.exec(readme)?.[1] ?? "")
          assert.deepStrictEqual(Object.keys(shown).toSorted(), [...Object.keys(facts), "expiresAt", "url"].toSorted())
          const there = yield* follow(url)
          assert.deepStrictEqual([there.status, there.headers.get("content-type")], [200, "image/webp"])
          assert.isTrue(there.bytes.equals(yield* bytesOf(yield* send("/images/hero"))))
          assert.deepStrictEqual(signatureOf(url), { expires: 300, end: Date.parse(expiresAt) })
          assert.closeTo(Date.parse(expiresAt), now() + 300_000, 5_000)
        }),
      {}
    )
  )

  it.effect("are for the method and the time that are asked for", () =>
    withDeployment(() =>
      Effect.gen(function* () {
        yield* put("hero", yield* image())

        const { bytes, expiresAt, method, url } = yield* presigned("hero", "?method=HEAD&expires=604800")

        assert.strictEqual(method, "HEAD")
        assert.strictEqual(signatureOf(url).expires, 604_800)
        assert.closeTo(Date.parse(expiresAt), now() + 604_800_000, 5_000)
        const head = yield* follow(url, { method: "HEAD" })
        assert.deepStrictEqual([head.status, head.headers.get("content-length")], [200, String(bytes)])
        assert.strictEqual((yield* follow(url)).status, 403)

        for (const expires of ["0", "604801", "-1", "5m", "1.5"]) {
          const { detail, type } = yield* refusal(`hero/presigned?expires=${expires}`)
          assert.strictEqual(type, "invalid-parameter", expires)
          assert.include(detail, `is "${expires}": expected whole seconds from 1 to 604800, for example "300"`)
        }
        assert.include((yield* refusal("hero/presigned?method=PUT")).detail, "expected GET or HEAD")
        assert.include((yield* refusal("hero/presigned?v=0123456789abcdef")).detail, "is not known here")
        assert.strictEqual((yield* refusal("-/presigned")).type, "invalid-id")
      })
    )
  )

  it.effect("are of the image that is there now, and of none that was removed", () =>
    withDeployment(() =>
      Effect.gen(function* () {
        yield* put("hero", yield* image(1))
        const first = yield* presigned("hero")
        yield* put("hero", yield* image(2))

        const second = yield* presigned("hero")

        assert.notStrictEqual(second.etag, first.etag)
        const { bytes } = yield* follow(second.url)
        assert.isTrue(bytes.equals(yield* bytesOf(yield* send("/images/hero"))))

        yield* send("/images/hero", { method: "DELETE" })
        assert.deepInclude(yield* refusal("hero/presigned"), { type: "image-not-found", status: 404 })
        assert.deepInclude(yield* refusal("nobody/presigned"), { type: "image-not-found", status: 404 })
      })
    )
  )

  it.effect("end with the image, and an image that has expired has none", () =>
    withDeployment((deployment) =>
      Effect.gen(function* () {
        const { accessKeyId, endpoint, forcePathStyle, region, secretAccessKey } = deployment.s3
        const tier = yield* S3Tier.make({
          bucket: deployment.bucket,
          prefix: environmentOf(deployment)["TERRACE_S3_PREFIX"],
          endpoint,
          forcePathStyle,
          region,
          credentials: { accessKeyId, secretAccessKey: Redacted.make(secretAccessKey) }
        })
        const createdAt = Math.floor(now())
        const write = (id: string, expiresAt: number) =>
          tier.put(
            Blob.make(Key.makeUnsafe(id, "master"), Buffer.from("the bytes of an image"), {
              contentType: "image/webp",
              generation: createdAt * 1_000,
              createdAt,
              expiresAt
            })
          )
        yield* write("fleeting", createdAt + 60_000)
        yield* write("gone", createdAt - 1)

        const { expiresAt, url } = yield* presigned("fleeting", "?expires=3600")

        assert.isAtMost(Date.parse(expiresAt), createdAt + 60_000)
        assert.isAtMost(signatureOf(url).expires, 60)
        assert.strictEqual((yield* follow(url)).status, 200)
        assert.strictEqual((yield* refusal("gone/presigned")).type, "image-not-found")
      })
    )
  )

  it.effect("are made for no variant that lies in no bucket, and for no unknown preset", () =>
    withDeployment(() =>
      Effect.gen(function* () {
        yield* put("hero", yield* image())
        const refused = yield* refusal("hero/presigned?preset=thumb")
        assert.deepInclude(refused, { type: "no-bucket", status: 501 })
        assert.include(refused.detail, "expected a URL without preset")
        assert.strictEqual((yield* refusal("hero/presigned?preset=huge")).type, "invalid-parameter")
      })
    )
  )

  it.effect("are not made while nobody knows what the bucket has", () =>
    withDeployment(
      ({ proxy }) =>
        Effect.gen(function* () {
          yield* put("hero", yield* image())
          yield* proxy.down
          const refused = yield* Effect.repeat(send("/images/hero/presigned"), {
            until: ({ status }) => status !== 200
          })
          assert.strictEqual(yield* problemOf(refused), "unavailable")
          assert.strictEqual(yield* problemOf(yield* send("/images/nobody/presigned")), "unavailable")
        }),
      { ...redirecting, TERRACE_REVALIDATE_AFTER: "1 second" }
    )
  )

  it.effect("need the token", () =>
    withDeployment(
      () =>
        Effect.gen(function* () {
          const headers = { authorization: "Bearer 3f9c2a7e51d84b06" }
          yield* put("hero", yield* image(), headers)
          assert.strictEqual((yield* send("/images/hero/presigned")).status, 401)
          assert.strictEqual((yield* send("/images/hero/presigned", { headers })).status, 200)
          assert.strictEqual((yield* send("/images/hero/presigned", { headers, method: "POST" })).status, 405)
        }),
      { ...redirecting, TERRACE_TOKEN: "3f9c2a7e51d84b06" }
    )
  )

  it.effect("do not exist where images are on the disk; an image may be called presigned", () =>
    Effect.gen(function* () {
      const server = yield* start(redirecting)
      yield* Effect.gen(function* () {
        yield* put("presigned", yield* image())
        assert.strictEqual((yield* send("/images/presigned")).status, 200)
        for (const id of ["presigned", "nobody"]) {
          assert.deepInclude(yield* refusal(`${id}/presigned`), { type: "no-bucket", status: 501 })
        }
      }).pipe(Effect.provideService(Server, server))
    })
  )
})
