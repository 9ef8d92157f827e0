/**
 * The circuit breaker of one tier: after too many failures in a row it is not asked for a while.
 *
 * What counts as a failure is that the tier is unwell (`Unavailable`, `TimedOut`, `Throttled`). Any answer is a success,
 * a miss included; every other error says nothing about the tier's health and is ignored.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { BreakerOptions, Guard } from "../Policy.ts"
import { BreakerOpen, type Operation, type Reason, TierError } from "../TierError.ts"

export type BreakerState = "closed" | "half-open" | "open"

export interface Breaker {
  readonly around: (inner: Guard) => Guard
  /** A plain value, for metrics. */
  readonly state: () => BreakerState
}

const states = { Closed: "closed", HalfOpen: "half-open", Open: "open" } as const

/** Twice as long with every opening in a row, at most half a minute. */
const defaultOpenFor = Schedule.min([Schedule.exponential("1 second"), Schedule.spaced("30 seconds")])

const unwell: ReadonlySet<Reason["_tag"]> = new Set(["Unavailable", "TimedOut", "Throttled"] as const)

const classify = (exit: Exit.Exit<unknown, TierError>): CircuitBreaker.Outcome => {
  if (exit._tag === "Success") return CircuitBreaker.success
  const failure = exit.cause.reasons.find((reason) => reason._tag === "Fail")
  return failure !== undefined && unwell.has(failure.error.reason._tag)
    ? CircuitBreaker.failure()
    : CircuitBreaker.ignored
}

export const make = (tier: string, options: BreakerOptions, scope: Scope.Scope): Effect.Effect<Breaker> =>
  Effect.gen(function* () {
    let state: BreakerState = "closed"
    const context = yield* Layer.buildWithScope(CircuitBreaker.layerStoreMemory(), scope)
    const breaker = yield* CircuitBreaker.make({
      tripPolicy: CircuitBreaker.consecutive(options.failures ?? 5),
      openDuration: options.openFor ?? defaultOpenFor
    }).pipe(Effect.provide(context), Scope.provide(scope))
    yield* Stream.runForEach(breaker.transitions, ({ to }) =>
      Effect.suspend(() => {
        state = states[to]
        return state === "half-open" ? Effect.void : Effect.logWarning(`breaker ${state} tier=${tier}`)
      })
    ).pipe(Effect.forkIn(scope, { startImmediately: true }))
    return {
      around:
        (inner) =>
        <A>(operation: Operation, call: () => Effect.Effect<A, TierError>): Effect.Effect<A, TierError> =>
          Effect.catchTag(
            breaker.execute<A, TierError, never>(inner(operation, call), { key: tier, classify }),
            "CircuitBreakerError",
            ({ reason }) => Effect.fail(new TierError({ tier, operation, reason: rejection(reason) }))
          ),
      state: () => state
    }
  })

const rejection = (reason: CircuitBreaker.CircuitBreakerErrorReason): BreakerOpen =>
  reason._tag === "CircuitOpen"
    ? new BreakerOpen({ retryAfterMillis: Duration.toMillis(reason.retryAfter) })
    : new BreakerOpen({})
