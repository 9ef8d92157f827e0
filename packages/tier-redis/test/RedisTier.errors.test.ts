import { assert, describe, it } from "@effect/vitest"
import type * as Tier from "@terrace/core/Tier"
import { type Reason, TierError } from "@terrace/core/TierError"
import * as FaultProxy from "@terrace/testkit/FaultProxy"
import * as Fixtures from "@terrace/testkit/Fixtures"
import * as RedisServer from "@terrace/testkit/RedisServer"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Redis } from "ioredis"
import { inspect } from "node:util"
import { clientOf, eventually, tierAt } from "./support/Redis.ts"

const old = Fixtures.blob({ group: "g", generation: 1, size: 1_000 })
const next = Fixtures.blob({ group: "g", generation: 2, size: 2_000, seed: 9 })
const { key } = old.header

const ask = (admin: Redis, command: string, ...args: ReadonlyArray<string | number>) =>
  Effect.promise(() => admin.call(command, ...args))

/** A server of its own, with a tier that holds `old`. */
const setUp = Effect.fnUntraced(function* (config: Record<string, string> = {}) {
  const server = yield* RedisServer.make({ config: { save: "", ...config } })
  const admin = yield* clientOf(server)
  const { tier, prefix } = yield* tierAt({ url: server.url, required: true })
  yield* tier.put(old)
  return { server, admin, tier, prefix }
})

interface Expected {
  readonly tag: Reason["_tag"]
  /** What the cause or detail says. */
  readonly says: RegExp
  readonly retryable: boolean
  /** Whether a write that failed so may have taken effect. */
  readonly unknown: boolean
}

const textOf = ({ reason }: TierError): string =>
  reason._tag === "NoSpace" ? reason.detail : "cause" in reason ? inspect(reason.cause) : inspect(reason)

const matches = (error: TierError, { retryable, says, tag, unknown }: Expected): void => {
  assert.strictEqual(error.reason._tag, tag, textOf(error))
  assert.match(textOf(error), says)
  assert.strictEqual(error.isRetryable, retryable)
  assert.strictEqual(error.isUnknownOutcome, unknown)
}

const failure = <A>(effect: Effect.Effect<A, TierError>) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.instanceOf(error, TierError)
    return error
  })

/** Every write fails as expected, and has changed nothing. */
const refusesWrites = Effect.fnUntraced(function* (tier: Tier.Tier, expected: Expected) {
  matches(yield* failure(tier.put(next)), expected)
  matches(yield* failure(tier.remove(key, 5)), expected)
  matches(yield* failure(tier.removeGroup("g", 5)), expected)
})

const refusesReads = Effect.fnUntraced(function* (tier: Tier.Tier, expected: Expected) {
  matches(yield* failure(tier.get(key)), expected)
  matches(yield* failure(tier.head(key)), expected)
})

const holdsOld = Effect.fnUntraced(function* (tier: Tier.Tier) {
  const read = yield* tier.get(key)
  assert.isTrue(read._tag === "Hit" && read.blob.header.generation === 1)
})

describe("RedisTier errors", () => {
  it.live("NOPERM - a user without rights is Denied, whether the command or one in a script is refused", () =>
    Effect.gen(function* () {
      const { admin, prefix, server, tier } = yield* setUp()
      const as = (...rules: ReadonlyArray<string>) =>
        Effect.gen(function* () {
          yield* ask(admin, "ACL", "SETUSER", "few", "reset", "on", ">p", "~*", "+@all", ...rules)
          const url = `redis://few:p@${server.host}:${server.port}`
          return (yield* tierAt({ url, required: true }, { prefix })).tier
        })
      const denied = { tag: "Denied", retryable: false, unknown: false } as const

      yield* refusesWrites(yield* as("-evalsha", "-eval"), { ...denied, says: /NOPERM .*'evalsha'/ })
      yield* refusesReads(yield* as("-hget", "-hmget"), { ...denied, says: /NOPERM|ACL failure in script/ })
      yield* refusesWrites(yield* as("resetkeys", "~other:*"), { ...denied, says: /NOPERM .*key/ })
      const readOnly = yield* as("-hset", "-hdel", "-unlink")
      yield* refusesWrites(readOnly, { ...denied, says: /ACL failure in script.*'(hset|hdel|unlink)'/ })
      yield* holdsOld(readOnly)
      yield* holdsOld(tier)
    })
  )

  it.live("a right that only tidying needs is no reason to fail a put that has taken effect", () =>
    Effect.gen(function* () {
      const { admin, prefix, server } = yield* setUp()
      const tidying = ["-hpexpire", "-pexpire", "-persist", "-hrandfield"]
      yield* ask(admin, "ACL", "SETUSER", "few", "on", ">p", "~*", "+@all", ...tidying)
      const { tier } = yield* tierAt({ url: `redis://few:p@${server.host}:${server.port}` }, { prefix })
      const passing = Fixtures.blob({ group: "g", generation: 3, expiresAt: 4_100_000_000_000 })

      assert.deepStrictEqual(yield* tier.put(passing), { _tag: "Stored" })

      assert.strictEqual((yield* tier.get(key))._tag, "Hit")
    })
  )

  it.live("OOM - a server without room is NoSpace, the old blob is there, and the rest works", () =>
    Effect.gen(function* () {
      const { admin, tier } = yield* setUp({ "maxmemory-policy": "noeviction" })
      yield* ask(admin, "CONFIG", "SET", "maxmemory", "1mb")

      const error = yield* failure(tier.put(next))
      matches(error, { tag: "NoSpace", says: /^OOM command not allowed/, retryable: false, unknown: false })
      assert.isTrue(error.reason._tag === "NoSpace" && error.reason.cause instanceof Error)

      yield* holdsOld(tier)
      assert.deepStrictEqual(yield* tier.remove(key, 1), { _tag: "Removed" })
    })
  )

  it.live("READONLY and MASTERDOWN - a replica is Unavailable, and has changed nothing", () =>
    Effect.gen(function* () {
      const { admin, tier } = yield* setUp()
      const expected = { tag: "Unavailable", retryable: true, unknown: false } as const
      yield* ask(admin, "REPLICAOF", "127.0.0.1", 1)

      yield* refusesWrites(tier, { ...expected, says: /READONLY You can't write against a read only replica/ })
      yield* holdsOld(tier)

      yield* ask(admin, "CONFIG", "SET", "replica-serve-stale-data", "no")
      yield* refusesReads(tier, { ...expected, says: /MASTERDOWN Link with MASTER is down/ })
      yield* ask(admin, "REPLICAOF", "NO", "ONE")
      yield* holdsOld(tier)
    })
  )

  it.live("NOREPLICAS and MISCONF - a server that will not write is Unavailable, and has changed nothing", () =>
    Effect.gen(function* () {
      const { admin, tier } = yield* setUp({ "enable-protected-configs": "yes" })
      const expected = { tag: "Unavailable", retryable: true, unknown: false } as const
      yield* ask(admin, "CONFIG", "SET", "min-replicas-to-write", 1)
      yield* refusesWrites(tier, { ...expected, says: /NOREPLICAS Not enough good replicas/ })
      yield* ask(admin, "CONFIG", "SET", "min-replicas-to-write", 0)

      yield* ask(admin, "CONFIG", "SET", "dir", "/proc")
      yield* ask(admin, "CONFIG", "SET", "save", "3600 1")
      yield* ask(admin, "BGSAVE")
      const info = Effect.promise(() => admin.info("persistence"))
      yield* eventually("BGSAVE", info, (text) => text.includes("rdb_last_bgsave_status:err"))
      yield* refusesWrites(tier, { ...expected, says: /MISCONF/ })
      yield* holdsOld(tier)
    })
  )

  it.live("LOADING - a server that reads its data is Unavailable, and nothing was done", () =>
    Effect.gen(function* () {
      const { admin, server, tier } = yield* setUp({ "enable-debug-command": "yes" })
      for (let index = 0; index < 400; index++) yield* ask(admin, "SET", `k${index}`, "x")
      yield* ask(admin, "CONFIG", "SET", "key-load-delay", 5_000)
      yield* ask(admin, "CONFIG", "SET", "loading-process-events-interval-bytes", 1_024)
      const reload = yield* Effect.forkScoped(server.exec(["debug", "reload"]))

      const error = yield* eventually(
        "get",
        Effect.flip(tier.get(key)).pipe(Effect.option),
        ({ _tag }) => _tag === "Some"
      )

      if (error._tag === "None") assert.fail("it was to fail")
      const expected = {
        tag: "Unavailable",
        says: /LOADING Redis is loading/,
        retryable: true,
        unknown: false
      } as const
      matches(error.value, expected)
      matches(yield* failure(tier.put(next)), expected)
      yield* Fiber.join(reload)
      yield* holdsOld(tier)
    })
  )

  it.live("BUSY - a server that runs a long script is Throttled", () =>
    Effect.gen(function* () {
      const { admin, server, tier } = yield* setUp({ "busy-reply-threshold": "20" })
      const other = yield* clientOf(server)
      const looping = other.eval("while true do end", 0).then(String, String)

      const error = yield* eventually("get", Effect.option(Effect.flip(tier.get(key))), ({ _tag }) => _tag === "Some")
      if (error._tag === "None") assert.fail("it was to fail")
      const expected = { tag: "Throttled", says: /BUSY Redis is busy/, retryable: true, unknown: false } as const
      matches(error.value, expected)
      matches(yield* failure(tier.put(next)), expected)

      yield* ask(admin, "SCRIPT", "KILL")
      assert.match(yield* Effect.promise(() => looping), /Script killed/)
      yield* holdsOld(tier)
    })
  )

  it.live("refused - without a server, Unavailable at once, and nothing was sent", () =>
    Effect.gen(function* () {
      const { server, tier } = yield* setUp()
      yield* server.stop
      const expected = {
        tag: "Unavailable",
        says: /no connection to Redis.*ECONNREFUSED/s,
        retryable: true,
        unknown: false
      } as const
      yield* eventually("get", Effect.flip(tier.get(key)), (error) => textOf(error).includes("ECONNREFUSED"))

      yield* refusesWrites(tier, expected)
      yield* refusesReads(tier, expected)
    })
  )

  it.live("killed in the middle of a command - Unavailable, and whether it took effect is unknown", () =>
    Effect.gen(function* () {
      const { server, tier } = yield* setUp()
      yield* server.pause
      const put = yield* Effect.forkScoped(failure(tier.put(next)))
      const get = yield* Effect.forkScoped(failure(tier.get(key)))

      yield* server.kill

      const expected = { tag: "Unavailable", says: /broke before the answer/, retryable: true, unknown: true } as const
      matches(yield* Fiber.join(put), expected)
      matches(yield* Fiber.join(get), expected)
    })
  )

  it.live(
    "an answer that is lost - the outcome is said to be unknown, and the blob is there; it is not sent again",
    () =>
      Effect.gen(function* () {
        const { admin, prefix, server } = yield* setUp()
        const proxy = yield* FaultProxy.make({ port: server.port })
        const { tier } = yield* tierAt({ url: `redis://127.0.0.1:${proxy.port}`, required: true }, { prefix })
        yield* proxy.set({ toClient: { blackHole: true } })
        const put = yield* Effect.forkScoped(failure(tier.put(next)))
        const header = Effect.promise(() => admin.hget(`${prefix}:b:{g}`, "h:master"))
        yield* eventually("the blob", header, (value) => value?.startsWith("1 2 ") === true)
        yield* ask(admin, "CONFIG", "RESETSTAT")

        yield* proxy.cut("reset")
        yield* proxy.set({})

        const expected = {
          tag: "Unavailable",
          says: /broke before the answer/,
          retryable: true,
          unknown: true
        } as const
        matches(yield* Fiber.join(put), expected)
        yield* eventually("get", Effect.option(tier.head(key)), ({ _tag }) => _tag === "Some")
        const calls = yield* Effect.promise(() => admin.info("commandstats"))
        assert.notMatch(calls, /cmdstat_hset/)
      })
  )

  it.live("paused - a server that owes answers and is silent is given up after `silenceTimeout`: TimedOut", () =>
    Effect.gen(function* () {
      const { prefix, server } = yield* setUp()
      const { tier } = yield* tierAt({ url: server.url, required: true, silenceTimeout: 250 }, { prefix })
      yield* server.pause
      const put = yield* Effect.forkScoped(failure(tier.put(next)))
      const get = yield* Effect.forkScoped(failure(tier.get(key)))

      const expected = { tag: "TimedOut", says: /millis: 250/, retryable: true, unknown: true } as const
      matches(yield* Fiber.join(put), expected)
      matches(yield* Fiber.join(get), expected)

      yield* server.unpause
      yield* eventually("get", Effect.option(tier.get(key)), ({ _tag }) => _tag === "Some")
    })
  )

  it.live("the error of a command does not carry its arguments, which may be a whole image", () =>
    Effect.gen(function* () {
      const { admin, tier } = yield* setUp({ "maxmemory-policy": "noeviction" })
      yield* ask(admin, "CONFIG", "SET", "maxmemory", "1mb")

      const error = yield* failure(tier.put(next))

      assert.strictEqual(error.reason._tag, "NoSpace")
      assert.notMatch(inspect(error, { depth: 20, showHidden: true }), /<Buffer|command:/)
    })
  )
})
