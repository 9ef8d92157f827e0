import { assert, describe, it } from "@effect/vitest"
import * as Chain from "@terrace/core/Chain"
import * as Key from "@terrace/core/Key"
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as Effect from "effect/Effect"
import * as TierStatus from "../src/TierStatus.ts"

const draft = (size: number): Chain.Draft => ({ bytes: Buffer.alloc(size, 1), contentType: "image/webp" })
const key = Key.makeUnsafe("hero", "master")

describe("TierStatus", () => {
  it.effect("tells what a tier holds once, and what it did in each chain that it stands in", () =>
    Effect.gen(function* () {
      const store = yield* MemoryTier.make({ maxBytes: 1_000_000, name: "store" })
      const shared = yield* MemoryTier.make({ maxBytes: 1_000_000, maxEntries: 1 })
      const one = yield* Chain.make({ name: "one", caches: [{ tier: shared }], store: { tier: store } })
      const other = yield* Chain.make({ name: "other", caches: [{ tier: shared }] })
      yield* one.put(key, draft(10))
      yield* one.get(key)
      yield* other.getOrMake(Key.makeUnsafe("hero", "thumb"), Effect.succeed(draft(20)))
      yield* other.idle

      const [first, second] = yield* TierStatus.report([
        { chain: one, tiers: [shared, store] },
        { chain: other, tiers: [shared] }
      ])

      const [memory, truth] = first?.tiers ?? []
      const [again] = second?.tiers ?? []
      assert.deepInclude(memory, { tier: "memory", role: "cache", sharedWith: undefined, evictions: 1 })
      assert.deepInclude(memory?.usage, { entries: 1, limit: 1_000_000 })
      assert.deepInclude(truth, { tier: "store", role: "store", sharedWith: undefined, evictions: 0 })
      assert.deepInclude(again, { tier: "memory", sharedWith: "one", usage: undefined, evictions: undefined })
      assert.deepInclude(memory?.counters, { hits: 1, misses: 0, stored: 1 })
      assert.deepInclude(again?.counters, { hits: 0, misses: 1, stored: 1 })
    })
  )

  it.effect("tells breakers, what was declined and why, and what was promoted", () =>
    Effect.gen(function* () {
      const store = yield* MemoryTier.make({ maxBytes: 1_000_000, name: "store" })
      const memory = yield* MemoryTier.make({ maxBytes: 100_000, maxEntryBytes: 1_000 })
      const chain = yield* Chain.make({ name: "masters", caches: [{ tier: memory }], store: { tier: store } })
      yield* chain.put(key, draft(10))
      yield* memory.removeGroup("hero", Number.MAX_SAFE_INTEGER)
      yield* chain.get(key)
      yield* chain.idle
      yield* chain.put(Key.makeUnsafe("large", "master"), draft(2_000))

      const [masters] = yield* TierStatus.report([{ chain, tiers: [memory, store] }])

      assert.deepInclude(masters?.tiers[0], { breaker: "closed" })
      assert.deepInclude(masters?.tiers[0]?.counters, {
        promoted: 1,
        stored: 2,
        declined: { "too-large": 1, admission: 0, "read-only": 0, expired: 0 }
      })
    })
  )
})
