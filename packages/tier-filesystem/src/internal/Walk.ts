/**
 * Walks through all directories, to count what is there or to sweep it.
 *
 * A directory is looked at under its lock, which makes the count exact while writes go on (see `Ledger`) and keeps a
 * blob from being replaced between the look and the removal. Between directories others get their turn.
 */
import * as Header from "@terrace/core/Header"
import type * as Key from "@terrace/core/Key"
import type { TierError } from "@terrace/core/TierError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { PlatformError } from "effect/PlatformError"
import * as Disk from "./Disk.ts"
import * as Eviction from "./Eviction.ts"
import type * as Files from "./Files.ts"
import * as Layout from "./Layout.ts"
import * as Lookup from "./Lookup.ts"
import * as Quarantine from "./Quarantine.ts"

/** Temporary files untouched for so long were left behind: longer than any write pauses (1 hour). */
const abandonedMillis = 3_600_000

/** `count` looks at sizes only; `sweep` also reads trailers and removes what has expired. Both clear temporary files. */
export type Purpose = "count" | "sweep"

/** One walk; a second one waits for the first. Afterwards the ledger is exact, if all directories could be read. */
export const walk = (disk: Disk.Disk, purpose: Purpose): Effect.Effect<void, TierError> =>
  Effect.gen(function* () {
    const { ledger, settings } = disk
    let isComplete = true
    ledger.beginWalk()
    const now = yield* Clock.currentTimeMillis
    for (const name of yield* Effect.orElseSucceed(Disk.names(disk, settings.root), () => [])) {
      if (Layout.isTemporary(name)) yield* clean(disk, `${settings.root}/${name}`, name, now)
    }
    const orNothing = (failure: PlatformError) => {
      isComplete = false
      return Effect.as(Effect.logWarning(`${settings.name}: a directory cannot be read`, failure), [])
    }
    for (const outer of Layout.outerNames) {
      const inners = yield* Disk.names(disk, Layout.outerPath(settings.root, outer)).pipe(
        Effect.catch(orNothing),
        Effect.map((names) => names.filter(Layout.isShardName)),
        Effect.tap((names) => Effect.sync(() => ledger.enter(outer, names))),
        Disk.locked(disk, { outer })
      )
      for (const inner of inners) {
        const shard = { outer, inner }
        yield* Disk.held(disk, "usage")
        yield* Disk.names(disk, Layout.shardPath(settings.root, shard)).pipe(
          Effect.catch(orNothing),
          Effect.flatMap((names) => visit(disk, purpose, shard, names)),
          Disk.locked(disk, shard)
        )
        yield* Effect.yieldNow
      }
    }
    ledger.endWalk(isComplete)
    if (purpose === "sweep") yield* Quarantine.prune(disk)
    if (settings.role === "cache" && settings.maxBytes !== undefined) {
      yield* Eviction.beyondSoftMark(disk, settings.maxBytes)
    }
  }).pipe(Effect.ensuring(Effect.sync(() => disk.ledger.abandonWalk())), (all) => disk.walking.withPermit(all))

/** Looks at the files of one directory. One that cannot be read is passed over. */
const visit = (
  disk: Disk.Disk,
  purpose: Purpose,
  shard: Layout.Shard,
  names: ReadonlyArray<string>
): Effect.Effect<void> =>
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const directory = Layout.shardPath(disk.settings.root, shard)
    let bytes = 0
    let entries = 0
    for (const name of names) {
      const path = `${directory}/${name}`
      const key = Layout.keyOf(shard, name)
      if (key === undefined) {
        if (Layout.isTemporary(name)) yield* clean(disk, path, name, now)
        continue
      }
      const facts = yield* Effect.orElseSucceed(Disk.factsOf(disk, path), () => undefined)
      if (facts === undefined || !facts.isFile) continue
      if (purpose === "sweep" && (yield* isOver(disk, key, facts, now))) {
        const isRemoved = yield* Effect.isSuccess(Disk.unlink(disk, shard, path, facts.bytes))
        if (isRemoved) {
          disk.stats.expired++
          continue
        }
      }
      bytes += facts.bytes
      entries++
    }
    disk.ledger.saw(shard.inner, bytes, entries)
  })

/**
 * Removes a temporary file that its writer left behind: one untouched for too long, or in a store, which has one writer,
 * one of anybody else.
 */
const clean = (disk: Disk.Disk, path: string, name: string, now: number): Effect.Effect<void> =>
  Effect.gen(function* () {
    const facts = yield* Disk.factsOf(disk, path)
    const isOfOther = disk.settings.role === "store" && !Layout.isTemporaryOf(disk.writerId, name)
    if (facts === undefined || (!isOfOther && now - facts.modifiedAt <= abandonedMillis)) return
    yield* disk.fs.remove(path)
    disk.stats.cleaned++
  }).pipe(Effect.ignore)

/** Whether a blob is past its `expiresAt`, or in a cache past `maxAge`. */
const isOver = (disk: Disk.Disk, key: Key.Key, facts: Files.Facts, now: number): Effect.Effect<boolean> => {
  const { maxAgeMillis, role } = disk.settings
  return role === "cache" && maxAgeMillis !== undefined && now - facts.modifiedAt > maxAgeMillis
    ? Effect.succeed(true)
    : Lookup.look(disk, key, 0).pipe(
        Effect.map((found) => found._tag === "Whole" && Header.isExpired(found.header, now)),
        Effect.orElseSucceed(() => false)
      )
}
