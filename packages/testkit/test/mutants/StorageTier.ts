/**
 * Storage that outlives the tier, and the tiers that are opened on it: in truth one tier in memory, which nobody closes.
 */
import * as Tier from "@terrace/core/Tier"
import { TierError, Unavailable } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"
import type { Subject } from "./Mutant.ts"

export interface StorageTier {
  /** The storage as the tiers on it see it. */
  readonly stored: Tier.Tier
  /** Opens a tier, the first, second, … */
  readonly open: (opening: number) => Effect.Effect<Tier.Tier, TierError>
  /** What a tier reads that was closed. Default: `Skipped`. */
  readonly closedRead?: (Tier.Read & Tier.ReadHeader) | undefined
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
    let current = { isClosed: false }
    const openWith = (state: State) =>
      Effect.map(Effect.orDie(Effect.suspend(() => self.open(openings++))), (tier) =>
        closable(tier, state, self.closedRead)
      )
    const reopen = Effect.suspend(() => {
      current.isClosed = true
      current = { isClosed: false }
      return openWith(current)
    })
    const openAnother = openWith({ isClosed: false })
    return Effect.map(openWith(current), (tier) => ({ tier, options: { reopen, openAnother } }))
  })

interface State {
  readonly isClosed: boolean
}

/** Answers calls until it is closed. */
const closable = (
  tier: Tier.Tier,
  state: State,
  closedRead: Tier.Read & Tier.ReadHeader = Tier.skipped("closed")
): Tier.Tier => ({
  ...tier,
  get: (key) => Effect.suspend(() => (state.isClosed ? Effect.succeed(closedRead) : tier.get(key))),
  head: (key) => Effect.suspend(() => (state.isClosed ? Effect.succeed(closedRead) : tier.head(key))),
  put: (blob, options) =>
    Effect.suspend(() =>
      state.isClosed
        ? Effect.fail(
            new TierError({
              tier: tier.name,
              operation: "put",
              reason: new Unavailable({ cause: "the tier is closed" })
            })
          )
        : tier.put(blob, options)
    )
})
