import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import * as Chain from "../src/Chain.ts"
import * as Key from "../src/Key.ts"
import * as Tier from "../src/Tier.ts"
import { Corrupt, Denied, type Reason } from "../src/TierError.ts"
import * as Trail from "../src/Trail.ts"
import { draft, key, outcomes, remote, text, threeTiers } from "./support/chains.ts"
import * as Controlled from "./support/Controlled.ts"
import { blobAt, down, fork, node, sharedStore } from "./support/shared.ts"

const keyOf = (index: number) => Key.makeUnsafe(`hero${index}`, "master")

/** A later blob of another node. */
const newer = blobAt("newer", 9_000_000_000_000)

const readOnly = new Denied({ cause: "read-only" })

/** A node whose caches both have what the store has, confirmed now. */
const confirmed = (options: Parameters<typeof node>[0] = {}) =>
  Effect.tap(node(options), ({ chain }) => chain.put(key, draft("x")))

/** A node whose caches both have a copy that it knows nothing of. */
const inherited = (options: Parameters<typeof node>[0] = {}) =>
  Effect.tap(node(options), ({ disk, memory }) =>
    Effect.all([memory.tier.put(blobAt("old", 1)), disk.tier.put(blobAt("old", 1))])
  )

describe("a copy that is confirmed", () => {
  it.effect("was put by this chain: it is served, and its header too, without asking the store", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* confirmed()
      yield* TestClock.adjust("29 seconds")

      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit"])
      assert.deepStrictEqual(outcomes(yield* chain.head(key)), ["headers Hit"])
      assert.deepStrictEqual([store.calls.get, store.calls.head], [0, 0])
    })
  )

  it.effect("was made by this chain, or read from the store", () =>
    Effect.gen(function* () {
      const { chain, memory, store } = yield* node()
      yield* store.tier.put(blobAt("stored", 1, keyOf(1)))
      yield* chain.getOrMake(key, Effect.succeed(draft("made")))
      yield* chain.get(keyOf(1))
      yield* chain.idle
      const before = { ...store.calls }

      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit"])
      assert.deepStrictEqual(outcomes(yield* chain.get(keyOf(1))), ["memory Hit"])
      memory.fail("get", down)
      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Failed", "disk Hit"])
      assert.deepStrictEqual(store.calls, before)
    })
  )

  it.effect("is never asked for where nobody else writes to the store", () =>
    Effect.gen(function* () {
      const { chain, memory, store } = yield* threeTiers({ revalidateAfter: "1 second" })
      yield* chain.put(key, draft("x"))
      yield* TestClock.adjust("1 day")

      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit"])
      assert.deepStrictEqual(outcomes(yield* chain.head(key)), ["headers Hit"])
      memory.fail("get", down)
      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Failed", "disk Hit"])
      assert.deepStrictEqual([store.calls.get, store.calls.head], [0, 0])
    })
  )

  it.effect("is never asked for with an infinite time, and always with a time of zero", () =>
    Effect.gen(function* () {
      const never = yield* confirmed({ revalidateAfter: "Infinity" })
      yield* TestClock.adjust("1 day")
      assert.deepStrictEqual(outcomes(yield* never.chain.get(key)), ["memory Hit"])

      const always = yield* confirmed({ revalidateAfter: 0 })
      assert.deepStrictEqual(outcomes(yield* always.chain.get(key)), ["memory Hit", "store Confirmed"])
      assert.deepStrictEqual(outcomes(yield* always.chain.get(key)), ["memory Hit", "store Confirmed"])
    })
  )
})

describe("a copy past half of the time", () => {
  for (const read of ["get", "head"] as const) {
    it.effect(`is served at once by ${read}, and compared once behind the answer`, () =>
      Effect.gen(function* () {
        const { chain, store } = yield* confirmed()
        const source = read === "get" ? "memory Hit" : "headers Hit"
        yield* TestClock.adjust("30 seconds")
        const gate = store.before("head")
        assert.deepStrictEqual(outcomes(yield* chain[read](key)), [source])
        yield* gate.reached
        assert.deepStrictEqual(outcomes(yield* chain[read](key)), [source])
        assert.strictEqual(store.calls.head, 1)
        yield* gate.open
        yield* chain.idle

        assert.deepStrictEqual(outcomes(yield* chain[read](key)), [source])
        assert.strictEqual(store.calls.head, 1)
      })
    )
  }

  it.effect("is confirmed again from the time when the store was asked", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* confirmed()
      yield* TestClock.adjust("30 seconds")
      const gate = store.after("head")
      yield* chain.get(key)
      yield* gate.reached
      yield* TestClock.adjust("4 seconds")
      yield* gate.open
      yield* chain.idle

      yield* TestClock.adjust("25999 millis")
      yield* chain.get(key)
      assert.strictEqual(store.calls.head, 1)
      yield* TestClock.adjust("1 millis")
      yield* chain.get(key)
      assert.strictEqual(store.calls.head, 2)
    })
  )

  it.effect("gives way, for the readers after that, to what the store turns out to have", () =>
    Effect.gen(function* () {
      const { chain, disk, store } = yield* confirmed()
      yield* store.tier.put(newer)
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(text(yield* chain.get(key)), "x")
      yield* chain.idle

      assert.strictEqual((yield* disk.tier.get(key))._tag, "Miss")
      assert.strictEqual(text(yield* chain.get(key)), "newer")
    })
  )

  it.effect(
    "is one of at most 64 that are compared at the same time; the others are served and wait for a later hit",
    () =>
      Effect.gen(function* () {
        const { chain, store } = yield* node()
        const keys = Array.from({ length: 100 }, (_, index) => keyOf(index))
        yield* Effect.forEach(keys, (each) => chain.put(each, draft("x")))
        yield* TestClock.adjust("30 seconds")
        const gate = store.before("head")
        for (const each of keys) assert.strictEqual(text(yield* chain.get(each)), "x")
        assert.strictEqual(store.calls.head, 64)
        yield* gate.open
        yield* chain.idle
        yield* Effect.forEach(keys, chain.get)

        assert.strictEqual(store.calls.head, 100)
      })
  )

  it.effect("is not handed to who comes after it was found out of date, though its lookup still writes it back", () =>
    Effect.gen(function* () {
      const near = yield* remote("near")
      const far = yield* remote("far")
      const store = yield* sharedStore()
      const chain = yield* Chain.make({
        name: "test",
        caches: [{ tier: near.tier }, { tier: far.tier }],
        store: { tier: store.tier }
      })
      yield* chain.put(key, draft("old"))
      yield* near.tier.remove(key, Number.MAX_SAFE_INTEGER)
      yield* store.tier.put(newer)
      yield* TestClock.adjust("30 seconds")
      const copying = near.before("put")
      assert.strictEqual(text(yield* chain.get(key)), "old")
      yield* copying.reached
      const found = yield* chain.get(key)
      yield* copying.open

      assert.strictEqual(text(found), "newer")
    })
  )

  it.effect("leaves nothing in a cache that confirms itself, if it lands there after the comparison", () =>
    Effect.gen(function* () {
      const near = yield* remote("near")
      const far = yield* remote("far")
      const store = yield* sharedStore()
      const chain = yield* Chain.make({
        name: "test",
        caches: [{ tier: near.tier }, { tier: far.tier }],
        store: { tier: store.tier }
      })
      yield* chain.put(key, draft("old"))
      yield* near.tier.remove(key, Number.MAX_SAFE_INTEGER)
      yield* store.tier.put(newer)
      yield* TestClock.adjust("30 seconds")
      const copying = near.before("put")
      const comparing = store.after("head")
      assert.strictEqual(text(yield* chain.get(key)), "old")
      yield* copying.reached
      yield* comparing.reached
      yield* comparing.open
      yield* Effect.yieldNow
      yield* copying.open
      yield* chain.idle

      assert.strictEqual(text(yield* chain.get(key)), "newer")
    })
  )
})

describe("a copy past all of the time", () => {
  it.effect("is compared before it is served", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* confirmed()
      yield* TestClock.adjust("1 minute")
      const gate = store.before("head")
      const reader = yield* fork(chain.get(key))
      yield* gate.reached
      assert.isUndefined(reader.pollUnsafe())
      yield* gate.open

      assert.deepStrictEqual(outcomes(yield* Fiber.join(reader)), ["memory Hit", "store Confirmed"])
      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit"])
      assert.deepStrictEqual([store.calls.get, store.calls.head], [0, 1])
    })
  )

  it.effect("whose header is remembered is compared before the header is answered", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* confirmed()
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(outcomes(yield* chain.head(key)), ["memory Hit", "store Confirmed"])
      assert.deepStrictEqual(outcomes(yield* chain.head(key)), ["headers Hit"])

      yield* TestClock.adjust("1 minute")
      yield* store.tier.put(newer)
      const head = yield* chain.head(key)

      assert.deepStrictEqual(outcomes(head), ["memory Outdated", "disk Miss", "store Hit"])
      assert.strictEqual(head._tag === "Found" && head.header.digest, newer.header.digest)
      assert.strictEqual(text(yield* chain.get(key)), "newer")
    })
  )

  it.effect("is told by a clock that never goes back, whatever the wall clock does", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(3_600_000)
      const { chain, store } = yield* confirmed()
      yield* store.tier.put(blobAt("newer", 9_000_000_000))
      const seen: Array<string> = []
      for (let step = 0; step < 7; step++) {
        yield* TestClock.adjust("10 seconds")
        yield* TestClock.setTime(3_600_000)
        seen.push(text(yield* chain.get(key)))
        yield* chain.idle
      }

      assert.strictEqual(seen.at(-1), "newer")
    })
  )

  it.effect("is compared once for a thousand readers", () =>
    Effect.gen(function* () {
      for (const read of ["get", "head"] as const) {
        const { chain, store } = yield* confirmed()
        yield* TestClock.adjust("1 minute")
        const gate = store.before("head")
        const readers = yield* Effect.all(
          Array.from({ length: 1_000 }, () => fork<{ readonly _tag: string }, unknown>(chain[read](key)))
        )
        yield* gate.reached
        yield* gate.open
        for (const reader of readers) assert.strictEqual((yield* Fiber.join(reader))._tag, "Found")

        assert.deepStrictEqual([store.calls.get, store.calls.head], [0, 1])
      }
    })
  )
})

describe("a copy of which the chain knows nothing", () => {
  it.effect("is compared before it is first served, and only then", () =>
    Effect.gen(function* () {
      const { chain, disk, store } = yield* node()
      yield* disk.tier.put(blobAt("x", 1))
      yield* store.tier.put(blobAt("x", 1))

      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Miss", "disk Hit", "store Confirmed"])
      yield* chain.idle
      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit"])
      assert.deepStrictEqual([store.calls.get, store.calls.head], [0, 1])
    })
  )

  it.effect("is compared where nobody else writes to the store too: it may have outlived a write", () =>
    Effect.gen(function* () {
      const { chain, disk, store } = yield* threeTiers()
      yield* disk.tier.put(blobAt("old", 1))
      yield* store.tier.put(blobAt("of the last process", 2))

      assert.strictEqual(text(yield* chain.get(key)), "of the last process")
    })
  )

  it.effect("is dropped from every cache if the store has a newer one, which is served", () =>
    Effect.gen(function* () {
      const { chain, disk, memory, store } = yield* inherited()
      yield* store.tier.put(newer)
      const found = yield* chain.get(key)

      assert.strictEqual(text(found), "newer")
      assert.deepStrictEqual(outcomes(found), ["memory Outdated", "disk Miss", "store Hit"])
      yield* chain.idle
      for (const { tier } of [memory, disk]) {
        const read = yield* tier.get(key)
        assert.strictEqual(read._tag === "Hit" && read.blob.header.digest, newer.header.digest)
      }
      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit"])
    })
  )

  it.effect("is told apart from a blob of the same generation by its digest", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* inherited()
      yield* store.tier.put(blobAt("of another clock", 1))

      assert.strictEqual(text(yield* chain.get(key)), "of another clock")
    })
  )

  it.effect("is told apart from the same bytes with other facts by its generation", () =>
    Effect.gen(function* () {
      const { chain, memory, store } = yield* node()
      const renamed = blobAt("old", 2)
      yield* memory.tier.put(blobAt("old", 1))
      yield* store.tier.put({ ...renamed, header: { ...renamed.header, attributes: { title: "Hero" } } })
      const found = yield* chain.get(key)

      assert.deepStrictEqual(found._tag === "Found" && found.blob.header.attributes, { title: "Hero" })
    })
  )

  it.effect("gives way to an older blob in the store, and later writes beat both", () =>
    Effect.gen(function* () {
      const { chain, memory, store } = yield* node()
      yield* memory.tier.put(newer)
      yield* store.tier.put(blobAt("restored", 1))

      assert.strictEqual(text(yield* chain.get(key)), "restored")
      const receipt = yield* chain.put(key, draft("x"))
      assert.isAbove(receipt.header.generation, newer.header.generation)
    })
  )

  for (const read of ["get", "head"] as const) {
    it.effect(`is dropped from every cache if the store has none, and ${read} answers NotFound`, () =>
      Effect.gen(function* () {
        const { chain, disk, memory } = yield* inherited()
        const answer = yield* chain[read](key)

        assert.strictEqual(answer._tag, "NotFound")
        assert.deepStrictEqual(outcomes(answer), ["memory Outdated", "disk Miss", "store Miss"])
        for (const { tier } of [memory, disk]) assert.strictEqual((yield* tier.get(key))._tag, "Miss")
      })
    )
  }

  it.effect("is kept from serving while a cache cannot drop it", () =>
    Effect.gen(function* () {
      const { chain, disk, store } = yield* node()
      yield* disk.tier.put(blobAt("old", 1))
      yield* store.tier.put(newer)
      disk.fail("remove", readOnly)
      disk.fail("put", readOnly)
      assert.strictEqual(text(yield* chain.get(key)), "newer")
      yield* chain.idle
      yield* store.tier.remove(key, Number.MAX_SAFE_INTEGER)
      yield* TestClock.adjust("1 minute")

      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Outdated", "disk Outdated", "store Miss"])
      disk.heal("remove")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* disk.tier.get(key))._tag, "Miss")
    })
  )

  it.effect("is what a full table of confirmed copies makes of one: it is compared again, and served rightly", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* node({ maxRemembered: 1 })
      yield* chain.put(keyOf(0), draft("first"))
      yield* chain.put(keyOf(1), draft("second"))
      const found = yield* chain.get(keyOf(0))

      assert.strictEqual(text(found), "first")
      assert.deepStrictEqual(outcomes(found), ["memory Hit", "store Confirmed"])
      assert.strictEqual(store.calls.head, 1)
    })
  )
})

describe("a store that cannot say", () => {
  for (const reason of [down, new Denied({ cause: "no" }), new Corrupt({ detail: "header" })] satisfies Array<Reason>) {
    it.effect(`because of ${reason._tag} leaves the copy served, marked so, and asked for again at the next read`, () =>
      Effect.gen(function* () {
        const { chain, store } = yield* inherited()
        store.fail("head", reason)
        store.fail("get", reason)
        for (const read of [chain.get, chain.head]) {
          const answer = yield* read(key)
          assert.strictEqual(answer._tag, "Found")
          assert.isTrue(Trail.isUnconfirmed(answer.trail))
          assert.deepStrictEqual(answer.trail.steps.at(-1)?.outcome, { _tag: "Unconfirmed", why: reason._tag })
        }
        store.heal("head")
        store.heal("get")
        yield* store.tier.put(newer)

        assert.strictEqual(text(yield* chain.get(key)), "newer")
      })
    )
  }

  it.effect("because it was skipped leaves the copy served, marked so", () =>
    Effect.gen(function* () {
      const inner = yield* sharedStore()
      const store = Controlled.make(inner.tier, { head: () => Effect.succeed(Tier.skipped("busy")) })
      const { chain } = yield* inherited({ of: store })
      const found = yield* chain.get(key)

      assert.strictEqual(text(found), "old")
      assert.deepStrictEqual(found.trail.steps.at(-1)?.outcome, { _tag: "Unconfirmed", why: "busy" })
    })
  )

  it.effect("because its breaker is open leaves the copy served at once, marked so", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* inherited({ storePolicy: { breaker: { failures: 1 } } })
      store.fail("head", down)
      yield* chain.get(key)
      const found = yield* chain.get(key)

      assert.strictEqual(text(found), "old")
      assert.deepStrictEqual(found.trail.steps.at(-1)?.outcome, { _tag: "Unconfirmed", why: "breaker-open" })
      assert.strictEqual(store.calls.head, 1)
    })
  )

  it.effect("within its deadline leaves the copy served after that, marked so", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* inherited({ storePolicy: { deadline: "1 second" } })
      const gate = store.before("head")
      const reader = yield* fork(chain.get(key))
      yield* gate.reached
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(reader.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const found = yield* Fiber.join(reader)

      assert.strictEqual(text(found), "old")
      assert.deepStrictEqual(found.trail.steps.at(-1)?.outcome, { _tag: "Unconfirmed", why: "TimedOut" })
    })
  )

  it.effect("never makes a copy that it could not compare look confirmed in a faster cache", () =>
    Effect.gen(function* () {
      const { chain, disk, store } = yield* node()
      yield* disk.tier.put(blobAt("old", 1))
      yield* store.tier.put(newer)
      store.fail("head", down, 1)
      assert.strictEqual(text(yield* chain.get(key)), "old")
      yield* chain.idle

      assert.strictEqual(text(yield* chain.get(key)), "newer")
    })
  )

  it.effect("is no reason to say that a key is not there", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* node()
      store.fail("get", down)

      assert.strictEqual((yield* Effect.flip(chain.get(key)))._tag, "ChainUnavailable")
    })
  )
})

describe("a write that is acknowledged while a copy is compared", () => {
  it.effect("wins over the answer that the copy is what the store has", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* inherited()
      yield* store.tier.put(blobAt("old", 1))
      const gate = store.after("head")
      const reader = yield* fork(chain.get(key))
      yield* gate.reached
      yield* chain.put(key, draft("new"))
      yield* gate.open
      yield* Fiber.join(reader)
      yield* chain.idle

      const found = yield* chain.get(key)
      assert.strictEqual(text(found), "new")
      assert.deepStrictEqual(outcomes(found), ["memory Hit"], "and the new copy is confirmed")
    })
  )

  it.effect("wins over the answer that the store has none", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* inherited()
      const gate = store.after("head")
      const reader = yield* fork(chain.get(key))
      yield* gate.reached
      yield* chain.put(key, draft("new"))
      yield* gate.open
      assert.strictEqual(text(yield* Fiber.join(reader)), "new")

      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit"])
      assert.strictEqual((yield* chain.head(key))._tag, "Found")
    })
  )

  it.effect("as a remove leaves nothing, whatever the comparison says", () =>
    Effect.gen(function* () {
      const { chain, disk, memory, store } = yield* inherited()
      yield* store.tier.put(blobAt("old", 1))
      const gate = store.after("head")
      const reader = yield* fork(chain.get(key))
      yield* gate.reached
      yield* chain.remove(key)
      yield* gate.open
      assert.strictEqual((yield* Fiber.join(reader))._tag, "NotFound")

      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
      for (const { tier } of [memory, disk]) assert.strictEqual((yield* tier.get(key))._tag, "Miss")
    })
  )

  it.effect("wins over a comparison behind the answer", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* confirmed()
      yield* TestClock.adjust("30 seconds")
      const gate = store.after("head")
      yield* chain.get(key)
      yield* gate.reached
      yield* chain.put(key, draft("new"))
      yield* gate.open
      yield* chain.idle

      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit"])
      assert.strictEqual(text(yield* chain.get(key)), "new")
    })
  )
})
