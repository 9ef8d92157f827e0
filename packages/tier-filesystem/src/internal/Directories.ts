/**
 * Makes shard directories, and makes their names durable.
 *
 * With the durability `file+directory` nothing is acknowledged before the directory that names it was flushed, and the
 * parents of a directory that was new. Two traps:
 *
 * - A directory may be in use while the one who made it has not flushed its parent yet. So a directory is listed as
 *   `fresh` before it is made, until its parent was flushed, and whoever writes into a fresh one flushes the parent too.
 * - A write may find that its work is done already (a retry whose first try landed) while the flush of the first try is
 *   under way or has failed. So a directory is `unsettled` from a change until a flush that began after it, and who
 *   acknowledges without a change of his own settles it.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type { PlatformError } from "effect/PlatformError"
import { isAbsent, isExisting } from "./Errno.ts"
import * as Files from "./Files.ts"
import * as Layout from "./Layout.ts"

export type Durability = "none" | "file" | "file+directory"

export interface Directories {
  /** Makes the directory of a shard, and the one above. The root is never made: it may be a mount that is gone. */
  readonly make: (shard: Layout.Shard) => Effect.Effect<void, PlatformError>
  /** Names in the directory have changed; call it right after the change, under the shard's lock. */
  readonly changed: (shard: Layout.Shard) => void
  /** Flushes the names in the directory, and its own name if it is new. */
  readonly sync: (shard: Layout.Shard) => Effect.Effect<void, PlatformError>
  /** Flushes if somebody else's change has not been flushed yet. */
  readonly settle: (shard: Layout.Shard) => Effect.Effect<void, PlatformError>
}

export const make = (fs: FileSystem.FileSystem, root: string, durability: Durability): Directories => {
  const isDurable = durability === "file+directory"
  const fresh = new Set<string>()
  const unsettled = new Map<string, number>()
  let changes = 0

  const makeOne = (path: string): Effect.Effect<void, PlatformError> =>
    Effect.suspend(() => {
      if (isDurable) fresh.add(path)
      return Effect.catchIf(fs.makeDirectory(path), isExisting, () => Effect.void)
    })

  const syncName = (path: string, parent: string): Effect.Effect<void, PlatformError> =>
    Effect.suspend(() =>
      fresh.has(path)
        ? Effect.map(Files.syncDirectory(fs, parent), () => {
            fresh.delete(path)
          })
        : Effect.void
    )

  const sync: Directories["sync"] = (shard) =>
    Effect.suspend(() => {
      if (!isDurable) return Effect.void
      const path = Layout.shardPath(root, shard)
      const outer = Layout.outerPath(root, shard.outer)
      const change = unsettled.get(path)
      return Effect.gen(function* () {
        yield* Files.syncDirectory(fs, path)
        yield* syncName(path, outer)
        yield* syncName(outer, root)
        if (unsettled.get(path) === change) unsettled.delete(path)
      })
    })

  return {
    make: (shard) => {
      const path = Layout.shardPath(root, shard)
      return Effect.catchIf(makeOne(path), isAbsent, () =>
        Effect.andThen(makeOne(Layout.outerPath(root, shard.outer)), makeOne(path))
      )
    },
    changed: (shard) => {
      if (isDurable) unsettled.set(Layout.shardPath(root, shard), ++changes)
    },
    sync,
    settle: (shard) => Effect.suspend(() => (unsettled.has(Layout.shardPath(root, shard)) ? sync(shard) : Effect.void))
  }
}
