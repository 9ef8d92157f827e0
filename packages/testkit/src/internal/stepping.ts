/**
 * Stops an effect after any number of its steps.
 *
 * A fiber runs on until it waits, so an effect that never waits could be stopped before it begins and after it has ended
 * only. Here the fiber gives way after every few operations, which makes each place where the runtime may interrupt it a
 * step of its own. Where it waits for a device, the steps go by until the device has answered.
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { MaxOpsBeforeYield } from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import { start, stop } from "./running.ts"

/** The least number of operations with which a fiber gets on: one returns from giving way, one resumes. */
const operationsPerStep = 3

/** Enough for a call that waits some milliseconds for a device. */
const maxSteps = 3_000

/** Gives way after every few operations. */
export const inSteps = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(effect, MaxOpsBeforeYield, operationsPerStep)

/** Starts an effect that `advance` moves on. */
export const begin = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<Fiber.Fiber<A, E>, never, R | Scope.Scope> => start(inSteps(effect))

/** Lets every fiber that can run make so many steps. */
export const advance = (steps: number): Effect.Effect<void> =>
  Effect.forEach(Array.from({ length: steps }), () => Effect.yieldNow, { discard: true })

/** Begins the effect, interrupts it after so many steps, and waits until it is over; it must be so soon. */
export const interruptAfter = <A, E, R>(
  steps: number,
  effect: Effect.Effect<A, E, R>,
  what: string
): Effect.Effect<Exit.Exit<A, E>, never, R> =>
  Effect.scoped(
    Effect.gen(function* () {
      const fiber = yield* begin(effect)
      yield* advance(steps)
      return yield* stop(fiber, `${what}, interrupted after ${steps} steps,`)
    })
  )

/**
 * Calls `round` with 0, 1, 2, … steps, with growing strides from `fine` on, until the effect of a round came to its end
 * before it was stopped: what `round` answers.
 */
export const untilDone = Effect.fnUntraced(function* <E, R>(
  fine: number,
  round: (steps: number) => Effect.Effect<boolean, E, R>
) {
  for (let steps = 0; steps <= maxSteps; steps += steps < fine ? 1 : Math.ceil(steps / 3)) {
    if (yield* round(steps)) return
  }
})
