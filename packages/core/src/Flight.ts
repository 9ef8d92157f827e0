/**
 * Flights: one running lookup or producer per key, shared by everyone who asks for it.
 *
 * A flight belongs to the chain, not to the caller that began it. Readers join and leave; when the last has left, a
 * lookup is interrupted, while a producer runs on (its work is not lost). Waiters are answered before the write-back,
 * and the flight stays joinable, holding its result, until the write-back has ended, so that a reader in between
 * neither misses the blob nor makes it again.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Activity } from "./Floor.ts"
import type { Generation } from "./Generation.ts"
import type { Key } from "./Key.ts"

/**
 * One running lookup, and the producer that follows if nobody has the blob. `Found` is what both answer in the end,
 * `Looked` what a lookup may answer besides.
 */
export class Flight<Found, Looked, LookError, Draft, ProducerError, MakeError> {
  readonly activity: Activity
  /** When it began, in milliseconds by the monotonic clock. */
  readonly began: number
  /** The generation of what is made; taken when the flight begins, so that writes meanwhile beat it. */
  readonly generation: Generation
  /** Answers those who only look. */
  readonly looked = Deferred.makeUnsafe<Found | Looked, LookError>()
  /** Answers those who brought a producer. */
  readonly made = Deferred.makeUnsafe<Found, MakeError>()
  /** Runs if the lookup finds nothing; a later reader may bring it while the lookup runs. */
  producer: Effect.Effect<Draft, ProducerError> | undefined
  phase: "looking" | "making" | "answered" = "looking"
  /** What was found or made, while it is being written back. */
  result: Found | undefined
  waiters = 0
  fiber: Fiber.Fiber<void> | undefined

  constructor(activity: Activity, generation: Generation, began: number) {
    this.activity = activity
    this.generation = generation
    this.began = began
  }
}

/** The flights of one chain that can be joined. */
export class Flights<F> {
  private readonly byKey = new Map<string, F>()
  private readonly byGroup = new Map<string, Set<string>>()

  get size(): number {
    return this.byKey.size
  }

  find(key: Key): F | undefined {
    return this.byKey.get(key.text)
  }

  add(key: Key, flight: F): void {
    this.byKey.set(key.text, flight)
    const members = this.byGroup.get(key.group)
    if (members === undefined) this.byGroup.set(key.group, new Set([key.text]))
    else members.add(key.text)
  }

  /** Ends joining (only of `flight`, if given): later readers start anew. Those who wait are still answered. */
  detach(key: Key, flight?: F): void {
    if (flight !== undefined && this.byKey.get(key.text) !== flight) return
    this.byKey.delete(key.text)
    const members = this.byGroup.get(key.group)
    if (members?.delete(key.text) === true && members.size === 0) this.byGroup.delete(key.group)
  }

  detachGroup(group: string): void {
    for (const text of this.byGroup.get(group) ?? []) this.byKey.delete(text)
    this.byGroup.delete(group)
  }
}

type Waitable = Pick<Flight<never, never, never, never, never, never>, "phase" | "waiters" | "fiber">

/**
 * Waits for an answer as one of a flight's waiters, counted by the caller before; the last one to leave a lookup ends it.
 * `restore` makes the waiting interruptible again.
 */
export const wait = <A, E>(
  flight: Waitable,
  answer: Deferred.Deferred<A, E>,
  restore: (effect: Effect.Effect<A, E>) => Effect.Effect<A, E>,
  onAbandoned: () => void
): Effect.Effect<A, E> =>
  Effect.ensuring(
    restore(Deferred.await(answer)),
    Effect.sync(() => {
      flight.waiters -= 1
      if (flight.waiters > 0 || flight.phase !== "looking") return
      onAbandoned()
      flight.fiber?.interruptUnsafe()
    })
  )

/** What the waiters of a flight that ended without an answer get: its error or defect, or `closed` if it was interrupted. */
export const unanswered = <E>(exit: Exit.Exit<unknown, E>, closed: E): Exit.Exit<never, E> =>
  Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? Exit.fail(closed) : Exit.failCause(exit.cause)
