/** Waits for what other processes do. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"

/** Looks until what is seen is as it must be, within thirty seconds; answers that. */
export const until = <A, E, R>(
  what: string,
  look: Effect.Effect<A, E, R>,
  isIt: (seen: A) => boolean
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    let last: A | undefined
    const looking = Effect.tap(look, (seen) => Effect.sync(() => (last = seen)))
    return Effect.repeat(looking, { until: isIt, schedule: Schedule.spaced("20 millis") }).pipe(
      Effect.timeoutOption("30 seconds"),
      Effect.map(
        Option.getOrElse(() => assert.fail(`not within thirty seconds: ${what}; last seen: ${JSON.stringify(last)}`))
      )
    )
  })

/** Asks until something holds, within thirty seconds. */
export const eventually = <E, R>(what: string, holds: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
  Effect.asVoid(until(what, holds, (does) => does))
