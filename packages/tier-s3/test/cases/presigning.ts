/** URLs that a client uses without credentials. */
import { assert } from "@effect/vitest"
import * as Body from "@terrace/core/Body"
import * as Key from "@terrace/core/Key"
import * as Fixtures from "@terrace/testkit/Fixtures"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { withEnvironment } from "../support/Environment.ts"
import { fixture } from "../support/Servers.ts"
import type { It } from "../support/Suite.ts"

const request = (url: string, method: "GET" | "HEAD" = "GET") => Effect.promise(() => fetch(url, { method }))

export const presigning = (it: It): void => {
  it.effect("presign - a URL for GET delivers the bytes and their type, and is refused to HEAD", () =>
    Effect.gen(function* () {
      const { open } = yield* fixture
      const tier = yield* open({ prefix: "images/" })
      const blob = Fixtures.blob({ group: "Cat_1.x-y", name: "a~b", contentType: "image/webp", size: 9_000 })
      yield* tier.put(blob)

      const { method, url } = yield* tier.presign(blob.header.key)
      const response = yield* request(url)

      assert.strictEqual(method, "GET")
      assert.strictEqual(response.status, 200)
      assert.strictEqual(response.headers.get("content-type"), "image/webp")
      const bytes = yield* Effect.promise(() => response.arrayBuffer())
      assert.isTrue(Buffer.from(bytes).equals(yield* Body.toBytes(blob.body)))
      assert.strictEqual((yield* request(url, "HEAD")).status, 403)
      // Nothing about the body of a request that has none.
      assert.notMatch(url, /checksum/i)
    })
  )

  it.effect("presign - a URL for HEAD is good for HEAD, and refused to GET", () =>
    Effect.gen(function* () {
      const { open } = yield* fixture
      const tier = yield* open()
      const blob = Fixtures.blob({ size: 9_000 })
      yield* tier.put(blob)

      const { method, url } = yield* tier.presign(blob.header.key, { method: "HEAD" })
      const response = yield* request(url, "HEAD")

      assert.strictEqual(method, "HEAD")
      assert.strictEqual(response.status, 200)
      assert.strictEqual(response.headers.get("content-length"), "9000")
      assert.strictEqual((yield* request(url)).status, 403)
    })
  )

  it.effect("presign - names of dots reach their object through what reads URLs", () =>
    Effect.gen(function* () {
      const { open } = yield* fixture
      const tier = yield* open()
      for (const name of [".", "..", "...", "-._~"]) {
        const blob = Fixtures.blob({ group: "g", name, size: 10 })
        yield* tier.put(blob)

        const response = yield* request((yield* tier.presign(blob.header.key)).url)

        assert.strictEqual(response.status, 200, name)
      }
    })
  )

  it.effect("presign - answers when the URL ends, and the server refuses it from then on", () =>
    Effect.gen(function* () {
      const { open } = yield* fixture
      const tier = yield* open()
      const blob = Fixtures.blob()
      yield* tier.put(blob)
      const before = performance.timeOrigin + performance.now()

      const { expiresAt, url } = yield* tier.presign(blob.header.key, { expiresIn: "1 second" })

      assert.isAtMost(expiresAt, performance.timeOrigin + performance.now() + 1_000)
      assert.isAtLeast(expiresAt, before - 1)
      const refused = yield* Effect.repeat(request(url), { until: ({ status }) => status !== 200, times: 2_000 })
      assert.strictEqual(refused.status, 403)
      assert.isAtLeast(performance.timeOrigin + performance.now(), expiresAt)
    })
  )

  it.effect("presign - a URL ends with the credentials that sign it, where those end first", () =>
    Effect.gen(function* () {
      const { open, server } = yield* fixture
      const end = Math.floor(performance.timeOrigin + performance.now()) + 600_000
      yield* withEnvironment({
        AWS_ACCESS_KEY_ID: server.accessKeyId,
        AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
        AWS_CREDENTIAL_EXPIRATION: DateTime.formatIso(DateTime.makeUnsafe(end))
      })
      const tier = yield* open({ credentials: undefined })
      const { key } = Fixtures.blob().header

      assert.strictEqual((yield* tier.presign(key, { expiresIn: "7 days" })).expiresAt, end)
      assert.isBelow((yield* tier.presign(key, { expiresIn: "9 minutes" })).expiresAt, end - 50_000)
    })
  )

  it.effect("presign - what is changed in the URL is refused", () =>
    Effect.gen(function* () {
      const { open } = yield* fixture
      const tier = yield* open()
      const blob = Fixtures.blob({ group: "a" })
      yield* tier.put(blob)
      yield* tier.put(Fixtures.blob({ group: "b" }))
      const { url } = yield* tier.presign(blob.header.key, { expiresIn: "1 minute" })
      const changes: ReadonlyArray<(forged: URL) => void> = [
        (forged) => forged.searchParams.set("X-Amz-Signature", "0".repeat(64)),
        (forged) => forged.searchParams.set("X-Amz-Expires", "604800"),
        (forged) => forged.searchParams.append("response-content-type", "text/html"),
        (forged) => (forged.pathname = forged.pathname.replace("/a/", "/b/"))
      ]

      for (const change of changes) {
        const forged = new URL(url)
        change(forged)
        assert.strictEqual((yield* request(forged.href)).status, 403, forged.search)
      }
      assert.strictEqual((yield* request(url)).status, 200)
    })
  )

  it.effect("presign - has the server answer with other headers", () =>
    Effect.gen(function* () {
      const { open } = yield* fixture
      const tier = yield* open()
      const blob = Fixtures.blob()
      yield* tier.put(blob)

      const { url } = yield* tier.presign(blob.header.key, {
        cacheControl: "private, max-age=60",
        contentType: "image/avif",
        contentDisposition: 'attachment; filename="a.avif"'
      })

      const { headers } = yield* request(url)
      assert.strictEqual(headers.get("cache-control"), "private, max-age=60")
      assert.strictEqual(headers.get("content-type"), "image/avif")
      assert.strictEqual(headers.get("content-disposition"), 'attachment; filename="a.avif"')
    })
  )

  it.effect("presign - refuses a time above 7 days or below a second, and says what is expected", () =>
    Effect.gen(function* () {
      const { open } = yield* fixture
      const tier = yield* open()
      const { key } = Fixtures.blob().header

      yield* tier.presign(key, { expiresIn: "7 days" })
      for (const expiresIn of ["8 days", "999 millis", "0 seconds", "Infinity"] as const) {
        const error = yield* Effect.flip(tier.presign(key, { expiresIn }))
        assert.strictEqual(error.reason, "invalid-option")
        assert.match(error.message, /^s3\.presign: expiresIn is ".*": expected 1 second to 7 days, for example/)
      }
    })
  )

  it.effect("presign - begins with the public endpoint, and publicUrl with the CDN's address", () =>
    Effect.gen(function* () {
      const { bucket, open, server } = yield* fixture
      const publicEndpoint = `http://localhost:${server.port}`
      const tier = yield* open({ publicEndpoint, cdnUrl: "https://cdn.example.com/x/", prefix: "images/" })
      const blob = Fixtures.blob({ group: "g" })
      yield* tier.put(blob)

      const { url } = yield* tier.presign(blob.header.key)

      assert.isTrue(url.startsWith(`${publicEndpoint}/${bucket}/images/g/master?`))
      assert.strictEqual((yield* request(url)).status, 200)
      assert.strictEqual(tier.publicUrl(blob.header.key), "https://cdn.example.com/x/images/g/master")
      assert.strictEqual(tier.publicUrl(Key.makeUnsafe("g", "..")), "https://cdn.example.com/x/images/g/!..")
      const { publicUrl } = yield* open({ cdnUrl: "https://bücher.example.com/ü" })
      assert.strictEqual(publicUrl(blob.header.key), "https://xn--bcher-kva.example.com/%C3%BC/g/master")
      assert.isUndefined((yield* open()).publicUrl(blob.header.key))
    })
  )
}
