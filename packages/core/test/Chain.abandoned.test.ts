/**
 * A tier that hangs, and readers who leave before anyone could notice.
 */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import { TestClock } from "effect/testing"
import * as Key from "../src/Key.ts"
import type { Policy } from "../src/Policy.ts"
import { key, remote } from "./support/chains.ts"
import { over } from "./support/late.ts"
import { blobAt, fork } from "./support/shared.ts"
import { metric, test } from "./support/streaming.ts"

/** A store that a chain asks under a breaker. */
const behind = (policy: Policy = {}) =>
  Effect.gen(function* () {
    const store = yield* remote("store")
    const { chain } = yield* over(store.tier, { breaker: {}, ...policy })
    const breaker = Effect.map(chain.status, (tiers) => tiers.at(-1)?.breaker)
    /** Asks for a key that nobody has asked for, and leaves after a time. */
    const leaveAfter = (name: string, patience: "1 second" | "3 seconds") =>
      Effect.gen(function* () {
        const reader = yield* fork(chain.get(Key.makeUnsafe("hero", name)))
        yield* TestClock.adjust(patience)
        yield* Fiber.interrupt(reader)
      })
    return { breaker, chain, leaveAfter, store }
  })

describe("a store that hangs", () => {
  for (const patience of ["1 second", "3 seconds"] as const) {
    test(`opens its breaker although its readers leave after ${patience}`, () =>
      Effect.gen(function* () {
        const { breaker, leaveAfter, store } = yield* behind()
        store.before("get")
        const states = new Set<string | undefined>()
        for (let index = 0; index < 20; index++) {
          yield* leaveAfter(`k${index}`, patience)
          states.add(yield* breaker)
        }
        yield* TestClock.adjust("5 seconds")
      }))
  }

  test("is held up by no more than sixteen reads of a crowd that has left, and by none after its deadline", () =>
    Effect.gen(function* () {
      const { breaker, chain, store } = yield* behind()
      store.before("get")
      const readers = yield* Effect.forEach(
        Array.from({ length: 1_000 }, (_, index) => index),
        (index) => fork(chain.get(Key.makeUnsafe("hero", `k${index}`)))
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.interruptAll(readers)
      assert.strictEqual(yield* metric("terrace_running"), 16)
      yield* TestClock.adjust("4 seconds")

      assert.strictEqual(yield* metric("terrace_running"), 0)
      assert.strictEqual(yield* breaker, "open")
    }))

  test("is not asked again for readers who have left", () =>
    Effect.gen(function* () {
      const { leaveAfter, store } = yield* behind({ retry: Schedule.spaced("1 second") })
      store.before("get")
      for (const name of ["a", "b", "c"]) yield* leaveAfter(name, "1 second")
      yield* TestClock.adjust("1 minute")

      assert.strictEqual(store.calls.get, 3)
      assert.strictEqual(yield* metric("terrace_running"), 0)
    }))
})

describe("a store that answers", () => {
  test("is not asked in vain for a reader who leaves", () =>
    Effect.gen(function* () {
      const { chain, leaveAfter, store } = yield* behind()
      yield* store.tier.put(blobAt("x", 5))
      for (let index = 0; index < 5; index++) {
        const gate = store.before("get")
        yield* leaveAfter(`k${index}`, "1 second")
        assert.strictEqual(yield* metric("terrace_running"), 0)
        yield* gate.open
        yield* chain.get(Key.makeUnsafe("other", `k${index}`))
      }
    }))

  test("slower than its readers wait stays in use", () =>
    Effect.gen(function* () {
      const { breaker, chain, leaveAfter, store } = yield* behind()
      yield* store.tier.put(blobAt("x", 5))
      const gate = store.before("get")
      for (let index = 0; index < 5; index++) yield* leaveAfter(`k${index}`, "1 second")
      yield* gate.open
      yield* chain.idle

      assert.strictEqual(yield* breaker, "closed")
      assert.strictEqual((yield* chain.get(key))._tag, "Found")
    }))
})
