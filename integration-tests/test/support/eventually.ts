/** Waits for what other processes do. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"

/** Asks until something holds, which it must within thirty seconds. */
export const eventually = <E, R>(what: string, holds: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
  Effect.repeat(holds, { until: (does) => does, schedule: Schedule.spaced("10 millis") }).pipe(
    Effect.timeoutOption("30 seconds"),
    Effect.map((held) => assert.isTrue(Option.isSome(held), `within thirty seconds: ${what}`))
  )
