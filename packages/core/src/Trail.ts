/**
 * What each tier did for one request, in the order it was asked.
 *
 * Feeds `Cache-Status`, `Server-Timing`, logs and metrics.
 */
import type { DeclineReason, SkipReason } from "./Tier.ts"
import type { Reason } from "./TierError.ts"

export type Outcome =
  | { readonly _tag: "Hit" }
  | { readonly _tag: "Miss" }
  /** The tier could not say. */
  | { readonly _tag: "Skipped"; readonly why: SkipReason }
  /** The tier had a copy from before a put or remove; it was not used. */
  | { readonly _tag: "Outdated" }
  | { readonly _tag: "Expired" }
  | { readonly _tag: "Failed"; readonly reason: Reason["_tag"] }
  | { readonly _tag: "Made" }
  /** The store was asked whether it has the copy of the step before, and does. */
  | { readonly _tag: "Confirmed" }
  /** The store was asked whether it has the copy of the step before, and could not say: it was served all the same. */
  | { readonly _tag: "Unconfirmed"; readonly why: SkipReason | Reason["_tag"] }
  | { readonly _tag: "Declined"; readonly why: DeclineReason }
  /** The origin had the key and has let go of it, since a store has taken it over. */
  | { readonly _tag: "LetGo" }

export interface Step {
  /** Name of the tier or origin, or `producer`; `headers` and `absences` are what the chain remembers itself. */
  readonly tier: string
  readonly outcome: Outcome
  /** Time the step took, in milliseconds. */
  readonly millis: number
}

export interface Trail {
  readonly steps: ReadonlyArray<Step>
  /** Whether this request shared a flight that another began. */
  readonly joined: boolean
}

/** The tier, the origin, or `producer`, that answered. */
export const answeredBy = (trail: Trail): string | undefined =>
  trail.steps.findLast((step) => step.outcome._tag === "Hit" || step.outcome._tag === "Made")?.tier

/** Whether the answer was made for it, by a producer or of what an origin has. */
export const isMade = (trail: Trail): boolean => trail.steps.some((step) => step.outcome._tag === "Made")

/** Whether some tier could not say whether it has the blob. */
export const isInconclusive = (trail: Trail): boolean =>
  trail.steps.some((step) => step.outcome._tag === "Skipped" || step.outcome._tag === "Failed")

/** Whether the origin had the key once, and has let go of it. */
export const isLetGo = (trail: Trail): boolean => trail.steps.some((step) => step.outcome._tag === "LetGo")

/** Whether what was served could not be compared with the store, though it was due. */
export const isUnconfirmed = (trail: Trail): boolean => trail.steps.some((step) => step.outcome._tag === "Unconfirmed")
