import { assert, describe, it } from "@effect/vitest"
import * as RedisServer from "@terrace/testkit/RedisServer"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { Redis } from "ioredis"
import { connect } from "node:net"
import { containersOf, ownOwner } from "./containersOf.ts"

/** A client that says what happens instead of hiding it: no queue, no retries. */
const clientOf = ({ host, password, port }: RedisServer.Redis) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const client = new Redis({
        host,
        port,
        commandTimeout: 500,
        maxRetriesPerRequest: 0,
        retryStrategy: () => 20,
        ...(password === undefined ? {} : { password })
      })
      client.on("error", () => undefined)
      return client
    }),
    (client) => Effect.sync(() => client.disconnect())
  )

/** Asks until the server answers; the test's time limit bounds it. */
const untilAnswered = (client: Redis) =>
  Effect.retry(
    Effect.tryPromise(() => client.ping()),
    Schedule.spaced("20 millis")
  )

/** What becomes of a connection to the port: `open`, or the code of the error. */
const connecting = (port: number) =>
  Effect.callback<string>((resume) => {
    const socket = connect(port, "127.0.0.1")
    const end = (outcome: string) => {
      socket.destroy()
      resume(Effect.succeed(outcome))
    }
    socket.on("connect", () => end("open"))
    socket.on("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message))
  })

describe("RedisServer", () => {
  it.layer(RedisServer.layer(), { timeout: "60 seconds" })("as a layer", (it) => {
    it.effect("starts, whatever clock the tests have", () =>
      Effect.gen(function* () {
        const server = yield* RedisServer.RedisServer
        assert.strictEqual(yield* server.exec(["ping"]), "PONG")
      })
    )
  })

  it.live("is Redis 8, on loopback", () =>
    Effect.gen(function* () {
      const server = yield* RedisServer.make()
      const client = yield* clientOf(server)

      assert.strictEqual(server.host, "127.0.0.1")
      assert.strictEqual(server.url, `redis://127.0.0.1:${server.port}`)
      assert.match(yield* Effect.promise(() => client.info("server")), /redis_version:8\./)
    })
  )

  it.live("stop - refuses connections; start - serves what it had, at the same port", () =>
    Effect.gen(function* () {
      const server = yield* RedisServer.make()
      const client = yield* clientOf(server)
      yield* Effect.promise(() => client.set("kept", "over a stop"))

      yield* server.stop
      yield* server.stop
      assert.strictEqual(yield* connecting(server.port), "ECONNREFUSED")
      yield* server.start
      yield* server.start

      yield* untilAnswered(client)
      assert.strictEqual(yield* Effect.promise(() => client.get("kept")), "over a stop")
    })
  )

  it.live("kill - loses what was not saved", () =>
    Effect.gen(function* () {
      const server = yield* RedisServer.make()
      const client = yield* clientOf(server)
      yield* Effect.promise(() => client.set("lost", "with the process"))

      yield* server.kill
      yield* server.start

      yield* untilAnswered(client)
      assert.isNull(yield* Effect.promise(() => client.get("lost")))
    })
  )

  it.live("pause - keeps connections and answers nothing until unpause", () =>
    Effect.gen(function* () {
      const server = yield* RedisServer.make()
      const client = yield* clientOf(server)
      yield* untilAnswered(client)

      yield* server.pause
      yield* server.pause
      const error = yield* Effect.flip(Effect.tryPromise(() => client.ping()))
      assert.match(String(error.cause), /timed out/)
      yield* server.unpause
      yield* server.unpause

      assert.strictEqual(yield* untilAnswered(client), "PONG")
      assert.strictEqual(client.status, "ready")
    })
  )

  it.live("restart - works on a paused server too", () =>
    Effect.gen(function* () {
      const server = yield* RedisServer.make()
      yield* server.pause

      yield* server.restart

      assert.strictEqual(yield* untilAnswered(yield* clientOf(server)), "PONG")
    })
  )

  it.live("exec - runs redis-cli, and fails with an error of the server", () =>
    Effect.gen(function* () {
      const server = yield* RedisServer.make()

      assert.strictEqual(yield* server.exec(["set", "by", "hand"]), "OK")
      const error = yield* Effect.flip(server.exec(["incr", "by"]))

      assert.strictEqual(error.reason._tag, "Failed")
      assert.match(error.message, /^redis:8: exec: redis-cli -e incr by ended with 1: ERR value is not an integer/)
    })
  )

  it.live("logs - answers what the server has printed", () =>
    Effect.gen(function* () {
      const { logs } = yield* RedisServer.make()
      // The engine writes down later what was printed.
      const printed = yield* Effect.repeat(logs, { until: (text) => text.includes("Ready to accept connections") })
      assert.include(printed, "Redis version=8.")
    })
  )

  it.live("takes a password and settings", () =>
    Effect.gen(function* () {
      const config = { maxmemory: "3mb", "maxmemory-policy": "noeviction", save: "" }
      const server = yield* RedisServer.make({ password: "p@ss word", config })
      const client = yield* clientOf(server)

      assert.strictEqual(server.url, `redis://:p%40ss%20word@127.0.0.1:${server.port}`)
      const refused = yield* Effect.flip(Effect.tryPromise(() => client.set("big", Buffer.alloc(4_000_000))))
      assert.match(String(refused.cause), /^ReplyError: OOM/)
      assert.strictEqual(yield* server.exec(["config", "get", "save"]), "save\n")
      const stranger = yield* clientOf({ ...server, password: "guessed" })
      const unauthorised = yield* Effect.flip(Effect.tryPromise(() => stranger.ping()))
      assert.match(String(unauthorised.cause), /WRONGPASS/)
    })
  )

  it.live("a server that does not start fails at once, with what it has printed", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(RedisServer.make({ config: { maxmemory: "a lot" } }))

      assert.strictEqual(error.reason._tag, "NotReady")
      assert.match(error.message, /^redis:8: start: the container ended with exit code 1; it printed: .*maxmemory/)
      assert.notInclude(error.message, "\n")
    })
  )

  it.live("an image that is missing and cannot be pulled is named, with what to run", () =>
    Effect.gen(function* () {
      const image = "127.0.0.1:9/no/such-redis:8"
      const error = yield* Effect.flip(RedisServer.make({ image }))

      assert.strictEqual(error.reason._tag, "ImageMissing")
      assert.match(error.message, /; run: docker pull 127\.0\.0\.1:9\/no\/such-redis:8$/)
      assert.notInclude(error.message, "\n")
    })
  )

  it.live("the container goes with the scope, whatever state it is in", () =>
    Effect.gen(function* () {
      for (const act of ["none", "pause", "stop"] as const) {
        const scope = yield* Scope.make()
        const server = yield* Scope.provide(RedisServer.make(), scope)
        assert.lengthOf(yield* containersOf({ port: server.port }), 1)
        if (act !== "none") yield* server[act]

        yield* Scope.close(scope, Exit.void)

        assert.lengthOf(yield* containersOf({ port: server.port }), 0)
      }
    })
  )

  it.live("an interruption at any point leaves no container", () =>
    Effect.gen(function* () {
      const owner = yield* ownOwner
      for (const millis of [0, 10, 40, 80, 160, 320]) {
        const fiber = yield* Effect.forkChild(Effect.scoped(Effect.andThen(RedisServer.make(), Effect.never)))
        yield* Effect.sleep(millis)

        yield* Fiber.interrupt(fiber)

        assert.lengthOf(yield* containersOf({ owner }), 0)
      }
    })
  )
})
