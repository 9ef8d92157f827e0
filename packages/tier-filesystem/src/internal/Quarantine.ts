/**
 * Sets damaged files aside, so that they are neither served nor lost.
 *
 * A set-aside blob is absent from then on. The file is moved to `<root>/quarantine`, for a person to look at; nothing
 * counts it any more. If it cannot be moved it stays, and will be found damaged again.
 */
import type { Header } from "@terrace/core/Header"
import type * as Key from "@terrace/core/Key"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { PlatformError } from "effect/PlatformError"
import { type Disk, locked, nonce } from "./Disk.ts"
import { isAbsent } from "./Errno.ts"
import type * as Files from "./Files.ts"
import * as Layout from "./Layout.ts"
import * as Lookup from "./Lookup.ts"

/** Time that a cache keeps damaged files, in milliseconds (7 days). A store keeps them until a person removes them. */
const keptMillis = 604_800_000

/** Moves the file of `key` away; call it under the shard's lock. */
const move = (disk: Disk, key: Key.Key, facts: Files.Facts, detail: string): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { fs, settings } = disk
    const now = yield* Clock.currentTimeMillis
    const directory = Layout.quarantinePath(settings.root)
    const target = `${directory}/${Layout.quarantineName(now, nonce(), Layout.fileName(key))}`
    const rename = fs.rename(Lookup.pathOf(disk, key), target)
    yield* Effect.catchIf(rename, isAbsent, () => Effect.andThen(fs.makeDirectory(directory), rename))
    const shard = Layout.shardOf(key.group)
    disk.directories.changed(shard)
    if (facts.isFile) disk.ledger.change(shard, -facts.bytes, -1)
    disk.stats.quarantined++
    yield* Effect.logWarning(`${settings.name}: set ${key.text} aside as ${target}: ${detail}`)
  }).pipe(Effect.uninterruptible, Effect.ignore)

/** Looks at the file of `key` for a writer, under the shard's lock; one that cannot be read is set aside first. */
export const lookForWriting = (disk: Disk, key: Key.Key): Effect.Effect<Lookup.Found, PlatformError> =>
  Effect.tap(Lookup.look(disk, key, 0), (found) =>
    found._tag === "Damaged" ? move(disk, key, found.facts, found.detail) : Effect.void
  )

/**
 * Sets aside the blob that a reader found damaged, unless a writer has replaced it meanwhile. `suspect` is its header, if
 * that was readable.
 */
export const setAside = (disk: Disk, key: Key.Key, suspect: Header | undefined, detail: string): Effect.Effect<void> =>
  Effect.gen(function* () {
    const found = yield* Lookup.look(disk, key, 0)
    const isSuspect =
      found._tag === "Damaged" ||
      (found._tag === "Whole" &&
        found.header.generation === suspect?.generation &&
        found.header.digest === suspect.digest)
    if (isSuspect) yield* move(disk, key, found.facts, detail)
  }).pipe(locked(disk, Layout.shardOf(key.group)), Effect.ignore)

/** Removes what a cache has kept long enough. */
export const prune = (disk: Disk): Effect.Effect<void> =>
  Effect.gen(function* () {
    if (disk.settings.role === "store") return
    const directory = Layout.quarantinePath(disk.settings.root)
    const now = yield* Clock.currentTimeMillis
    for (const name of yield* disk.fs.readDirectory(directory)) {
      const since = Layout.quarantinedAt(name)
      if (since !== undefined && now - since > keptMillis) {
        yield* Effect.ignore(disk.fs.remove(`${directory}/${name}`, { recursive: true }))
      }
    }
  }).pipe(Effect.ignore)
