/**
 * The server as its users run it: a process of its own, spoken to over a socket.
 */
import * as Effect from "effect/Effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

const main = fileURLToPath(new URL("../../../services/image-server/src/main.ts", import.meta.url))

export interface TestServer {
  readonly url: string
  readonly dataDir: string
  /** Lines of its log so far. */
  readonly log: ReadonlyArray<string>
  readonly process: ChildProcess
  /** Sends a signal and waits for the end; answers the exit code, or the signal that ended it. */
  readonly end: (signal: NodeJS.Signals) => Promise<number | NodeJS.Signals | null>
}

export type Environment = Readonly<Record<string, string>>

/** Starts the process and waits until it listens; rejects with its log if it ends before. */
export const spawnServer = async (
  dataDir: string,
  environment: Environment = {},
  options: ReadonlyArray<string> = []
): Promise<TestServer> => {
  const child = spawn(process.execPath, ["--conditions=@terrace/source", main, ...options], {
    env: { PATH: process.env["PATH"], TERRACE_PORT: "0", TERRACE_DATA_DIR: dataDir, ...environment },
    stdio: ["ignore", "pipe", "pipe"]
  })
  const log: Array<string> = []
  const ended = once(child, "close")
  const listening = Promise.withResolvers<string>()
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on("line", (line) => {
      log.push(line)
      const address = /message=listening address=(\S+)/.exec(line)?.[1]
      if (address !== undefined) listening.resolve(address)
    })
  }
  const url = await Promise.race([
    listening.promise,
    ended.then(([code]) => Promise.reject(new Error(`exit code ${code}:\n${log.join("\n")}`)))
  ])
  return {
    url,
    dataDir,
    log,
    process: child,
    end: async (signal) => {
      child.kill(signal)
      await ended
      return child.exitCode ?? child.signalCode
    }
  }
}

export const temporaryDirectory = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "terrace-server-"))),
  (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
)

/** A server of its own for one test or block of tests. */
export const start = (environment: Environment = {}) =>
  Effect.flatMap(temporaryDirectory, (dataDir) => startOn(join(dataDir, "data"), environment))

/** A server on a data directory that is there already. */
export const startOn = (dataDir: string, environment: Environment = {}) =>
  Effect.acquireRelease(
    Effect.promise(() => spawnServer(dataDir, environment)),
    (server) => Effect.promise(() => server.end("SIGKILL"))
  )

/** The lines that a start in vain leaves: the exit code, then its log. */
export const refusal = (environment: Environment) =>
  Effect.gen(function* () {
    const dataDir = yield* temporaryDirectory
    const error = yield* Effect.flip(
      Effect.tryPromise({ try: () => spawnServer(dataDir, environment), catch: (thrown) => thrown as Error })
    )
    return error.message.split("\n")
  })
