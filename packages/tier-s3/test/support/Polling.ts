/**
 * Waiting for something to become so.
 */
import { assert } from "@effect/vitest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

/** Asks until the value satisfies `is`; fails after `within` of the real clock. */
export const eventually = <A, E, R>(
  what: string,
  value: Effect.Effect<A, E, R>,
  is: (value: A) => boolean,
  within: Duration.Input = "10 seconds"
): Effect.Effect<A, E, R> =>
  Effect.repeat(value, { until: is, schedule: Schedule.spaced("5 millis") }).pipe(
    Effect.timeoutOrElse({ duration: within, orElse: () => Effect.sync(() => assert.fail(`never: ${what}`)) })
  )
