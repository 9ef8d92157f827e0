import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import * as Blob from "../src/Blob.ts"
import * as Chain from "../src/Chain.ts"
import * as Key from "../src/Key.ts"
import { Unavailable } from "../src/TierError.ts"
import type { Tier } from "../src/Tier.ts"
import { cachesOnly, draft, key, local, outcomes, remote, text, threeTiers } from "./support/chains.ts"

const down = new Unavailable({ cause: "down" })

const blobAt = (content: string, generation: number) =>
  Blob.make(key, Buffer.from(content), { contentType: "text/plain", generation, createdAt: 0 })

const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkChild(effect, { startImmediately: true })

/** A tier whose puts, from now on, cannot be interrupted and land only when `open` is done. */
const landingLate = (tier: Tier) => {
  const open = Deferred.makeUnsafe<void>()
  const landed = Deferred.makeUnsafe<void>()
  let isLate = false
  return {
    tier: {
      ...tier,
      put: (blob, options) =>
        isLate
          ? Effect.uninterruptible(
              Effect.andThen(
                Deferred.await(open),
                Effect.ensuring(tier.put(blob, options), Deferred.succeed(landed, undefined))
              )
            )
          : tier.put(blob, options)
    } satisfies Tier,
    begin: () => (isLate = true),
    land: Effect.andThen(Deferred.succeed(open, undefined), Deferred.await(landed))
  }
}

describe("what is made", () => {
  it.effect("gives way to a put that was acknowledged while it was being made", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* threeTiers()
      const begun = Deferred.makeUnsafe<void>()
      const gate = Deferred.makeUnsafe<void>()
      const atStore = store.before("put")
      const writer = yield* fork(chain.put(key, draft("uploaded")))
      yield* atStore.reached
      // Begins after the put, so its generation is the newer one.
      const maker = yield* fork(
        chain.getOrMake(
          key,
          Effect.gen(function* () {
            yield* Deferred.succeed(begun, undefined)
            yield* Deferred.await(gate)
            return draft("made")
          })
        )
      )
      yield* Deferred.await(begun)
      yield* atStore.open
      yield* Fiber.join(writer)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(maker)
      yield* chain.idle

      assert.strictEqual(text(yield* chain.get(key)), "uploaded")
      assert.strictEqual(text(yield* (yield* alone(store.tier)).get(key)), "uploaded")
    })
  )

  for (const [name, write, after] of [
    ["put", (chain: Chain.Chain<string>) => chain.put(key, draft("uploaded")), "uploaded"],
    ["remove", (chain: Chain.Chain<string>) => chain.remove(key), "NotFound"]
  ] as const) {
    it.effect(`anew of a stale blob gives way to a ${name} that came before the answer`, () =>
      Effect.gen(function* () {
        const { chain, disk, memory, store } = yield* threeTiers()
        yield* chain.put(key, draft("stale", { freshUntil: 1_000 }))
        yield* TestClock.adjust(1_000)
        yield* memory.tier.remove(key, Number.MAX_SAFE_INTEGER)
        yield* disk.tier.remove(key, Number.MAX_SAFE_INTEGER)
        const gate = store.after("get")
        const reader = yield* fork(chain.getOrMake(key, Effect.succeed(draft("made of the stale one"))))
        yield* gate.reached
        yield* write(chain)
        yield* gate.open
        yield* Fiber.join(reader)
        yield* chain.idle

        assert.strictEqual(text(yield* chain.get(key)), after)
      })
    )
  }

  it.effect("anew takes the place of the old copy also in a cache that does not take it", () =>
    Effect.gen(function* () {
      const memory = yield* local()
      const disk = yield* remote("disk")
      const chain = yield* Chain.make({
        name: "test",
        caches: [{ tier: memory.tier, policy: { maxBytes: 5 } }, { tier: disk.tier }]
      })
      yield* chain.getOrMake(key, Effect.succeed(draft("old", { freshUntil: 1_000 })))
      yield* chain.idle
      yield* TestClock.adjust(1_000)
      let runs = 0
      const larger = Effect.sync(() => {
        runs += 1
        return draft("new and larger", { freshUntil: 9_000 })
      })
      yield* chain.getOrMake(key, larger)
      yield* chain.idle

      assert.strictEqual(text(yield* chain.getOrMake(key, larger)), "new and larger")
      assert.strictEqual(runs, 1)
    })
  )

  it.effect("anew and made for a reader after expiry is made once", () =>
    Effect.gen(function* () {
      const { chain } = yield* cachesOnly()
      const gate = Deferred.makeUnsafe<void>()
      let runs = 0
      const producer = Effect.suspend(() => {
        runs += 1
        return Effect.as(Deferred.await(gate), draft("new"))
      })
      yield* chain.getOrMake(key, Effect.succeed(draft("old", { freshUntil: 1_000, expiresAt: 2_000 })))
      yield* chain.idle
      yield* TestClock.adjust(1_000)
      assert.strictEqual(text(yield* chain.getOrMake(key, producer)), "old")
      yield* TestClock.adjust(1_000)
      const late = yield* fork(chain.getOrMake(key, producer))
      yield* Deferred.succeed(gate, undefined)

      assert.strictEqual(text(yield* Fiber.join(late)), "new")
      assert.strictEqual(runs, 1)
    })
  )

  it.effect("by a producer that cannot be interrupted does not hold its readers past the limit", () =>
    Effect.gen(function* () {
      const { chain } = yield* cachesOnly({ producerTimeout: "2 seconds" })
      const gate = Deferred.makeUnsafe<Chain.Draft>()
      const reader = yield* fork(Effect.flip(chain.getOrMake(key, Effect.uninterruptible(Deferred.await(gate)))))
      yield* TestClock.adjust("2 seconds")

      const error = yield* Fiber.join(reader)
      assert.isTrue(typeof error === "object" && error._tag === "ProducerTimedOut")
      yield* Deferred.succeed(gate, draft("too late"))
    })
  )
})

describe("a call that was given up", () => {
  it.effect("and copies an old blob after a remove has its copy dropped again", () =>
    Effect.gen(function* () {
      const disk = yield* remote("disk")
      const store = yield* remote("store")
      const late = landingLate(disk.tier)
      const chain = yield* Chain.make({ name: "test", caches: [{ tier: late.tier }], store: { tier: store.tier } })
      yield* store.tier.put(blobAt("old", 1))
      late.begin()
      yield* chain.get(key)
      yield* TestClock.adjust("5 seconds")
      yield* chain.remove(key)

      yield* late.land
      yield* chain.idle

      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
      assert.strictEqual((yield* disk.tier.get(key))._tag, "Miss")
    })
  )

  it.effect("and stores a blob after all leaves no older copy behind", () =>
    Effect.gen(function* () {
      const memory = yield* local()
      const store = yield* remote("store")
      const late = landingLate(store.tier)
      const chain = yield* Chain.make({ name: "test", caches: [{ tier: memory.tier }], store: { tier: late.tier } })
      yield* chain.put(key, draft("old"))
      late.begin()
      const writer = yield* fork(Effect.flip(chain.put(key, draft("new!!"))))
      yield* TestClock.adjust("5 seconds")
      const error = yield* Fiber.join(writer)
      assert.strictEqual(error._tag === "TierError" && error.reason._tag, "TimedOut")
      assert.strictEqual(text(yield* chain.get(key)), "old")

      yield* late.land
      yield* chain.idle

      assert.strictEqual(text(yield* chain.get(key)), "new!!")
      const head = yield* chain.head(key)
      assert.strictEqual(head._tag === "Found" && head.header.size, 5)
    })
  )

  it.effect("and never ends does not keep a chain from closing", () =>
    Effect.gen(function* () {
      const store = yield* remote("store")
      const hung: Tier = { ...store.tier, get: () => Effect.uninterruptible(Effect.never) }
      const scope = yield* Scope.make()
      const chain = yield* Scope.provide(Chain.make({ name: "test", caches: [], store: { tier: hung } }), scope)
      const reader = yield* fork(Effect.flip(chain.get(key)))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(reader))._tag, "ChainUnavailable")

      const closing = yield* fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("2 minutes")

      yield* Fiber.join(closing)
    })
  )
})

describe("a tier with a bug", () => {
  it.effect("that throws or dies is passed like one that fails", () =>
    Effect.gen(function* () {
      const disk = yield* remote("disk")
      const store = yield* remote("store")
      const memory = yield* local()
      const chain = yield* Chain.make({
        name: "test",
        caches: [
          {
            tier: {
              ...memory.tier,
              get: () => {
                throw new Error("bug")
              }
            }
          },
          { tier: { ...disk.tier, get: () => Effect.die("bug") } }
        ],
        store: { tier: store.tier }
      })
      yield* store.tier.put(blobAt("x", 1))

      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Failed", "disk Failed", "store Hit"])
    })
  )

  it.effect("in put keeps no old copy alive", () =>
    Effect.gen(function* () {
      const memory = yield* local()
      const store = yield* remote("store")
      let isBroken = false
      const chain = yield* Chain.make({
        name: "test",
        caches: [{ tier: memory.tier }],
        store: {
          tier: {
            ...store.tier,
            put: (blob, options) =>
              Effect.tap(store.tier.put(blob, options), () => (isBroken ? Effect.die("bug") : Effect.void))
          }
        }
      })
      yield* chain.put(key, draft("old"))
      isBroken = true

      assert.strictEqual((yield* Effect.flip(chain.put(key, draft("new"))))._tag, "TierError")
      assert.strictEqual(text(yield* chain.get(key)), "new")
    })
  )
})

describe("headers", () => {
  it.effect("are those of the newer put, in whatever order the store's answers come", () =>
    Effect.gen(function* () {
      const memory = yield* local()
      const store = yield* remote("store")
      const gates = [Deferred.makeUnsafe<void>(), Deferred.makeUnsafe<void>()] as const
      const landed = [Deferred.makeUnsafe<void>(), Deferred.makeUnsafe<void>()] as const
      let puts = 0
      const tier: Tier = {
        ...store.tier,
        put: (blob, options) => {
          const index = puts++ === 0 ? 0 : 1
          return Effect.tap(store.tier.put(blob, options), () =>
            Effect.andThen(Deferred.succeed(landed[index], undefined), Deferred.await(gates[index]))
          )
        }
      }
      const chain = yield* Chain.make({ name: "test", caches: [{ tier: memory.tier }], store: { tier } })
      const first = yield* fork(chain.put(key, draft("a")))
      yield* Deferred.await(landed[0])
      const second = yield* fork(chain.put(key, draft("bbb")))
      yield* Deferred.await(landed[1])

      yield* Deferred.succeed(gates[1], undefined)
      yield* Fiber.join(second)
      yield* Deferred.succeed(gates[0], undefined)
      yield* Fiber.join(first)

      const head = yield* chain.head(key)
      assert.strictEqual(head._tag === "Found" && head.header.size, 3)
      assert.strictEqual(text(yield* chain.get(key)), "bbb")
    })
  )

  it.effect("are forgotten when the store turns out to have nothing", () =>
    Effect.gen(function* () {
      const { chain, disk, memory, store } = yield* threeTiers()
      yield* chain.put(key, draft("x"))
      for (const { tier } of [memory, disk, store]) yield* tier.remove(key, Number.MAX_SAFE_INTEGER)

      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
      assert.strictEqual((yield* chain.head(key))._tag, "NotFound")
    })
  )

  it.effect("are read once for a thousand readers", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* threeTiers()
      yield* store.tier.put(blobAt("x", 1))
      const gate = store.before("head")
      const readers = yield* Effect.all(Array.from({ length: 1_000 }, () => fork(chain.head(key))))
      yield* gate.reached
      yield* gate.open
      yield* Effect.forEach(readers, Fiber.join)

      assert.strictEqual(store.calls.head, 1)
    })
  )
})

describe("a correction that fails", () => {
  it.effect("is repeated, and the copy is not served until then", () =>
    Effect.gen(function* () {
      const { chain, disk, store } = yield* threeTiers()
      yield* store.tier.put(blobAt("old", 1))
      const gate = disk.before("put")
      yield* chain.get(key)
      yield* gate.reached
      yield* chain.remove(key)
      disk.fail("remove", down, 1)
      yield* gate.open
      yield* chain.idle

      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* disk.tier.get(key))._tag, "Miss")
    })
  )

  it.effect("is one for a key, however often it is written", () =>
    Effect.gen(function* () {
      const disk = yield* remote("disk")
      const store = yield* remote("store")
      const chain = yield* Chain.make({ name: "test", caches: [{ tier: disk.tier }], store: { tier: store.tier } })
      disk.fail("put", down)
      disk.fail("remove", down)
      yield* Effect.replicateEffect(chain.put(key, draft("x")), 50)
      const before = disk.calls.remove

      yield* TestClock.adjust("1 second")

      assert.strictEqual(disk.calls.remove - before, 1)
    })
  )

  it.effect("keeps the copy that a group removal was to take from serving, up to the last generation", () =>
    Effect.gen(function* () {
      const disk = yield* remote("disk")
      const store = yield* remote("store")
      const chain = yield* Chain.make({ name: "test", caches: [{ tier: disk.tier }], store: { tier: store.tier } })
      const { header } = yield* chain.put(key, draft("old"))
      disk.fail("removeGroup", down, 1)

      const receipt = yield* chain.removeGroup("hero", { upTo: header.generation })

      assert.deepStrictEqual(receipt.tiers.at(-1), { tier: "disk", outcome: "repairing" })
      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* disk.tier.get(key))._tag, "Miss")
    })
  )

  it.effect("of a stale blob is not served, and its producer does not run at every read", () =>
    Effect.gen(function* () {
      const disk = yield* remote("disk")
      const store = yield* remote("store")
      const chain = yield* Chain.make({ name: "test", caches: [{ tier: disk.tier }], store: { tier: store.tier } })
      yield* chain.put(key, draft("stale", { freshUntil: 1_000 }))
      yield* TestClock.adjust(1_000)
      disk.fail("put", down)
      disk.fail("remove", down)
      let runs = 0
      const producer = Effect.sync(() => {
        runs += 1
        return draft("new", { freshUntil: 9_000_000 })
      })
      yield* chain.getOrMake(key, producer)
      yield* chain.idle

      assert.strictEqual(text(yield* chain.getOrMake(key, producer)), "new")
      assert.strictEqual(runs, 1)
    })
  )

  it.effect("in one cache does not condemn another", () =>
    Effect.gen(function* () {
      const bad = yield* remote("bad")
      const good = yield* remote("good")
      const store = yield* remote("store")
      const chain = yield* Chain.make({
        name: "test",
        caches: [{ tier: bad.tier }, { tier: good.tier }],
        store: { tier: store.tier }
      })
      bad.fail("put", down)
      bad.fail("remove", down)
      for (let index = 0; index <= 1_000; index++)
        yield* chain.put(Key.makeUnsafe(`hero${index}`, "master"), draft("x"))
      good.fail("remove", down, 1)
      yield* chain.remove(key)
      yield* chain.put(key, draft("y"))

      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["bad Skipped", "good Hit"])
    })
  )
})

describe("a stale blob whose store has a newer one", () => {
  it.effect("is dropped instead of being made anew at every read", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* threeTiers()
      yield* chain.put(key, draft("stale", { freshUntil: 1_000 }))
      yield* TestClock.adjust(1_000)
      yield* store.tier.put(blobAt("of another node", 9_000_000))
      let runs = 0
      const producer = Effect.sync(() => {
        runs += 1
        return draft("made")
      })
      yield* chain.getOrMake(key, producer)
      yield* chain.idle

      assert.strictEqual(text(yield* chain.getOrMake(key, producer)), "of another node")
      assert.strictEqual(runs, 1)
    })
  )
})

describe("an interruption", () => {
  /** Takes `steps` steps of a fiber, so that the scheduler's yield falls at a certain place after them. */
  const steps = (count: number): Effect.Effect<void> =>
    Effect.suspend(() => (count <= 0 ? Effect.void : steps(count - 1)))

  it.effect("at any step of a read leaves nothing behind", () =>
    Effect.gen(function* () {
      const store = yield* remote("store")
      yield* store.tier.put(blobAt("x", 1))
      for (const read of ["get", "head", "getOrMake"] as const) {
        for (let before = 2_020; before <= 2_050; before++) {
          const near = yield* remote("near")
          const chain = yield* Chain.make({ name: "test", caches: [{ tier: near.tier }], store: { tier: store.tier } })
          const effect: Effect.Effect<unknown, unknown> =
            read === "getOrMake" ? chain.getOrMake(key, Effect.succeed(draft("made"))) : chain[read](key)
          const reader = yield* Effect.forkChild(Effect.andThen(steps(before), effect), { startImmediately: true })

          yield* Fiber.interrupt(reader)
          yield* chain.idle

          assert.strictEqual(text(yield* chain.get(key)), "x", `${read} after ${before} steps`)
        }
      }
    })
  )
})

describe("caches without a store", () => {
  it.effect("hold to no condition, and say so", () =>
    Effect.gen(function* () {
      const { chain } = yield* cachesOnly()
      const error = yield* Effect.flip(chain.put(key, draft("x"), { expected: "absent" }))
      assert.strictEqual(error._tag === "TierError" && error.reason._tag, "Unsupported")
      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
    })
  )

  it.effect("whose clock ran ahead are overtaken by put and remove", () =>
    Effect.gen(function* () {
      const { chain, disk, memory } = yield* cachesOnly()
      yield* disk.tier.put(blobAt("future", 4_000_000_000_000_000))

      yield* chain.put(key, draft("now"))
      yield* memory.tier.remove(key, Number.MAX_SAFE_INTEGER)
      assert.strictEqual(text(yield* chain.get(key)), "now")
      yield* chain.idle
      yield* chain.removeGroup("hero")

      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
    })
  )
})

/** What a tier has, without the chain. */
const alone = (tier: Tier) => Chain.make({ name: "alone", caches: [], store: { tier } })
