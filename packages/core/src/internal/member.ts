/**
 * A tier as one chain uses it: its role, its policy made into a guard, its counters.
 */
import type * as Scope from "effect/Scope"
import * as Policy from "../Policy.ts"
import type { Tier } from "../Tier.ts"
import type { Step } from "../Trail.ts"

export interface Counters {
  hits: number
  misses: number
  skipped: number
  failed: number
  stored: number
  declined: number
  writeFailed: number
  removed: number
}

export interface Member {
  readonly tier: Tier
  readonly role: "cache" | "store"
  readonly guard: Policy.Guard
  readonly maxBytes: number
  readonly counters: Counters
  /** In process memory: asked without a deadline, and before a flight is begun. */
  readonly inProcess: boolean
}

export const make = (
  tier: Tier,
  role: Member["role"],
  policy: Policy.Policy | undefined,
  scope: Scope.Scope
): Member => {
  const inProcess = !tier.capabilities.persistent && !tier.capabilities.shared
  return {
    tier,
    role,
    inProcess,
    guard:
      inProcess && policy?.deadline === undefined && policy?.retry === undefined
        ? Policy.unguarded
        : Policy.guard(tier.name, policy ?? {}, scope),
    maxBytes: policy?.maxBytes ?? tier.capabilities.maxBytes ?? Number.POSITIVE_INFINITY,
    counters: { hits: 0, misses: 0, skipped: 0, failed: 0, stored: 0, declined: 0, writeFailed: 0, removed: 0 }
  }
}

/** Counts a step of a lookup. */
export const count = (member: Member, outcome: Step["outcome"]["_tag"]): void => {
  const { counters } = member
  if (outcome === "Hit") counters.hits += 1
  else if (outcome === "Skipped") counters.skipped += 1
  else if (outcome === "Failed") counters.failed += 1
  else counters.misses += 1
}
