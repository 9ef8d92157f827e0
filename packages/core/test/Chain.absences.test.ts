import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as Bus from "../src/Bus.ts"
import * as Chain from "../src/Chain.ts"
import * as Key from "../src/Key.ts"
import * as Tier from "../src/Tier.ts"
import { Denied } from "../src/TierError.ts"
import { cachesOnly, draft, expected, key, outcomes, remote, text } from "./support/chains.ts"
import { blobAt, down, fork, landingLate, sharedStore, storeOnly } from "./support/shared.ts"

const keyOf = (index: number) => Key.makeUnsafe(`hero${index}`, "master")

describe("a proven absence", () => {
  it.effect("is answered to the next reader without asking anyone, by get and by head", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* storeOnly()
      yield* chain.get(key)
      for (const read of [chain.get, chain.head]) {
        const answer = yield* read(key)
        assert.strictEqual(answer._tag, "NotFound")
        assert.deepStrictEqual(outcomes(answer), ["absences Hit"])
      }
      assert.deepStrictEqual([store.calls.get, store.calls.head], [1, 0])
    })
  )

  it.effect("that head has learned is answered to get, but not to getOrMake", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* storeOnly()
      yield* chain.head(key)

      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
      assert.strictEqual(store.calls.get, 0)
      assert.strictEqual(text(yield* chain.getOrMake(key, Effect.succeed(draft("made")))), "made")
    })
  )

  it.effect("is remembered for at least four fifths of its time, and no longer than all of it", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* storeOnly({ negativeTtl: "10 seconds" })
      const keys = Array.from({ length: 200 }, (_, index) => keyOf(index))
      const asked = Effect.gen(function* () {
        const before = store.calls.get
        yield* Effect.forEach(keys, chain.get)
        return store.calls.get - before
      })
      assert.strictEqual(yield* asked, 200)

      yield* TestClock.adjust("8 seconds")
      assert.strictEqual(yield* asked, 0)
      yield* TestClock.adjust("1 second")
      const early = yield* asked
      assert.isAbove(early, 0, "they do not end all at once")
      assert.isBelow(early, 200, "they do not end all at once")
      yield* TestClock.adjust("1 second")

      assert.strictEqual(yield* asked, 200 - early)
    })
  )

  it.effect("is remembered for two seconds unless the options say otherwise", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* storeOnly()
      yield* chain.get(key)
      yield* TestClock.adjust("1600 millis")
      yield* chain.get(key)
      assert.strictEqual(store.calls.get, 1)
      yield* TestClock.adjust("400 millis")
      yield* chain.get(key)

      assert.strictEqual(store.calls.get, 2)
    })
  )

  it.effect("is not remembered with a time of zero", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* storeOnly({ negativeTtl: 0 })
      yield* chain.get(key)
      yield* chain.get(key)
      yield* chain.head(key)

      assert.deepStrictEqual([store.calls.get, store.calls.head], [2, 1])
    })
  )

  it.effect("does not last longer because the clock has gone back", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* storeOnly()
      yield* TestClock.setTime(3_600_000)
      yield* chain.get(key)
      // By less than its lifetime, and by far more.
      for (const [back, calls] of [
        [3_599_000, 2],
        [0, 3]
      ] as const) {
        yield* TestClock.setTime(back)
        yield* TestClock.adjust("2 seconds")
        yield* chain.get(key)

        assert.strictEqual(store.calls.get, calls)
      }
    })
  )

  it.effect("is one of at most as many as may be remembered: the oldest is forgotten first", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* storeOnly({ maxRemembered: 2 })
      for (const index of [0, 1, 2]) yield* chain.get(keyOf(index))
      for (const index of [1, 2]) yield* chain.get(keyOf(index))
      assert.strictEqual(store.calls.get, 3)

      yield* chain.get(keyOf(0))

      assert.strictEqual(store.calls.get, 4)
    })
  )

  it.effect("is remembered though other keys are written while it is being proven", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* storeOnly()
      const gate = store.after("get")
      const reader = yield* fork(chain.get(key))
      yield* gate.reached
      for (let index = 0; index < 100; index++) yield* chain.put(keyOf(index), draft("x"))
      yield* chain.removeGroup("hero1")
      yield* gate.open
      yield* Fiber.join(reader)
      yield* chain.get(key)

      assert.strictEqual(store.calls.get, 1)
    })
  )

  it.effect("is told by explain, which does not prolong it", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* storeOnly()
      yield* chain.get(key)
      assert.strictEqual(expected(yield* chain.explain(key)), "remembered")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(expected(yield* chain.explain(key)), "NotFound")
      assert.strictEqual(store.calls.get, 1)
    })
  )
})

describe("what is not proven", () => {
  for (const reason of [down, new Denied({ cause: "no" })]) {
    it.effect(`is not remembered: the store failed with ${reason._tag}`, () =>
      Effect.gen(function* () {
        const { chain, store } = yield* storeOnly()
        yield* store.tier.put(blobAt("there", 1))
        for (const call of ["get", "head"] as const) store.fail(call, reason, 1)
        assert.strictEqual((yield* Effect.flip(chain.get(key)))._tag, "ChainUnavailable")
        assert.strictEqual((yield* Effect.flip(chain.head(key)))._tag, "ChainUnavailable")

        assert.strictEqual(text(yield* chain.get(key)), "there")
      })
    )
  }

  it.effect("is not remembered: the store was skipped", () =>
    Effect.gen(function* () {
      const store = yield* remote("store")
      let isBusy = true
      const chain = yield* Chain.make({
        name: "test",
        caches: [],
        store: {
          tier: {
            ...store.tier,
            get: (at) => (isBusy ? Effect.succeed(Tier.skipped("busy")) : store.tier.get(at))
          }
        }
      })
      yield* store.tier.put(blobAt("there", 1))
      yield* Effect.flip(chain.get(key))
      isBusy = false

      assert.strictEqual(text(yield* chain.get(key)), "there")
    })
  )

  it.effect("is not remembered: one of the caches of a chain without a store failed", () =>
    Effect.gen(function* () {
      const { chain, disk } = yield* cachesOnly()
      yield* disk.tier.put(blobAt("there", 1))
      disk.fail("get", down, 1)
      yield* Effect.flip(chain.get(key))

      assert.strictEqual(text(yield* chain.get(key)), "there")
    })
  )
})

describe("a remembered absence is forgotten at once", () => {
  it.effect("by a put", () =>
    Effect.gen(function* () {
      const { chain } = yield* storeOnly()
      yield* chain.get(key)
      yield* chain.put(key, draft("x"))

      assert.strictEqual(text(yield* chain.get(key)), "x")
      assert.strictEqual((yield* chain.head(key))._tag, "Found")
    })
  )

  it.effect("by what getOrMake has made", () =>
    Effect.gen(function* () {
      const { chain } = yield* storeOnly()
      yield* chain.get(key)
      yield* chain.getOrMake(key, Effect.succeed(draft("made")))
      yield* chain.idle

      assert.strictEqual(text(yield* chain.get(key)), "made")
    })
  )

  it.effect("by a message of another node", () =>
    Effect.gen(function* () {
      const bus = Bus.makeLocal()
      const store = yield* sharedStore()
      const here = yield* storeOnly({ of: store, bus })
      const there = yield* storeOnly({ of: store, bus })
      yield* here.chain.get(key)
      yield* there.chain.put(key, draft("of another node"))
      yield* Effect.yieldNow

      assert.strictEqual(text(yield* here.chain.get(key)), "of another node")
    })
  )

  it.effect("by a put whose outcome is not known", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* storeOnly()
      yield* chain.get(key)
      store.lose("put", down, 1)
      yield* Effect.flip(chain.put(key, draft("landed")))

      assert.strictEqual(text(yield* chain.get(key)), "landed")
    })
  )

  it.effect("by a put whose call has not ended, each time, and is remembered again once it has", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* storeOnly()
      const late = landingLate(store.tier)
      const { chain: writing } = yield* storeOnly({ of: { ...store, tier: late.tier } })
      late.begin()
      const writer = yield* fork(Effect.flip(writing.put(key, draft("x"))))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(writer)
      yield* writing.get(key)
      yield* writing.get(key)
      assert.strictEqual(store.calls.get, 2)
      yield* late.land
      yield* writing.idle
      yield* chain.remove(key)

      yield* writing.get(key)
      yield* writing.get(key)
      assert.strictEqual(store.calls.get, 3)
    })
  )

  it.effect("by a gap in the messages of other nodes", () =>
    Effect.gen(function* () {
      const events = yield* Queue.unbounded<Bus.Event>()
      const bus = { publish: () => Effect.void, events: Stream.fromQueue(events) }
      const { chain, store } = yield* storeOnly({ of: yield* sharedStore(), bus })
      yield* chain.get(key)
      yield* store.tier.put(blobAt("of another node", 1))
      yield* Queue.offer(events, { _tag: "Gap" })
      yield* Effect.yieldNow

      assert.strictEqual(text(yield* chain.get(key)), "of another node")
    })
  )

  it.effect("by a gap in the messages of other nodes that comes while it is being proven", () =>
    Effect.gen(function* () {
      const events = yield* Queue.unbounded<Bus.Event>()
      const bus = { publish: () => Effect.void, events: Stream.fromQueue(events) }
      const { chain, store } = yield* storeOnly({ of: yield* sharedStore(), bus })
      const gate = store.after("get")
      const reader = yield* fork(chain.get(key))
      yield* gate.reached
      yield* store.tier.put(blobAt("of another node", 1))
      yield* Queue.offer(events, { _tag: "Gap" })
      yield* Effect.yieldNow
      yield* gate.open
      assert.strictEqual((yield* Fiber.join(reader))._tag, "NotFound")

      assert.strictEqual(text(yield* chain.get(key)), "of another node")
    })
  )
})

describe("a lookup beside a write", () => {
  for (const read of ["get", "head"] as const) {
    it.effect(`that began before it does not make ${read} remember an absence that a put has ended`, () =>
      Effect.gen(function* () {
        const { chain, store } = yield* storeOnly()
        const gate = store.after(read)
        const reader = yield* fork<Chain.Found | Chain.FoundHeader | Chain.NotFound, unknown>(chain[read](key))
        yield* gate.reached
        yield* chain.put(key, draft("x"))
        yield* gate.open
        assert.strictEqual((yield* Fiber.join(reader))._tag, "NotFound")

        assert.strictEqual((yield* chain[read](key))._tag, "Found")
      })
    )
  }

  it.effect("that began before it does not remember an absence that a producer has ended", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* storeOnly()
      const looking = store.after("head")
      const storing = store.before("put")
      const reader = yield* fork(chain.head(key))
      yield* looking.reached
      yield* chain.getOrMake(key, Effect.succeed(draft("made")))
      yield* storing.reached
      yield* looking.open
      assert.strictEqual((yield* Fiber.join(reader))._tag, "NotFound")

      assert.notStrictEqual(expected(yield* chain.explain(key)), "remembered")
      yield* storing.open
      yield* chain.idle
    })
  )

  it.effect("that ends before what was made is stored is forgotten when that is stored", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* storeOnly()
      const storing = store.before("put")
      yield* chain.getOrMake(key, Effect.succeed(draft("made")))
      yield* storing.reached
      assert.strictEqual((yield* chain.head(key))._tag, "NotFound")
      yield* storing.open
      yield* chain.idle

      assert.strictEqual((yield* chain.head(key))._tag, "Found")
      assert.strictEqual(text(yield* chain.get(key)), "made")
    })
  )

  it.effect("that ends while what was made is being stored is not answered to who could join its flight", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* storeOnly()
      const storing = store.before("put")
      yield* chain.getOrMake(key, Effect.succeed(draft("made")))
      yield* storing.reached
      assert.strictEqual((yield* chain.head(key))._tag, "NotFound")
      const found = yield* chain.get(key)
      yield* storing.open

      assert.strictEqual(text(found), "made")
    })
  )

  it.effect("that ends before what was made is in a cache is forgotten when it is there", () =>
    Effect.gen(function* () {
      const disk = yield* remote("disk")
      const chain = yield* Chain.make({ name: "test", caches: [{ tier: disk.tier }] })
      const copying = disk.before("put")
      yield* chain.getOrMake(key, Effect.succeed(draft("made")))
      yield* copying.reached
      assert.strictEqual((yield* chain.head(key))._tag, "NotFound")
      yield* copying.open
      yield* chain.idle

      assert.strictEqual(text(yield* chain.get(key)), "made")
      assert.strictEqual((yield* chain.head(key))._tag, "Found")
    })
  )

  it.effect("that began before it does not remember what another node has ended, as its message says", () =>
    Effect.gen(function* () {
      const bus = Bus.makeLocal()
      const store = yield* sharedStore()
      const here = yield* storeOnly({ of: store, bus })
      const gate = store.after("get")
      const reader = yield* fork(here.chain.get(key))
      yield* gate.reached
      yield* (yield* storeOnly({ of: store, bus })).chain.put(key, draft("of another node"))
      yield* Effect.yieldNow
      yield* gate.open
      assert.strictEqual((yield* Fiber.join(reader))._tag, "NotFound")

      assert.strictEqual(text(yield* here.chain.get(key)), "of another node")
    })
  )

  it.effect("that began before it is not joined by who asks after a put, who finds the blob", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* storeOnly()
      const gate = store.after("get")
      const early = yield* fork(chain.get(key))
      yield* gate.reached
      yield* chain.put(key, draft("x"))
      const late = yield* fork(chain.get(key))
      yield* gate.open

      assert.strictEqual((yield* Fiber.join(early))._tag, "NotFound")
      assert.strictEqual(text(yield* Fiber.join(late)), "x")
    })
  )
})
