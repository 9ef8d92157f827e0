/**
 * The server on a file that describes its deployment.
 */
import * as Effect from "effect/Effect"
import { fileURLToPath } from "node:url"
import { type Environment, spawnServer } from "./TestServer.ts"

/** One of the examples that the package ships. */
export const example = (name: string): string =>
  fileURLToPath(new URL(`../../../packages/config/examples/${name}`, import.meta.url))

/** What the other tests set by variables, which would override the file. */
const unset = { TERRACE_PORT: "", TERRACE_DATA_DIR: "" }

/** A server of its own, which ends with the scope. Its port and its directory are what the file says. */
export const startConfigured = (file: string, environment: Environment = {}) =>
  Effect.acquireRelease(
    Effect.promise(() => spawnServer("", { ...unset, PORT: "0", ...environment }, ["--config", file])),
    (server) => Effect.promise(() => server.end("SIGKILL"))
  )

/** What a start says that fails. */
export const refusal = (file: string, environment: Environment = {}) =>
  Effect.flip(
    Effect.tryPromise({
      try: () => spawnServer("", { ...unset, ...environment }, ["--config", file]),
      catch: (error) => String(error)
    })
  )
