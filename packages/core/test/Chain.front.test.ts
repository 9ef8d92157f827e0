/**
 * The look into process memory before a flight begins.
 */
import { assert, describe, it } from "@effect/vitest"
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import * as Chain from "../src/Chain.ts"
import type { Tier } from "../src/Tier.ts"
import { Unavailable } from "../src/TierError.ts"
import { draft, key, local, outcomes, remote, text } from "./support/chains.ts"
import { blobAt, fork, sharedStore } from "./support/shared.ts"

const down = new Unavailable({ cause: "down" })

/** A tier in process memory that can be peeked into, and counts how often. */
const peeking = Effect.map(MemoryTier.make({ maxBytes: 1_000_000 }), (inner) => {
  const calls = { peek: 0, get: 0 }
  const tier: Tier = {
    ...inner,
    peek: (at) => {
      calls.peek += 1
      return inner.peek?.(at) ?? { _tag: "Miss" }
    },
    get: (at) => {
      calls.get += 1
      return inner.get(at)
    }
  }
  return { calls, tier }
})

describe("a tier in process memory", () => {
  it.effect("is asked once for what it does not have", () =>
    Effect.gen(function* () {
      const memory = yield* local()
      const store = yield* remote("store")
      const chain = yield* Chain.make<string>({
        name: "t",
        caches: [{ tier: memory.tier }],
        store: { tier: store.tier }
      })
      yield* chain.get(key)

      assert.strictEqual(memory.calls.get, 1)
    })
  )

  it.effect("that can be peeked into is not asked for what it has", () =>
    Effect.gen(function* () {
      const { calls, tier } = yield* peeking
      const store = yield* remote("store")
      const chain = yield* Chain.make<string>({ name: "t", caches: [{ tier }], store: { tier: store.tier } })
      yield* chain.put(key, draft("x"))

      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit"])
      assert.deepStrictEqual(outcomes(yield* chain.getOrMake(key, Effect.die("ran"))), ["memory Hit"])
      assert.deepStrictEqual(calls, { peek: 2, get: 0 })
    })
  )

  it.effect("is held to its deadline by the first look too", () =>
    Effect.gen(function* () {
      const memory = yield* local()
      const store = yield* remote("store")
      yield* store.tier.put(blobAt("x", 5))
      const hung: Tier = { ...memory.tier, get: () => Effect.never }
      const chain = yield* Chain.make<string>({
        name: "test",
        caches: [{ tier: hung, policy: { deadline: "50 millis" } }],
        store: { tier: store.tier }
      })
      const reader = yield* fork(chain.get(key))
      yield* TestClock.adjust("50 millis")

      assert.deepStrictEqual(outcomes(yield* Fiber.join(reader)), ["memory Failed", "store Hit"])
    })
  )

  it.effect("is not looked into while its breaker is open", () =>
    Effect.gen(function* () {
      const { calls, tier } = yield* peeking
      const failing = yield* local()
      failing.fail("put", down)
      const store = yield* remote("store")
      yield* store.tier.put(blobAt("x", 5))
      const chain = yield* Chain.make<string>({
        name: "test",
        caches: [{ tier: { ...tier, put: failing.tier.put }, policy: { breaker: { failures: 1 } } }],
        store: { tier: store.tier }
      })
      yield* chain.get(key)
      yield* chain.idle
      const before = { ...calls }
      const found = yield* chain.get(key)

      assert.deepStrictEqual(outcomes(found), ["memory Skipped", "store Hit"])
      assert.deepStrictEqual(calls, before)
    })
  )

  it.effect("answers with what is due, and has it compared behind the answer", () =>
    Effect.gen(function* () {
      const { tier } = yield* peeking
      const store = yield* sharedStore()
      const chain = yield* Chain.make<string>({ name: "t", caches: [{ tier }], store: { tier: store.tier } })
      yield* chain.put(key, draft("x"))
      yield* TestClock.adjust("30 seconds")
      const gate = store.before("head")
      const found = yield* chain.get(key)
      yield* gate.reached
      yield* gate.open

      assert.strictEqual(text(found), "x")
      assert.deepStrictEqual(outcomes(found), ["memory Hit"])
    })
  )
})
