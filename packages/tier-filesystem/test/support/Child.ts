/**
 * Child processes that run a script of this directory.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

export interface Child {
  readonly process: ChildProcess
  /** Lines printed so far. */
  readonly lines: ReadonlyArray<string>
  /** Waits until so many lines were printed, or the process has ended. */
  readonly printed: (count: number) => Effect.Effect<void>
  /** Kills it with SIGKILL and waits until it is gone and all it printed was read. */
  readonly kill: Effect.Effect<void>
}

export const start = (script: string, ...parameters: ReadonlyArray<string>): Effect.Effect<Child, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync((): Child => {
      const path = fileURLToPath(new URL(script, import.meta.url))
      const child = spawn(process.execPath, ["--conditions=@terrace/source", path, ...parameters], {
        stdio: ["ignore", "pipe", "inherit"]
      })
      const lines: Array<string> = []
      const reader = createInterface({ input: child.stdout })
      const closed = once(reader, "close")
      reader.on("line", (line) => lines.push(line))
      const printed = async (count: number) => {
        while (lines.length < count && child.exitCode === null && child.signalCode === null) {
          await Promise.race([once(reader, "line"), closed])
        }
      }
      return {
        process: child,
        lines,
        printed: (count) => Effect.promise(() => printed(count)),
        kill: Effect.promise(async () => {
          child.kill("SIGKILL")
          if (child.exitCode === null && child.signalCode === null) await once(child, "exit")
          await closed
        })
      }
    }),
    (child) => child.kill
  )
