/**
 * Storage that outlives the tier, and the tiers that are opened on it: in truth one tier in memory, which nobody closes.
 */
import type * as Tier from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"
import type { Subject } from "./Mutant.ts"

export interface StorageTier {
  /** The storage as the tiers on it see it. */
  readonly stored: Tier.Tier
  /** Opens a tier, the first, second, … */
  readonly open: (opening: number) => Effect.Effect<Tier.Tier, TierError>
}

export const make = (memory: Tier.Tier): StorageTier => {
  const stored: Tier.Tier = {
    ...memory,
    peek: undefined,
    capabilities: { ...memory.capabilities, persistent: true, shared: true, atomicPut: "shared" }
  }
  return { stored, open: () => Effect.succeed({ ...stored }) }
}

/** The first tier on the storage, and how a case opens others. */
export const subject = (self: StorageTier): Effect.Effect<Subject> =>
  Effect.suspend(() => {
    let openings = 0
    const reopen = Effect.orDie(Effect.suspend(() => self.open(openings++)))
    return Effect.map(reopen, (tier) => ({ tier, options: { reopen, openAnother: reopen } }))
  })
