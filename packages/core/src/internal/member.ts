/**
 * A tier as one chain uses it: its role, its policy made into a guard, its counters.
 */
import type * as Scope from "effect/Scope"
import * as Policy from "../Policy.ts"
import type { Tier } from "../Tier.ts"
import type { Step } from "../Trail.ts"
import type { Activities } from "./activities.ts"

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
  /**
   * Calls the tier under its policy. A call is an activity of its own until it has really ended, also when nobody waits
   * for it any more, so that floors last until what it may still write has landed.
   */
  readonly call: Policy.Guard
  /** A failed write was tried more than once: an earlier try may have landed, whatever the last error says. */
  readonly retries: boolean
  readonly maxBytes: number
  readonly counters: Counters
  /** In process memory: asked without a deadline, and before a flight is begun. */
  readonly inProcess: boolean
  /** Too many copies of this cache are out of date and cannot be dropped: it is not asked any more. */
  isDistrusted: boolean
}

export const make = (
  tier: Tier,
  role: Member["role"],
  policy: Policy.Policy | undefined,
  activities: Activities,
  scope: Scope.Scope
): Member => {
  const inProcess = !tier.capabilities.persistent && !tier.capabilities.shared
  const guard = Policy.guard(tier.name, policy ?? {}, scope)
  return {
    tier,
    role,
    inProcess,
    call:
      inProcess && policy?.deadline === undefined && policy?.retry === undefined
        ? Policy.unguarded(tier.name)
        : (operation, call) => guard(operation, () => activities.during(call())),
    retries: policy?.retry !== undefined,
    maxBytes: policy?.maxBytes ?? tier.capabilities.maxBytes ?? Number.POSITIVE_INFINITY,
    counters: { hits: 0, misses: 0, skipped: 0, failed: 0, stored: 0, declined: 0, writeFailed: 0, removed: 0 },
    isDistrusted: false
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
