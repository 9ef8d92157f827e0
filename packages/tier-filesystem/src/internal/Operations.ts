/**
 * Runs operations so that neither their callers nor the end of the tier leave one in the middle.
 *
 * Each one runs in a fiber of the tier's own scope, uninterruptible but for the places where it waits for others (see
 * `Files` for why). Who interrupts its caller, or closes the tier, interrupts it at such a place, where it undoes what it
 * began, or waits until it is done.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"

/** Runs `operation`; `closed` if the tier is closed, or closes while the operation waits. */
export const run = <A, E>(
  scope: Scope.Scope,
  operation: Effect.Effect<A, E>,
  closed: Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() =>
      scope.state._tag === "Closed"
        ? closed
        : Effect.flatMap(Effect.forkIn(operation, scope, { startImmediately: true, uninterruptible: true }), (fiber) =>
            restore(Fiber.await(fiber)).pipe(
              Effect.onInterrupt(() => Fiber.interrupt(fiber)),
              Effect.flatMap((exit) =>
                exit._tag === "Failure" && Cause.hasInterruptsOnly(exit.cause) && scope.state._tag === "Closed"
                  ? closed
                  : exit
              )
            )
          )
    )
  )
