/**
 * Time that never goes back, for how long something lasts; what the wall clock says may be set at any moment.
 */
import type * as Clock from "effect/Clock"

/** Milliseconds since some moment, by the monotonic clock. */
export const steadyMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
