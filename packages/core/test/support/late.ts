/**
 * Chains for tests over a store that nobody else writes to, whose answers come late or never.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import * as Chain from "../../src/Chain.ts"
import type { Policy } from "../../src/Policy.ts"
import type * as Tier from "../../src/Tier.ts"
import { TierError } from "../../src/TierError.ts"
import { key, local, remote } from "./chains.ts"
import * as Controlled from "./Controlled.ts"
import { fork, landingLate } from "./shared.ts"

/** memory → store that nobody else writes to. */
export const over = (tier: Tier.Tier, policy: Policy = {}, options: Partial<Chain.Options> = {}) =>
  Effect.gen(function* () {
    const memory = yield* local()
    const chain = yield* Chain.make<string>({
      name: "test",
      caches: [{ tier: memory.tier }],
      store: { tier, policy: { breaker: false, ...policy } },
      ...options
    })
    return { chain, memory }
  })

/** A chain over a store whose writes can be made to land late; `store` counts and holds what the chain calls. */
export const overLate = (policy: Policy = {}, options: Partial<Chain.Options> = {}) =>
  Effect.gen(function* () {
    const disk = yield* remote("store")
    const late = landingLate(disk.tier)
    const store = Controlled.make(late.tier)
    const made = yield* over(store.tier, policy, options)
    /** Begins a write that is given up at its deadline. */
    const giveUp = <A, E>(write: Effect.Effect<A, E>) =>
      Effect.gen(function* () {
        late.begin()
        const writer = yield* fork(Effect.flip(write))
        yield* TestClock.adjust("5 seconds")
        const error = yield* Fiber.join(writer)
        assert.isTrue(error instanceof TierError && error.reason._tag === "TimedOut")
        late.end()
      })
    return { ...made, disk, late, store, giveUp }
  })

/** What the store has, past the chain. */
export const stored = (store: Controlled.Controlled) =>
  Effect.map(store.tier.get(key), (read) =>
    read._tag === "Hit" && read.blob.body._tag === "Inline" ? Buffer.from(read.blob.body.bytes).toString() : read._tag
  )
