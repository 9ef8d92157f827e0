import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import * as Blob from "../src/Blob.ts"
import * as Key from "../src/Key.ts"
import * as Origin from "../src/Origin.ts"
import { draft, key, outcomes, text } from "./support/chains.ts"
import { generationIn, once, setup, stored, unavailable } from "./support/origins.ts"

describe("what an origin has given, and still has", () => {
  /** As a process leaves it that has died between storing and letting go. */
  const halfway = (contents: Record<string, string> = once, options: Parameters<typeof setup>[1] = {}) =>
    Effect.gen(function* () {
      const made = yield* setup(contents, options)
      const bytes = Buffer.from("made of base64")
      const header = { contentType: "text/plain", generation: Origin.generation, createdAt: 86_400_000 }
      yield* made.store.tier.put(Blob.make(key, bytes, header))
      return made
    })

  /** Whoever has made it has had its time. */
  const later = TestClock.adjust("10 seconds")

  it.effect("is let go of by who finds it, once whoever has stored it has had its time", () =>
    Effect.gen(function* () {
      const { chain, source, store } = yield* halfway()
      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Miss", "store Hit"])
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual(source.calls, { read: 0, make: 0, release: 0 })
      yield* TestClock.adjust("1 second")
      yield* chain.idle

      assert.deepStrictEqual(source.calls, { read: 1, make: 1, release: 1 })
      assert.isFalse(source.contents.has(key.text))
      assert.strictEqual(yield* generationIn(store.tier), Origin.generation)
    })
  )

  it.effect("at once if it has been there for long, and once only", () =>
    Effect.gen(function* () {
      const { chain, memory, source } = yield* halfway()
      yield* later
      for (let round = 0; round < 3; round++) {
        yield* chain.get(key)
        yield* chain.idle
        yield* memory.tier.remove(key, Number.MAX_SAFE_INTEGER)
      }

      assert.deepStrictEqual(source.calls, { read: 1, make: 1, release: 1 })
    })
  )

  it.effect("takes the place of what is stored if it differs, and is let go of then", () =>
    Effect.gen(function* () {
      const { chain, source } = yield* halfway({ [key.text]: "another" })
      yield* later
      assert.strictEqual(text(yield* chain.get(key)), "made of base64")
      yield* chain.idle

      assert.strictEqual(text(yield* chain.get(key)), "made of another")
      assert.isFalse(source.contents.has(key.text))
    })
  )

  it.effect("is asked about for a hundred keys at a time, and for others when they are found again", () =>
    Effect.gen(function* () {
      const keys = Array.from({ length: 101 }, (_, index) => Key.makeUnsafe(`image-${index}`, "master"))
      const { chain, memory, source, store } = yield* setup(
        Object.fromEntries(keys.map(({ text }) => [text, "base64"]))
      )
      const header = { contentType: "text/plain", generation: Origin.generation, createdAt: 86_400_000 }
      for (const each of keys) {
        yield* store.tier.put(Blob.make(each, Buffer.from("made of base64"), header))
        yield* chain.get(each)
      }
      yield* later
      yield* chain.idle
      assert.strictEqual(source.calls.read, 100)

      yield* memory.tier.remove(keys[100] ?? key, Number.MAX_SAFE_INTEGER)
      yield* chain.get(keys[100] ?? key)
      yield* chain.idle

      assert.strictEqual(source.contents.size, 0)
    })
  )

  it.effect("is asked about again if the origin could not say", () =>
    Effect.gen(function* () {
      const { chain, memory, source } = yield* halfway()
      yield* later
      source.failing = unavailable
      yield* chain.get(key)
      yield* chain.idle
      assert.isTrue(source.contents.has(key.text))
      source.failing = undefined
      yield* memory.tier.remove(key, Number.MAX_SAFE_INTEGER)
      yield* chain.get(key)
      yield* chain.idle

      assert.isFalse(source.contents.has(key.text))
    })
  )

  it.effect("that is gone by the time that it is to be let go of leaves what is stored as it is", () =>
    Effect.gen(function* () {
      const { chain, source, store } = yield* halfway()
      yield* later
      source.beforeMake = Effect.sync(() => source.contents.delete(key.text))
      yield* chain.get(key)
      yield* chain.idle

      assert.strictEqual(source.calls.release, 1)
      assert.strictEqual(yield* stored(store.tier), "made of base64")
    })
  )

  it.effect(
    "is not asked about for what was put, nor where the store is not durable, nor after what this process has had let go",
    () =>
      Effect.gen(function* () {
        const { chain, memory, source } = yield* setup(once)
        yield* chain.get(key)
        yield* chain.idle
        yield* later
        yield* memory.tier.remove(key, Number.MAX_SAFE_INTEGER)
        yield* chain.get(key)
        assert.deepStrictEqual(source.calls, { read: 1, make: 1, release: 1 })

        const put = yield* setup(once)
        yield* put.chain.put(key, draft("uploaded"))
        yield* put.memory.tier.remove(key, Number.MAX_SAFE_INTEGER)
        yield* put.chain.get(key)
        const volatile = yield* halfway(once, { isDurable: false })
        yield* volatile.chain.get(key)
        yield* later
        for (const { calls } of [put.source, volatile.source]) assert.strictEqual(calls.read, 0)
      })
  )
})
