/**
 * Free space of the device under a path, which Effect's `FileSystem` does not tell.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { statfs } from "node:fs/promises"

/** Bytes that an unprivileged process may still write; undefined where the system does not say. */
export type DiskSpace = (path: string) => Effect.Effect<number | undefined>

export const DiskSpace = Context.Reference<DiskSpace>("@terrace/tier-filesystem/internal/DiskSpace", {
  defaultValue: () => (path) =>
    Effect.promise(() =>
      statfs(path).then(
        (stats) => stats.bavail * stats.bsize,
        () => undefined
      )
    )
})
