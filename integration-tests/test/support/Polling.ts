/** Waiting for what a server does in its own time. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

/** Looks until what is seen is as it must be, which it must be within thirty seconds; answers that. */
export const until = <A, E, R>(
  what: string,
  look: Effect.Effect<A, E, R>,
  isIt: (seen: A) => boolean
): Effect.Effect<A, E, R> =>
  Effect.repeat(look, {
    until: isIt,
    schedule: Schedule.max([Schedule.spaced("50 millis"), Schedule.recurs(600)])
  }).pipe(
    Effect.timeoutOrElse({
      duration: "30 seconds",
      orElse: () => Effect.die(new Error(`not within thirty seconds: ${what}`))
    }),
    Effect.tap((seen) => Effect.sync(() => assert.isTrue(isIt(seen), `${what}: ${JSON.stringify(seen)}`)))
  )

/** Waits until something holds. */
export const eventually = <E, R>(what: string, holds: Effect.Effect<boolean, E, R>): Effect.Effect<boolean, E, R> =>
  until(what, holds, (does) => does)
