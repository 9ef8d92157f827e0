/**
 * Bounds by real time: what does not end is named, instead of waited for until the runner gives up.
 *
 * Nothing here waits for a fiber that was told to stop, since a tier may have a bug which keeps it from ending.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { withLiveClock } from "./liveClock.ts"

const stopMillis = 5_000

/** Starts an effect, which is told to stop when the scope closes. */
export const start = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  options?: { readonly startImmediately?: boolean }
): Effect.Effect<Fiber.Fiber<A, E>, never, R | Scope.Scope> =>
  Effect.acquireRelease(Effect.forkDetach(effect, options), (fiber) => Effect.sync(() => fiber.interruptUnsafe()))

/** How the fiber ends, within so many milliseconds of the real clock. */
const within = Effect.fnUntraced(function* <A, E>(fiber: Fiber.Fiber<A, E>, millis: number, problem: string) {
  const exit = yield* withLiveClock(Effect.timeoutOption(Fiber.await(fiber), millis))
  return exit._tag === "Some" ? exit.value : assert.fail(problem)
})

/** Waits for what should be about to end. */
export const ended = <A, E>(fiber: Fiber.Fiber<A, E>, what: string): Effect.Effect<Exit.Exit<A, E>> =>
  within(fiber, stopMillis, `${what} did not end within ${stopMillis / 1_000} s`)

/** Interrupts it, and waits until it has ended. */
export const stop = <A, E>(fiber: Fiber.Fiber<A, E>, what: string): Effect.Effect<Exit.Exit<A, E>> =>
  Effect.suspend(() => {
    fiber.interruptUnsafe()
    return within(fiber, stopMillis, `${what} did not end within ${stopMillis / 1_000} s of its interruption`)
  })

/** Fails, and says so, where the case does not end in time. */
export const bounded = <E, R>(test: {
  readonly limitMillis: number
  readonly run: Effect.Effect<void, E, R | Scope.Scope>
}): Effect.Effect<void, E, R | Scope.Scope> =>
  Effect.gen(function* () {
    const fiber = yield* start(Effect.scoped(test.run))
    const problem = `the case did not end within ${test.limitMillis / 1_000} s: a call of the tier never answers, or does not end when it is interrupted, or its layer does not close`
    return yield* yield* within(fiber, test.limitMillis, problem)
  })
