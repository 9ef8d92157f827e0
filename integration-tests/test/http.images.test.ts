import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import sharp from "sharp"
import { bytesOf, jsonOf, problemOf, put, send, Server } from "./support/Http.ts"
import { jpeg, png } from "./support/images.ts"
import { start } from "./support/TestServer.ts"

layer(Layer.effect(Server, start()), { excludeTestServices: true, timeout: 60_000 })("the server", (it) => {
  describe("PUT /images/:id", () => {
    it.effect("stores a picture as a smaller WebP and says what it made", () =>
      Effect.gen(function* () {
        const original = yield* Effect.promise(() => png(1024, 1024))

        const response = yield* put("bottle", original)
        const body = yield* jsonOf(response)

        assert.strictEqual(response.status, 201)
        assert.strictEqual(response.headers.get("location"), "/images/bottle")
        assert.isBelow(Number(body.bytes), original.byteLength / 2)
        assert.include(body, { id: "bottle", contentType: "image/webp", width: 1024, height: 1024, frames: 1 })
        assert.deepStrictEqual(body.tiers, { filesystem: "stored", memory: "stored" })
        assert.deepStrictEqual(body.source, { contentType: "image/png", bytes: original.byteLength })
      })
    )

    it.effect("answers 200 when it replaces, and the new picture is served at once", () =>
      Effect.gen(function* () {
        yield* put("replaced", yield* Effect.promise(() => png(20, 20)))
        const response = yield* put("replaced", yield* Effect.promise(() => png(30, 10)))
        assert.strictEqual(response.status, 200)

        const served = yield* bytesOf(yield* send("/images/replaced"))
        const { height, width } = yield* Effect.promise(() => sharp(served).metadata())

        assert.deepStrictEqual([width, height], [30, 10])
      })
    )

    it.effect("takes what the bytes are, whatever they are called", () =>
      Effect.gen(function* () {
        const response = yield* put("named", yield* Effect.promise(() => jpeg(40, 40)), { "content-type": "image/png" })

        assert.deepStrictEqual((yield* jsonOf(response)).source?.contentType, "image/jpeg")
      })
    )

    it.effect("takes JSON with base64, and keeps its other fields as attributes", () =>
      Effect.gen(function* () {
        const image = yield* Effect.promise(() => png(50, 40))
        const lines = `data:image/png;base64,${image.toString("base64").replaceAll(/.{76}/g, "$&\r\n")}`
        const response = yield* send("/images/json", {
          method: "PUT",
          headers: { "content-type": "application/json; charset=utf-8" },
          body: JSON.stringify({ base64_data: lines, title: "The Bottle Beacon – été", style: "minimalist" })
        })
        assert.strictEqual(response.status, 201)

        const metadata = yield* jsonOf(yield* send("/images/json/metadata"))

        assert.deepStrictEqual(metadata.attributes, { title: "The Bottle Beacon – été", style: "minimalist" })
        assert.include(metadata, { width: 50, height: 40, alpha: false })
      })
    )

    it.effect("with If-None-Match: * creates, and never replaces", () =>
      Effect.gen(function* () {
        const image = yield* Effect.promise(() => png(20, 20))
        assert.strictEqual((yield* put("once", image, { "if-none-match": "*" })).status, 201)
        assert.strictEqual(yield* problemOf(yield* put("once", image, { "if-none-match": "*" })), "precondition-failed")
      })
    )

    it.effect("lets one of twenty writers with the same If-Match through", () =>
      Effect.gen(function* () {
        const first = yield* put("race", yield* Effect.promise(() => png(20, 20)))
        const { etag = "" } = yield* jsonOf(first)
        const images = yield* Effect.forEach(
          Array.from({ length: 20 }, (_, index) => index),
          (index) => Effect.promise(() => png(20, 20, 100 + index))
        )

        const statuses = yield* Effect.forEach(
          images,
          (image) => Effect.map(put("race", image, { "if-match": etag }), ({ status }) => status),
          { concurrency: "unbounded" }
        )

        assert.deepStrictEqual(
          [statuses.filter((status) => status === 200).length, statuses.filter((status) => status === 412).length],
          [1, 19]
        )
      })
    )
  })

  describe("POST /images", () => {
    it.effect("gives an id and says where the image is", () =>
      Effect.gen(function* () {
        const image = yield* Effect.promise(() => png(20, 20))
        const response = yield* send("/images", { method: "POST", body: new Uint8Array(image) })

        const location = response.headers.get("location") ?? ""
        assert.strictEqual(response.status, 201)
        assert.match(location, /^\/images\/[0-9a-f-]{36}$/)
        assert.strictEqual((yield* send(location)).status, 200)
      })
    )
  })

  describe("GET /images/:id", () => {
    it.effect("answers with validators, caching and security headers", () =>
      Effect.gen(function* () {
        const stored = yield* put("headers", yield* Effect.promise(() => png(64, 64)))
        const { etag = "" } = yield* jsonOf(stored)
        const response = yield* send("/images/headers")
        const body = yield* bytesOf(response)

        assert.strictEqual(response.status, 200)
        assert.deepInclude(Object.fromEntries(response.headers), {
          "accept-ranges": "bytes",
          "cache-control": "public, max-age=3600",
          "cache-status": "terrace-memory;hit",
          "content-length": String(body.byteLength),
          "content-security-policy": "default-src 'none'; sandbox",
          "content-type": "image/webp",
          "cross-origin-resource-policy": "cross-origin",
          etag,
          "x-content-type-options": "nosniff"
        })
        assert.isNotNull(response.headers.get("last-modified"))
        assert.isNull(response.headers.get("vary"))
      })
    )

    it.effect("answers HEAD as GET, without the body", () =>
      Effect.gen(function* () {
        yield* put("head", yield* Effect.promise(() => png(64, 64)))
        const get = yield* send("/images/head")
        yield* bytesOf(get)
        const head = yield* send("/images/head", { method: "HEAD" })
        const without = (response: Response) => {
          const hop = ["date", "connection", "keep-alive"]
          return Object.fromEntries(Array.from(response.headers).filter(([name]) => !hop.includes(name)))
        }

        assert.strictEqual(head.status, 200)
        assert.deepStrictEqual(without(head), without(get))
        assert.strictEqual((yield* bytesOf(head)).byteLength, 0)
      })
    )

    it.effect("answers 304 without a body to a conditional request that holds", () =>
      Effect.gen(function* () {
        const stored = yield* put("conditional", yield* Effect.promise(() => png(64, 64)))
        const { etag = "" } = yield* jsonOf(stored)
        for (const header of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
          const response = yield* send("/images/conditional", { headers: { "if-none-match": header } })
          assert.strictEqual(response.status, 304, header)
          assert.strictEqual(response.headers.get("etag"), etag)
          assert.isNull(response.headers.get("content-length"))
          assert.strictEqual((yield* bytesOf(response)).byteLength, 0)
        }
        const other = yield* send("/images/conditional", { headers: { "if-none-match": `"other"` } })
        assert.strictEqual(other.status, 200)
      })
    )

    it.effect("answers ranges with the bytes of the whole", () =>
      Effect.gen(function* () {
        yield* put("ranges", yield* Effect.promise(() => png(64, 64)))
        const whole = yield* bytesOf(yield* send("/images/ranges"))
        const range = (value: string, headers = {}) => send("/images/ranges", { headers: { range: value, ...headers } })

        const middle = yield* range("bytes=10-19")
        assert.strictEqual(middle.status, 206)
        assert.strictEqual(middle.headers.get("content-range"), `bytes 10-19/${whole.byteLength}`)
        assert.deepStrictEqual(yield* bytesOf(middle), whole.subarray(10, 20))
        assert.deepStrictEqual(yield* bytesOf(yield* range("bytes=-5")), whole.subarray(-5))
        assert.strictEqual(yield* problemOf(yield* range(`bytes=${whole.byteLength}-`)), "range-not-satisfiable")
        assert.strictEqual((yield* range("bytes=0-1", { "if-range": `"other"` })).status, 200)
      })
    )

    it.effect("answers 404 for an image that is not there, for a second at most", () =>
      Effect.gen(function* () {
        const response = yield* send("/images/nobody")

        assert.strictEqual(response.headers.get("cache-control"), "public, max-age=1")
        assert.strictEqual(yield* problemOf(response), "image-not-found")
      })
    )

    it.effect("with ?v= of the current master may be kept for ever, with another is sent to the current one", () =>
      Effect.gen(function* () {
        const { url: path } = yield* jsonOf(yield* put("versioned", yield* Effect.promise(() => png(64, 64))))
        const current = yield* send(String(path))
        assert.strictEqual(current.headers.get("cache-control"), "public, max-age=31536000, immutable")

        const other = yield* send("/images/versioned?v=0123456789abcdef&preset=thumb")

        assert.strictEqual(other.status, 302)
        assert.strictEqual(other.headers.get("cache-control"), "no-store")
        assert.strictEqual(other.headers.get("location"), String(path).replace("?", "?preset=thumb&"))
      })
    )

    it.effect("renders ?preset=thumb once, within 256 pixels, and anew when the master changes", () =>
      Effect.gen(function* () {
        yield* put("variant", yield* Effect.promise(() => png(800, 400)))
        const made = yield* send("/images/variant?preset=thumb")
        const { format, height, width } = yield* Effect.promise(async () => sharp(await made.arrayBuffer()).metadata())
        assert.deepStrictEqual([format, width, height], ["webp", 256, 128])
        assert.strictEqual(made.headers.get("cache-status"), "terrace-filesystem;fwd=miss, terrace-memory;fwd=miss")
        const again = yield* send("/images/variant?preset=thumb")
        assert.strictEqual(again.headers.get("etag"), made.headers.get("etag"))
        assert.strictEqual(again.headers.get("cache-status"), "terrace-memory;hit")

        yield* put("variant", yield* Effect.promise(() => png(400, 800, 7)))

        const remade = yield* send("/images/variant?preset=thumb")
        const size = yield* Effect.promise(async () => sharp(await remade.arrayBuffer()).metadata())
        assert.deepStrictEqual([size.width, size.height], [128, 256])
      })
    )

    it.effect("refuses what it does not know, and names what it knows", () =>
      Effect.gen(function* () {
        yield* put("params", yield* Effect.promise(() => png(20, 20)))
        for (const query of ["preset=poster", "width=200", "v=123", "preset=thumb&preset=thumb", "preset="]) {
          const response = yield* send(`/images/params?${query}`)
          assert.strictEqual(yield* problemOf(response), "invalid-parameter", query)
        }
      })
    )
  })

  describe("DELETE /images/:id", () => {
    it.effect("removes the image and its variants, with a receipt", () =>
      Effect.gen(function* () {
        yield* put("doomed", yield* Effect.promise(() => png(300, 300)))
        yield* bytesOf(yield* send("/images/doomed?preset=thumb"))

        const response = yield* send("/images/doomed", { method: "DELETE" })

        assert.strictEqual(response.status, 200)
        const receipt = yield* jsonOf(response)
        assert.deepStrictEqual(receipt.masters, { filesystem: "removed", memory: "removed" })
        assert.strictEqual(receipt.variants?.["filesystem"], "removed")
        assert.strictEqual((yield* send("/images/doomed")).status, 404)
        assert.strictEqual((yield* send("/images/doomed?preset=thumb")).status, 404)
        assert.strictEqual((yield* send("/images/doomed", { method: "DELETE" })).status, 200)
      })
    )

    it.effect("with If-Match removes only what the client knows", () =>
      Effect.gen(function* () {
        const stored = yield* put("kept", yield* Effect.promise(() => png(30, 30)))
        const { etag = "" } = yield* jsonOf(stored)
        const remove = (etag: string) => send("/images/kept", { method: "DELETE", headers: { "if-match": etag } })

        assert.strictEqual(yield* problemOf(yield* remove(`"other"`)), "precondition-failed")
        assert.strictEqual((yield* send("/images/kept")).status, 200)
        assert.strictEqual((yield* remove(etag)).status, 200)
      })
    )
  })

  describe("what came between", () => {
    it.effect("a DELETE with If-Match and what it deletes never takes a newer image with it", () =>
      Effect.gen(function* () {
        const [one, other] = yield* Effect.promise(() => Promise.all([png(16, 16, 1), png(16, 16, 2)]))
        for (let round = 0; round < 40; round++) {
          const { etag = "" } = yield* jsonOf(yield* put("contended", one))
          const [removed, stored] = yield* Effect.all(
            [send("/images/contended", { method: "DELETE", headers: { "if-match": etag } }), put("contended", other)],
            { concurrency: "unbounded" }
          )
          const served = yield* send("/images/contended")
          yield* bytesOf(served)
          assert.isTrue(stored.ok)
          assert.include([200, 412], removed.status)
          assert.strictEqual(served.status, 200, `round ${round}: DELETE ${removed.status}, PUT ${stored.status}`)
        }
      })
    )
  })

  describe("an image that was not there a moment ago", () => {
    const forms = ["", "?preset=thumb", "/metadata"]
    const statuses = (id: string) =>
      Effect.forEach(
        forms,
        (form) =>
          Effect.flatMap(send(`/images/${id}${form}`), (response) => Effect.as(bytesOf(response), response.status)),
        { concurrency: "unbounded" }
      )

    it.effect("is there for everyone who asks after its upload, and gone after its removal, however often", () =>
      Effect.gen(function* () {
        const image = yield* Effect.promise(() => png(16, 16))
        for (let round = 0; round < 20; round++) {
          const id = `sudden_${round % 3}`
          assert.deepStrictEqual(yield* statuses(id), [404, 404, 404])
          assert.strictEqual(yield* problemOf(yield* put(id, image, { "if-match": `"other"` })), "precondition-failed")

          const [created] = yield* Effect.all([put(id, image, { "if-none-match": "*" }), statuses(id), statuses(id)], {
            concurrency: "unbounded"
          })

          assert.strictEqual(created.status, 201, `round ${round}`)
          assert.deepStrictEqual(yield* statuses(id), [200, 200, 200], `round ${round}`)
          const { etag = "" } = yield* jsonOf(created)
          const again = yield* put(id, image, { "if-none-match": "*" })
          assert.strictEqual(yield* problemOf(again), "precondition-failed")
          assert.strictEqual((yield* put(id, image, { "if-match": etag })).status, 200)

          const [removed] = yield* Effect.all([send(`/images/${id}`, { method: "DELETE" }), statuses(id)], {
            concurrency: "unbounded"
          })
          assert.strictEqual(removed.status, 200)
        }
      })
    )
  })

  describe("the id metadata", () => {
    it.effect("is one like any other", () =>
      Effect.gen(function* () {
        assert.strictEqual((yield* put("metadata", yield* Effect.promise(() => png(20, 20)))).status, 201)
        assert.strictEqual((yield* send("/images/metadata")).status, 200)
        assert.strictEqual((yield* jsonOf(yield* send("/images/metadata/metadata"))).id, "metadata")
      })
    )
  })

  describe("GET /images/:id/metadata", () => {
    it.effect("can be asked again for nothing", () =>
      Effect.gen(function* () {
        yield* put("asked", yield* Effect.promise(() => png(20, 20)))
        const first = yield* send("/images/asked/metadata")
        const second = yield* send("/images/asked/metadata", {
          headers: { "if-none-match": first.headers.get("etag") ?? "" }
        })
        assert.deepStrictEqual([first.status, second.status], [200, 304])
      })
    )
  })

  describe("GET /images", () => {
    it.effect("refuses a position that it did not give", () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* problemOf(yield* send("/images?after=zzz")), "invalid-parameter")
      })
    )

    it.effect("lists ids by prefix, page by page, each once", () =>
      Effect.gen(function* () {
        const image = yield* Effect.promise(() => png(20, 20))
        const ids = Array.from({ length: 7 }, (_, index) => `page_${index}`)
        yield* Effect.forEach(ids, (id) => put(id, image), { concurrency: 4 })
        const listed: Array<string> = []
        let query = "prefix=page_&limit=3"
        for (let pages = 0; pages < 3; pages++) {
          const page = yield* jsonOf(yield* send(`/images?${query}`))
          listed.push(...(page.images ?? []).map(({ id }) => id))
          query = `prefix=page_&limit=3&after=${encodeURIComponent(String(page.next))}`
        }
        assert.deepStrictEqual(listed.toSorted(), ids)
      })
    )
  })

  describe("operations", () => {
    it.effect("GET /healthz and /readyz answer without a token", () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* jsonOf(yield* send("/healthz")), { status: "alive" })
        assert.deepStrictEqual(yield* jsonOf(yield* send("/readyz")), { status: "ready" })
      })
    )

    it.effect("other paths are 404, other methods 405 with Allow", () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* problemOf(yield* send("/")), "not-found")
        const response = yield* send("/images/x", { method: "PATCH" })
        assert.strictEqual(response.headers.get("allow"), "GET, HEAD, PUT, DELETE")
        assert.strictEqual(yield* problemOf(response), "method-not-allowed")
      })
    )

    it.effect("the log tells which tier answered", () =>
      Effect.gen(function* () {
        const { log } = yield* Server
        assert.isTrue(log.some((line) => /message="cache miss, made" tier=producer id=variant/.test(line)))
      })
    )
  })
})
