/**
 * What the operations of one tier share.
 */
import { type Operation, type Reason, TierError } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type { PlatformError } from "effect/PlatformError"
import * as Semaphore from "effect/Semaphore"
import { randomBytes } from "node:crypto"
import type * as Directories from "./Directories.ts"
import type { DiskSpace } from "./DiskSpace.ts"
import { isAbsent, reasonOf } from "./Errno.ts"
import * as Files from "./Files.ts"
import type * as Layout from "./Layout.ts"
import type { Ledger } from "./Ledger.ts"
import type { Settings } from "./Settings.ts"
import type { WriterLock } from "./WriterLock.ts"

/** What a tier has done since it started. */
export interface Stats {
  /** Damaged files that were set aside. */
  quarantined: number
  /** Blobs dropped to make room. */
  evicted: number
  /** Blobs swept since they were past `expiresAt` or `maxAge`. */
  expired: number
  /** Temporary files of dead writers that were removed. */
  cleaned: number
}

export interface Disk {
  readonly fs: FileSystem.FileSystem
  readonly settings: Settings
  readonly ledger: Ledger
  readonly directories: Directories.Directories
  readonly writer: WriterLock
  readonly diskSpace: DiskSpace
  readonly stats: Stats
  /** Marks the temporary files of this tier, 16 hex digits. */
  readonly writerId: string
  /** Held around every change in an outer directory: 256 of them, whatever the number of groups. */
  readonly locks: ReadonlyArray<Semaphore.Semaphore>
  /** Permits of which there is one each: who evicts, and who walks through all directories. */
  readonly evicting: Semaphore.Semaphore
  readonly walking: Semaphore.Semaphore
  /** Waits until the blobs of a store were counted once, if nothing is known of them. */
  readonly counted: Effect.Effect<void>
  /** Runs something that nobody waits for, until the tier closes. */
  readonly background: (effect: Effect.Effect<unknown>) => Effect.Effect<void>
}

export const makeLocks = (): Disk["locks"] => Array.from({ length: 256 }, () => Semaphore.makeUnsafe(1))
export const makeStats = (): Stats => ({ quarantined: 0, evicted: 0, expired: 0, cleaned: 0 })
export const nonce = (): string => randomBytes(8).toString("hex")

/** Runs an effect while nobody else changes what is in the shard's outer directory. */
export const locked =
  (disk: Disk, shard: { readonly outer: string }) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
    const lock = disk.locks[Number.parseInt(shard.outer, 16)]
    return lock === undefined ? effect : lock.withPermit(effect)
  }

/** The names in a directory below the root, sorted. */
export const names = (disk: Disk, path: string): Effect.Effect<ReadonlyArray<string>, PlatformError> =>
  Effect.catchIf(
    Effect.map(disk.fs.readDirectory(path), (found) => found.sort()),
    isAbsent,
    () => Effect.succeed([])
  )

/** What the system tells of a file; undefined if there is none. */
export const factsOf = (disk: Disk, path: string): Effect.Effect<Files.Facts | undefined, PlatformError> =>
  Effect.catchIf(Effect.map(disk.fs.stat(path), Files.factsOf), isAbsent, () => Effect.succeed(undefined))

/** Removes a blob's file and its bytes from the ledger; call it under the shard's lock. Answers whether it was there. */
export const unlink = (
  disk: Disk,
  shard: Layout.Shard,
  path: string,
  fileBytes: number
): Effect.Effect<boolean, PlatformError> =>
  disk.fs.remove(path).pipe(
    Effect.as(true),
    Effect.catchIf(isAbsent, () => Effect.succeed(false)),
    Effect.map((wasThere) => {
      disk.directories.changed(shard)
      disk.ledger.change(shard, -fileBytes, -1)
      return wasThere
    }),
    Effect.uninterruptible
  )

export const error = (disk: Disk, operation: Operation, reason: Reason): TierError =>
  new TierError({ tier: disk.settings.name, operation, reason })

/** Fails unless this tier may write. */
export const held = (disk: Disk, operation: Operation): Effect.Effect<void, TierError> =>
  Effect.mapError(disk.writer.held, (reason) => error(disk, operation, reason))

/** Fails unless a missing file proves an absent blob. */
export const present = (disk: Disk, operation: Operation): Effect.Effect<void, TierError> =>
  Effect.mapError(disk.writer.present, (reason) => error(disk, operation, reason))

/** Turns errors of the file system into those of the tier. */
export const trouble =
  (disk: Disk, operation: Operation) =>
  (platformError: PlatformError): TierError =>
    error(disk, operation, reasonOf(platformError))
