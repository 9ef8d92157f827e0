/**
 * Directories for tiers, and what a tier holds open or unfinished in them.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as Scope from "effect/Scope"
import { readdirSync, readlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { temporaryFiles } from "./Directory.ts"

/** Begins the names of the directories of this process. */
export const prefix = `tier-filesystem-leaks-${process.pid}-`

/** A temporary directory whose leaks are counted; it goes with the scope. */
export const directory: Effect.Effect<string, never, Scope.Scope> = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  return yield* Effect.orDie(fs.makeTempDirectoryScoped({ prefix }))
}).pipe(Effect.provide(NodeFileSystem.layer))

/** Files of these directories that are open (known on Linux only), and temporary files in them. */
export const count: Effect.Effect<number> = Effect.sync(() => {
  const roots = readdirSync(tmpdir()).filter((name) => name.startsWith(prefix))
  const unfinished = roots.flatMap((root) => temporaryFiles(`${tmpdir()}/${root}`))
  const descriptors = process.platform === "linux" ? readdirSync("/proc/self/fd") : []
  return unfinished.length + descriptors.filter(isOpenThere).length
})

const isOpenThere = (descriptor: string): boolean => {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`).includes(`/${prefix}`)
  } catch {
    // The descriptor by which the others were listed is closed by now.
    return false
  }
}
