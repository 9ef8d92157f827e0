/**
 * The right to write into a store directory: held while the tier lives, verified before it is relied upon.
 */
import * as TierError from "@terrace/core/TierError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type { PlatformError } from "effect/PlatformError"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { StartError } from "../StartError.ts"
import * as Layout from "./Layout.ts"
import * as LockFile from "./LockFile.ts"
import * as ProcessIdentity from "./ProcessIdentity.ts"

export interface WriterLock {
  /** Succeeds if this tier may write. */
  readonly held: Effect.Effect<void, TierError.Unavailable>
  /** Succeeds if the directory is there, so that a missing file proves an absent blob: a mount may be gone. */
  readonly present: Effect.Effect<void, TierError.Unavailable>
}

/**
 * For a cache, whose directory may be shared. Its misses prove nothing, but that it has nothing to remove must be true: a
 * copy that was out of reach, and not dropped, would be served when the directory is back.
 */
export const none = (fs: FileSystem.FileSystem, root: string): WriterLock => ({
  held: Effect.void,
  // The dot, since a file may be in its place.
  present: Effect.mapError(fs.access(`${root}/.`), unavailable)
})

const lost = new TierError.Unavailable({
  cause: new Error("the lock of the store directory is lost: it was removed, taken over, or the mount is gone; restart")
})

const inUse = (root: string, holder: ProcessIdentity.ProcessIdentity | undefined): StartError => {
  const common = { root, reason: "in-use" } as const
  return holder === undefined
    ? new StartError({
        ...common,
        detail: `its lock file is being written, or was not written by a tier`,
        fix: `Give each store a directory of its own; if nothing else uses this one, remove ${Layout.lockPath(root)}`
      })
    : new StartError({
        ...common,
        detail: `process ${holder.pid} on ${holder.host} has been writing there since ${holder.startedAt}`,
        fix: `Give each store a directory of its own, or stop that process; the lock of a dead one is taken over by itself, within ${LockFile.staleAfterMillis / 1000} seconds at most`,
        holder: { pid: holder.pid, host: holder.host, since: holder.startedAt }
      })
}

const unavailable = (error: PlatformError): TierError.Unavailable =>
  new TierError.Unavailable({ cause: error.reason.cause ?? error })

/** Takes the lock and keeps it until the scope closes. */
export const acquire = (
  fs: FileSystem.FileSystem,
  root: string
): Effect.Effect<WriterLock, StartError | PlatformError, Scope.Scope> =>
  Effect.gen(function* () {
    const path = Layout.lockPath(root)
    const self = yield* ProcessIdentity.own
    yield* Effect.acquireRelease(
      Effect.flatMap(LockFile.acquire(fs, path, self), (outcome) =>
        outcome._tag === "Held"
          ? Effect.void
          : Effect.fail(inUse(root, outcome._tag === "Refused" ? outcome.holder : undefined))
      ),
      () => LockFile.release(fs, path, self)
    )

    let isLost = false
    let verifiedAt = yield* Clock.currentTimeMillis

    /** One heartbeat. An error leaves open whether the lock is ours; the next heartbeat may tell. */
    const verify: Effect.Effect<void, TierError.Unavailable> = Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      isLost = !(yield* Effect.mapError(LockFile.beat(fs, path, self), unavailable))
      if (isLost) yield* Effect.fail(lost)
      verifiedAt = now
    })

    yield* Effect.ignore(verify).pipe(Effect.repeat(Schedule.spaced(LockFile.heartbeatMillis)), Effect.forkScoped)

    return {
      held: Effect.suspend(() =>
        isLost
          ? Effect.fail(lost)
          : Effect.flatMap(Clock.currentTimeMillis, (now) =>
              // Late heartbeats mean that the process was suspended or the device hangs: others may think us dead.
              now - verifiedAt <= 3 * LockFile.heartbeatMillis ? Effect.void : verify
            )
      ),
      present: Effect.suspend(() => (isLost ? Effect.fail(lost) : Effect.mapError(fs.access(path), unavailable)))
    }
  })
