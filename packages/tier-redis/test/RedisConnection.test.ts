import { assert, describe, it } from "@effect/vitest"
import * as FaultProxy from "@terrace/testkit/FaultProxy"
import * as RedisServer from "@terrace/testkit/RedisServer"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { inspect } from "node:util"
import * as RedisConnection from "../src/RedisConnection.ts"
import { clientOf, eventually, logged, sharedServer } from "./support/Redis.ts"

const server = sharedServer()
const locked = sharedServer({ password: "open:se%same/@" })

const ping = (connection: RedisConnection.Connection) => connection.send((client) => client.ping())

describe("RedisConnection", () => {
  it.live("connects, and answers", () =>
    Effect.gen(function* () {
      const { host, port, url } = yield* server
      const connection = yield* RedisConnection.make({ url, required: true })

      assert.isTrue(connection.isConnected())
      assert.strictEqual(connection.address, `${host}:${port}`)
      assert.isFalse(connection.isCluster)
      assert.strictEqual(yield* ping(connection), "PONG")
      assert.strictEqual(connection.masters().length, 1)
    })
  )

  it.live("is named in the list of clients, and gone from it with its scope", () =>
    Effect.gen(function* () {
      const up = yield* server
      const admin = yield* clientOf(up)
      const named = Effect.promise(async () => String(await admin.client("LIST")).match(/name=a-name/g)?.length ?? 0)
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* RedisConnection.make({ url: up.url, clientName: "a-name" })
          assert.strictEqual(yield* named, 1)
        })
      )

      yield* eventually("connections of a closed scope", named, (count) => count === 0)
    })
  )

  it.live("fails at once after its scope, and says that nothing was sent", () =>
    Effect.gen(function* () {
      const { url } = yield* server
      const connection = yield* Effect.scoped(RedisConnection.make({ url }))

      const reason = yield* Effect.flip(ping(connection))

      assert.isTrue(reason._tag === "Unavailable" && reason.noEffect)
    })
  )

  it.live("uses user, password and database of the URL, percent-encoded", () =>
    Effect.gen(function* () {
      const up = yield* locked
      const admin = yield* clientOf(up)
      yield* Effect.promise(() => admin.acl("SETUSER", "a@b", "on", ">p:/%", "~*", "+@all"))
      const connection = yield* RedisConnection.make({
        url: `redis://a%40b:p%3A%2F%25@${up.host}:${up.port}/3`,
        required: true
      })

      assert.strictEqual(yield* connection.send((client) => client.acl("WHOAMI")), "a@b")
      assert.match(yield* connection.send((client) => client.client("INFO")), / db=3 /)
    })
  )

  describe("a start that cannot succeed says so in one line, and logs nothing", () => {
    const failure = (options: RedisConnection.Options) =>
      logged((lines) =>
        Effect.tap(Effect.flip(Effect.scoped(RedisConnection.make(options))), ({ message }) =>
          Effect.sync(() => {
            assert.deepStrictEqual(lines, [])
            assert.notInclude(message, "\n")
          })
        )
      )

    it.live("wrong password", () =>
      Effect.gen(function* () {
        const { host, port } = yield* locked
        const error = yield* failure({ url: Redacted.make(`redis://:not-it@${host}:${port}`) })

        assert.strictEqual(error.reason, "denied")
        assert.strictEqual(
          error.message,
          `cannot use Redis at ${host}:${port}: it refuses the password (WRONGPASS invalid username-password pair or user is disabled.). Put the right ones into the URL, for example redis://user:password@host:6379`
        )
        assert.notInclude(inspect(error, { depth: 9, showHidden: true }), "not-it")
      })
    )

    it.live("wrong user", () =>
      Effect.gen(function* () {
        const { host, port } = yield* locked
        const error = yield* failure({ url: `redis://nobody:secret@${host}:${port}` })

        assert.strictEqual(error.reason, "denied")
        assert.include(error.message, 'it refuses the password of "nobody" (WRONGPASS')
        assert.notInclude(inspect(error, { depth: 9, showHidden: true }), "secret")
      })
    )

    it.live("no password where one is needed", () =>
      Effect.gen(function* () {
        const { host, port } = yield* locked
        const error = yield* failure({ url: `redis://${host}:${port}` })

        assert.strictEqual(error.reason, "denied")
        assert.include(error.message, "it asks for a password (NOAUTH")
      })
    )

    it.live("a database that is not there", () =>
      Effect.gen(function* () {
        const { url } = yield* server
        const error = yield* failure({ url: `${url}/99` })

        assert.strictEqual(error.reason, "invalid-option")
        assert.include(error.message, "it has no database 99 (ERR DB index is out of range)")
      })
    )

    it.live("nobody there, if the connection is required", () =>
      Effect.gen(function* () {
        const up = yield* server
        const proxy = yield* FaultProxy.make({ port: up.port, faults: { connect: "refuse" } })
        const error = yield* failure({ url: `redis://127.0.0.1:${proxy.port}`, required: true })

        assert.strictEqual(error.reason, "unavailable")
        assert.strictEqual(
          error.message,
          `cannot use Redis at 127.0.0.1:${proxy.port}: it does not answer (connect ECONNREFUSED 127.0.0.1:${proxy.port}). Start it or correct the URL; with \`required: false\` the start goes on without it`
        )
      })
    )

    it.live("a host that has no address, if the connection is required", () =>
      Effect.gen(function* () {
        const error = yield* failure({ url: "redis://no-such-host.invalid", required: true })

        assert.strictEqual(error.reason, "unavailable")
        assert.match(error.message, /at no-such-host\.invalid:6379: it does not answer \(getaddrinfo E/)
      })
    )

    it.live("a server that accepts and never answers, if the connection is required", () =>
      Effect.gen(function* () {
        const up = yield* server
        const proxy = yield* FaultProxy.make({ port: up.port, faults: { blackHole: true } })
        const url = `redis://127.0.0.1:${proxy.port}`
        const error = yield* failure({ url, required: true, connectTimeout: 200 })

        assert.strictEqual(error.reason, "unavailable")
        assert.include(error.message, "no answer within 200 ms")
      })
    )
  })

  it.live("starts without a server, fails at once meanwhile, and is there when the server is", () =>
    logged((lines) =>
      Effect.gen(function* () {
        const up = yield* server
        const proxy = yield* FaultProxy.make({ port: up.port, faults: { connect: "refuse" } })

        const connection = yield* RedisConnection.make({ url: `redis://127.0.0.1:${proxy.port}` })

        assert.isFalse(connection.isConnected())
        const reason = yield* Effect.flip(ping(connection))
        if (reason._tag !== "Unavailable") assert.fail(reason._tag)
        assert.isTrue(reason.noEffect)
        assert.include(String(reason.cause), `no connection to Redis at 127.0.0.1:${proxy.port}: connect ECONNREFUSED`)
        assert.isTrue(lines.some((line) => /does not answer \(connect ECONNREFUSED.*going on without it/.test(line)))

        yield* proxy.set({})

        const answer = yield* eventually("ping", Effect.option(ping(connection)), ({ _tag }) => _tag === "Some")
        assert.strictEqual(answer._tag === "Some" && answer.value, "PONG")
        yield* eventually(
          "the log",
          Effect.sync(() => lines),
          () => lines.some((line) => line.endsWith("connected again"))
        )
        assert.strictEqual(lines.length, 2, lines.join("\n"))
      })
    )
  )

  it.live("credentials that turn wrong later are Denied, and right again when they are", () =>
    Effect.gen(function* () {
      const up = yield* RedisServer.make({ password: "one" })
      const admin = yield* clientOf(up)
      const connection = yield* RedisConnection.make({ url: up.url })
      yield* Effect.promise(() => admin.config("SET", "requirepass", "two"))
      yield* Effect.promise(() => admin.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))

      const reason = yield* eventually("ping", Effect.flip(ping(connection)), ({ _tag }) => _tag === "Denied")
      assert.include(String(reason._tag === "Denied" && reason.cause), "WRONGPASS")
      assert.notInclude(inspect(reason, { depth: 9, showHidden: true }), '"one"')

      yield* Effect.promise(() => admin.config("SET", "requirepass", "one"))
      yield* eventually("ping", Effect.option(ping(connection)), ({ _tag }) => _tag === "Some")
    })
  )

  it.live("comes back after a restart of the server, and after a connection that was cut", () =>
    Effect.gen(function* () {
      const up = yield* RedisServer.make()
      const proxy = yield* FaultProxy.make({ port: up.port })
      const connection = yield* RedisConnection.make({ url: `redis://127.0.0.1:${proxy.port}`, required: true })

      for (const disturb of [up.restart, proxy.cut("reset"), proxy.cut("close")]) {
        yield* disturb
        yield* eventually("ping", Effect.option(ping(connection)), ({ _tag }) => _tag === "Some")
      }
      assert.isAtLeast((yield* proxy.stats).accepted, 4)
    })
  )
})
