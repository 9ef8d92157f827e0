/**
 * Waits for an effect no longer than a time, whether or not it can be interrupted.
 *
 * The effect runs in a fiber of `scope`. Past the time, or when the caller is interrupted, it is told to stop and not
 * waited for: an effect that cannot be interrupted (a read of a hung disk) goes on by itself.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"

export const bounded = <A, E, E2>(
  effect: Effect.Effect<A, E>,
  duration: Duration.Duration,
  scope: Scope.Scope,
  onTimeout: () => E2
): Effect.Effect<A, E | E2> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.forkIn(effect, scope, { startImmediately: true }), (fiber) =>
      restore(Effect.timeoutOption(Fiber.join(fiber), duration)).pipe(
        Effect.onExit((exit) =>
          Effect.sync(() => {
            if (exit._tag === "Failure" || Option.isNone(exit.value)) fiber.interruptUnsafe()
          })
        ),
        Effect.flatMap(
          Option.match({
            onNone: () => Effect.fail(onTimeout()),
            onSome: (value) => Effect.succeed(value)
          })
        )
      )
    )
  )
