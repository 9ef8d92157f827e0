/**
 * Generations that other writers have given.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import * as Blob from "../src/Blob.ts"
import { greatest } from "../src/Generation.ts"
import * as Key from "../src/Key.ts"
import { draft, key, text, threeTiers } from "./support/chains.ts"
import { blobAt } from "./support/shared.ts"

const other = Key.makeUnsafe("other", "x")

describe("a blob of a generation ahead of the clock", () => {
  it.effect("that is stale is made anew", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* threeTiers()
      yield* TestClock.adjust("1 second")
      yield* store.tier.put(
        Blob.make(key, Buffer.from("old"), {
          contentType: "t",
          generation: greatest - 100,
          createdAt: 0,
          freshUntil: 10
        })
      )
      yield* chain.getOrMake(key, Effect.succeed(draft("new")))
      yield* chain.idle

      assert.strictEqual(text(yield* chain.get(key)), "new")
    })
  )

  for (const [name, generation] of [
    ["that no clock will ever show", greatest + 1],
    ["that is the greatest number", Number.MAX_SAFE_INTEGER]
  ] as const) {
    it.effect(`${name} keeps no other key from being written, once it was read, written or compared`, () =>
      Effect.gen(function* () {
        const { chain, store } = yield* threeTiers()
        yield* store.tier.put(blobAt("poison", generation, other))
        yield* chain.get(other)
        yield* Effect.exit(chain.put(other, draft("better")))
        yield* Effect.exit(chain.remove(other))
        yield* chain.put(key, draft("one"))
        const { header } = yield* chain.put(key, draft("two"))

        assert.strictEqual(text(yield* chain.get(key)), "two")
        assert.isBelow(header.generation, greatest)
      })
    )
  }

  it.effect("that no clock will ever show is removed by who names it", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* threeTiers()
      yield* store.tier.put(blobAt("poison", Number.MAX_SAFE_INTEGER - 1, other))
      assert.strictEqual((yield* Effect.flip(chain.put(other, draft("better"))))._tag, "Contended")
      yield* chain.remove(other, { expected: Number.MAX_SAFE_INTEGER - 1 })
      yield* chain.put(other, draft("better"))

      assert.strictEqual(text(yield* chain.get(other)), "better")
    })
  )
})
