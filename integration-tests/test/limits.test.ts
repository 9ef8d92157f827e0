import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { randomBytes } from "node:crypto"
import { connect } from "node:net"
import { crc32, deflateSync } from "node:zlib"
import sharp from "sharp"
import { jpeg, png } from "./support/images.ts"
import { start, type TestServer } from "./support/TestServer.ts"

const put = (server: TestServer, id: string, body: Uint8Array | string, headers: Record<string, string> = {}) =>
  Effect.promise(() =>
    fetch(`${server.url}/images/${id}`, {
      method: "PUT",
      body: typeof body === "string" ? body : new Uint8Array(body),
      headers
    })
  )

const problemOf = (response: Response) =>
  Effect.promise(async () => {
    const problem = (await response.json()) as { readonly type: string; readonly detail: string }
    return { type: problem.type.replace("urn:terrace:problem:", ""), detail: problem.detail }
  })

const status = (server: TestServer, path: string) =>
  Effect.promise(async () => {
    const response = await fetch(server.url + path)
    await response.arrayBuffer()
    return response.status
  })

/** A PNG of one colour: what it declares, in a few kilobytes. */
const declaredPng = (width: number, height: number, rows = height): Buffer => {
  const chunk = (type: string, data: Buffer): Buffer => {
    const head = Buffer.alloc(8)
    head.writeUInt32BE(data.byteLength)
    head.write(type, 4, "latin1")
    const crc = Buffer.alloc(4)
    crc.writeUInt32BE(crc32(Buffer.concat([head.subarray(4), data])))
    return Buffer.concat([head, data, crc])
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width)
  header.writeUInt32BE(height, 4)
  header.set([1, 0], 8)
  const rowBytes = 1 + Math.ceil(width / 8)
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(Buffer.alloc(rowBytes * rows))),
    chunk("IEND", Buffer.alloc(0))
  ])
}

describe("hostile uploads", () => {
  it.live("are refused with a reason, and the server goes on", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const photo = yield* Effect.promise(() => jpeg(400, 300))
      const hundredMegapixels = declaredPng(10_000, 10_000)
      assert.isBelow(hundredMegapixels.byteLength, 20_000)
      const svg = `<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd"/></svg>`
      const heic = Buffer.concat([Buffer.from([0, 0, 0, 24]), Buffer.from("ftypheic\0\0\0\0mif1heic", "latin1")])
      const uploads: ReadonlyArray<readonly [string, Uint8Array | string, number, string, RegExp]> = [
        ["svg.png", svg, 415, "unsupported-type", /svg/],
        ["pdf.jpg", "%PDF-1.7\n1 0 obj\n", 415, "unsupported-type", /pdf/],
        ["heic.webp", heic, 415, "unsupported-type", /heic/],
        ["text.png", "this is a text, not an image", 415, "unsupported-type", /expected one of/],
        ["empty", new Uint8Array(0), 422, "undecodable", /no bytes/],
        ["declared", declaredPng(30_000, 30_000, 1), 422, "too-many-pixels", /30000×30000/],
        ["bomb", hundredMegapixels, 422, "too-many-pixels", /10000×10000/],
        ["cut", photo.subarray(0, photo.byteLength / 2), 422, "undecodable", /./]
      ]
      for (const [id, body, expected, type, detail] of uploads) {
        const response = yield* put(server, id, body, { "content-type": "image/png" })
        assert.strictEqual(response.status, expected, id)
        const problem = yield* problemOf(response)
        assert.deepStrictEqual([response.status, problem.type], [expected, type], `${id}: ${problem.detail}`)
        assert.match(problem.detail, detail)
        assert.strictEqual(yield* status(server, `/images/${id}`), 404)
      }

      assert.strictEqual((yield* put(server, "good", photo)).status, 201)
    })
  )

  it.live("as JSON are refused with a reason", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const json = { "content-type": "application/json" }
      const bodies: ReadonlyArray<readonly [string, number, string]> = [
        ["{", 400, "invalid-upload"],
        ["[]", 400, "invalid-upload"],
        [`{"title": "no image"}`, 400, "invalid-upload"],
        [`{"base64_data": "not base64!"}`, 400, "invalid-upload"],
        [`{"base64_data": "aGVsbG8="}`, 415, "unsupported-type"],
        [`{"base64_data": "iVBORw0KGgo=", "image.width": "7"}`, 400, "invalid-upload"],
        [`{"base64_data": "iVBORw0KGgo=", "nested": {"a": 1}}`, 400, "invalid-upload"]
      ]
      for (const [body, expected, type] of bodies) {
        const response = yield* put(server, "json", body, json)
        assert.deepStrictEqual([response.status, (yield* problemOf(response)).type], [expected, type], body)
      }
      const image = (yield* Effect.promise(() => png(20, 20))).toString("base64")
      const long = JSON.stringify({ base64_data: image, a: "é".repeat(200), b: "é".repeat(200) })
      assert.strictEqual((yield* problemOf(yield* put(server, "json", long, json))).type, "invalid-upload")
      assert.strictEqual(
        (yield* put(server, "form", "x", { "content-type": "multipart/form-data; boundary=x" })).status,
        415
      )
      assert.strictEqual((yield* put(server, "zipped", "x", { "content-encoding": "gzip" })).status, 415)
    })
  )
})

describe("the size of an upload", () => {
  it.live("is limited before the body is read, and while it is read", () =>
    Effect.gen(function* () {
      const server = yield* start({ TERRACE_MAX_UPLOAD_BYTES: "100kB" })
      const large = yield* Effect.promise(() => png(300, 300))
      assert.isAbove(large.byteLength, 100_000)
      assert.strictEqual((yield* problemOf(yield* put(server, "declared", large))).type, "too-large")

      const streamed = yield* Effect.promise(() =>
        fetch(`${server.url}/images/streamed`, {
          method: "PUT",
          body: new Blob([new Uint8Array(large)]).stream(),
          duplex: "half"
        } as RequestInit)
      )
      assert.strictEqual((yield* problemOf(streamed)).type, "too-large")

      const encoded = JSON.stringify({ base64_data: large.toString("base64") })
      const json = yield* put(server, "json", encoded, { "content-type": "application/json" })
      assert.strictEqual((yield* problemOf(json)).type, "too-large")
      assert.strictEqual((yield* put(server, "small", yield* Effect.promise(() => png(30, 30)))).status, 201)
    })
  )

  it.live("in flight is bounded for all clients together: more are told to come back", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const { hostname, port } = new URL(server.url)
      const fiftyMegabytes = 50 * 1_048_576
      // Six clients announce 50 MiB each; the budget of 256 MiB holds five.
      const answers = yield* Effect.promise(async () => {
        const sockets = Array.from({ length: 6 }, () => connect(Number(port), hostname))
        const answered = sockets.map(
          (socket) =>
            new Promise<string>((resolve) => {
              socket.once("data", (data) => resolve(data.toString().slice(9, 12)))
              socket.once("error", () => resolve("reset"))
            })
        )
        for (const [index, socket] of sockets.entries()) {
          socket.write(
            `PUT /images/big${index} HTTP/1.1\r\nhost: ${hostname}\r\ncontent-length: ${fiftyMegabytes}\r\n\r\n`
          )
        }
        const first = await Promise.race(answered)
        for (const socket of sockets) socket.destroy()
        return first
      })
      assert.strictEqual(answers, "429")

      // What was taken is given back when the clients are gone.
      const image = yield* Effect.promise(() => png(30, 30))
      yield* Effect.eventually(
        Effect.flatMap(put(server, "after", image), (response) =>
          response.status === 201 ? Effect.void : Effect.fail(response.status)
        )
      )
    })
  )
})

describe("a full store", () => {
  it.live("refuses uploads, and still serves what it has", () =>
    Effect.gen(function* () {
      const server = yield* start({ TERRACE_STORE_MAX_BYTES: "60kB" })
      const stored: Array<string> = []
      let refused: Response | undefined
      for (let index = 0; index < 40 && refused === undefined; index++) {
        const response = yield* put(server, `image${index}`, yield* Effect.promise(() => png(120, 120, index + 1)))
        if (response.status === 201) stored.push(`image${index}`)
        else refused = response
      }

      assert.isAbove(stored.length, 2)
      assert.strictEqual(refused?.status, 507)
      assert.strictEqual(refused === undefined ? "" : (yield* problemOf(refused)).type, "no-space")
      for (const id of stored) assert.strictEqual(yield* status(server, `/images/${id}`), 200)
      yield* Effect.promise(() => fetch(`${server.url}/images/${stored[0]}`, { method: "DELETE" }))
      assert.strictEqual((yield* put(server, "again", yield* Effect.promise(() => png(60, 60)))).status, 201)
    })
  )
})

describe("a store that has room for the original only, or for the master only", () => {
  it.live("changes nothing when it refuses", () =>
    Effect.gen(function* () {
      const server = yield* start({ TERRACE_KEEP_ORIGINAL: "on", TERRACE_STORE_MAX_BYTES: "140kB" })
      const first = yield* Effect.promise(() => png(150, 150, 1))
      assert.strictEqual((yield* put(server, "kept", first)).status, 201)
      const before = (yield* Effect.promise(() => fetch(`${server.url}/images/kept`))).headers.get("etag")
      let refused = 0
      for (let seed = 2; seed < 12; seed++) {
        const response = yield* put(
          server,
          seed % 2 === 0 ? "kept" : `other${seed}`,
          yield* Effect.promise(() => png(190, 190, seed))
        )
        if (response.status !== 507) continue
        refused += 1
        const kept = yield* Effect.promise(() => fetch(`${server.url}/images/kept`))
        assert.strictEqual(kept.headers.get("etag"), before, `seed ${seed}`)
        if (seed % 2 === 1) assert.strictEqual(yield* status(server, `/images/other${seed}`), 404)
      }
      assert.isAbove(refused, 0)
    })
  )
})

describe("a full disk cache", () => {
  it.live("forgets variants, and every request is answered", () =>
    Effect.gen(function* () {
      const server = yield* start({ TERRACE_DISK_MAX_BYTES: "100kB", TERRACE_MEMORY_MAX_BYTES: "20kB" })
      for (let index = 0; index < 30; index++) {
        const image = yield* Effect.promise(() => png(300, 300, index + 1))
        assert.strictEqual((yield* put(server, `image${index}`, image)).status, 201)
        assert.strictEqual(yield* status(server, `/images/image${index}?preset=thumb`), 200)
      }
      for (let index = 0; index < 30; index++) {
        assert.strictEqual(yield* status(server, `/images/image${index}?preset=thumb`), 200)
      }

      const { chains } = (yield* Effect.promise(async () => (await fetch(`${server.url}/tiers`)).json())) as {
        readonly chains: ReadonlyArray<{
          readonly chain: string
          readonly tiers: ReadonlyArray<{ readonly tier: string; readonly usage: { readonly bytes: number } }>
        }>
      }
      const variants = chains.find(({ chain }) => chain === "variants")
      const disk = variants?.tiers.find(({ tier }) => tier === "filesystem")
      assert.isAtMost(disk?.usage.bytes ?? Number.NaN, 100_000)
      assert.isAbove(disk?.usage.bytes ?? 0, 20_000)
    })
  )
})

describe("an image larger than a mebibyte", () => {
  it.live("is streamed from the disk, whole and in ranges", () =>
    Effect.gen(function* () {
      const server = yield* start({ TERRACE_MEMORY_MAX_BYTES: "64kB" })
      const noise = yield* Effect.promise(() =>
        sharp(randomBytes(1400 * 1400 * 3), { raw: { width: 1400, height: 1400, channels: 3 } })
          .png()
          .toBuffer()
      )
      const stored = yield* put(server, "large", noise)
      assert.strictEqual(stored.status, 201)
      const get = (headers: Record<string, string> = {}) =>
        Effect.promise(async () => {
          const response = await fetch(`${server.url}/images/large`, { headers })
          return { response, bytes: Buffer.from(await response.arrayBuffer()) }
        })

      const whole = yield* get()
      assert.isAbove(whole.bytes.byteLength, 1_048_576)
      const { etag } = (yield* Effect.promise(() => stored.json())) as { readonly etag: string }
      assert.strictEqual(whole.response.headers.get("etag"), etag)
      assert.strictEqual(whole.response.headers.get("cache-status"), "terrace-filesystem;hit, terrace-memory;fwd=miss")
      const across = yield* get({ range: "bytes=1048000-1049000" })
      assert.deepStrictEqual(across.bytes, whole.bytes.subarray(1_048_000, 1_049_001))
      assert.strictEqual((yield* get({ "if-none-match": etag })).response.status, 304)
    })
  )
})
