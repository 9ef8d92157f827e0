import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import { readdir, writeFile } from "node:fs/promises"
import { once } from "node:events"
import { Agent, request } from "node:http"
import { connect } from "node:net"
import { join } from "node:path"
import { png } from "./support/images.ts"
import { spawnServer, start, startOn, temporaryDirectory, type TestServer } from "./support/TestServer.ts"

const put = (url: string, id: string, body: Uint8Array) =>
  fetch(`${url}/images/${id}`, { method: "PUT", body: new Uint8Array(body) })

describe("a restart", () => {
  it.live("keeps every image, with its tag, and serves it from the filesystem first and from memory then", () =>
    Effect.gen(function* () {
      const dataDir = yield* temporaryDirectory
      const image = yield* Effect.promise(() => png(200, 200))
      const first = yield* startOn(dataDir)
      const stored = yield* Effect.promise(() => put(first.url, "kept", image))
      assert.strictEqual(yield* Effect.promise(() => first.end("SIGTERM")), 0)

      const second = yield* startOn(dataDir)
      const get = Effect.promise(() => fetch(`${second.url}/images/kept`))
      const cold = yield* get
      const warm = yield* get

      const { etag } = (yield* Effect.promise(() => stored.json())) as { readonly etag: string }
      assert.strictEqual(cold.headers.get("etag"), etag)
      assert.strictEqual(cold.headers.get("cache-status"), "terrace-filesystem;hit, terrace-memory;fwd=miss")
      assert.strictEqual(warm.headers.get("cache-status"), "terrace-memory;hit")
      assert.isTrue(second.log.some((line) => /message="cache hit" tier=filesystem id=kept/.test(line)))
    })
  )

  it.live(
    "after kill -9 in a loop of uploads serves every acknowledged image whole, 8 times",
    () =>
      Effect.gen(function* () {
        const dataDir = yield* temporaryDirectory
        const seed = Date.now() % 100_000
        const acknowledged = new Set<string>()
        const images = yield* Effect.promise(() => Promise.all([png(160, 120, 1), png(120, 160, 2), png(90, 90, 3)]))

        /** Uploads from four lanes, over and over to the same ids, and dies with some of them under way. */
        const uploadAndDie = async (server: TestServer, round: number) => {
          const last = 1 + ((seed + round * 13) % 9)
          const lane = async (offset: number) => {
            for (let count = 0; ; count++) {
              const image = images[(count + offset + round) % images.length] ?? Buffer.alloc(0)
              const id = `image-${(round * 5 + count + offset * 11) % 40}`
              const response = await put(server.url, id, image).catch(() => undefined)
              if (response === undefined) return
              assert.isTrue(
                response.ok,
                `${response.status} ${await response.clone().text()} ${server.log.slice(-4).join("\n")}`
              )
              acknowledged.add(id)
              if (count === last) server.process.kill("SIGKILL")
            }
          }
          await Promise.all([lane(0), lane(1), lane(2), lane(3)])
          await server.end("SIGKILL")
        }

        for (let round = 0; round <= 8; round++) {
          const server = yield* startOn(dataDir)
          yield* Effect.promise(async () => {
            for (const id of acknowledged) {
              const response = await fetch(`${server.url}/images/${id}`)
              assert.strictEqual(response.status, 200, `${id} after ${round} kills, seed ${seed}`)
              const digest = createHash("sha256")
                .update(new Uint8Array(await response.arrayBuffer()))
                .digest("hex")
              assert.strictEqual(response.headers.get("etag"), `"${digest}"`)
            }
            if (round < 8) await uploadAndDie(server, round)
          })
        }
        const quarantined = yield* Effect.promise(() => readdir(join(dataDir, "masters", "quarantine")).catch(() => []))
        assert.deepStrictEqual(quarantined, [])
      }),
    120_000
  )
})

describe("SIGTERM", () => {
  it.live("lets an upload finish that was under way, and then ends with 0", () =>
    Effect.gen(function* () {
      const dataDir = yield* temporaryDirectory
      const server = yield* startOn(dataDir)
      const image = yield* Effect.promise(() => png(600, 600))
      const { hostname, port } = new URL(server.url)
      const upload = request({
        hostname,
        port,
        method: "PUT",
        path: "/images/slow",
        headers: { "content-length": image.byteLength }
      })
      const answered = new Promise<number | undefined>((resolve, reject) => {
        upload.on("response", (response) => {
          response.resume()
          resolve(response.statusCode)
        })
        upload.on("error", reject)
      })
      yield* Effect.promise(
        () => new Promise<void>((resolve) => upload.write(image.subarray(0, 50_000), () => resolve()))
      )
      // Answered once the server has read the head of the upload, which came first.
      yield* Effect.promise(() => fetch(`${server.url}/healthz`))

      const ended = server.end("SIGTERM")
      upload.end(image.subarray(50_000))

      assert.strictEqual(yield* Effect.promise(() => answered), 201)
      assert.strictEqual(yield* Effect.promise(() => ended), 0)
      const again = yield* startOn(dataDir)
      assert.strictEqual((yield* Effect.promise(() => fetch(`${again.url}/images/slow`))).status, 200)
    })
  )
})

describe("a stop", () => {
  it.live("answers the last requests with Connection: close, and takes no more", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const image = yield* Effect.promise(() => png(1200, 1200))
      const { hostname, port } = new URL(server.url)
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      const upload = (id: string) =>
        new Promise<{ readonly status: number | undefined; readonly connection: string | undefined } | Error>(
          (resolve) => {
            const sent = request({ hostname, port, agent, method: "PUT", path: `/images/${id}` }, (response) => {
              response.resume()
              resolve({ status: response.statusCode, connection: response.headers.connection })
            })
            sent.on("error", resolve)
            sent.end(image)
          }
        )
      const first = upload("first")
      yield* Effect.promise(() => fetch(`${server.url}/healthz`))
      const ended = server.end("SIGTERM")
      const second = upload("second")

      assert.deepStrictEqual(yield* Effect.promise(() => first), { status: 201, connection: "close" })
      assert.instanceOf(yield* Effect.promise(() => second), Error)
      assert.strictEqual(yield* Effect.promise(() => ended), 0)
      assert.isTrue(server.log.some((line) => line.includes("message=stopping")))
      assert.isTrue(server.log.some((line) => line.includes("message=stopped")))
    })
  )

  it.live(
    "is not held up by a connection on which nothing was ever sent",
    () =>
      Effect.gen(function* () {
        const server = yield* start()
        const { hostname, port } = new URL(server.url)
        const silent = connect(Number(port), hostname)
        silent.on("error", () => undefined)
        const closed = once(silent, "close")
        yield* Effect.promise(() => once(silent, "connect"))
        yield* Effect.promise(() => fetch(`${server.url}/healthz`))

        // Were it waited for, the test would time out before the grace time is over.
        assert.strictEqual(yield* Effect.promise(() => server.end("SIGTERM")), 0)
        yield* Effect.promise(() => closed)
      }),
    15_000
  )

  it.live("is not held up by a client that never ends, once it is asked twice", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const { hostname, port } = new URL(server.url)
      const stuck = request({
        hostname,
        port,
        method: "PUT",
        path: "/images/stuck",
        headers: { "content-length": 1_000 }
      })
      stuck.on("error", () => undefined)
      yield* Effect.promise(() => new Promise<void>((resolve) => stuck.write("x", () => resolve())))
      yield* Effect.promise(() => fetch(`${server.url}/healthz`))

      const ended = server.end("SIGTERM")
      yield* Effect.promise(async () => {
        while (!server.log.some((line) => line.includes("message=stopping")))
          await new Promise((next) => setImmediate(next))
      })
      server.process.kill("SIGTERM")

      assert.strictEqual(yield* Effect.promise(() => ended), 0)
    })
  )
})

describe("a start", () => {
  const refusal = (dataDir: string, environment: Readonly<Record<string, string>> = {}) =>
    Effect.map(
      Effect.flip(Effect.tryPromise({ try: () => spawnServer(dataDir, environment), catch: (error) => String(error) })),
      (message) => message
    )

  it.live("with settings that are wrong ends with 1 and one line for each", () =>
    Effect.gen(function* () {
      const message = yield* refusal(yield* temporaryDirectory, { TERRACE_PORT: "eighty", TERRACE_QUALITY: "101" })

      assert.include(message, "exit code 1")
      assert.match(message, /TERRACE_PORT is \\?"eighty\\?": expected .*for example/)
      assert.match(message, /TERRACE_QUALITY is \\?"101\\?": expected .*for example/)
    })
  )

  it.live("on a data directory that another server uses names the holder", () =>
    Effect.gen(function* () {
      const running = yield* start()

      const message = yield* refusal(running.dataDir)

      assert.include(message, "exit code 1")
      assert.include(message, String(running.process.pid))
    })
  )

  it.live("on a data directory that is a file says what to do", () =>
    Effect.gen(function* () {
      const path = join(yield* temporaryDirectory, "file")
      yield* Effect.promise(() => writeFile(path, ""))

      const message = yield* refusal(path)

      assert.include(message, "exit code 1")
      assert.include(message, path)
    })
  )

  it.live("on a port that is taken says so", () =>
    Effect.gen(function* () {
      const running = yield* start()

      const message = yield* refusal(yield* temporaryDirectory, { TERRACE_PORT: new URL(running.url).port })

      assert.include(message, "cannot listen")
      assert.include(message, "EADDRINUSE")
    })
  )
})
