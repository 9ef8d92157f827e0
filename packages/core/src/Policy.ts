/**
 * How a chain uses one of its tiers: plain values, applied in one order: the deadline inside the retries inside the breaker.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { bounded } from "./internal/bounded.ts"
import { type Operation, TierError, TimedOut, Unknown } from "./TierError.ts"

export interface Policy {
  /** Time that one call may take. Default: 5 seconds; none for a tier in process memory. */
  readonly deadline?: Duration.Input | undefined
  /**
   * Time that a reader may have to wait: for one `get`, `head` or `open`, and for each piece of a streamed body. Where
   * writes of large blobs take long, reads need not. Default: `deadline`.
   */
  readonly readDeadline?: Duration.Input | undefined
  /** When to call again after an error that `isRetryable`. Default: never. */
  readonly retry?: Schedule.Schedule<unknown, TierError> | undefined
  /** When to stop asking a tier that is unwell. `false`: never. Default: as `BreakerOptions`; none in process memory. */
  readonly breaker?: BreakerOptions | false | undefined
  /** Largest blob to promote or write to a cache, in bytes. Default: what the tier takes. */
  readonly maxBytes?: number | undefined
  /**
   * Copy into this cache only what was found, or made, for the second time: what is asked for once does not push out
   * what is asked for often. A touch is one flight, not one reader; a put is always copied. Default: false.
   */
  readonly secondTouch?: boolean | undefined
}

/** A tier that fails to answer counts as unwell: `Unavailable`, `TimedOut`, `Throttled`. */
export interface BreakerOptions {
  /** Failures in a row after which the breaker opens. Default: 5. */
  readonly failures?: number | undefined
  /** How long it stays open before one call may try. Default: one second, doubled with every opening, up to 30 seconds. */
  readonly openFor?: Duration.Input | Schedule.Schedule<unknown, number> | undefined
}

/** Deadline of a tier outside the process, when its policy names none. */
export const defaultDeadline: Duration.Input = "5 seconds"

/** Operations that a reader waits for. */
export const reads: ReadonlySet<Operation> = new Set(["get", "head", "open"] as const)

/** Time that one call of an operation may take. */
export const deadlineOf = (policy: Policy): ((operation: Operation) => Duration.Duration) => {
  const ofOthers = Duration.fromInputUnsafe(policy.deadline ?? defaultDeadline)
  const ofRead = policy.readDeadline === undefined ? ofOthers : Duration.fromInputUnsafe(policy.readDeadline)
  return (operation) => (reads.has(operation) ? ofRead : ofOthers)
}

/** Applies a policy to a call; see `guard`. Once `isWanted` (default: always) says no, a call that fails is its last try. */
export type Guard = <A>(
  operation: Operation,
  call: () => Effect.Effect<A, TierError>,
  isWanted?: () => boolean
) => Effect.Effect<A, TierError>

/**
 * Calls a tier without deadline and retries. A tier that throws or dies has a bug, which is an error of the tier like
 * any other: `Unknown`.
 */
export const unguarded =
  (tier: string): Guard =>
  (operation, call) =>
    Effect.catchDefect(Effect.suspend(call), (cause) =>
      Effect.fail(new TierError({ tier, operation, reason: new Unknown({ cause }) }))
    )

/**
 * Builds the guard of one tier: each try is a call as `unguarded` makes it, within the deadline; retries around that. The
 * breaker, which has state, is the chain's.
 *
 * Past the deadline `TimedOut` is answered at once. The call is told to stop, but not waited for; what cannot be stopped
 * goes on inside `scope`.
 */
export const guard = (tier: string, policy: Policy, scope: Scope.Scope): Guard => {
  const deadline = deadlineOf(policy)
  const { retry } = policy
  const once: Guard = (operation, call) =>
    bounded(
      unguarded(tier)(operation, call),
      deadline(operation),
      scope,
      () => new TierError({ tier, operation, reason: new TimedOut({ millis: Duration.toMillis(deadline(operation)) }) })
    )
  return retry === undefined
    ? once
    : (operation, call, isWanted = () => true) =>
        Effect.retry(once(operation, call), { schedule: retry, while: (error) => error.isRetryable && isWanted() })
}
