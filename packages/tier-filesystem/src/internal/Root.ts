/**
 * Prepares the root directory, and says clearly what is wrong with it.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type { PlatformError } from "effect/PlatformError"
import { userInfo } from "node:os"
import * as Path from "node:path"
import { StartError } from "../StartError.ts"
import { codeOf, isAbsent, isDenied, isExisting, isFull } from "./Errno.ts"
import * as Files from "./Files.ts"
import type { Settings } from "./Settings.ts"

/** Makes the directory and its parents if they are missing; a store's new parents are flushed. */
export const prepare = (fs: FileSystem.FileSystem, settings: Settings): Effect.Effect<void, StartError> => {
  const make = (path: string): Effect.Effect<void, PlatformError> =>
    fs.makeDirectory(path).pipe(
      Effect.catchIf(
        (failure) => codeOf(failure) === "ENOENT" && Path.dirname(path) !== path,
        () => Effect.andThen(make(Path.dirname(path)), fs.makeDirectory(path))
      ),
      Effect.andThen(
        settings.durability === "file+directory" ? Files.syncDirectory(fs, Path.dirname(path)) : Effect.void
      ),
      Effect.catchIf(isExisting, () => Effect.void)
    )
  return fs.stat(settings.root).pipe(
    Effect.catchIf(
      (failure) => codeOf(failure) === "ENOENT",
      () => Effect.andThen(make(settings.root), fs.stat(settings.root))
    ),
    Effect.mapError(startError(settings.root)),
    Effect.flatMap((info) => (Files.factsOf(info).isFile ? Effect.fail(notADirectory(settings.root)) : Effect.void))
  )
}

const notADirectory = (root: string): StartError =>
  new StartError({
    root,
    reason: "not-a-directory",
    detail: "it, or a part of its path, is a file",
    fix: "Name a directory, or a place where one can be made"
  })

const user = (): string => {
  const uid = process.getuid?.()
  try {
    return `user ${userInfo().username} (uid ${uid ?? "unknown"})`
  } catch {
    return `user with uid ${uid ?? "unknown"}`
  }
}

/** What an error of the file system means for the start. */
export const startError =
  (root: string) =>
  (failure: PlatformError): StartError => {
    const code = codeOf(failure) ?? failure.reason._tag
    const cause = failure.reason.cause ?? failure
    if (code === "ENOTDIR") return notADirectory(root)
    if (isDenied(failure)) {
      return new StartError({
        root,
        reason: "not-writable",
        detail: `${user()} may not write there (${code})`,
        fix:
          code === "EROFS"
            ? "Mount the device writable, or choose another directory"
            : `Give that user the directory, for example: chown -R ${process.getuid?.() ?? "<uid>"} ${root}`,
        cause
      })
    }
    if (isFull(failure)) {
      return new StartError({
        root,
        reason: "no-space",
        detail: `the device or the quota is used up (${code})`,
        fix: "Free some space; a few kilobytes are enough to start and serve what is there",
        cause
      })
    }
    return new StartError({
      root,
      reason: "unavailable",
      detail: isAbsent(failure) ? `it vanished (${code})` : `the device does not answer as it should (${code})`,
      fix: "Look at the device and at its mount",
      cause
    })
  }
