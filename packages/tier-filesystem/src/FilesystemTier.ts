/**
 * Storage tier of atomic, self-describing files.
 *
 * One file per blob: the payload first, the header in a trailer, so that a file is also just the image. Reads open one
 * file, writes commit by one rename, nothing is indexed, and a restart serves at once. As a store it has one writer,
 * refuses what does not fit, and acknowledges what a power failure cannot take back; as a cache it evicts, and may share
 * its directory.
 */
import * as Tier from "@terrace/core/Tier"
import { type Operation, type TierError, Unavailable } from "@terrace/core/TierError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Disk from "./internal/Disk.ts"
import * as Lifecycle from "./internal/Lifecycle.ts"
import * as Operations from "./internal/Operations.ts"
import * as Reading from "./internal/Reading.ts"
import * as Removal from "./internal/Removal.ts"
import * as Scan from "./internal/Scan.ts"
import * as Settings from "./internal/Settings.ts"
import * as Walk from "./internal/Walk.ts"
import * as Writing from "./internal/Writing.ts"
import type { Options } from "./Options.ts"
import type { StartError } from "./StartError.ts"

export type { Options } from "./Options.ts"
export { StartError } from "./StartError.ts"

export class FilesystemTier extends Context.Service<FilesystemTier, Tier.Tier>()(
  "@terrace/tier-filesystem/FilesystemTier"
) {}

/** What a tier has done since it started. */
export type Stats = Readonly<Disk.Stats>

export interface Filesystem extends Tier.Tier {
  /**
   * Sweeps now: removes what has expired and what dead writers left, and counts exactly. It runs in the background every
   * `sweepEvery` too.
   */
  readonly sweep: Effect.Effect<void, TierError>
  readonly stats: Effect.Effect<Stats>
}

/**
 * Starts a tier that lives as long as the scope.
 *
 * Behavior:
 * - makes the root directory if it is missing; fails with `StartError` if it cannot be used.
 * - a store takes the lock of its directory, from a dead holder if need be. A holder of another machine or container is
 *   dead once its heartbeat is 30 seconds old; until that is known the start waits.
 * - after a clean end it knows at once what the blobs take, else it counts in the background while it serves.
 * - closing the scope waits for writes under way, and undoes those that still wait for their bytes.
 */
export const make = (options: Options): Effect.Effect<Filesystem, StartError, FileSystem.FileSystem | Scope.Scope> =>
  Effect.gen(function* () {
    const settings = yield* Settings.resolve(options)
    const { disk, scope } = yield* Lifecycle.start(settings)

    const closed = (operation: Operation): Effect.Effect<never, TierError> =>
      Effect.fail(Disk.error(disk, operation, new Unavailable({ cause: new Error("the tier is closed") })))
    const run = <A>(operation: Operation, effect: Effect.Effect<A, TierError>) =>
      Operations.run(scope, effect, closed(operation))

    return {
      name: settings.name,
      capabilities: capabilitiesOf(settings),
      get: (key) => Operations.run(scope, Reading.get(disk, key), Effect.succeed(Tier.skipped("closed"))),
      head: (key) => Operations.run(scope, Reading.head(disk, key), Effect.succeed(Tier.skipped("closed"))),
      put: (blob, options) => run("put", Writing.put(disk, blob, options)),
      remove: (key, generation) => run("remove", Removal.remove(disk, key, generation)),
      removeGroup: (group, generation) => run("removeGroup", Removal.removeGroup(disk, group, generation)),
      scan: (options) => Stream.suspend(() => Scan.scan(disk, options)),
      usage: Effect.sync(() => ({
        bytes: disk.ledger.bytes,
        entries: disk.ledger.entries,
        limit: settings.maxBytes,
        exact: disk.ledger.isExact
      })),
      corrupted: () => disk.stats.quarantined,
      evictions: settings.role === "cache" ? () => disk.stats.evicted : undefined,
      sweep: run("usage", Effect.interruptible(Walk.walk(disk, "sweep"))),
      stats: Effect.sync(() => ({ ...disk.stats }))
    }
  })

const capabilitiesOf = (settings: Settings.Settings): Tier.Capabilities => ({
  streaming: true,
  ranges: true,
  atomicPut: "process",
  durable: settings.durability === "file+directory",
  persistent: true,
  shared: settings.role === "cache",
  list: true,
  nativeExpiry: false,
  maxBytes:
    settings.role === "cache" && settings.maxBytes !== undefined ? Writing.maxBodyBytes(settings.maxBytes) : undefined
})

/** The tier as a service; see `make`. */
export const layer = (options: Options): Layer.Layer<FilesystemTier, StartError, FileSystem.FileSystem> =>
  Layer.effect(FilesystemTier, make(options))
