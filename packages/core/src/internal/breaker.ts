/**
 * The circuit breaker of one tier: after too many failures in a row it is not asked for a while.
 *
 * What counts as a failure is that the tier is unwell (`Unavailable`, `TimedOut`, `Throttled`). Any answer is a success,
 * a miss included; every other error says nothing about the tier's health and is ignored.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { BreakerOptions, Guard } from "../Policy.ts"
import { BreakerOpen, type Operation, type Reason, TierError } from "../TierError.ts"

export type BreakerState = "closed" | "half-open" | "open"

export interface Breaker {
  readonly around: (inner: Guard) => Guard
  /** A plain value, for metrics. */
  readonly state: () => BreakerState
}

const states = { Closed: "closed", HalfOpen: "half-open", Open: "open" } as const

/** Twice as long with every opening in a row, at most half a minute. */
const defaultOpenFor = Schedule.min([Schedule.exponential("1 second"), Schedule.spaced("30 seconds")])

const unwell: ReadonlySet<Reason["_tag"]> = new Set(["Unavailable", "TimedOut", "Throttled"] as const)

const classify = (exit: Exit.Exit<unknown, TierError>): CircuitBreaker.Outcome => {
  if (exit._tag === "Success") return CircuitBreaker.success
  const failure = exit.cause.reasons.find((reason) => reason._tag === "Fail")
  return failure !== undefined && unwell.has(failure.error.reason._tag)
    ? CircuitBreaker.failure()
    : CircuitBreaker.ignored
}

export const make = (tier: string, options: BreakerOptions, scope: Scope.Scope): Effect.Effect<Breaker> =>
  Effect.gen(function* () {
    let state: BreakerState = "closed"
    const memory = yield* Layer.buildWithScope(CircuitBreaker.layerStoreMemory(), scope)
    const store = onSteadyTime(Context.get(memory, CircuitBreaker.CircuitBreakerStore))
    const breaker = yield* CircuitBreaker.make({
      tripPolicy: CircuitBreaker.consecutive(options.failures ?? 5),
      openDuration: options.openFor ?? defaultOpenFor
    }).pipe(Effect.provideService(CircuitBreaker.CircuitBreakerStore, store), Scope.provide(scope))
    yield* Stream.runForEach(breaker.transitions, ({ to }) =>
      Effect.suspend(() => {
        state = states[to]
        return state === "half-open" ? Effect.void : Effect.logWarning(`breaker ${state} tier=${tier}`)
      })
    ).pipe(Effect.forkIn(scope, { startImmediately: true }))
    return {
      around:
        (inner) =>
        <A>(
          operation: Operation,
          call: () => Effect.Effect<A, TierError>,
          isWanted?: () => boolean
        ): Effect.Effect<A, TierError> =>
          Effect.catchTag(
            breaker.execute<A, TierError, never>(inner(operation, call, isWanted), { key: tier, classify }),
            "CircuitBreakerError",
            ({ reason }) => Effect.fail(new TierError({ tier, operation, reason: rejection(reason) }))
          ),
      state: () => state
    }
  })

/** A store for which time never goes back: a clock that is set back must not keep a tier from being asked. */
const onSteadyTime = (
  store: CircuitBreaker.CircuitBreakerStore["Service"]
): CircuitBreaker.CircuitBreakerStore["Service"] => {
  const steadily = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.clockWith((clock) => Effect.provideService(effect, Clock.Clock, steady(clock)))
  return {
    admit: (key) => steadily(store.admit(key)),
    record: (options) => steadily(store.record(options)),
    state: (key) => steadily(store.state(key))
  }
}

const steady = (clock: Clock.Clock): Clock.Clock => {
  const nanos = () => clock.monotonicTimeNanosUnsafe()
  const millis = () => Number(nanos() / 1_000_000n)
  return {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: nanos,
    monotonicTimeNanos: Effect.sync(nanos),
    sleep: (duration) => clock.sleep(duration)
  }
}

const rejection = (reason: CircuitBreaker.CircuitBreakerErrorReason): BreakerOpen =>
  reason._tag === "CircuitOpen"
    ? new BreakerOpen({ retryAfterMillis: Duration.toMillis(reason.retryAfter) })
    : new BreakerOpen({})
