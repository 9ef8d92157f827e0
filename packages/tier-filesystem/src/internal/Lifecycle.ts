/**
 * Starts and ends a tier: lock, count, background work.
 */
import { type TierError } from "@terrace/core/TierError"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as Latch from "effect/Latch"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { StartError } from "../StartError.ts"
import * as Directories from "./Directories.ts"
import * as Disk from "./Disk.ts"
import { DiskSpace } from "./DiskSpace.ts"
import * as Layout from "./Layout.ts"
import { Ledger } from "./Ledger.ts"
import * as Root from "./Root.ts"
import type { Settings } from "./Settings.ts"
import * as UsageFile from "./UsageFile.ts"
import * as Walk from "./Walk.ts"
import * as WriterLock from "./WriterLock.ts"

const checkpointEvery = "1 minute"
const firstSweepAfter = "1 minute"

export interface Started {
  readonly disk: Disk.Disk
  /** Where operations and background work run; closed before the lock is given back. */
  readonly scope: Scope.Scope
}

export const start = (settings: Settings): Effect.Effect<Started, StartError, FileSystem.FileSystem | Scope.Scope> =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const { root, role } = settings
    yield* Root.prepare(fs, settings)
    const usage = yield* Effect.mapError(UsageFile.read({ fs, settings }), Root.startError(root))
    if (role === "cache" && usage?.role === "store") return yield* Effect.fail(isStore(root))
    const writer = role === "cache" ? WriterLock.none(fs, root) : yield* lock(fs, root)

    const changed = Latch.makeUnsafe()
    const ledger = new Ledger(() => changed.openUnsafe())
    const isEmpty = !(yield* Effect.mapError(fs.readDirectory(root), Root.startError(root))).some(Layout.isShardName)
    ledger.bytes = isEmpty ? 0 : (usage?.bytes ?? 0)
    ledger.entries = isEmpty ? 0 : (usage?.entries ?? 0)
    ledger.isKnown = isEmpty || usage !== undefined
    ledger.isExact = isEmpty || (role === "store" && usage?.clean === true)
    const counted = yield* Deferred.make<void>()
    if (ledger.isKnown) yield* Deferred.succeed(counted, undefined)

    const scope = yield* Scope.make()
    const disk: Disk.Disk = {
      fs,
      settings,
      ledger,
      writer,
      directories: Directories.make(fs, root, settings.durability),
      diskSpace: yield* DiskSpace,
      stats: Disk.makeStats(),
      writerId: Disk.nonce(),
      locks: Disk.makeLocks(),
      evicting: Semaphore.makeUnsafe(1),
      walking: Semaphore.makeUnsafe(1),
      counted: Deferred.await(counted),
      background: (effect) => Effect.asVoid(Effect.forkIn(effect, scope))
    }
    yield* Effect.mapError(UsageFile.write(disk, false), Root.startError(root))
    yield* Effect.addFinalizer(() =>
      Effect.andThen(
        Scope.close(scope, Exit.void),
        Effect.ignore(Effect.andThen(writer.held, UsageFile.write(disk, ledger.isExact)))
      )
    )

    const count = ledger.isExact
      ? Effect.void
      : Effect.ensuring(logged(disk, Walk.walk(disk, "count")), Deferred.succeed(counted, undefined))
    yield* disk.background(
      count.pipe(
        Effect.andThen(Effect.sleep(firstSweepAfter)),
        Effect.andThen(Effect.repeat(logged(disk, Walk.walk(disk, "sweep")), Schedule.spaced(settings.sweepEvery)))
      )
    )
    yield* disk.background(checkpoints(disk, changed))
    return { disk, scope }
  })

const lock = (fs: FileSystem.FileSystem, root: string): Effect.Effect<WriterLock.WriterLock, StartError, Scope.Scope> =>
  Effect.mapError(WriterLock.acquire(fs, root), (failure) =>
    failure instanceof StartError ? failure : Root.startError(root)(failure)
  )

const isStore = (root: string): StartError =>
  new StartError({
    root,
    reason: "in-use",
    detail: "it is the directory of a store, from which a cache would evict",
    fix: `Give the cache a directory of its own; if the store is to become a cache, remove ${Layout.usagePath(root)}`
  })

const logged = (disk: Disk.Disk, walk: Effect.Effect<void, TierError>): Effect.Effect<void> =>
  Effect.catch(walk, (failure) =>
    Effect.logWarning(`${disk.settings.name}: a walk through ${disk.settings.root} failed`, failure)
  )

/** Saves an estimate for a start after a crash, a while after each change and the ones that follow it. */
const checkpoints = (disk: Disk.Disk, changed: Latch.Latch): Effect.Effect<never> =>
  changed.await.pipe(
    Effect.andThen(Effect.sleep(checkpointEvery)),
    Effect.andThen(changed.close),
    Effect.andThen(Effect.ignore(Effect.andThen(disk.writer.held, UsageFile.write(disk, false)))),
    Effect.forever
  )
