/**
 * A connection to one Redis server or to a Redis Cluster, for tier, bus and leases.
 *
 * A Redis that is down keeps nothing from starting: the connection is made in the background, and made again whenever it
 * breaks; until then commands fail at once. Wrong credentials are a mistake of the configuration, and fail the start.
 */
import type { Reason } from "@terrace/core/TierError"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { Cluster, Redis } from "ioredis"
import type { ConnectionOptions } from "node:tls"
import * as Client from "./internal/Client.ts"
import * as Failures from "./internal/failures.ts"
import * as Health from "./internal/Health.ts"
import * as Settings from "./internal/Settings.ts"
import { StartError } from "./StartError.ts"

export { StartError } from "./StartError.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export interface Options {
  /**
   * `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS. For a cluster, one or several of its nodes.
   * A character of user or password that means something in a URL is percent-encoded.
   */
  readonly url: string | Redacted.Redacted | ReadonlyArray<string | Redacted.Redacted>
  /** Whether it is a Redis Cluster. Default: false. */
  readonly cluster?: boolean | undefined
  /** Whether a start without an answer fails. Default: false, it goes on and connects in the background. */
  readonly required?: boolean | undefined
  /** Time that connecting may take; the start waits no longer. Default: 2 seconds. */
  readonly connectTimeout?: Duration.Input | undefined
  /**
   * A server that owes answers and sends nothing for so long is given up: the connection is closed, and all that it has
   * not answered fails with `TimedOut`. Default: 10 seconds.
   */
  readonly silenceTimeout?: Duration.Input | undefined
  /** Options of TLS, such as `ca`; needs `rediss://`. */
  readonly tls?: ConnectionOptions | undefined
  /** Name of the connections in `CLIENT LIST`. Default: `terrace`. */
  readonly clientName?: string | undefined
  /** For a cluster behind NAT: where a node that announces `host:port` is reached. */
  readonly natMap?: Readonly<Record<string, Settings.Node>> | undefined
}

export interface Connection {
  /** `host:port`, without credentials. */
  readonly address: string
  readonly isCluster: boolean
  /** See `Options.silenceTimeout`. */
  readonly silenceMillis: number
  /**
   * The client of ioredis, for commands that `send` is told. A command that is under way when the connection breaks
   * fails, and is never sent again.
   */
  readonly client: Redis | Cluster
  /** Whether commands are sent now; otherwise they fail at once. */
  readonly isConnected: () => boolean
  /**
   * Sends a command. It fails with what a failure means.
   *
   * Behavior:
   * - without a connection, `Unavailable` with `noEffect` at once; nothing is queued.
   * - Redis cannot be told to stop: an interruption leaves the command behind, which may take effect.
   */
  readonly send: <A>(command: (client: Redis | Cluster) => Promise<A>) => Effect.Effect<A, Reason>
  /** The servers that hold keys: the one, or the masters of the cluster that are known now. */
  readonly masters: () => ReadonlyArray<Redis>
  /**
   * One more client, of the server or of any node of the cluster, for subscriptions. It is not connected yet, does not
   * connect again, and is whose asks for it to disconnect.
   */
  readonly another: () => Redis
}

export class RedisConnection extends Context.Service<RedisConnection, Connection>()(
  "@terrace/tier-redis/RedisConnection"
) {}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Opens a connection that lives as long as the scope.
 *
 * Behavior:
 * - waits for the first answer, at most `connectTimeout`.
 * - fails with `StartError` for options that are impossible, credentials that are refused, a database or a cluster that
 *   is none; with `required`, also if no server answers. Otherwise that is logged, and it goes on trying.
 * - an outage is logged once when it begins and once when it ends.
 */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Connection, StartError, Scope.Scope> {
  const settings = yield* Settings.resolve(options)
  const { address, isCluster, silenceMillis } = settings
  const client = yield* Effect.acquireRelease(
    Effect.sync(() => Client.open(settings)),
    (open) => Effect.sync(() => open.disconnect())
  )
  const health = yield* Health.watch(client, address)
  const isConnected = () => client.status === "ready" && health.badDatabase === undefined && !health.isClosed
  const circumstances = (): Failures.Circumstances => ({
    address,
    isCluster,
    isConnected: isConnected(),
    silenceMillis,
    trouble: health.trouble
  })
  const connection: Connection = {
    address,
    isCluster,
    silenceMillis,
    client,
    isConnected,
    send: (command) =>
      Effect.suspend(() =>
        isConnected()
          ? Effect.tryPromise({
              try: () => command(client),
              catch: (cause) => Failures.reasonOf(cause, circumstances())
            })
          : Effect.fail(Failures.notConnected(circumstances()))
      ),
    masters: () => Client.masters(client),
    another: () => Client.another(settings, client)
  }
  yield* start(settings, connection, health)
  yield* health.log
  return connection
})

/** The connection as a service; see `make`. */
export const layer = (options: Options): Layer.Layer<RedisConnection, StartError> =>
  Layer.effect(RedisConnection, make(options))

/** Connects, and says what has come of it. */
const start = Effect.fnUntraced(function* (settings: Settings.Settings, { client }: Connection, health: Health.Health) {
  const first = yield* Effect.tryPromise({
    try: async () => {
      await client.connect()
      await client.ping()
    },
    catch: (cause) => health.trouble ?? Failures.clean(cause)
  }).pipe(Effect.result, Effect.timeoutOption(settings.connectMillis))

  if (health.badDatabase !== undefined) return yield* noDatabase(settings, health.badDatabase)
  if (Option.isSome(first) && first.value._tag === "Success") return
  const trouble = Option.match(first, {
    onNone: () => health.trouble ?? new Error(`no answer within ${settings.connectMillis} ms`),
    onSome: (result) => (result._tag === "Failure" ? rootOf(result.failure) : undefined)
  })
  if (trouble === undefined || /^NOPERM\b/.test(trouble.message)) return
  if (Failures.isDenial(trouble)) return yield* denied(settings, trouble)
  if (trouble.message.startsWith("ERR This instance has cluster support disabled")) {
    return yield* noCluster(settings, trouble)
  }
  if (settings.isRequired) return yield* unavailable(settings, trouble)
  yield* Effect.logWarning(
    `redis at ${settings.address} does not answer (${Failures.textOf(trouble)}): going on without it until it does`
  )
})

/** Why a cluster could not be found: what its last node said. */
const rootOf = (error: Error): Error =>
  "lastNodeError" in error && error.lastNodeError instanceof Error ? Failures.clean(error.lastNodeError) : error

const noDatabase = ({ address, database }: Settings.Settings, trouble: Error): StartError =>
  new StartError({
    address,
    reason: "invalid-option",
    detail: `it has no database ${database} (${trouble.message})`,
    fix: "Name one that it has, for example redis://host:6379/0",
    cause: Failures.clean(trouble)
  })

const noCluster = ({ address }: Settings.Settings, trouble: Error): StartError =>
  new StartError({
    address,
    reason: "invalid-option",
    detail: "it is no node of a cluster",
    fix: "Leave out `cluster: true`, or name a node of the cluster",
    cause: trouble
  })

const denied = ({ address, password, username }: Settings.Settings, trouble: Error): StartError =>
  new StartError({
    address,
    reason: "denied",
    detail:
      password === undefined
        ? `it asks for a password (${trouble.message})`
        : `it refuses the password${username === undefined ? "" : ` of ${JSON.stringify(username)}`} (${trouble.message})`,
    fix: "Put the right ones into the URL, for example redis://user:password@host:6379",
    cause: Failures.clean(trouble)
  })

const unavailable = ({ address }: Settings.Settings, trouble: Error): StartError =>
  new StartError({
    address,
    reason: "unavailable",
    detail: `it does not answer (${Failures.textOf(trouble)})`,
    fix: "Start it or correct the URL; with `required: false` the start goes on without it",
    cause: Failures.clean(trouble)
  })
