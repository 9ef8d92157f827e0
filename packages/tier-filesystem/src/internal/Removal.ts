/**
 * Removes blobs.
 */
import * as Header from "@terrace/core/Header"
import type { Generation } from "@terrace/core/Generation"
import type * as Key from "@terrace/core/Key"
import * as Tier from "@terrace/core/Tier"
import { type Operation, type TierError, Unavailable, Unsupported } from "@terrace/core/TierError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Disk from "./Disk.ts"
import * as Layout from "./Layout.ts"
import * as Lookup from "./Lookup.ts"
import * as Quarantine from "./Quarantine.ts"

/** Removes the blob of `key`, under the shard's lock. A damaged or expired one goes whatever its generation. */
const removeOne = (
  disk: Disk.Disk,
  operation: Operation,
  key: Key.Key,
  generation: Generation
): Effect.Effect<Tier.Removal, TierError> =>
  Effect.gen(function* () {
    const found = yield* Effect.mapError(Lookup.look(disk, key, 0), Disk.trouble(disk, operation))
    if (found._tag === "Absent") return Tier.absent
    if (found._tag === "Later") {
      return yield* Effect.fail(
        Disk.error(disk, operation, new Unsupported({ capability: `blob file version ${found.version}` }))
      )
    }
    if (found._tag === "Damaged" && !found.facts.isFile) {
      yield* Effect.mapError(Quarantine.lookForWriting(disk, key), Disk.trouble(disk, operation))
      return Tier.absent
    }
    const isLive = found._tag === "Whole" && !Header.isExpired(found.header, yield* Clock.currentTimeMillis)
    if (isLive && found.header.generation > generation) {
      return { _tag: "Superseded", current: found.header.generation } as const
    }
    const wasThere = yield* Effect.mapError(
      Disk.unlink(disk, Layout.shardOf(key.group), Lookup.pathOf(disk, key), found.facts.bytes),
      Disk.trouble(disk, operation)
    )
    return wasThere && (isLive || found._tag === "Damaged") ? Tier.removed : Tier.absent
  })

/** Flushes removals, our own or those of others that we found done; a failure leaves open whether they last. */
const settle = (disk: Disk.Disk, operation: Operation, shard: Layout.Shard): Effect.Effect<void, TierError> =>
  Effect.mapError(disk.directories.settle(shard), (failure) =>
    Disk.error(disk, operation, new Unavailable({ cause: failure.reason.cause ?? failure }))
  )

export const remove = (
  disk: Disk.Disk,
  key: Key.Key,
  generation: Generation
): Effect.Effect<Tier.Removal, TierError> => {
  const shard = Layout.shardOf(key.group)
  return Effect.gen(function* () {
    yield* Disk.held(disk, "remove")
    const removal = yield* removeOne(disk, "remove", key, generation)
    if (removal._tag === "Absent") yield* Disk.present(disk, "remove")
    yield* settle(disk, "remove", shard)
    return removal
  }).pipe(Disk.locked(disk, shard))
}

export const removeGroup = (
  disk: Disk.Disk,
  group: string,
  generation: Generation
): Effect.Effect<Tier.GroupRemoval, TierError> => {
  const shard = Layout.shardOf(group)
  const prefix = Layout.groupPrefix(group)
  return Effect.gen(function* () {
    yield* Disk.held(disk, "removeGroup")
    const names = yield* Effect.mapError(
      Disk.names(disk, Layout.shardPath(disk.settings.root, shard)),
      Disk.trouble(disk, "removeGroup")
    )
    let removed = 0
    let superseded = 0
    let current: Generation | undefined
    for (const name of names) {
      const key = name.startsWith(prefix) ? Layout.keyOf(shard, name) : undefined
      if (key === undefined) continue
      const removal = yield* removeOne(disk, "removeGroup", key, generation)
      if (removal._tag === "Removed") removed++
      if (removal._tag === "Superseded") {
        superseded++
        current = Math.max(current ?? 0, removal.current)
      }
    }
    if (removed === 0) yield* Disk.present(disk, "removeGroup")
    yield* settle(disk, "removeGroup", shard)
    return { _tag: "Removed", removed, superseded, ...(current === undefined ? {} : { current }) } as const
  }).pipe(Disk.locked(disk, shard))
}
