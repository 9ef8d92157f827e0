/**
 * Reading and writing whole pieces of files.
 *
 * Node's file calls cannot be cancelled: a fiber that is interrupted during one leaves it behind in the thread pool, and
 * closing the file then frees a descriptor number which another open may get before the call runs; a write would land in
 * a stranger's file. So everything between an open and its close is uninterruptible, save where a caller waits for
 * somebody else's stream.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import { isPlatformError, type PlatformError } from "effect/PlatformError"
import type * as Scope from "effect/Scope"

/**
 * Runs `use` with an open file and closes it. Effect dies if closing fails, which is where network file systems report
 * failed writes; here it is an error like others.
 */
export const withFile = <A, E, R>(
  fs: FileSystem.FileSystem,
  path: string,
  flag: FileSystem.OpenFlag,
  use: (file: FileSystem.File) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | PlatformError, Exclude<R, Scope.Scope>> =>
  Effect.uninterruptible(
    Effect.catchDefect(Effect.scoped(Effect.flatMap(fs.open(path, { flag }), use)), (defect) =>
      isPlatformError(defect) ? Effect.fail(defect) : Effect.die(defect)
    )
  )

/** Reads `buffer.byteLength` bytes at `position`, fewer only at the end of the file; answers how many. */
export const readFully = (
  file: FileSystem.File,
  buffer: Uint8Array,
  position: number
): Effect.Effect<number, PlatformError> => {
  const from = (filled: number): Effect.Effect<number, PlatformError> =>
    filled === buffer.byteLength
      ? Effect.succeed(filled)
      : Effect.flatMap(file.read(buffer.subarray(filled), { position: BigInt(position + filled) }), (bytes) =>
          bytes === 0 ? Effect.succeed(filled) : from(filled + bytes)
        )
  return from(0)
}

export interface Facts {
  readonly isFile: boolean
  readonly bytes: number
  /** Unix milliseconds. */
  readonly modifiedAt: number
}

export const factsOf = (info: FileSystem.File.Info): Facts => ({
  isFile: info.type === "File",
  bytes: Number(info.size),
  modifiedAt: Option.match(info.mtime, { onNone: () => 0, onSome: (mtime) => mtime.getTime() })
})

/** Flushes a directory, so that the names in it survive a power failure. Does nothing where the system cannot. */
export const syncDirectory = (fs: FileSystem.FileSystem, path: string): Effect.Effect<void, PlatformError> =>
  process.platform === "win32" ? Effect.void : withFile(fs, path, "r", (directory) => directory.sync)
