/**
 * A tier with one bug, and the case of the suite that must notice it.
 */
import type { Blob } from "@terrace/core/Blob"
import type * as Key from "@terrace/core/Key"
import type * as Header from "@terrace/core/Header"
import type * as Tier from "@terrace/core/Tier"
import type { TierSuite } from "@terrace/testkit"
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as Effect from "effect/Effect"
import * as StorageTier from "./StorageTier.ts"
import * as StreamingTier from "./StreamingTier.ts"

/** A tier, and what the suite is to know of it. */
export interface Subject {
  readonly tier: Tier.Tier
  readonly options?: TierSuite.RunOptions
}

export interface Mutant {
  /** The bug. */
  readonly name: string
  readonly make: Effect.Effect<Subject>
  /** Name of a case that fails because of it. */
  readonly caughtBy: string
  /** Whose time passes; default: the test's. */
  readonly clock?: "live" | undefined
  /** It takes the case some seconds of waiting to notice. */
  readonly waits?: true | undefined
  /** Text that the failure must have, so that an author finds the bug. */
  readonly saying?: string | undefined
}

type Change<A> = (sound: A) => A

const maxBytes = 1_048_576

export const memory: Effect.Effect<Tier.Tier> = MemoryTier.make({ maxBytes })
export const streaming: Effect.Effect<Tier.Tier> = Effect.map(
  MemoryTier.make({ name: "streaming", maxBytes: 67_108_864, maxEntryBytes: 16_777_216 }),
  StreamingTier.make
)
export const storage: Effect.Effect<StorageTier.StorageTier> = Effect.map(
  MemoryTier.make({ name: "storage", maxBytes }),
  StorageTier.make
)

/** The memory tier with a bug. */
export const ofMemory = (name: string, change: Change<Tier.Tier>, caughtBy: string, saying?: string): Mutant => ({
  name,
  caughtBy,
  saying,
  make: Effect.map(memory, (tier) => ({ tier: change(tier) }))
})

/** A tier that streams, with a bug. */
export const ofStreaming = (name: string, change: Change<Tier.Tier>, caughtBy: string, saying?: string): Mutant => ({
  name,
  caughtBy,
  saying,
  make: Effect.map(streaming, (tier) => ({ tier: change(tier) }))
})

/** Storage that outlives its tier, with a bug. */
export const ofStorage = (
  name: string,
  change: Change<StorageTier.StorageTier>,
  caughtBy: string,
  saying?: string
): Mutant => ({
  name,
  caughtBy,
  saying,
  make: Effect.flatMap(storage, (sound) => StorageTier.subject(change(sound)))
})

export const newest: number = Number.MAX_SAFE_INTEGER

/** Puts with another header. */
export const withHeader = (tier: Tier.Tier, change: Change<Header.Header>): Tier.Tier => ({
  ...tier,
  put: (blob, options) => tier.put({ header: change(blob.header), body: blob.body }, options)
})

/** Uses another key. */
export const withKey = (tier: Tier.Tier, change: Change<Key.Key>): Tier.Tier => ({
  ...withHeader(tier, (header) => ({ ...header, key: change(header.key) })),
  get: (key) => tier.get(change(key)),
  head: (key) => tier.head(change(key)),
  remove: (key, generation) => tier.remove(change(key), generation)
})

/** Stores whatever is there. */
export const overwrite =
  (tier: Tier.Tier): Tier.Tier["put"] =>
  (blob) =>
    Effect.andThen(tier.remove(blob.header.key, newest), tier.put(blob))

/** A mutant that it takes the case some seconds to notice. */
export const waiting = (mutant: Mutant): Mutant => ({ ...mutant, waits: true })

/** Runs around every put that stores. */
export const afterStored = (tier: Tier.Tier, act: (blob: Blob) => Effect.Effect<unknown>): Tier.Tier => ({
  ...tier,
  put: (blob, options) =>
    Effect.tap(tier.put(blob, options), (write) => (write._tag === "Stored" ? act(blob) : Effect.void))
})
