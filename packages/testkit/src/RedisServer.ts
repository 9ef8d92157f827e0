/**
 * A real Redis for tests, in a container.
 *
 * Needs a container engine and the package `testcontainers`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { ContainerError } from "./ContainerError.ts"
import * as Container from "./internal/Container.ts"
import { ask } from "./internal/redisProbe.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export interface Options {
  /** Default: `redis:8`. */
  readonly image?: string | undefined
  /** What clients must say, as `AUTH` does. Default: none. */
  readonly password?: string | undefined
  /**
   * Settings of `redis.conf`, such as `{ maxmemory: "10mb", "maxmemory-policy": "allkeys-lru", save: "" }`. Without a
   * `save`, Redis keeps its data over `stop` and `start`.
   */
  readonly config?: Readonly<Record<string, string>> | undefined
}

/** A running server, and what a test can do to it. */
export interface Redis extends Container.Control {
  readonly host: string
  /** Stays the same over `stop` and `start`. */
  readonly port: number
  readonly password: string | undefined
  /** `redis://…`, with the password if there is one. */
  readonly url: string
  /** Ends it as a crash does: what was not saved is lost. */
  readonly kill: Effect.Effect<void, ContainerError>
  /** Runs `redis-cli` inside; fails with the reply if that is an error. `exec(["config", "set", "maxmemory", "1mb"])` */
  readonly exec: (command: ReadonlyArray<string>) => Effect.Effect<string, ContainerError>
}

export class RedisServer extends Context.Service<RedisServer, Redis>()("@terrace/testkit/RedisServer") {}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

const insidePort = 6379

/**
 * Starts a server that lives as long as the scope.
 *
 * Behavior:
 * - ready when it answers commands: about half a second.
 * - an image that is missing is pulled; fails with `ContainerError` if that cannot be, or if no engine answers.
 * - listens on loopback where the engine is on this machine.
 * - its data goes with the scope. An interruption at any point leaves no container.
 */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<Redis, ContainerError, Scope.Scope> {
  const { password } = options
  const container = yield* Container.start({
    image: options.image ?? "redis:8",
    run: () => ({ ports: [insidePort], command: ["redis-server", ...argumentsOf(options)] }),
    isReady: (host, [port = insidePort]) =>
      Effect.map(ask(host, port, "PING"), (reply) => reply.startsWith("+PONG") || reply.startsWith("-NOAUTH")),
    stopSeconds: 10
  })
  const { control, host, kill } = container
  const [port = insidePort] = container.ports
  return {
    ...control,
    host,
    port,
    password,
    url: `redis://${password === undefined ? "" : `:${encodeURIComponent(password)}@`}${host}:${port}`,
    kill,
    exec: (command) =>
      container.exec(["redis-cli", "-e", ...command], password === undefined ? {} : { REDISCLI_AUTH: password })
  }
})

/** Arguments of `redis-server` for the settings. */
const argumentsOf = ({ config = {}, password }: Options): ReadonlyArray<string> => [
  ...(password === undefined ? [] : ["--requirepass", password]),
  ...Object.entries(config).flatMap(([name, value]) => [`--${name}`, value])
]

/** The server as a service; see `make`. */
export const layer = (options?: Options): Layer.Layer<RedisServer, ContainerError> =>
  Layer.effect(RedisServer, make(options))
