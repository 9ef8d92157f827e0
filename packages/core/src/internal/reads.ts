/**
 * get and getOrMake: a look into process memory, then one flight per key.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Blob } from "../Blob.ts"
import type { Chain, Draft, Found, MakeError, NotFound } from "../Chain.ts"
import { type ChainUnavailable, ProducerTimedOut } from "../ChainError.ts"
import { Flight, Flights, unanswered, wait } from "../Flight.ts"
import type { Generation } from "../Generation.ts"
import * as Header from "../Header.ts"
import type * as Key from "../Key.ts"
import type { Step, Trail } from "../Trail.ts"
import { Backoffs } from "./Backoffs.ts"
import { bounded } from "./bounded.ts"
import * as Front from "./front.ts"
import * as Lookup from "./lookup.ts"
import { blobOf, type State, unavailable } from "./state.ts"
import * as Streaming from "./streaming.ts"
import * as WriteBack from "./writeBack.ts"

type Reads<E> = Pick<Chain<E>, "get" | "getOrMake"> & {
  /** Ends the joining of flights that may have read what a write replaces. */
  readonly detach: (key: Key.Key) => void
  readonly detachGroup: (group: string) => void
}

const joining = <A extends { readonly trail: Trail }>(answer: A): A => ({
  ...answer,
  trail: { ...answer.trail, joined: true }
})

/** The answer of a key whose absence is remembered. */
const remembered: NotFound = {
  _tag: "NotFound",
  trail: { steps: [{ tier: "absences", outcome: { _tag: "Hit" }, millis: 0 }], joined: false }
}

const isUnconfirmed = ({ outcome }: Step): boolean => outcome._tag === "Unconfirmed"

const isCorrupt = ({ outcome }: Step): boolean => outcome._tag === "Failed" && outcome.reason === "Corrupt"

/** Stale blobs that are made anew at the same time; a reader of one more finds it stale, and the next one tries again. */
const maxRefreshes = 100

export const make = <E>(state: State): Reads<E> => {
  type KeyFlight = Flight<Found, NotFound, ChainUnavailable, Draft, E, E | MakeError>

  const {
    absences,
    activities,
    caches,
    counters,
    floors,
    generations,
    headers,
    members,
    producerTimeout,
    remember,
    scope,
    store
  } = state
  const flights = new Flights<KeyFlight>()
  /** Flights that make a stale blob anew. Readers find the stale one by themselves; who needs the new one waits for it. */
  const refreshes = new Flights<KeyFlight>()
  const backoffs = new Backoffs(state.maxRemembered)
  const { glance, peek } = Front.make(state)
  const { copyUp, writeMade } = WriteBack.make(state)

  // --- flights -------------------------------------------------------------------

  /** What a running flight has for a reader who comes now. */
  const resultOf = (flight: KeyFlight, now: number): Found | undefined => {
    const { result } = flight
    return result === undefined || Header.isExpired(result.blob.header, now)
      ? undefined
      : { ...joining(result), stale: Header.isStale(result.blob.header, now) }
  }

  /**
   * Joins the flight of a key, or begins one, and waits for the answer that `of` picks. The mask lies around all of it:
   * whoever is counted as a waiter leaves as one, and a flight in the table has a fiber.
   */
  const join = <A extends Found | NotFound, JE>(
    key: Key.Key,
    producer: Effect.Effect<Draft, E> | undefined,
    of: (flight: KeyFlight) => Deferred.Deferred<A, JE>
  ): Effect.Effect<A | Found, JE | ChainUnavailable> =>
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
              wait(running, of(running), restore, () => flights.detach(key, running)),
              joining
            )
          }
          // It holds a blob that has expired meanwhile.
          flights.detach(key, running)
        }
        counters.flights += 1
        const flight: KeyFlight = new Flight(activities.begin(), generations.next(now), now)
        flight.producer = producer
        flight.waiters = 1
        return Effect.andThen(
          launch(key, flight, flights, traced(producer === undefined ? "get" : "getOrMake", key, fly(key, flight))),
          wait(flight, of(flight), restore, () => flights.detach(key, flight))
        )
      })
    )

  /** One span per flight; who joins it gets none of his own. */
  const traced = (operation: "get" | "getOrMake", key: Key.Key, life: Effect.Effect<void>): Effect.Effect<void> =>
    Effect.withSpan(life, `Chain.${operation}`, { attributes: { chain: state.name, key: key.text } })

  /** Begins the life of a flight, in a table where others find it. */
  const launch = (
    key: Key.Key,
    flight: KeyFlight,
    table: Flights<KeyFlight>,
    life: Effect.Effect<void>
  ): Effect.Effect<void> =>
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

  const answer = (
    flight: KeyFlight,
    looked: Effect.Effect<Found | NotFound, ChainUnavailable>,
    made: Effect.Effect<Found, E | MakeError>
  ): void => {
    flight.phase = "answered"
    Deferred.doneUnsafe(flight.looked, looked)
    Deferred.doneUnsafe(flight.made, made)
  }

  const hold = (flight: KeyFlight, found: Found): void => {
    flight.result = found
    answer(flight, Effect.succeed(found), Effect.succeed(found))
  }

  /** The life of a flight: look, make if need be, answer, write back. */
  const fly = (key: Key.Key, flight: KeyFlight): Effect.Effect<void> =>
    Effect.flatMap(Lookup.blob(state, key), (sighting) =>
      sighting._tag === "Found" ? foundAt(flight, sighting) : orMake(key, flight, sighting)
    )

  const foundAt = (flight: KeyFlight, { position, steps, value }: Lookup.Sighting<Blob> & { _tag: "Found" }) =>
    Effect.clockWith((clock) => {
      const now = clock.currentTimeMillisUnsafe()
      const { header } = value
      // What could not be compared with the store gets no copies that would look as if it had been.
      const faster = steps.some(isUnconfirmed) ? [] : caches.slice(0, position)
      generations.witness(header.generation)
      hold(flight, {
        _tag: "Found",
        blob: Streaming.shared(state, value, position, faster),
        stale: Header.isStale(header, now),
        trail: { steps, joined: false }
      })
      if (members[position] === store) remember(header, flight.activity, flight.began)
      return copyUp(value, faster, flight.activity)
    })

  const orMake = (
    key: Key.Key,
    flight: KeyFlight,
    sighting: Lookup.Sighting<Blob> & { _tag: "Absent" | "Unproven" }
  ): Effect.Effect<void> => {
    const { steps } = sighting
    if (sighting._tag === "Absent" || steps.some(isCorrupt)) headers.delete(key)
    const looked: Effect.Effect<NotFound, ChainUnavailable> =
      sighting._tag === "Absent"
        ? Effect.succeed({ _tag: "NotFound", trail: { steps, joined: false } })
        : Effect.fail(unavailable(state, key.text, steps))
    // Without a store nothing but the producer is needed, whatever the caches say.
    if (flight.producer === undefined || (sighting._tag === "Unproven" && store !== undefined)) {
      return Effect.andThen(
        sighting._tag === "Absent" ? absences.remember(key, flight.activity) : Effect.void,
        Effect.sync(() => {
          flights.detach(key, flight)
          answer(flight, looked, Effect.fail(unavailable(state, key.text, steps)))
        })
      )
    }
    flight.phase = "making"
    Deferred.doneUnsafe(flight.looked, looked)
    const refreshing = refreshes.find(key)
    return refreshing === undefined
      ? makeAnew(key, flight, flight.producer, steps, undefined)
      : Effect.map(Effect.exit(Deferred.await(refreshing.made)), (made) => answer(flight, looked, made))
  }

  // --- making --------------------------------------------------------------------

  /** Runs the producer of a flight, answers, and writes back what it made, in the place of `replaced`. */
  const makeAnew = (
    key: Key.Key,
    flight: KeyFlight,
    producer: Effect.Effect<Draft, E>,
    steps: ReadonlyArray<Step>,
    replaced: Generation | undefined
  ): Effect.Effect<void> =>
    Effect.flatMap(Effect.exit(produce(key, producer, flight.generation, steps)), (made) => {
      if (Exit.isFailure(made)) {
        return Effect.suspend(() => {
          flights.detach(key, flight)
          counters.makeFailed += 1
          const failure = unanswered<E | MakeError>(made, unavailable(state, key.text))
          answer(flight, Effect.fail(unavailable(state, key.text, steps)), failure)
          return replaced === undefined
            ? Effect.void
            : Effect.andThen(
                backoffs.failed(key),
                Effect.logWarning(`stale blob not made anew key=${key.text}`, made.cause)
              )
        })
      }
      counters.made += 1
      absences.delete(key)
      backoffs.succeeded(key)
      hold(flight, made.value)
      return writeMade(made.value.blob, flight.activity, replaced)
    })

  const produce = (
    key: Key.Key,
    producer: Effect.Effect<Draft, E>,
    generation: Generation,
    steps: ReadonlyArray<Step>
  ): Effect.Effect<Found, E | MakeError> =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const began = clock.monotonicTimeNanosUnsafe()
      const draft = yield* bounded(
        producer,
        producerTimeout,
        scope,
        () => new ProducerTimedOut({ key: key.text, millis: Duration.toMillis(producerTimeout) })
      )
      const millis = Number(clock.monotonicTimeNanosUnsafe() - began) / 1e6
      const blob = blobOf(key, draft, generation, clock.currentTimeMillisUnsafe())
      yield* Header.encode(blob.header)
      return {
        _tag: "Found",
        blob,
        stale: false,
        trail: { steps: [...steps, { tier: "producer", outcome: { _tag: "Made" }, millis }], joined: false }
      }
    })

  /** Makes a stale blob anew behind the answer, one at a time per key, less and less often if that fails. */
  const refresh = (key: Key.Key, producer: Effect.Effect<Draft, E>, { blob }: Found): Effect.Effect<void> =>
    Effect.uninterruptible(
      Effect.clockWith((clock) => {
        const now = clock.currentTimeMillisUnsafe()
        if (
          activities.closed ||
          refreshes.find(key) !== undefined ||
          refreshes.size >= maxRefreshes ||
          floors.discards(blob.header) ||
          !backoffs.allows(key, now)
        ) {
          return Effect.void
        }
        const flight: KeyFlight = new Flight(activities.begin(), generations.next(now), now)
        flight.phase = "making"
        return launch(key, flight, refreshes, makeAnew(key, flight, producer, [], blob.header.generation))
      })
    )

  // --- operations ------------------------------------------------------------------

  /** What is asked of a key that process memory does not answer. */
  const look = (key: Key.Key): Effect.Effect<Found | NotFound, ChainUnavailable> =>
    Effect.clockWith((clock) => {
      if (
        !activities.closed &&
        flights.find(key) === undefined &&
        absences.has(key, clock.monotonicTimeNanosUnsafe())
      ) {
        counters.absences += 1
        return Effect.succeed(remembered)
      }
      return join<Found | NotFound, ChainUnavailable>(key, undefined, (flight) => flight.looked)
    })

  const get: Reads<E>["get"] = (key) =>
    Effect.withFiber((fiber) => {
      const seenNow = glance(key, fiber)
      return seenNow === undefined
        ? Effect.flatMap(peek(key), (found) => (found === undefined ? look(key) : Effect.succeed(found)))
        : Effect.succeed(seenNow)
    })

  const getOrMake: Reads<E>["getOrMake"] = (key, producer) => {
    const renewed = (found: Found): Effect.Effect<Found> =>
      found.stale ? Effect.as(refresh(key, producer, found), found) : Effect.succeed(found)
    return Effect.withFiber((fiber) => {
      const seenNow = glance(key, fiber)
      return seenNow === undefined
        ? Effect.flatMap(
            Effect.flatMap(peek(key), (found) =>
              found === undefined
                ? join<Found, E | MakeError>(key, producer, (flight) => flight.made)
                : Effect.succeed(found)
            ),
            renewed
          )
        : renewed(seenNow)
    })
  }

  return {
    get,
    getOrMake,
    detach: (key) => {
      flights.detach(key)
      refreshes.detach(key)
    },
    detachGroup: (group) => {
      flights.detachGroup(group)
      refreshes.detachGroup(group)
    }
  }
}
