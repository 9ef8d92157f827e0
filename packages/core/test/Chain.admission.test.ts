import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import * as Chain from "../src/Chain.ts"
import * as Key from "../src/Key.ts"
import type { Policy } from "../src/Policy.ts"
import { draft, key, outcomes, remote, text } from "./support/chains.ts"
import { blobAt, fork } from "./support/shared.ts"

const keyOf = (index: number) => Key.makeUnsafe(`hero${index}`, "master")

/** disk (cache, under `policy`) → store, or disk alone. */
const cached = (
  policy: Policy,
  { hasStore = true, ...options }: Partial<Chain.Options> & { hasStore?: boolean } = {}
) =>
  Effect.gen(function* () {
    const disk = yield* remote("disk")
    const store = yield* remote("store")
    const chain = yield* Chain.make<string>({
      name: "test",
      caches: [{ tier: disk.tier, policy }],
      store: hasStore ? { tier: store.tier } : undefined,
      ...options
    })
    const declined = Effect.map(chain.status, ([status]) => status?.counters.declined)
    const hasCopy = (of: Key.Key) => Effect.map(disk.tier.get(of), (read) => read._tag === "Hit")
    /** Reads a key, and waits for what follows the answer. */
    const read = (of: Key.Key) => Effect.andThen(chain.get(of), chain.idle)
    return { chain, disk, store, declined, hasCopy, read }
  })

describe("maxBytes", () => {
  it.effect("keeps larger blobs out of the cache, found or made, and counts them", () =>
    Effect.gen(function* () {
      const { chain, declined, disk, hasCopy, read, store } = yield* cached({ maxBytes: 5 })
      yield* store.tier.put(blobAt("12345", 1, keyOf(1)))
      yield* store.tier.put(blobAt("123456", 1, keyOf(2)))
      yield* read(keyOf(1))
      yield* read(keyOf(2))
      yield* chain.getOrMake(keyOf(3), Effect.succeed(draft("made too large")))
      yield* chain.idle

      assert.deepStrictEqual(yield* Effect.forEach([1, 2, 3], (index) => hasCopy(keyOf(index))), [true, false, false])
      assert.strictEqual(disk.calls.put, 1)
      assert.strictEqual((yield* declined)?.["too-large"], 2)
      assert.strictEqual(text(yield* chain.get(keyOf(3))), "made too large")
    })
  )

  it.effect("lets a put of a larger blob through to the store, and drops the copy that it replaces", () =>
    Effect.gen(function* () {
      const { chain, hasCopy } = yield* cached({ maxBytes: 5 })
      yield* chain.put(key, draft("old"))
      assert.isTrue(yield* hasCopy(key))
      const receipt = yield* chain.put(key, draft("new and larger"))

      assert.deepStrictEqual(receipt.tiers, [
        { tier: "store", outcome: "stored" },
        { tier: "disk", outcome: "declined" }
      ])
      assert.isFalse(yield* hasCopy(key))
      assert.strictEqual(text(yield* chain.get(key)), "new and larger")
    })
  )
})

describe("secondTouch", () => {
  it.effect("copies what was found for the second time, not what was found once", () =>
    Effect.gen(function* () {
      const { chain, declined, disk, hasCopy, read, store } = yield* cached({ secondTouch: true })
      yield* store.tier.put(blobAt("x", 1))
      yield* read(key)
      assert.isFalse(yield* hasCopy(key))
      assert.strictEqual(disk.calls.put, 0)
      yield* read(key)
      assert.isTrue(yield* hasCopy(key))

      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["disk Hit"])
      assert.strictEqual((yield* declined)?.admission, 1)
    })
  )

  it.effect("copies everything at once where the policy does not ask for it", () =>
    Effect.gen(function* () {
      const { declined, hasCopy, read, store } = yield* cached({})
      yield* store.tier.put(blobAt("x", 1))
      yield* read(key)

      assert.isTrue(yield* hasCopy(key))
      assert.strictEqual((yield* declined)?.admission, 0)
    })
  )

  it.effect("takes a thousand readers of one flight for one touch", () =>
    Effect.gen(function* () {
      const { chain, hasCopy, read, store } = yield* cached({ secondTouch: true })
      yield* store.tier.put(blobAt("x", 1))
      const gate = store.before("get")
      const readers = yield* Effect.all(Array.from({ length: 1_000 }, () => fork(chain.get(key))))
      yield* gate.reached
      yield* gate.open
      yield* Effect.forEach(readers, Fiber.join)
      yield* chain.idle
      assert.strictEqual(store.calls.get, 1)
      assert.isFalse(yield* hasCopy(key))

      yield* read(key)
      assert.isTrue(yield* hasCopy(key))
    })
  )

  it.effect("takes neither a look at the header nor a miss for a touch", () =>
    Effect.gen(function* () {
      const { chain, hasCopy, read, store } = yield* cached({ secondTouch: true }, { negativeTtl: 0 })
      yield* read(key)
      yield* chain.head(key)
      yield* store.tier.put(blobAt("x", 1))
      yield* chain.head(key)
      yield* read(key)

      assert.isFalse(yield* hasCopy(key))
    })
  )

  it.effect("copies every put at once", () =>
    Effect.gen(function* () {
      const { chain, hasCopy } = yield* cached({ secondTouch: true })
      yield* chain.put(key, draft("x"))

      assert.isTrue(yield* hasCopy(key))
    })
  )

  it.effect("stores what was made at once, and copies it when it is found again", () =>
    Effect.gen(function* () {
      const { chain, hasCopy, read, store } = yield* cached({ secondTouch: true })
      yield* chain.getOrMake(key, Effect.succeed(draft("made")))
      yield* chain.idle
      assert.strictEqual((yield* store.tier.get(key))._tag, "Hit")
      assert.isFalse(yield* hasCopy(key))
      yield* read(key)

      assert.isTrue(yield* hasCopy(key))
    })
  )

  it.effect("keeps what was made for the second time, without a store", () =>
    Effect.gen(function* () {
      const { chain, hasCopy } = yield* cached({ secondTouch: true }, { hasStore: false })
      let runs = 0
      const make = Effect.andThen(
        chain.getOrMake(
          key,
          Effect.sync(() => draft(`made ${++runs}`))
        ),
        chain.idle
      )
      yield* make
      assert.isFalse(yield* hasCopy(key))
      yield* make
      assert.isTrue(yield* hasCopy(key))
      yield* make

      assert.strictEqual(runs, 2)
      assert.strictEqual(text(yield* chain.get(key)), "made 2")
    })
  )

  it.effect("lets what is made anew take the place of the stale copy at once", () =>
    Effect.gen(function* () {
      const { chain } = yield* cached({ secondTouch: true })
      yield* chain.put(key, draft("stale", { freshUntil: 1_000 }))
      yield* TestClock.adjust("1 second")
      yield* chain.getOrMake(key, Effect.succeed(draft("anew")))
      yield* chain.idle
      const found = yield* chain.get(key)

      assert.strictEqual(text(found), "anew")
      assert.deepStrictEqual(outcomes(found), ["disk Hit"])
    })
  )

  it.effect("remembers a bounded number of first touches: what was touched longest ago is touched anew", () =>
    Effect.gen(function* () {
      const { hasCopy, read, store } = yield* cached({ secondTouch: true }, { maxRemembered: 2 })
      for (const index of [0, 1, 2]) yield* store.tier.put(blobAt("x", 1, keyOf(index)))
      for (const index of [0, 1, 2, 0]) yield* read(keyOf(index))
      assert.isFalse(yield* hasCopy(keyOf(0)))
      yield* read(keyOf(2))
      assert.isTrue(yield* hasCopy(keyOf(2)))
      yield* read(keyOf(0))

      assert.isTrue(yield* hasCopy(keyOf(0)))
    })
  )

  it.effect("is decided by each cache for itself", () =>
    Effect.gen(function* () {
      const near = yield* remote("near")
      const far = yield* remote("far")
      const store = yield* remote("store")
      const chain = yield* Chain.make({
        name: "test",
        caches: [{ tier: near.tier, policy: { secondTouch: true } }, { tier: far.tier }],
        store: { tier: store.tier }
      })
      yield* store.tier.put(blobAt("x", 1))
      const read = Effect.tap(chain.get(key), () => chain.idle)

      assert.deepStrictEqual(outcomes(yield* read), ["near Miss", "far Miss", "store Hit"])
      assert.deepStrictEqual(outcomes(yield* read), ["near Miss", "far Hit"])
      assert.deepStrictEqual(outcomes(yield* read), ["near Hit"])
    })
  )
})
