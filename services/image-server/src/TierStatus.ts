/**
 * What the tiers of several chains report, nothing twice.
 *
 * A tier may stand in more than one chain. What it did there (hits, writes, its breaker) is counted by each chain; what it
 * holds is its own, and is told under the first chain that it stands in. Under the others it names that chain instead, so
 * that sums over all chains are right.
 */
import type * as Chain from "@terrace/core/Chain"
import type { Tier, Usage } from "@terrace/core/Tier"
import * as Effect from "effect/Effect"

/** A chain and its tiers, in the order of `Chain.status`: the caches, then the store; an origin, which comes after them, is no tier. */
export interface Member {
  readonly chain: Pick<Chain.Chain, "name" | "status">
  readonly tiers: ReadonlyArray<Tier>
}

export interface TierReport {
  readonly tier: string
  readonly role: Chain.Role
  /** The chain under which `usage` and `evictions` of this same tier are told; undefined: here. */
  readonly sharedWith: string | undefined
  /** Undefined also if the tier could not say. */
  readonly usage: Usage | undefined
  /** Blobs dropped to make room since the start; undefined also for a tier that drops none. */
  readonly evictions: number | undefined
  readonly breaker: Chain.TierStatus["breaker"]
  readonly counters: Chain.TierStatus["counters"]
}

export interface ChainReport {
  readonly chain: string
  readonly tiers: ReadonlyArray<TierReport>
}

export const report = (members: ReadonlyArray<Member>): Effect.Effect<ReadonlyArray<ChainReport>> =>
  Effect.suspend(() => {
    const told = new Map<Tier, string>()
    return Effect.forEach(members, ({ chain, tiers }) =>
      Effect.map(chain.status, (statuses) => ({
        chain: chain.name,
        tiers: statuses.map((status, position) => {
          const tier = tiers[position]
          const sharedWith = tier && told.get(tier)
          if (tier !== undefined && sharedWith === undefined) told.set(tier, chain.name)
          return sharedWith === undefined
            ? tierReport(status, { usage: status.usage, evictions: tier?.evictions?.() })
            : tierReport(status, { sharedWith })
        })
      }))
    )
  })

const tierReport = (
  { breaker, counters, role, tier }: Chain.TierStatus,
  holding: Partial<Pick<TierReport, "sharedWith" | "usage" | "evictions">>
): TierReport => ({
  tier,
  role,
  sharedWith: holding.sharedWith,
  usage: holding.usage,
  evictions: holding.evictions,
  breaker,
  counters
})
