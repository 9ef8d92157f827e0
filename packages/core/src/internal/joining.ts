/**
 * The flights of a chain: who asks for a key joins the one that runs, or begins one, and waits for its answer.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Draft, Found, MakeError, NotFound } from "../Chain.ts"
import type { ChainUnavailable } from "../ChainError.ts"
import { Flight, Flights, unanswered, wait } from "../Flight.ts"
import * as Header from "../Header.ts"
import type { Key } from "../Key.ts"
import type { OriginError } from "../Origin.ts"
import type { Trail } from "../Trail.ts"
import type { ReadOutcome } from "./metrics.ts"
import { type State, unavailable } from "./state.ts"
import { steadyMillis } from "./steady.ts"

export type LookError<O> = ChainUnavailable | OriginError<O>
export type ProduceError<E, O> = E | MakeError | OriginError<O>
/** `E`: what its producer may fail with; `O`: what making a blob of what the origin has may fail with. */
export type KeyFlight<E, O> = Flight<Found, NotFound, LookError<O>, Draft, E, ProduceError<E, O>>

type Answer = { readonly _tag: "Found" | "NotFound"; readonly trail: Trail }

const outcomeOf = (exit: Exit.Exit<Answer, unknown>): ReadOutcome => {
  if (Exit.isFailure(exit)) return Cause.hasInterruptsOnly(exit.cause) ? "left" : "failed"
  if (exit.value._tag === "NotFound") return "not-found"
  return exit.value.trail.steps.some(({ outcome }) => outcome._tag === "Made") ? "made" : "hit"
}

/** Records how long a read waits for its answer. */
export const timed = <A extends Answer, E>(state: State, read: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.clockWith((clock) => {
    const began = steadyMillis(clock)
    return Effect.onExit(read, (exit) =>
      Effect.sync(() => state.onRead(outcomeOf(exit), (steadyMillis(clock) - began) / 1_000))
    )
  })

export interface Joining<E, O> {
  /** Flights that can be joined. */
  readonly flights: Flights<KeyFlight<E, O>>
  readonly join: <A extends Found | NotFound, JE>(
    key: Key,
    producer: Effect.Effect<Draft, E> | undefined,
    of: (flight: KeyFlight<E, O>) => Deferred.Deferred<A, JE>
  ) => Effect.Effect<A | Found, JE | ChainUnavailable>
  /** Begins the life of a flight, in a table where others find it. */
  readonly launch: (
    key: Key,
    flight: KeyFlight<E, O>,
    table: Flights<KeyFlight<E, O>>,
    life: Effect.Effect<void>
  ) => Effect.Effect<void>
}

const joining = <A extends { readonly trail: Trail }>(answer: A): A => ({
  ...answer,
  trail: { ...answer.trail, joined: true }
})

/** What a running flight has for a reader who comes now. */
const resultOf = ({ result }: { readonly result: Found | undefined }, now: number): Found | undefined =>
  result === undefined || Header.isExpired(result.blob.header, now)
    ? undefined
    : { ...joining(result), stale: Header.isStale(result.blob.header, now) }

/** Answers those who wait. */
export const answer = <E, O>(
  flight: KeyFlight<E, O>,
  looked: Effect.Effect<Found | NotFound, LookError<O>>,
  made: Effect.Effect<Found, ProduceError<E, O>>
): void => {
  flight.phase = "answered"
  Deferred.doneUnsafe(flight.looked, looked)
  Deferred.doneUnsafe(flight.made, made)
}

/** Answers those who wait, and those who come as long as the flight can be joined. */
export const hold = <E, O>(flight: KeyFlight<E, O>, found: Found): void => {
  flight.result = found
  answer(flight, Effect.succeed(found), Effect.succeed(found))
}

/** `fly` is the life of a flight. */
export const make = <E, O>(
  state: State,
  fly: (key: Key, flight: KeyFlight<E, O>) => Effect.Effect<void>
): Joining<E, O> => {
  const { activities, counters, generations, scope } = state
  const flights = new Flights<KeyFlight<E, O>>()

  /**
   * Joins the flight of a key, or begins one, and waits for the answer that `of` picks. The mask lies around all of it:
   * whoever is counted as a waiter leaves as one, and a flight in the table has a fiber.
   */
  const join: Joining<E, O>["join"] = <A extends Found | NotFound, JE>(
    key: Key,
    producer: Effect.Effect<Draft, E> | undefined,
    of: (flight: KeyFlight<E, O>) => Deferred.Deferred<A, JE>
  ) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.clockWith((clock): Effect.Effect<A | Found, JE | ChainUnavailable> => {
        if (activities.closed) return Effect.fail(unavailable(state, key.text))
        const now = clock.currentTimeMillisUnsafe()
        const running = flights.find(key)
        if (running !== undefined) {
          const result = resultOf(running, now)
          if (result !== undefined) {
            counters.joined += 1
            return Effect.succeed(result)
          }
          if (running.phase !== "answered") {
            if (running.phase === "looking") running.producer ??= producer
            running.waiters += 1
            counters.joined += 1
            return Effect.map(
              timed(
                state,
                wait(running, of(running), restore, () => flights.detach(key, running))
              ),
              joining
            )
          }
          // It holds a blob that has expired meanwhile.
          flights.detach(key, running)
        }
        counters.flights += 1
        const flight: KeyFlight<E, O> = new Flight(activities.begin(), generations.next(now), steadyMillis(clock))
        flight.producer = producer
        flight.waiters = 1
        return Effect.andThen(
          launch(key, flight, flights, traced(producer === undefined ? "get" : "getOrMake", key, fly(key, flight))),
          timed(
            state,
            wait(flight, of(flight), restore, () => flights.detach(key, flight))
          )
        )
      })
    )

  /** One span per flight; who joins it gets none of his own. */
  const traced = (operation: "get" | "getOrMake", key: Key, life: Effect.Effect<void>): Effect.Effect<void> =>
    Effect.withSpan(life, `Chain.${operation}`, { attributes: { chain: state.name, key: key.text } })

  const launch: Joining<E, O>["launch"] = (key, flight, table, life) =>
    Effect.suspend(() => {
      table.add(key, flight)
      return life.pipe(
        Effect.onExit((exit) =>
          Effect.suspend(() => {
            table.detach(key, flight)
            const none = unanswered(exit, unavailable(state, key.text))
            answer(flight, none, none)
            activities.end(flight.activity)
            return Exit.isFailure(exit) && Exit.hasDies(exit)
              ? Effect.logError(`lookup died key=${key.text}`, exit.cause)
              : Effect.void
          })
        ),
        Effect.ignoreCause,
        Effect.forkIn(scope, { startImmediately: true }),
        Effect.map((fiber) => {
          flight.fiber = fiber
        })
      )
    })

  return { flights, join, launch }
}
