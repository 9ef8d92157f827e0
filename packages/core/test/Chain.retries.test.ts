/**
 * Writes that a policy tries again, while others are acknowledged between their tries.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import { TestClock } from "effect/testing"
import * as Chain from "../src/Chain.ts"
import { Throttled, Unavailable } from "../src/TierError.ts"
import { draft, key, remote, text } from "./support/chains.ts"
import * as Controlled from "./support/Controlled.ts"
import { over, overLate, stored } from "./support/late.ts"
import { fork, landingLate } from "./support/shared.ts"

const throttled = new Throttled({ cause: "busy" })

/** A cache that tries once more after a second, and whose puts can be made to land late, before a store. */
const retrying = Effect.gen(function* () {
  const disk = yield* remote("disk")
  const late = landingLate(disk.tier)
  const cache = Controlled.make(late.tier)
  const store = yield* remote("store")
  const chain = yield* Chain.make<string>({
    name: "test",
    caches: [
      {
        tier: cache.tier,
        policy: { breaker: false, retry: Schedule.max([Schedule.spaced("1 second"), Schedule.recurs(1)]) }
      }
    ],
    store: { tier: store.tier }
  })
  return { cache, chain, disk, late, store }
})

type Retrying = Effect.Success<typeof retrying>

describe("a copy that is tried again", () => {
  for (const [name, write, after] of [
    ["remove", ({ chain }: Retrying) => chain.remove(key), "NotFound"],
    ["removal of its group", ({ chain }: Retrying) => chain.removeGroup(key.group), "NotFound"],
    ["put", ({ chain }: Retrying) => chain.put(key, draft("new")), "new"]
  ] as const) {
    it.effect(`never brings back what a ${name} that was acknowledged between two tries has replaced`, () =>
      Effect.gen(function* () {
        const made = yield* retrying
        const { cache, chain, disk, late } = made
        cache.fail("put", throttled, 1)
        const putting = yield* fork(chain.put(key, draft("old")))
        assert.strictEqual(cache.calls.put, 1)
        yield* write(made)
        late.begin()
        yield* TestClock.adjust("1 second")
        late.end()
        // A second try that was sent is given up at its deadline.
        yield* TestClock.adjust("5 seconds")
        yield* Fiber.join(putting)
        yield* late.land
        yield* chain.idle

        assert.strictEqual(text(yield* chain.get(key)), after)
        const left = yield* disk.tier.get(key)
        assert.isTrue(after === "new" ? left._tag === "Hit" && left.blob.header.size === 3 : left._tag === "Miss")
      })
    )
  }

  it.effect("is not sent again once it is out of date", () =>
    Effect.gen(function* () {
      const { cache, chain, store } = yield* retrying
      cache.fail("put", throttled, 1)
      const putting = yield* fork(chain.put(key, draft("old")))
      yield* chain.remove(key)
      yield* TestClock.adjust("1 second")
      const { tiers } = yield* Fiber.join(putting)

      assert.strictEqual(cache.calls.put, 1)
      assert.deepStrictEqual(
        tiers.map(({ outcome }) => outcome),
        ["stored", "superseded"]
      )
      assert.strictEqual((yield* store.tier.get(key))._tag, "Miss")
    })
  )
})

describe("a put that is tried again", () => {
  const twice = { retry: Schedule.max([Schedule.spaced("1 second"), Schedule.recurs(1)]) }

  it.effect("stays once it is acknowledged, though its first try lands after a remove that came between the two", () =>
    Effect.gen(function* () {
      const { chain, late, store } = yield* overLate(twice)
      late.begin()
      const putting = yield* fork(chain.put(key, draft("put")))
      yield* TestClock.adjust("5 seconds")
      late.end()
      yield* chain.remove(key)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(putting)
      const acknowledged = text(yield* chain.get(key))
      yield* late.land
      yield* chain.idle

      assert.strictEqual(acknowledged, "put")
      assert.strictEqual(yield* stored(store), "put")
      assert.strictEqual(text(yield* chain.get(key)), "put")
    })
  )

  it.effect("and acknowledged is taken back if its first try lands after a remove that came after both", () =>
    Effect.gen(function* () {
      const { chain, late, store } = yield* overLate(twice)
      late.begin()
      const putting = yield* fork(chain.put(key, draft("put")))
      yield* TestClock.adjust("5 seconds")
      late.end()
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(putting)
      yield* chain.remove(key)
      yield* late.land
      yield* chain.idle

      assert.strictEqual(yield* stored(store), "Miss")
      assert.strictEqual(text(yield* chain.get(key)), "NotFound")
    })
  )
})

describe("a conditional write whose answer was lost", () => {
  const lost = new Unavailable({ cause: "lost" })
  const again = { retry: Schedule.recurs(1) }

  it.effect("removes, although the store has nothing left when it is asked again", () =>
    Effect.gen(function* () {
      const store = yield* remote("store")
      const { chain } = yield* over(store.tier, again)
      const { header } = yield* chain.put(key, draft("x"))
      store.lose("remove", lost, 1)
      const receipt = yield* chain.remove(key, { expected: header.generation })

      assert.strictEqual(receipt.tiers[0]?.outcome, "removed")
      assert.strictEqual(text(yield* chain.get(key)), "NotFound")
    })
  )

  it.effect("is a conflict if no try of it can have removed anything", () =>
    Effect.gen(function* () {
      const store = yield* remote("store")
      const { chain } = yield* over(store.tier, again)
      const { header } = yield* chain.put(key, draft("x"))
      yield* chain.remove(key)
      store.fail("remove", throttled, 1)
      const error = yield* Effect.flip(chain.remove(key, { expected: header.generation }))

      assert.strictEqual(error._tag, "Conflict")
      assert.strictEqual(store.calls.remove, 3)
    })
  )

  for (const expected of ["absent", "stored"] as const) {
    it.effect(`stores, although its own blob is there when it expects what is ${expected}`, () =>
      Effect.gen(function* () {
        const store = yield* remote("store")
        const { chain } = yield* over(store.tier, again)
        const before = expected === "absent" ? undefined : yield* chain.put(key, draft("before"))
        store.lose("put", lost, 1)
        const receipt = yield* chain.put(key, draft("after"), { expected: before?.header.generation ?? "absent" })

        assert.strictEqual(receipt.tiers[0]?.outcome, "stored")
        assert.strictEqual(text(yield* chain.get(key)), "after")
      })
    )
  }
})
