/**
 * Lets one node of a deployment do what the others would do at the same time.
 *
 * Leases only save work. They may be lost, expire while the work goes on, or be given to two nodes: whoever relies on
 * them for more than that is wrong. What makes concurrent work right is "newer wins" on every tier.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Semaphore from "effect/Semaphore"
import type { Key } from "./Key.ts"

/** What is to be done once: making the blob of this key for this chain. */
export interface Subject {
  /** Name of the chain; the same on every node. */
  readonly chain: string
  readonly key: Key
}

export interface Work<A, E, R> {
  /** Looks where every node's work ends up whether it has been done meanwhile. */
  readonly find: Effect.Effect<Option.Option<A>, E, R>
  /** Does it. When it ends, `find` of every node finds it. */
  readonly make: Effect.Effect<A, E, R>
}

export interface Leases {
  /**
   * Answers what `find` finds or `make` makes; one node at a time makes it.
   *
   * Behavior:
   * - who holds the lease looks first, since another node may just have ended, and makes what is not there.
   * - who does not hold it waits until the holder ends, then looks; what is still not there, the next one makes.
   * - a failure of `make` is the caller's own: the others are not told, the next one tries.
   * - whoever has waited for long, or gets no lease because the backend does not answer, makes it without one.
   * - interrupted, it gives the lease back.
   */
  readonly withLease: <A, E, R>(subject: Subject, work: Work<A, E, R>) => Effect.Effect<A, E, R>
}

/** No leases: every node does its own work. */
export const none: Leases = { withLease: (_, { make }) => make }

/** Leases between the chains of one process: for tests, and for several chains over the same store. */
export const makeLocal = (): Leases => {
  const held = new Map<string, { readonly semaphore: Semaphore.Semaphore; users: number }>()
  return {
    withLease: ({ chain, key }, { find, make }) =>
      Effect.suspend(() => {
        const name = `${chain} ${key.text}`
        const entry = held.get(name) ?? { semaphore: Semaphore.makeUnsafe(1), users: 0 }
        entry.users += 1
        held.set(name, entry)
        return entry.semaphore
          .withPermit(
            Effect.flatMap(find, Option.match({ onNone: () => make, onSome: (found) => Effect.succeed(found) }))
          )
          .pipe(
            Effect.ensuring(
              Effect.sync(() => {
                entry.users -= 1
                if (entry.users === 0) held.delete(name)
              })
            )
          )
      })
  }
}
