/**
 * Runs operations within the life of the tier.
 *
 * Each one runs in a fiber of the tier's own scope. Who interrupts its caller, or closes the tier, interrupts it, and
 * waits until it is over: a request that changes something goes on to its end.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"

/** Runs `operation`; `closed` if the tier is closed, or closes meanwhile. */
export const run = <A, E>(
  scope: Scope.Scope,
  operation: Effect.Effect<A, E>,
  closed: Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() =>
      scope.state._tag === "Closed"
        ? closed
        : Effect.flatMap(Effect.forkIn(Effect.interruptible(operation), scope, { startImmediately: true }), (fiber) =>
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
