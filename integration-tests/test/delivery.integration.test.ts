import { assert, layer } from "@effect/vitest"
import * as S3Server from "@terrace/testkit/S3Server"
import * as Effect from "effect/Effect"
import { rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { above, environmentOf, follow, makeBucket, redirecting, signatureOf, withDeployment } from "./support/Bucket.ts"
import { bytesOf, jsonOf, problemOf, put, send, Server } from "./support/Http.ts"
import { png } from "./support/images.ts"
import { startOn, temporaryDirectory } from "./support/TestServer.ts"

const large = (seed = 1) => Effect.promise(() => png(500, 400, seed))
const small = Effect.promise(() => png(60, 40))

/** What a client that must get the bytes from the server sends: a condition that only the server can check. */
const proxied = (path: string) =>
  Effect.gen(function* () {
    const { etag = "" } = yield* jsonOf(yield* send(`/images/${path.replace(/\?.*/, "")}/metadata`))
    const response = yield* send(`/images/${path}`, { headers: { "if-match": etag } })
    return { status: response.status, headers: response.headers, etag, bytes: yield* bytesOf(response) }
  })

/** The URL that an answer leads to. */
const locationOf = (response: Response): string => {
  assert.strictEqual(response.status, 302)
  return response.headers.get("location") ?? assert.fail("no Location")
}

const keptFor = (response: Response): number => {
  const [, seconds] = /^private, max-age=(\d+)$/.exec(response.headers.get("cache-control") ?? "") ?? []
  return Number(seconds ?? Number.NaN)
}

layer(S3Server.layer(), { excludeTestServices: true, timeout: 120_000 })("delivery from the bucket", (it) => {
  it.effect("a large image is a redirect that anybody can follow, to the same bytes with the same type", () =>
    withDeployment(({ bucket, proxy }) =>
      Effect.gen(function* () {
        yield* put("hero", yield* large())

        const response = yield* send("/images/hero")
        const url = locationOf(response)
        const there = yield* follow(url)

        const here = yield* proxied("hero")
        assert.deepStrictEqual([here.status, there.status], [200, 200])
        assert.isTrue(there.bytes.equals(here.bytes))
        assert.isAtLeast(there.bytes.byteLength, above)
        assert.strictEqual(there.headers.get("content-type"), "image/webp")
        assert.match(there.headers.get("cache-control") ?? "", /^private, max-age=\d+$/)
        assert.isTrue(url.startsWith(`http://${proxy.host}:${proxy.port}/${bucket}/images/hero/master?`), url)
        const { end, expires } = signatureOf(url)
        assert.strictEqual(expires, 300)
        // Kept from now on, it ends half a minute and more before the signature does.
        assert.isBelow(performance.timeOrigin + performance.now() + keptFor(response) * 1_000, end - 30_000)
        assert.isTrue(keptFor(response) > 200 && keptFor(response) < expires, `${keptFor(response)} s`)
        // Nothing that would let a client keep it by asking whether the image is still the same.
        assert.deepStrictEqual([response.headers.get("etag"), response.headers.get("last-modified")], [null, null])
        assert.strictEqual(response.headers.get("cross-origin-resource-policy"), "cross-origin")
        assert.strictEqual(response.headers.get("x-content-type-options"), "nosniff")
        assert.strictEqual((yield* bytesOf(response)).byteLength, 0)
      })
    )
  )

  it.effect("HEAD is answered as GET is, with a URL for HEAD; neither URL is good for the other method", () =>
    withDeployment(() =>
      Effect.gen(function* () {
        yield* put("hero", yield* large())
        const { bytes } = yield* proxied("hero")

        const toHead = locationOf(yield* send("/images/hero", { method: "HEAD" }))
        const toGet = locationOf(yield* send("/images/hero"))

        const head = yield* follow(toHead, { method: "HEAD" })
        assert.strictEqual(head.status, 200)
        assert.strictEqual(head.headers.get("content-length"), String(bytes.byteLength))
        assert.strictEqual(head.headers.get("content-type"), "image/webp")
        assert.strictEqual((yield* follow(toHead)).status, 403)
        assert.strictEqual((yield* follow(toGet, { method: "HEAD" })).status, 403)
      })
    )
  )

  it.effect("small images, and variants that are in no bucket, come from the server", () =>
    withDeployment(() =>
      Effect.gen(function* () {
        yield* put("dot", yield* small)
        yield* put("hero", yield* large())
        for (const path of ["dot", "hero?preset=thumb"]) {
          const response = yield* send(`/images/${path}`)
          assert.strictEqual(response.status, 200, path)
          assert.strictEqual(response.headers.get("cache-control"), "public, max-age=3600")
        }
      })
    )
  )

  it.effect("nothing is redirected unless it is asked for", () =>
    withDeployment(
      () =>
        Effect.gen(function* () {
          yield* put("hero", yield* large())
          assert.strictEqual((yield* send("/images/hero")).status, 200)
        }),
      {}
    )
  )

  it.effect("a client that has the image is told so; conditions on our entity tag are answered from here", () =>
    withDeployment(() =>
      Effect.gen(function* () {
        yield* put("hero", yield* large())
        const { bytes, etag, headers } = yield* proxied("hero")
        const lastModified = headers.get("last-modified") ?? ""
        const ask = (conditions: Record<string, string>, method = "GET") =>
          send("/images/hero", { method, headers: conditions })

        for (const conditions of [
          { "if-none-match": etag },
          { "if-none-match": `"other", W/${etag}` },
          { "if-modified-since": lastModified }
        ]) {
          for (const method of ["GET", "HEAD"]) {
            const unchanged = yield* ask(conditions, method)
            assert.strictEqual(unchanged.status, 304)
            assert.strictEqual(unchanged.headers.get("etag"), etag)
            assert.strictEqual(unchanged.headers.get("cache-control"), "public, max-age=3600")
          }
        }
        locationOf(yield* ask({ "if-none-match": '"other"' }))
        assert.strictEqual(yield* problemOf(yield* ask({ "if-match": '"other"' })), "precondition-failed")
        assert.strictEqual((yield* ask({ "if-unmodified-since": lastModified })).status, 200)
        const rest = yield* ask({ range: "bytes=100-", "if-range": etag })
        assert.strictEqual(rest.status, 206)
        assert.isTrue((yield* bytesOf(rest)).equals(bytes.subarray(100)))
        const whole = yield* ask({ range: "bytes=100-", "if-range": '"other"' })
        assert.strictEqual(whole.status, 200)
      })
    )
  )

  it.effect("a range is redirected too, and answered by the bucket", () =>
    withDeployment(() =>
      Effect.gen(function* () {
        yield* put("hero", yield* large())
        const { bytes } = yield* proxied("hero")
        const { url } = yield* Server

        const response = yield* follow(`${url}/images/hero`, { headers: { range: "bytes=100-199" } })

        assert.strictEqual(response.status, 206)
        assert.strictEqual(response.headers.get("content-range"), `bytes 100-199/${bytes.byteLength}`)
        assert.isTrue(response.bytes.equals(bytes.subarray(100, 200)))
      })
    )
  )

  it.effect("a version is redirected as long as it is current, and kept longer, but never past its signature", () =>
    withDeployment(
      () =>
        Effect.gen(function* () {
          const { url: before = "" } = yield* jsonOf(yield* put("hero", yield* large(1)))
          const first = yield* send(before)
          assert.isBelow(keptFor(first), signatureOf(locationOf(first)).expires)
          assert.isAbove(keptFor(first), 200)
          assert.strictEqual(keptFor(yield* send("/images/hero")), 10)

          const { url: after = "" } = yield* jsonOf(yield* put("hero", yield* large(2)))

          const outdated = yield* send(before)
          assert.deepStrictEqual([outdated.status, outdated.headers.get("location")], [302, after])
          assert.strictEqual(outdated.headers.get("cache-control"), "no-store")
          const there = yield* follow(locationOf(yield* send(after)))
          assert.isTrue(there.bytes.equals((yield* proxied("hero")).bytes))
        }),
      { ...redirecting, TERRACE_MAX_AGE: "10" }
    )
  )

  it.effect("an image that was removed is a 404, whatever was redirected before", () =>
    withDeployment(() =>
      Effect.gen(function* () {
        yield* put("hero", yield* large())
        const url = locationOf(yield* send("/images/hero"))
        assert.strictEqual((yield* send("/images/hero", { method: "DELETE" })).status, 200)
        assert.strictEqual(yield* problemOf(yield* send("/images/hero")), "image-not-found")
        assert.strictEqual((yield* follow(url)).status, 404)
      })
    )
  )

  it.effect("redirects go to the CDN where there is one, under a URL that is another for each version", () =>
    withDeployment(
      () =>
        Effect.gen(function* () {
          const versions: Array<string> = []
          for (const seed of [1, 2]) {
            const { url = "" } = yield* jsonOf(yield* put("hero", yield* large(seed)))
            for (const method of ["GET", "HEAD"]) {
              const response = yield* send("/images/hero", { method })
              const [path = "", version = ""] = locationOf(response).split("?")
              assert.strictEqual(path, "https://cdn.example.com/shop/images/hero/master")
              assert.isTrue(url.endsWith(version))
              assert.strictEqual(keptFor(response), 3_600)
              versions.push(version)
            }
          }
          assert.strictEqual(new Set(versions).size, 2)
        }),
      { ...redirecting, TERRACE_CDN_URL: "https://cdn.example.com/shop/" }
    )
  )

  it.effect("while S3 does not answer, what memory has comes from the server; then redirects go on", () =>
    withDeployment(
      ({ proxy }) =>
        Effect.gen(function* () {
          yield* put("hero", yield* large())
          locationOf(yield* send("/images/hero"))

          yield* proxy.set({ blackHole: true })
          const response = yield* Effect.repeat(send("/images/hero"), { until: ({ status }) => status === 200 })

          assert.match(response.headers.get("cache-status") ?? "", /terrace-memory;hit;detail=unconfirmed/)
          assert.isAtLeast((yield* bytesOf(response)).byteLength, above)
          yield* proxy.set({})
          yield* Effect.repeat(send("/images/hero"), { until: ({ status }) => status === 302 })
        }),
      { ...redirecting, TERRACE_REVALIDATE_AFTER: "1 second" }
    )
  )

  it.effect("without credentials images come from the server, and the log says so once in a while", () =>
    Effect.flatMap(makeBucket, (place) =>
      Effect.gen(function* () {
        const home = yield* temporaryDirectory
        const keys = join(home, "keys.mjs")
        const { accessKeyId, secretAccessKey } = place.s3
        // They end so soon that the SDK asks for new ones each time.
        const seconds = 8
        const script = `const Expiration = new Date(Date.now() + ${seconds * 1_000}).toISOString()
          process.stdout.write(JSON.stringify({ Version: 1, AccessKeyId: "${accessKeyId}", SecretAccessKey: "${secretAccessKey}", Expiration }))`
        yield* Effect.promise(async () => {
          await writeFile(keys, script)
          await writeFile(join(home, "config"), `[default]\ncredential_process = ${process.execPath} ${keys}\n`)
        })
        const { AWS_ACCESS_KEY_ID: _id, AWS_SECRET_ACCESS_KEY: _secret, ...environment } = environmentOf(place)
        const server = yield* startOn(join(home, "data"), {
          ...environment,
          ...redirecting,
          AWS_CONFIG_FILE: join(home, "config"),
          AWS_SHARED_CREDENTIALS_FILE: "/nonexistent",
          AWS_EC2_METADATA_DISABLED: "true"
        })
        yield* Effect.gen(function* () {
          yield* put("hero", yield* large())
          const response = yield* send("/images/hero")
          const url = locationOf(response)
          assert.strictEqual((yield* follow(url)).status, 200)
          // The signature says five minutes, and ends with the credentials: it is kept for less than they last.
          assert.strictEqual(signatureOf(url).expires, 300)
          assert.isBelow(keptFor(response), seconds)

          yield* Effect.promise(() => rm(keys))
          const said = () => server.log.filter((line) => line.includes("redirects paused"))
          yield* Effect.repeat(send("/images/hero"), { until: () => said().length > 0 })

          for (let count = 0; count < 20; count++) assert.strictEqual((yield* send("/images/hero")).status, 200)
          assert.isAtMost(said().length, 2, said().join("\n"))
          assert.match(said()[0] ?? "", /there are no credentials/)
          assert.strictEqual(yield* problemOf(yield* send("/images/hero/presigned")), "unavailable")
        }).pipe(Effect.provideService(Server, server))
      })
    )
  )
})
