/**
 * get and getOrMake: a look into process memory, then one flight per key.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Blob } from "../Blob.ts"
import type { Chain, Draft, Found, MakeError, NotFound } from "../Chain.ts"
import type { ChainUnavailable } from "../ChainError.ts"
import { Flight, Flights, unanswered } from "../Flight.ts"
import type { Generation } from "../Generation.ts"
import * as Header from "../Header.ts"
import type * as Key from "../Key.ts"
import { generation as origin, type OriginError } from "../Origin.ts"
import type { Step } from "../Trail.ts"
import { Backoffs } from "./Backoffs.ts"
import * as Front from "./front.ts"
import * as Joining from "./joining.ts"
import * as Lookup from "./lookup.ts"
import type { Origination } from "./origination.ts"
import * as Producing from "./producing.ts"
import { type State, unavailable } from "./state.ts"
import { steadyMillis } from "./steady.ts"
import * as Streaming from "./streaming.ts"
import * as WriteBack from "./writeBack.ts"

type Reads<E, O> = Pick<Chain<E, OriginError<O>>, "get" | "getOrMake"> & {
  /** Ends the joining of flights that may have read what a write replaces. */
  readonly detach: (key: Key.Key) => void
  readonly detachGroup: (group: string) => void
}

const isUnconfirmed = ({ outcome }: Step): boolean => outcome._tag === "Unconfirmed"

const isMade = ({ outcome }: Step): boolean => outcome._tag === "Made"

const isLetGo = ({ outcome }: Step): boolean => outcome._tag === "LetGo"

const isCorrupt = ({ outcome }: Step): boolean => outcome._tag === "Failed" && outcome.reason === "Corrupt"

/** Stale blobs that are made anew at the same time; a reader of one more finds it stale, and the next one tries again. */
const maxRefreshes = 100

export const make = <E, O>(state: State, origination: Origination<O> | undefined): Reads<E, O> => {
  type Flown = Joining.KeyFlight<E, O>
  type LookError = Joining.LookError<O>
  type ProduceError = Joining.ProduceError<E, O>

  const { absences, activities, caches, counters, floors, generations, headers, leases, members, remember, store } =
    state
  const { flights, join, launch } = Joining.make<E, O>(state, (key, flight) => fly(key, flight))
  /** Flights that make a stale blob anew. Readers find the stale one by themselves; who needs the new one waits for it. */
  const refreshes = new Flights<Flown>()
  const backoffs = new Backoffs(state.maxRemembered)
  const { glance, peek } = Front.make(state)
  const { copyUp, writeMade } = WriteBack.make(state)

  // --- looking -------------------------------------------------------------------

  /** The life of a flight: look, make if need be, answer, write back. */
  const fly = (key: Key.Key, flight: Flown): Effect.Effect<void> =>
    Effect.flatMap(Lookup.blob(state, key), (sighting) =>
      sighting._tag === "Found"
        ? Effect.andThen(foundAt(flight, sighting), resuming(sighting.value.header))
        : sighting._tag === "Absent" && origination !== undefined
          ? Effect.scoped(
              Effect.flatten(leased(key, flight, sighting.steps, fromOrigin(key, flight, sighting.steps, origination)))
            )
          : orMake(key, flight, sighting)
    )

  /** What an origin has given may still be there: who has stored it may have died. */
  const resuming = (header: Header.Header): Effect.Effect<void> =>
    origination === undefined || header.generation !== origin ? Effect.void : origination.resume(header)

  /**
   * Lets one node of the deployment do the work, where there are leases; the others find what has come of it. Answers what
   * is left to do.
   */
  const leased = <R>(
    key: Key.Key,
    flight: Flown,
    before: ReadonlyArray<Step>,
    work: Effect.Effect<Effect.Effect<void>, never, R>
  ): Effect.Effect<Effect.Effect<void>, never, R> =>
    leases === undefined
      ? work
      : leases.withLease(
          { chain: state.name, key },
          {
            find: Effect.map(Lookup.blob(state, key), (again) =>
              again._tag === "Found"
                ? Option.some(foundAt(flight, { ...again, steps: [...before, ...again.steps] }))
                : Option.none()
            ),
            make: work
          }
        )

  const foundAt = (flight: Flown, { position, steps, value }: Lookup.Sighting<Blob> & { _tag: "Found" }) =>
    Effect.clockWith((clock) => {
      const now = clock.currentTimeMillisUnsafe()
      const { header } = value
      // What could not be compared with the store gets no copies that would look as if it had been.
      const faster = steps.some(isUnconfirmed) ? [] : caches.slice(0, position)
      generations.witness(header.generation)
      Joining.hold(flight, {
        _tag: "Found",
        blob: Streaming.shared(state, value, position, faster),
        stale: Header.isStale(header, now),
        trail: { steps, joined: false }
      })
      if (members[position] === store) remember(header, flight.activity, flight.began)
      return copyUp(value, faster, flight.activity)
    })

  /** The tiers have nothing: what the origin has is made and stored. Answers what is left to do: to let go of it there. */
  const fromOrigin = (
    key: Key.Key,
    flight: Flown,
    before: ReadonlyArray<Step>,
    { ask, settle }: Origination<O>
  ): Effect.Effect<Effect.Effect<void>, never, Scope.Scope> =>
    Effect.flatMap(ask(key), ({ began, sighting, step }) => {
      const steps = [...before, step]
      switch (sighting?._tag) {
        case "Holding":
          flight.phase = "making"
          return Effect.flatMap(
            Effect.exit(
              Producing.blob(state, key, sighting.make, { generation: origin, by: step.tier, steps: before, began })
            ),
            (made) => {
              if (Exit.isFailure(made)) {
                const failure = unanswered<LookError>(made, unavailable(state, key.text))
                return Effect.as(notMade(key, flight, failure, failure), Effect.void)
              }
              return Effect.map(madeOf(key, flight, made.value, undefined), (isStored) => {
                // Whoever comes now finds it in the store.
                flights.detach(key, flight)
                return isStored ? settle(sighting, made.value.blob.header) : Effect.void
              })
            }
          )
        case "LetGo":
          return Effect.map(Lookup.blob(state, key), (again) => {
            const both = { ...again, steps: [...steps, ...again.steps] }
            return both._tag === "Found" ? foundAt(flight, both) : orMake(key, flight, both)
          })
        case "Nothing":
          return Effect.succeed(orMake(key, flight, { _tag: "Absent", steps }))
        case "Skipped":
        case undefined:
          return Effect.succeed(orMake(key, flight, { _tag: "Unproven", steps }))
      }
    })

  const orMake = (
    key: Key.Key,
    flight: Flown,
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
      // In one step: who comes later, and brings a producer, joins nothing that has decided to make nothing.
      flights.detach(key, flight)
      Joining.answer(flight, looked, Effect.fail(unavailable(state, key.text, steps)))
      return sighting._tag === "Absent" ? absences.remember(key, flight.activity, steps.some(isLetGo)) : Effect.void
    }
    flight.phase = "making"
    Deferred.doneUnsafe(flight.looked, looked)
    const refreshing = refreshes.find(key)
    return refreshing === undefined
      ? Effect.flatten(
          leased(key, flight, steps, Effect.as(makeAnew(key, flight, flight.producer, steps, undefined), Effect.void))
        )
      : Effect.map(Effect.exit(Deferred.await(refreshing.made)), (made) => Joining.answer(flight, looked, made))
  }

  // --- making --------------------------------------------------------------------

  /** Runs the producer of a flight, answers, and writes back what it made, in the place of `replaced`. */
  const makeAnew = (
    key: Key.Key,
    flight: Flown,
    producer: Effect.Effect<Draft, E>,
    steps: ReadonlyArray<Step>,
    replaced: Generation | undefined
  ): Effect.Effect<void> =>
    Effect.flatMap(
      Effect.exit(Producing.blob(state, key, producer, { generation: flight.generation, by: "producer", steps })),
      (made) => {
        if (Exit.isSuccess(made)) return Effect.asVoid(madeOf(key, flight, made.value, replaced))
        const failure = unanswered<E | MakeError>(made, unavailable(state, key.text))
        const failed = notMade(key, flight, Effect.fail(unavailable(state, key.text, steps)), failure)
        return replaced === undefined
          ? failed
          : failed.pipe(
              Effect.andThen(backoffs.failed(key)),
              Effect.andThen(Effect.logWarning(`stale blob not made anew key=${key.text}`, made.cause))
            )
      }
    )

  const notMade = (
    key: Key.Key,
    flight: Flown,
    looked: Effect.Effect<never, LookError>,
    made: Effect.Effect<never, ProduceError>
  ): Effect.Effect<void> =>
    Effect.sync(() => {
      flights.detach(key, flight)
      counters.makeFailed += 1
      Joining.answer(flight, looked, made)
    })

  /** Answers with what was made, and writes it back. Answers whether the store has taken it. */
  const madeOf = (
    key: Key.Key,
    flight: Flown,
    found: Found,
    replaced: Generation | undefined
  ): Effect.Effect<boolean> =>
    Effect.suspend(() => {
      counters.made += 1
      absences.delete(key)
      backoffs.succeeded(key)
      Joining.hold(flight, found)
      return writeMade(found.blob, flight.activity, replaced)
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
        const flight: Flown = new Flight(activities.begin(), generations.next(now), steadyMillis(clock))
        flight.phase = "making"
        return launch(key, flight, refreshes, makeAnew(key, flight, producer, [], blob.header.generation))
      })
    )

  // --- operations ------------------------------------------------------------------

  /** What is asked of a key that process memory does not answer. */
  const look = (key: Key.Key): Effect.Effect<Found | NotFound, LookError> =>
    Effect.clockWith((clock): Effect.Effect<Found | NotFound, LookError> => {
      const isAsked = activities.closed || flights.find(key) !== undefined
      const absent = isAsked ? undefined : absences.find(key, clock.monotonicTimeNanosUnsafe())
      if (absent === undefined) {
        return join<Found | NotFound, LookError>(key, undefined, (flight) => flight.looked)
      }
      counters.absences += 1
      return Effect.succeed({ _tag: "NotFound", trail: absent })
    })

  const get: Reads<E, O>["get"] = (key) =>
    Effect.withFiber((fiber) => {
      const seenNow = glance(key, fiber)
      return seenNow === undefined ? (peek(key, fiber) ?? look(key)) : Effect.succeed(seenNow)
    })

  const getOrMake: Reads<E, O>["getOrMake"] = (key, producer) => {
    const renewed = (found: Found): Effect.Effect<Found> =>
      found.stale && !found.trail.steps.some(isMade)
        ? Effect.as(refresh(key, producer, found), found)
        : Effect.succeed(found)
    return Effect.withFiber((fiber) => {
      const seenNow = glance(key, fiber)
      return seenNow === undefined
        ? Effect.flatMap(peek(key, fiber) ?? join<Found, ProduceError>(key, producer, (flight) => flight.made), renewed)
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
