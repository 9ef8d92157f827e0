/**
 * What is held until it has been written back, and what is left out instead.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Key from "../src/Key.ts"
import { cachesOnly, draft, key, text, threeTiers } from "./support/chains.ts"
import { metric, test } from "./support/streaming.ts"

describe("a producer", () => {
  it.effect("has its result kept up to the bytes that may be held, and only answered above", () =>
    Effect.gen(function* () {
      const { chain, memory } = yield* cachesOnly({ maxHeldBytes: 2_048 + 10 })
      yield* chain.getOrMake(key, Effect.succeed(draft("8 bytes.")))
      yield* chain.idle
      assert.strictEqual((yield* memory.tier.get(key))._tag, "Hit")
      yield* chain.remove(key)

      assert.strictEqual(text(yield* chain.getOrMake(key, Effect.succeed(draft("eleven bytes")))), "eleven bytes")
      yield* chain.idle

      assert.strictEqual((yield* memory.tier.get(key))._tag, "Miss")
    })
  )

  test("has its result answered and not stored while the store holds too many bytes up, and made again", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* threeTiers({ maxHeldBytes: 100_000 })
      const gate = store.before("put")
      for (let index = 0; index < 20; index++) {
        const found = yield* chain.getOrMake(
          Key.makeUnsafe("hero", `v${index}`),
          Effect.succeed(draft("x".repeat(30_000)))
        )
        assert.strictEqual(found.blob.header.size, 30_000)
      }
      assert.strictEqual(store.calls.put, 3)
      assert.isAtMost(yield* metric("terrace_held_bytes"), 100_000)
      assert.strictEqual(yield* metric("terrace_unkept"), 17)
      yield* gate.open
      yield* chain.idle
      assert.strictEqual(yield* metric("terrace_held_bytes"), 0)

      const at = Key.makeUnsafe("hero", "v19")
      yield* chain.getOrMake(at, Effect.succeed(draft("again")))
      yield* chain.idle
      assert.strictEqual((yield* store.tier.get(at))._tag, "Hit")
    }))

  it.effect("has its result stored though it is larger than what may be held, if nothing else is", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* threeTiers({ maxHeldBytes: 10 })
      yield* chain.getOrMake(key, Effect.succeed(draft("eleven bytes")))
      yield* chain.idle

      assert.strictEqual((yield* store.tier.get(key))._tag, "Hit")
    })
  )

  it.effect("with a store, has its result kept in the caches up to those bytes", () =>
    Effect.gen(function* () {
      const { chain, memory } = yield* threeTiers({ maxHeldBytes: 2_048 + 10 })
      yield* chain.getOrMake(key, Effect.succeed(draft("8 bytes.")))
      yield* chain.idle

      assert.strictEqual((yield* memory.tier.get(key))._tag, "Hit")
    })
  )
})
