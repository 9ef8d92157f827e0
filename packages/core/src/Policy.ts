/**
 * How a chain uses one of its tiers: plain values, applied in one order, the deadline inside the retries.
 */
import * as Effect from "effect/Effect"
import * as Duration from "effect/Duration"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { type Operation, TierError, TimedOut } from "./TierError.ts"

export interface Policy {
  /** Time that one call may take. Default: 5 seconds; none for a tier in process memory. */
  readonly deadline?: Duration.Input | undefined
  /** When to call again after an error that `isRetryable`. Default: never. */
  readonly retry?: Schedule.Schedule<unknown, TierError> | undefined
  /** Largest blob to promote or write to a cache, in bytes. Default: what the tier takes. */
  readonly maxBytes?: number | undefined
}

/** Deadline of a tier outside the process, when its policy names none. */
export const defaultDeadline: Duration.Input = "5 seconds"

/** Applies a policy to a call; see `make`. */
export type Guard = <A>(operation: Operation, call: Effect.Effect<A, TierError>) => Effect.Effect<A, TierError>

/** Calls without deadline and retries. */
export const unguarded: Guard = (_operation, call) => call

/**
 * Builds the guard of one tier.
 *
 * Past the deadline the call is interrupted and `TimedOut` is answered at once, without waiting until the call has
 * taken notice: a call that cannot be interrupted (a read of a hung disk) goes on inside `scope`.
 */
export const guard = (tier: string, policy: Policy, scope: Scope.Scope): Guard => {
  const deadline = Duration.fromInputUnsafe(policy.deadline ?? defaultDeadline)
  const millis = Duration.toMillis(deadline)
  const within = <A>(operation: Operation, call: Effect.Effect<A, TierError>): Effect.Effect<A, TierError> =>
    Effect.flatMap(Effect.forkIn(call, scope, { startImmediately: true }), (fiber) =>
      Fiber.join(fiber).pipe(
        Effect.timeoutOption(deadline),
        Effect.onExit((exit) =>
          Effect.sync(() => {
            if (exit._tag === "Failure" || Option.isNone(exit.value)) fiber.interruptUnsafe()
          })
        ),
        Effect.flatMap(
          Option.match({
            onNone: () => Effect.fail(new TierError({ tier, operation, reason: new TimedOut({ millis }) })),
            onSome: (value) => Effect.succeed(value)
          })
        )
      )
    )
  const { retry } = policy
  return retry === undefined
    ? within
    : (operation, call) =>
        Effect.retry(within(operation, call), { schedule: retry, while: (error) => error.isRetryable })
}
