import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { Backoffs } from "../src/internal/Backoffs.ts"
import * as Key from "../src/Key.ts"
import { key } from "./support/chains.ts"

const other = Key.makeUnsafe("hero", "other")

/** After how many milliseconds, from now on, a key is allowed: the first of these. */
const waitOf = (backoffs: Backoffs, candidates: ReadonlyArray<number>) =>
  Effect.map(Clock.currentTimeMillis, (now) => candidates.find((millis) => backoffs.allows(key, now + millis)))

describe("Backoffs", () => {
  it.effect("wait a second less up to a fifth, then twice as long each time, and never more than a minute", () =>
    Effect.gen(function* () {
      const backoffs = new Backoffs(10)
      for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60, 60]) {
        yield* backoffs.failed(key)
        const least = seconds * 800
        assert.strictEqual(yield* waitOf(backoffs, [least - 1, seconds * 1_000]), seconds * 1_000)
        assert.isTrue(backoffs.allows(other, yield* Clock.currentTimeMillis))
        yield* TestClock.adjust("2 minutes")
      }
    })
  )

  it.effect("begin anew after a success", () =>
    Effect.gen(function* () {
      const backoffs = new Backoffs(10)
      for (let failures = 0; failures < 5; failures++) yield* backoffs.failed(key)
      backoffs.succeeded(key)
      assert.strictEqual(yield* waitOf(backoffs, [0]), 0)
      yield* backoffs.failed(key)

      assert.strictEqual(yield* waitOf(backoffs, [0, 1_000]), 1_000)
    })
  )

  it.effect("do not last longer because the clock has gone back", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(3_600_000)
      const backoffs = new Backoffs(10)
      yield* backoffs.failed(key)
      yield* TestClock.setTime(0)

      assert.isTrue(backoffs.allows(key, yield* Clock.currentTimeMillis))
    })
  )

  it.effect("are remembered for a bounded number of keys", () =>
    Effect.gen(function* () {
      const backoffs = new Backoffs(1)
      yield* backoffs.failed(key)
      yield* backoffs.failed(other)

      assert.strictEqual(yield* waitOf(backoffs, [0]), 0)
      assert.isFalse(backoffs.allows(other, yield* Clock.currentTimeMillis))
    })
  )
})
