import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readdir } from "node:fs/promises"
import { request } from "node:http"
import { connect } from "node:net"
import { dirname } from "node:path"
import { png } from "./support/images.ts"
import { start, type TestServer } from "./support/TestServer.ts"

/** Sends the request target and headers exactly as given, which fetch would not. */
const raw = (server: TestServer, method: string, path: string, headers: Record<string, string> = {}, body?: Buffer) =>
  Effect.callback<{
    readonly status: number
    readonly headers: NodeJS.Dict<string | Array<string>>
    readonly body: string
  }>((resume) => {
    const { hostname, port } = new URL(server.url)
    const sent = request({ hostname, port, method, path, headers }, (response) => {
      const runs: Array<Buffer> = []
      response.on("data", (run: Buffer) => runs.push(run))
      response.on("end", () =>
        resume(
          Effect.succeed({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(runs).toString()
          })
        )
      )
    })
    sent.on("error", (error) => resume(Effect.die(error)))
    sent.end(body)
  })

describe("a server without a token", () => {
  it.live("answers loopback names only, and takes no write from a page of another origin", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const image = yield* Effect.promise(() => png(20, 20))
      const write = (headers: Record<string, string>) => raw(server, "PUT", "/images/a", headers, image)
      const host = new URL(server.url).host

      assert.strictEqual((yield* write({ origin: "http://evil.example" })).status, 403)
      assert.strictEqual((yield* write({ origin: "null" })).status, 403)
      assert.strictEqual((yield* write({ "sec-fetch-site": "cross-site" })).status, 403)
      assert.strictEqual((yield* write({ host: "evil.example" })).status, 403)
      assert.strictEqual((yield* raw(server, "GET", "/images/a", { host: "evil.example" })).status, 403)
      for (const path of ["/images", "/explain/images/a", "/tiers"]) {
        assert.strictEqual((yield* raw(server, "GET", path, { origin: "http://evil.example" })).status, 403, path)
      }
      assert.strictEqual((yield* raw(server, "GET", "/images/a")).status, 404)
      assert.strictEqual((yield* write({ origin: `http://${host}`, "sec-fetch-site": "same-origin" })).status, 201)
    })
  )

  it.live("says so when it starts, and does not start where other machines reach it", () =>
    Effect.gen(function* () {
      const server = yield* start()
      assert.isTrue(server.log.some((line) => line.includes('access="no token: this machine only"')))

      const error = yield* Effect.flip(Effect.sandbox(start({ TERRACE_HOST: "0.0.0.0" })))

      assert.include(String(error), "TERRACE_TOKEN is not set")
    })
  )
})

describe("a server with a token", () => {
  it.live("asks for it on writes and operations, and on nothing else", () =>
    Effect.gen(function* () {
      const server = yield* start({ TERRACE_TOKEN: "secret-of-the-test" })
      const image = yield* Effect.promise(() => png(20, 20))
      const bearer = { authorization: "Bearer secret-of-the-test" }
      const guarded = [
        ["PUT", "/images/a"],
        ["POST", "/images"],
        ["DELETE", "/images/a"],
        ["GET", "/images"],
        ["GET", "/explain/images/a"],
        ["GET", "/tiers"]
      ] as const
      for (const [method, path] of guarded) {
        const without = yield* raw(server, method, path, {}, method === "GET" ? undefined : image)
        assert.strictEqual(without.status, 401, `${method} ${path}`)
        assert.match(String(without.headers["www-authenticate"]), /^Bearer/)
        const wrong = yield* raw(server, method, path, { authorization: "Bearer other" })
        assert.strictEqual(wrong.status, 401)
      }

      assert.strictEqual((yield* raw(server, "PUT", "/images/a", bearer, image)).status, 201)
      assert.strictEqual((yield* raw(server, "GET", "/tiers", bearer)).status, 200)
      assert.strictEqual((yield* raw(server, "GET", "/explain/images/a", bearer)).status, 200)
      for (const path of ["/images/a", "/images/a/metadata", "/images/a?preset=thumb", "/healthz", "/readyz"]) {
        assert.strictEqual((yield* raw(server, "GET", path)).status, 200, path)
      }
      assert.isFalse(server.log.some((line) => line.includes("secret-of-the-test")))
    })
  )
})

describe("ids", () => {
  it.live(
    "that are none are refused, whatever they are written as, and nothing outside the data directory is touched",
    () =>
      Effect.gen(function* () {
        const server = yield* start()
        const image = yield* Effect.promise(() => png(20, 20))
        const outside = dirname(server.dataDir)
        const before = yield* Effect.promise(() => readdir(outside))
        const targets = [
          "/images/..%2f..%2fetc%2fpasswd",
          "/images/%2e%2e",
          "/images/..",
          "/images/%00",
          "/images/a%00b",
          "/images/a%5cb",
          "/images/%",
          "/images/%zz",
          "/images/%c3%a9",
          "/images/%252e%252e",
          "/images/a/b",
          "/images/",
          "/images/.hidden",
          `/images/${"a".repeat(201)}`,
          "http://127.0.0.1/images/%2e%2e/healthz",
          "http://127.0.0.1/images/%2e%2e"
        ]
        for (const target of targets) {
          for (const method of ["GET", "PUT", "DELETE"]) {
            const response = yield* raw(server, method, target, {}, method === "PUT" ? image : undefined)
            assert.strictEqual(response.status, 400, `${method} ${target}`)
            assert.include(response.body, "urn:terrace:problem:invalid-id")
          }
        }

        for (const target of [
          "/explain/images/%2e%2e",
          "/explain/images/..",
          "/explain/images/..%2f..%2fetc%2fpasswd"
        ]) {
          const response = yield* raw(server, "GET", target)
          assert.strictEqual(response.status, 400, target)
          assert.include(response.body, "urn:terrace:problem:invalid-id")
        }

        assert.deepStrictEqual(yield* Effect.promise(() => readdir(outside)), before)
        assert.strictEqual((yield* raw(server, "PUT", `/images/${"a".repeat(200)}`, {}, image)).status, 201)
      })
  )
})

describe("what is no request", () => {
  /** Sends bytes as they are, and reads the answer to its end. */
  const exchange = (server: TestServer, bytes: string) =>
    Effect.callback<string>((resume) => {
      const { hostname, port } = new URL(server.url)
      const socket = connect(Number(port), hostname, () => socket.write(bytes))
      const runs: Array<Buffer> = []
      socket.on("data", (run) => runs.push(run))
      socket.on("error", (error) => resume(Effect.die(error)))
      socket.on("close", () => resume(Effect.succeed(Buffer.concat(runs).toString())))
    })

  it.live("is answered with a problem", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const attempts: ReadonlyArray<readonly [string, string]> = [
        ["NONSENSE\r\n\r\n", "400 Bad Request"],
        ["GET / HTTP/1.1\r\nconnection: close\r\n\r\n", "400 Bad Request"],
        ["GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n", "400 Bad Request"],
        [`GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx: ${"x".repeat(20_000)}\r\n\r\n`, "431 Request Header Fields Too Large"]
      ]
      for (const [bytes, status] of attempts) {
        const answer = yield* exchange(server, bytes)
        assert.include(answer, `HTTP/1.1 ${status}`)
        assert.include(answer, "application/problem+json")
        assert.include(answer, "nosniff")
      }
    })
  )
})
