/**
 * A tier on a real disk, in a directory of its own.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as Scope from "effect/Scope"
import { readdirSync } from "node:fs"
import * as FilesystemTier from "../../src/FilesystemTier.ts"

export type Settings = Omit<FilesystemTier.Options, "root"> & { readonly root?: string }

/** A temporary directory that goes with the scope. */
export const directory: Effect.Effect<string, never, Scope.Scope> = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  return yield* Effect.orDie(fs.makeTempDirectoryScoped({ prefix: "tier-filesystem-" }))
}).pipe(Effect.provide(NodeFileSystem.layer))

/** A tier in `root`; the disk need not have space left unless the test says so. */
export const tier = (options: FilesystemTier.Options) =>
  FilesystemTier.make({ minFreeBytes: 0, ...options }).pipe(Effect.provide(NodeFileSystem.layer))

/** A tier in a directory of its own, and the directory. */
export const fresh = (options: Settings) =>
  Effect.gen(function* () {
    const root = options.root ?? (yield* directory)
    return { root, tier: yield* tier({ ...options, root }) }
  })

/** Paths of all files below `root`, relative to it, sorted. */
export const files = (root: string): ReadonlyArray<string> =>
  readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath}/${entry.name}`.slice(root.length + 1))
    .sort()

/** The blob files below `root`. */
export const blobFiles = (root: string): ReadonlyArray<string> =>
  files(root).filter((path) => /^[0-9a-f]{2}\/[0-9a-f]{2}\/[^.]/.test(path))

export const temporaryFiles = (root: string): ReadonlyArray<string> =>
  files(root).filter((path) => path.includes(".tmp-"))
