/**
 * get, head and getOrMake: a look into process memory, then one flight per key.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Blob } from "../Blob.ts"
import type { Chain, Draft, Found, FoundHeader, NotFound } from "../Chain.ts"
import { type ChainUnavailable, ProducerTimedOut } from "../ChainError.ts"
import { Flight, Flights, unanswered, wait } from "../Flight.ts"
import type { Generation } from "../Generation.ts"
import * as Header from "../Header.ts"
import type * as Key from "../Key.ts"
import type { Read } from "../Tier.ts"
import type { Step, Trail } from "../Trail.ts"
import * as Caches from "./caches.ts"
import * as Lookup from "./lookup.ts"
import { blobOf, type State, unavailable } from "./state.ts"

/** How a write ends the joining of flights that may have read what it replaces. */
export interface Detach {
  readonly key: (key: Key.Key) => void
  readonly group: (group: string) => void
}

const trailOf = (tier: string): Trail => ({ steps: [{ tier, outcome: { _tag: "Hit" }, millis: 0 }], joined: false })

const joining = <A extends { readonly trail: Trail }>(answer: A): A => ({
  ...answer,
  trail: { ...answer.trail, joined: true }
})

const logDropped = (blob: Blob) => (error: Error) =>
  Effect.logDebug(`copy not kept key=${blob.header.key.text}`, error.message)

type Reads<E> = Pick<Chain<E>, "get" | "head" | "getOrMake"> & { readonly detach: Detach }

export const make = <E>(state: State): Reads<E> => {
  type MakeError = E | ChainUnavailable | ProducerTimedOut
  type KeyFlight = Flight<Found | NotFound, ChainUnavailable, Draft, Found, E, MakeError>

  const { activities, caches, floors, generations, headers, members, producerTimeout, scope, store } = state
  const flights = new Flights<KeyFlight>()
  const refreshing = new Set<string>()
  let heldBytes = 0

  // --- process memory ----------------------------------------------------------

  const front = members[0]?.inProcess === true ? members[0] : undefined
  const frontTrail = trailOf(front?.tier.name ?? "")
  const headersTrail = trailOf("headers")
  const nothing: Effect.Effect<Found | undefined> = Effect.undefined

  const seen = (read: Read): Effect.Effect<Found | undefined> => {
    if (front === undefined || read._tag !== "Hit") return nothing
    const { blob } = read
    if (front.role === "cache" && floors.discards(blob.header)) return nothing
    if (blob.header.freshUntil === undefined && blob.header.expiresAt === undefined) {
      front.counters.hits += 1
      return Effect.succeed({ _tag: "Found", blob, stale: false, trail: frontTrail })
    }
    return Effect.map(Clock.currentTimeMillis, (now): Found | undefined => {
      if (Header.isExpired(blob.header, now)) return undefined
      front.counters.hits += 1
      return { _tag: "Found", blob, stale: Header.isStale(blob.header, now), trail: frontTrail }
    })
  }

  const peek = (key: Key.Key): Effect.Effect<Found | undefined> =>
    front === undefined
      ? nothing
      : Effect.matchEffect(front.tier.get(key), { onFailure: () => nothing, onSuccess: seen })

  // --- flights -------------------------------------------------------------------

  /** Joins the flight of a key, or begins one, and waits for the answer that `of` picks. */
  const join = <A extends Found | NotFound, JE>(
    key: Key.Key,
    producer: Effect.Effect<Draft, E> | undefined,
    of: (flight: KeyFlight) => Deferred.Deferred<A, JE>
  ): Effect.Effect<A | Found, JE | ChainUnavailable> =>
    Effect.clockWith((clock): Effect.Effect<A | Found, JE | ChainUnavailable> => {
      if (activities.closed) return Effect.fail(unavailable(state, key.text))
      const running = flights.find(key)
      if (running !== undefined) {
        if (running.result !== undefined) return Effect.succeed(joining(running.result))
        if (running.phase === "looking") running.producer ??= producer
        return Effect.map(
          wait(running, of(running), () => flights.detach(key, running)),
          joining
        )
      }
      const flight: KeyFlight = new Flight(activities.begin(), generations.next(clock.currentTimeMillisUnsafe()))
      flight.producer = producer
      flights.add(key, flight)
      return Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(Effect.forkIn(fly(key, flight), scope, { startImmediately: true }), (fiber) => {
          flight.fiber = fiber
          return restore(wait(flight, of(flight), () => flights.detach(key, flight)))
        })
      )
    })

  const answer = (
    flight: KeyFlight,
    looked: Effect.Effect<Found | NotFound, ChainUnavailable>,
    made: Effect.Effect<Found, MakeError>
  ): void => {
    flight.phase = "answered"
    Deferred.doneUnsafe(flight.looked, looked)
    Deferred.doneUnsafe(flight.made, made)
  }

  const hold = (flight: KeyFlight, found: Found): void => {
    flight.result = found
    answer(flight, Effect.succeed(found), Effect.succeed(found))
  }

  /** The life of one flight: look, make if need be, answer, write back. */
  const fly = (key: Key.Key, flight: KeyFlight): Effect.Effect<void> =>
    Effect.flatMap(Lookup.blob(members, floors, key), (sighting) =>
      sighting._tag === "Found" ? foundAt(flight, sighting) : orMake(key, flight, sighting)
    ).pipe(
      Effect.onExit((exit) =>
        Effect.sync(() => {
          flights.detach(key, flight)
          const none = unanswered(exit, unavailable(state, key.text))
          answer(flight, none, none)
          activities.end(flight.activity)
        })
      ),
      Effect.ignoreCause
    )

  const foundAt = (flight: KeyFlight, { position, steps, value }: Lookup.Sighting<Blob> & { _tag: "Found" }) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const found: Found = {
        _tag: "Found",
        blob: value,
        stale: Header.isStale(value.header, now),
        trail: { steps, joined: false }
      }
      hold(flight, found)
      remember(value.header)
      return copyUp(value, caches.slice(0, position))
    })

  const orMake = (
    key: Key.Key,
    flight: KeyFlight,
    sighting: Lookup.Sighting<Blob> & { _tag: "Absent" | "Unproven" }
  ) => {
    const { steps } = sighting
    const looked: Effect.Effect<NotFound, ChainUnavailable> =
      sighting._tag === "Absent"
        ? Effect.succeed({ _tag: "NotFound", trail: { steps, joined: false } })
        : Effect.fail(unavailable(state, key.text, steps))
    const failing = (made: Effect.Effect<Found, MakeError>) =>
      Effect.sync(() => {
        flights.detach(key, flight)
        answer(flight, looked, made)
      })
    // Without a store nothing but the producer is needed, whatever the caches say.
    if (flight.producer === undefined || (sighting._tag === "Unproven" && store !== undefined)) {
      return failing(Effect.fail(unavailable(state, key.text, steps)))
    }
    flight.phase = "making"
    Deferred.doneUnsafe(flight.looked, looked)
    return Effect.flatMap(Effect.exit(produce(key, flight.producer, flight.generation, steps)), (made) => {
      if (Exit.isFailure(made)) return failing(unanswered<MakeError>(made, unavailable(state, key.text)))
      hold(flight, made.value)
      return writeBack(made.value.blob)
    })
  }

  // --- making --------------------------------------------------------------------

  /** The generation was taken before, so that every put or remove meanwhile beats what is made. */
  const produce = (
    key: Key.Key,
    producer: Effect.Effect<Draft, E>,
    generation: Generation,
    steps: ReadonlyArray<Step>
  ): Effect.Effect<Found, E | ProducerTimedOut> =>
    Effect.clockWith((clock) => {
      const began = clock.monotonicTimeNanosUnsafe()
      return Effect.flatMap(Effect.timeoutOption(producer, producerTimeout), (draft) => {
        if (draft._tag === "None") {
          return Effect.fail(new ProducerTimedOut({ key: key.text, millis: Duration.toMillis(producerTimeout) }))
        }
        const millis = Number(clock.monotonicTimeNanosUnsafe() - began) / 1e6
        return Effect.succeed<Found>({
          _tag: "Found",
          blob: blobOf(key, draft.value, generation, clock.currentTimeMillisUnsafe()),
          stale: false,
          trail: { steps: [...steps, { tier: "producer", outcome: { _tag: "Made" }, millis }], joined: false }
        })
      })
    })

  /** Makes a stale blob anew, one at a time per key. */
  const refresh = (key: Key.Key, producer: Effect.Effect<Draft, E>): Effect.Effect<void> =>
    Effect.clockWith((clock) => {
      if (activities.closed || refreshing.has(key.text)) return Effect.void
      refreshing.add(key.text)
      const generation = generations.next(clock.currentTimeMillisUnsafe())
      const remade = Effect.flatMap(produce(key, producer, generation, []), (found) => writeBack(found.blob))
      return activities.during(remade).pipe(
        Effect.catchCause((cause) => Effect.logWarning(`stale blob not made anew key=${key.text}`, cause)),
        Effect.ensuring(Effect.sync(() => refreshing.delete(key.text))),
        Effect.forkIn(scope, { startImmediately: true }),
        Effect.asVoid
      )
    })

  // --- writing back ----------------------------------------------------------------

  const remember = (header: Header.Header): void => {
    if (!floors.discards(header)) headers.set(header)
  }

  /** Copies a blob into caches; dropped while too many bytes are held for that already. */
  const copyUp = (blob: Blob, into: State["caches"]): Effect.Effect<void> =>
    Effect.suspend(() => {
      const bytes = blob.body._tag === "Inline" ? blob.body.bytes.byteLength : 0
      if (into.length === 0 || heldBytes + bytes > state.maxHeldBytes) return Effect.void
      heldBytes += bytes
      return Effect.ensuring(
        Effect.forEach(into, (cache) => Effect.catch(Caches.copy(cache, floors, blob), logDropped(blob)), {
          concurrency: "unbounded",
          discard: true
        }),
        Effect.sync(() => (heldBytes -= bytes))
      )
    })

  /** Writes what a producer made: the store first, whose word on who is newer is final. */
  const writeBack = (blob: Blob): Effect.Effect<void> => {
    if (store === undefined) {
      remember(blob.header)
      return copyUp(blob, caches)
    }
    if (floors.discards(blob.header)) return Effect.void
    return store.guard("put", store.tier.put(blob)).pipe(
      Effect.flatMap((write) => {
        if (write._tag === "Superseded") generations.witness(write.current)
        if (write._tag !== "Stored") return Effect.void
        store.counters.stored += 1
        remember(blob.header)
        return copyUp(blob, caches)
      }),
      Effect.catch((error) => {
        store.counters.writeFailed += 1
        return Effect.logWarning(`made, but not stored key=${blob.header.key.text}`, error.message)
      })
    )
  }

  // --- operations --------------------------------------------------------------------

  const get: Reads<E>["get"] = (key) =>
    Effect.flatMap(peek(key), (found) =>
      found === undefined
        ? join<Found | NotFound, ChainUnavailable>(key, undefined, (flight) => flight.looked)
        : Effect.succeed(found)
    )

  const getOrMake: Reads<E>["getOrMake"] = (key, producer) =>
    peek(key).pipe(
      Effect.flatMap((found) =>
        found === undefined ? join<Found, MakeError>(key, producer, (flight) => flight.made) : Effect.succeed(found)
      ),
      Effect.tap((found) => (found.stale ? refresh(key, producer) : Effect.void))
    )

  const head: Reads<E>["head"] = (key) =>
    Effect.clockWith((clock) => {
      const known = headers.get(key)
      if (known !== undefined && !floors.discards(known) && !Header.isExpired(known, clock.currentTimeMillisUnsafe())) {
        return Effect.succeed<FoundHeader>({ _tag: "Found", header: known, trail: headersTrail })
      }
      return activities.during(
        Effect.flatMap(
          Lookup.header(members, floors, key),
          ({ steps, ...sighting }): Effect.Effect<FoundHeader | NotFound, ChainUnavailable> => {
            const trail: Trail = { steps, joined: false }
            if (sighting._tag === "Unproven") return Effect.fail(unavailable(state, key.text, steps))
            if (sighting._tag === "Absent") return Effect.succeed({ _tag: "NotFound", trail })
            remember(sighting.value)
            return Effect.succeed({ _tag: "Found", header: sighting.value, trail })
          }
        )
      )
    })

  return {
    get,
    head,
    getOrMake,
    detach: {
      key: (key) => flights.detach(key),
      group: (group) => flights.detachGroup(group)
    }
  }
}
