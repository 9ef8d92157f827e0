import { assert, describe, it } from "@effect/vitest"
import * as Body from "@terrace/core/Body"
import type { TierError } from "@terrace/core/TierError"
import * as FaultProxy from "@terrace/testkit/FaultProxy"
import * as Fixtures from "@terrace/testkit/Fixtures"
import * as RedisServer from "@terrace/testkit/RedisServer"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { readFile } from "node:fs/promises"
import * as RedisConnection from "../src/RedisConnection.ts"
import * as RedisTier from "../src/RedisTier.ts"
import { clientOf, eventually, logged, sharedServer, tierAt, uniquePrefix } from "./support/Redis.ts"

const server = sharedServer()

/** A tier on the shared server, a client beside it, and a proxy between them if faults are to come. */
const setUp = Effect.fnUntraced(function* (options: RedisTier.Options = {}) {
  const up = yield* server
  const admin = yield* clientOf(up)
  const { prefix, tier } = yield* tierAt({ url: up.url, required: true }, options)
  return { admin, prefix, tier, url: up.url }
})

const behindProxy = Effect.fnUntraced(function* (options: RedisTier.Options = {}) {
  const up = yield* server
  const proxy = yield* FaultProxy.make({ port: up.port })
  const url = `redis://127.0.0.1:${proxy.port}`
  const { connection, prefix, tier } = yield* tierAt({ url, required: true }, options)
  return { connection, prefix, proxy, tier }
})

const blob = (generation: number, size = 1_000) => Fixtures.blob({ group: "g", generation, size, seed: generation })
const { key } = blob(1).header

const reasonOf = <A>(effect: Effect.Effect<A, TierError>) => Effect.map(Effect.flip(effect), ({ reason }) => reason)

describe("RedisTier", () => {
  it.live("declares that its blobs are shared and outlive the process, and are durable only if it is told so", () =>
    Effect.gen(function* () {
      const { tier } = yield* setUp()
      const { tier: durable } = yield* setUp({ durable: true, maxBytes: 1_000 })

      assert.deepStrictEqual(tier.capabilities, {
        streaming: false,
        ranges: false,
        atomicPut: "shared",
        durable: false,
        persistent: true,
        shared: true,
        list: true,
        nativeExpiry: true,
        maxBytes: 262_144
      })
      assert.deepStrictEqual(durable.capabilities, { ...tier.capabilities, durable: true, maxBytes: 1_000 })
    })
  )

  it.live("keeps a group in one hash under a literal key, header and bytes beside one another", () =>
    Effect.gen(function* () {
      const up = yield* server
      const admin = yield* clientOf(up)
      const connection = yield* RedisConnection.make({ url: up.url, required: true })
      const tier = yield* Effect.provideService(RedisTier.make(), RedisConnection.RedisConnection, connection)
      const kept = Fixtures.blob({ group: "Hero_01.a-b", name: "w~1", generation: 7, size: 300 })

      yield* tier.put(kept)

      const fields = yield* Effect.promise(() => admin.hgetallBuffer("terrace:b:{Hero_01.a-b}"))
      assert.sameMembers(Object.keys(fields), ["h:w~1", "p:w~1"])
      assert.match(String(fields["h:w~1"]), new RegExp(`^1 7 - 300 ${kept.header.digest} \\{"key":"Hero_01.a-b/w~1"`))
      assert.isTrue(fields["p:w~1"]?.equals(yield* Body.toBytes(kept.body)))
      yield* tier.removeGroup("Hero_01.a-b", 7)
      assert.strictEqual(yield* Effect.promise(() => admin.exists("terrace:b:{Hero_01.a-b}")), 0)
    })
  )

  const impossible: ReadonlyArray<readonly [option: string, options: RedisTier.Options, says: string]> = [
    [
      "maxBytes",
      { maxBytes: 16_777_217 },
      "maxBytes is 16777217: expected whole bytes from 1 to 16777216, for example"
    ],
    ["maxBytesUnderWay", { maxBytesUnderWay: 0 }, "maxBytesUnderWay is 0: expected whole bytes from 1 to"],
    [
      "prefix",
      { prefix: "a{b}" },
      'prefix is "a{b}": expected 1 to 64 letters, digits, ":", ".", "_" or "-", for example'
    ]
  ]
  it.live.each(impossible)("%s - dies with a RangeError that names it", ([, options, says]) =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(setUp(options))

      const problem = Exit.isFailure(exit) ? Cause.squash(exit.cause) : assert.fail("it was built")
      assert.instanceOf(problem, RangeError)
      assert.include(String(problem), says)
    })
  )

  describe("scripts", () => {
    it.live("are sent anew to a server that has forgotten them", () =>
      Effect.gen(function* () {
        const { admin, tier } = yield* setUp()
        for (let generation = 1; generation <= 3; generation++) {
          yield* Effect.promise(() => admin.script("FLUSH"))
          assert.deepStrictEqual(yield* tier.put(blob(generation)), { _tag: "Stored" })
          yield* Effect.promise(() => admin.script("FLUSH"))
          assert.strictEqual((yield* tier.head(key))._tag, "Hit")
        }
        yield* Effect.promise(() => admin.script("FLUSH"))
        assert.deepStrictEqual(yield* tier.remove(key, 3), { _tag: "Removed" })
      })
    )

    it.live("are sent anew after a restart, which keeps the blobs of a server that saves", () =>
      Effect.gen(function* () {
        const up = yield* RedisServer.make({ config: { appendonly: "yes" } })
        const { tier } = yield* tierAt({ url: up.url, required: true })
        yield* tier.put(blob(1))

        yield* up.restart

        const write = yield* eventually("put", Effect.option(tier.put(blob(2))), ({ _tag }) => _tag === "Some")
        assert.isTrue(write._tag === "Some" && write.value._tag === "Stored")
        assert.deepStrictEqual(yield* tier.put(blob(1)), { _tag: "Superseded", current: 2 })
      })
    )

    it.live("two clients that put at once agree on one winner", () =>
      Effect.gen(function* () {
        const { prefix, tier } = yield* setUp()
        const { tier: other } = yield* setUp({ prefix })
        for (let round = 0; round < 20; round++) {
          const group = `g${round}`
          const puts = [tier, other, tier, other].map((one, seed) =>
            one.put(Fixtures.blob({ group, generation: 5, seed, size: 30_000 }), { expected: "absent" })
          )
          const writes = yield* Effect.all(puts, { concurrency: "unbounded" })

          const winner = writes.findIndex(({ _tag }) => _tag === "Stored")
          for (const [index, write] of writes.entries()) {
            if (index !== winner) assert.deepStrictEqual(write, { _tag: "Conflict", current: 5 })
          }
          const kept = Fixtures.blob({ group, generation: 5, seed: winner, size: 30_000 })
          for (const one of [tier, other]) {
            const read = yield* one.get(kept.header.key)
            assert.isTrue(read._tag === "Hit" && read.blob.header.digest === kept.header.digest)
          }
        }
      })
    )

    it.live("generations from two clients in any order leave the newest", () =>
      Effect.gen(function* () {
        const { prefix, tier } = yield* setUp()
        const { tier: other } = yield* setUp({ prefix })
        const last = 40
        const puts = Array.from({ length: last }, (_, index) =>
          (index % 2 === 0 ? tier : other).put(blob(1 + ((index * 23) % last), 5_000))
        )

        yield* Effect.all(puts, { concurrency: "unbounded" })

        const read = yield* tier.get(key)
        assert.isTrue(read._tag === "Hit" && read.blob.header.generation === last)
      })
    )
  })

  describe("damage", () => {
    const damages: ReadonlyArray<readonly [title: string, field: string, value: (was: Buffer) => Buffer | undefined]> =
      [
        [
          "a byte that was flipped",
          "p:master",
          (was) => Buffer.from(was.map((byte, at) => (at === 500 ? byte ^ 1 : byte)))
        ],
        ["bytes that were cut off", "p:master", (was) => was.subarray(0, 400)],
        ["bytes that are gone", "p:master", () => undefined],
        ["a header that is none", "h:master", () => Buffer.from("1 1 - 1000 abc {")],
        ["a header of another key", "h:master", (was) => Buffer.from(String(was).replace('"g/master"', '"g/other"'))],
        ["a header of another form", "h:master", (was) => Buffer.from(`2${String(was).slice(1)}`)],
        [
          "a header that says another generation to scripts",
          "h:master",
          (was) => Buffer.from(`1 2${String(was).slice(3)}`)
        ]
      ]
    for (const [title, field, value] of damages) {
      it.live(`${title} - reads as Miss, is dropped, counted and logged, and can be put again`, () =>
        logged((lines) =>
          Effect.gen(function* () {
            const { admin, prefix, tier } = yield* setUp()
            const hash = `${prefix}:b:{g}`
            yield* tier.put(blob(1))
            const was = (yield* Effect.promise(() => admin.hgetBuffer(hash, field))) ?? assert.fail("no field")
            const next = value(was)
            yield* Effect.promise(() => (next === undefined ? admin.hdel(hash, field) : admin.hset(hash, field, next)))

            assert.strictEqual((yield* tier.get(key))._tag, "Miss")

            assert.strictEqual(yield* Effect.promise(() => admin.exists(hash)), 0)
            assert.deepStrictEqual(yield* tier.stats, { damaged: 1 })
            assert.deepStrictEqual(lines, ["redis: g/master was damaged and is dropped"])
            assert.deepStrictEqual(yield* tier.put(blob(1), { expected: "absent" }), { _tag: "Stored" })
            assert.strictEqual((yield* tier.get(key))._tag, "Hit")
          })
        )
      )
    }

    it.live("head - does not answer a blob whose bytes are gone, or are not as many", () =>
      Effect.gen(function* () {
        const { admin, prefix, tier } = yield* setUp()
        for (const size of [0, 1_000]) {
          yield* tier.put(blob(1 + size, size))
          assert.strictEqual((yield* tier.head(key))._tag, "Hit")

          yield* Effect.promise(() => admin.hdel(`${prefix}:b:{g}`, "p:master"))

          assert.strictEqual((yield* tier.head(key))._tag, "Miss")
        }
        yield* tier.put(blob(9_000))
        yield* Effect.promise(() => admin.hset(`${prefix}:b:{g}`, "p:master", "short"))
        assert.strictEqual((yield* tier.head(key))._tag, "Miss")
      })
    )

    it.live("a damaged blob that was replaced before it could be dropped is not dropped", () =>
      Effect.gen(function* () {
        const { prefix, proxy, tier } = yield* behindProxy()
        const { admin, tier: direct } = yield* setUp({ prefix })
        yield* direct.put(blob(1))
        yield* Effect.promise(() => admin.hset(`${prefix}:b:{g}`, "p:master", "x".repeat(1_000)))
        yield* Effect.promise(() => admin.config("RESETSTAT"))
        yield* proxy.set({ toClient: { blackHole: true } })
        const get = yield* Effect.forkScoped(tier.get(key))
        const stats = Effect.promise(() => admin.info("commandstats"))
        yield* eventually("the read", stats, (text) => text.includes("cmdstat_hmget"))
        yield* direct.put(blob(2))

        yield* proxy.set({})

        assert.strictEqual((yield* Fiber.join(get))._tag, "Miss")
        assert.deepStrictEqual(yield* tier.stats, { damaged: 1 })
        const read = yield* tier.get(key)
        assert.isTrue(read._tag === "Hit" && read.blob.header.generation === 2)
      })
    )
  })

  describe("bounds", () => {
    it.live("too much under way - reads are Skipped as busy, writes Throttled, until Redis has answered", () =>
      Effect.gen(function* () {
        const { proxy, tier } = yield* behindProxy({ maxBytes: 10_000, maxBytesUnderWay: 30_000 })
        yield* tier.put(blob(1))
        yield* proxy.set({ blackHole: true })
        const reads = yield* Effect.forEach([1, 2], () => Effect.forkScoped(tier.get(key), { startImmediately: true }))

        assert.deepStrictEqual(yield* tier.get(key), { _tag: "Skipped", why: "busy" })
        const put = yield* reasonOf(tier.put(blob(2, 9_000)))
        assert.strictEqual(put._tag, "Throttled")

        // Those who have left are not forgotten before Redis has answered them.
        yield* Effect.forEach(reads, (fiber) => Fiber.interrupt(fiber))
        assert.deepStrictEqual(yield* tier.get(key), { _tag: "Skipped", why: "busy" })
        yield* proxy.set({})
        yield* eventually("get", tier.get(key), ({ _tag }) => _tag === "Hit")
        assert.deepStrictEqual(yield* tier.put(blob(2, 9_000)), { _tag: "Stored" })
      })
    )

    it.live("too much under way - what is larger than the bound goes alone", () =>
      Effect.gen(function* () {
        const { tier } = yield* setUp({ maxBytesUnderWay: 1 })

        assert.deepStrictEqual(yield* tier.put(blob(1)), { _tag: "Stored" })
        assert.strictEqual((yield* tier.get(key))._tag, "Hit")
      })
    )

    it.live("a failed call gives back its room", () =>
      Effect.gen(function* () {
        const { proxy, tier } = yield* behindProxy({ maxBytes: 1_000, maxBytesUnderWay: 4_000 })
        yield* tier.put(blob(1))
        yield* proxy.down
        for (let round = 0; round < 50; round++) yield* Effect.exit(tier.get(key))
        yield* proxy.set({})

        const read = yield* eventually("get", Effect.option(tier.get(key)), ({ _tag }) => _tag === "Some")
        assert.isTrue(read._tag === "Some" && read.value._tag === "Hit")
      })
    )
  })

  describe("interruption", () => {
    it.live("a write goes on until Redis has answered it; a read is left behind at once", () =>
      Effect.gen(function* () {
        const { proxy, tier } = yield* behindProxy()
        yield* tier.put(blob(1))
        yield* proxy.set({ toClient: { blackHole: true } })
        const get = yield* Effect.forkScoped(tier.get(key), { startImmediately: true })
        const put = yield* Effect.forkScoped(tier.put(blob(2)), { startImmediately: true })

        yield* Fiber.interrupt(get)
        put.interruptUnsafe()
        for (let turn = 0; turn < 50; turn++) yield* Effect.promise(() => new Promise(setImmediate))
        assert.isUndefined(put.pollUnsafe())

        yield* proxy.set({})
        yield* Fiber.await(put)
        const read = yield* tier.get(key)
        assert.isTrue(read._tag === "Hit" && read.blob.header.generation === 2)
      })
    )

    it.live("closing - waits for what is under way, then lets nothing more begin", () =>
      Effect.gen(function* () {
        const { connection, prefix, proxy } = yield* behindProxy()
        const scope = yield* Scope.make()
        const tier = yield* RedisTier.make({ prefix }).pipe(
          Effect.provideService(RedisConnection.RedisConnection, connection),
          Scope.provide(scope)
        )
        yield* proxy.set({ toClient: { blackHole: true } })
        const put = yield* Effect.forkScoped(tier.put(blob(1)), { startImmediately: true })
        const closing = yield* Effect.forkScoped(Scope.close(scope, Exit.void), { startImmediately: true })

        assert.deepStrictEqual(yield* tier.get(key), { _tag: "Skipped", why: "closed" })
        const late = yield* reasonOf(tier.put(blob(2)))
        assert.isTrue(late._tag === "Unavailable" && late.noEffect)
        assert.isUndefined(closing.pollUnsafe())

        yield* proxy.set({})
        yield* Fiber.join(closing)
        assert.deepStrictEqual(yield* Fiber.join(put), { _tag: "Stored" })
      })
    )
  })

  it.live("rights - a user with those that the README names, and no others, is enough", () =>
    Effect.gen(function* () {
      const up = yield* server
      const admin = yield* clientOf(up)
      const prefix = uniquePrefix()
      const readme = yield* Effect.promise(() => readFile(new URL("../README.md", import.meta.url), "utf8"))
      const commands = /these commands: `([^`]+)`/.exec(readme)?.[1]?.split(/\s+/) ?? assert.fail("it names none")
      const rules = commands.map((command) => `+${command}`)
      yield* Effect.promise(() => admin.acl("SETUSER", "tier", "on", ">p", `~${prefix}:*`, "-@all", ...rules))
      const { tier } = yield* tierAt({ url: `redis://tier:p@${up.host}:${up.port}`, required: true }, { prefix })
      const passing = Fixtures.blob({ group: "g", name: "passing", generation: 2, expiresAt: 4_100_000_000_000 })

      assert.deepStrictEqual(yield* tier.put(blob(1)), { _tag: "Stored" })
      assert.deepStrictEqual(yield* tier.put(passing), { _tag: "Stored" })
      assert.strictEqual((yield* tier.get(key))._tag, "Hit")
      assert.strictEqual((yield* tier.head(key))._tag, "Hit")
      assert.deepStrictEqual(yield* tier.usage, { bytes: 1_256, entries: 2, exact: false })
      assert.lengthOf(yield* Stream.runCollect(tier.scan()), 2)
      assert.deepStrictEqual(yield* tier.remove(key, 1), { _tag: "Removed" })
      assert.deepInclude(yield* tier.removeGroup("g", 9), { removed: 1 })
    })
  )
})
