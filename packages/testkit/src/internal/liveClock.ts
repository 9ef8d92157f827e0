/** Real time for what happens outside the process. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

const clock = Clock.Clock.defaultValue()

/** Runs with the clock of the machine: sockets and containers do not wait for a `TestClock`. */
export const withLiveClock = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(effect, Clock.Clock, clock)
