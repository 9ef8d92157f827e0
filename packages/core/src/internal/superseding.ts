/**
 * What takes effect on every copy of a key, or of a group, once something newer is known: what lies below is invisible at
 * once, what is remembered of it is forgotten, and then the caches drop it at their leisure.
 */
import * as Effect from "effect/Effect"
import type { TierReceipt } from "../Chain.ts"
import type { Generation } from "../Generation.ts"
import type { Key } from "../Key.ts"
import * as Caches from "./caches.ts"
import type { Member } from "./member.ts"
import type { State } from "./state.ts"

type Dropped = Effect.Effect<ReadonlyArray<TierReceipt>>

export interface Superseding {
  /**
   * Brings every cache up to date with a floor, which stays for whoever has begun by then: a slow cache may have handed him
   * its copy just before it let go of it.
   */
  readonly outlived: (subject: string, floor: Generation, act: (cache: Member) => Effect.Effect<TierReceipt>) => Dropped
  /** A put or remove of the key was acknowledged: older copies, and what began before now, are discarded. */
  readonly supersede: (key: Key, generation: Generation) => void
  /** As `supersede`, for what the store, or another node, says has happened; when, is not known. */
  readonly learnOf: (key: Key, generation: Generation) => void
  readonly learnOfGroup: (group: string, generation: Generation) => void
  /** Drops the copies below a floor. */
  readonly dropInCaches: (key: Key, floor: Generation) => Dropped
  readonly dropGroupInCaches: (group: string, floor: Generation) => Dropped
  /** `supersede`, then drops the copies. */
  readonly dropEverywhere: (key: Key, floor: Generation) => Dropped
  readonly dropGroupEverywhere: (group: string, floor: Generation) => Dropped
}

export const make = (state: State): Superseding => {
  const { absences, caches, confirmations, floors, headers, storeWrites } = state

  const forget = (key: Key, generation: Generation): void => {
    headers.deleteBelow(key, generation)
    absences.delete(key)
    state.detach(key)
  }

  const forgetGroup = (group: string): void => {
    headers.deleteGroup(group)
    absences.deleteGroup(group)
    state.detachGroup(group)
  }

  const supersede: Superseding["supersede"] = (key, generation) => {
    floors.raise(key.text, generation)
    storeWrites.overtake(key, generation, false)
    confirmations.settle(key.text, generation)
    forget(key, generation)
  }

  const supersedeGroup = (group: string, generation: Generation): void => {
    floors.raise(group, generation)
    storeWrites.overtakeGroup(group, generation, false)
    confirmations.settle(group, generation)
    forgetGroup(group)
  }

  const outlived: Superseding["outlived"] = (subject, floor, act) =>
    Effect.tap(Effect.forEach(caches, act, { concurrency: "unbounded" }), () =>
      Effect.sync(() => floors.learn(subject, floor))
    )

  const dropInCaches: Superseding["dropInCaches"] = (key, floor) =>
    outlived(key.text, floor, (cache) => Caches.drop(state, cache, key, floor - 1))

  const dropGroupInCaches: Superseding["dropGroupInCaches"] = (group, floor) =>
    outlived(group, floor, (cache) => Caches.dropGroup(state, cache, group, floor - 1))

  return {
    outlived,
    supersede,
    learnOf: (key, generation) => {
      floors.learn(key.text, generation)
      forget(key, generation)
    },
    learnOfGroup: (group, generation) => {
      floors.learn(group, generation)
      forgetGroup(group)
    },
    dropInCaches,
    dropGroupInCaches,
    dropEverywhere: (key, floor) =>
      Effect.suspend(() => {
        supersede(key, floor)
        return dropInCaches(key, floor)
      }),
    dropGroupEverywhere: (group, floor) =>
      Effect.suspend(() => {
        supersedeGroup(group, floor)
        return dropGroupInCaches(group, floor)
      })
  }
}
