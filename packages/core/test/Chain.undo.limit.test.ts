/**
 * More late writes than a chain sees to.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import * as Key from "../src/Key.ts"
import { draft, text } from "./support/chains.ts"
import { overLate } from "./support/late.ts"
import { down, fork } from "./support/shared.ts"

describe("late writes that cannot be undone", () => {
  it.effect("are a thousand at most: the next one stays, and is found like any other", () =>
    Effect.gen(function* () {
      const { chain, late, store } = yield* overLate({}, { negativeTtl: 0 })
      const keys = Array.from({ length: 1_001 }, (_, index) => Key.makeUnsafe("hero", `k${index}`))
      late.begin()
      const writers = yield* Effect.forEach(keys, (key) => fork(Effect.exit(chain.put(key, draft("late")))))
      yield* TestClock.adjust("5 seconds")
      for (const writer of writers) yield* Fiber.join(writer)
      late.end()
      yield* TestClock.adjust("1 millis")
      yield* chain.removeGroup("hero")
      store.fail("head", down)
      yield* late.land
      yield* Effect.replicateEffect(Effect.yieldNow, 20)

      const found = yield* Effect.forEach(keys, (key) => Effect.map(chain.get(key), text))
      assert.strictEqual(found.filter((each) => each === "late").length, 1)
      store.heal("head")
      yield* TestClock.adjust("2 minutes")
      yield* chain.idle
      const left = yield* Effect.forEach(keys, (key) => Effect.map(store.tier.get(key), ({ _tag }) => _tag))
      assert.strictEqual(left.filter((each) => each === "Hit").length, 1)
    })
  )
})
