/**
 * A real Redis Cluster for tests: three nodes without replicas in one container, the slots divided among them.
 *
 * Needs a container engine and the package `testcontainers`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { readFileSync } from "node:fs"
import type { ContainerError } from "./ContainerError.ts"
import * as Container from "./internal/Container.ts"
import { ask } from "./internal/redisProbe.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export interface Options {
  /** Default: `redis:8`. */
  readonly image?: string | undefined
  /** Settings of `redis.conf`, for every node. */
  readonly config?: Readonly<Record<string, string>> | undefined
}

export interface Node {
  readonly host: string
  readonly port: number
}

/** A running cluster; what a test does to it, it does to all nodes. */
export interface Cluster extends Container.Control {
  /** Slots 0–5460, 5461–10921 and 10922–16383. A node announces the address that stands here. */
  readonly nodes: readonly [Node, Node, Node]
  /** Runs `redis-cli` on the node at `port`, without following redirections; fails with the reply if that is an error. */
  readonly exec: (port: number, command: ReadonlyArray<string>) => Effect.Effect<string, ContainerError>
}

export class RedisCluster extends Context.Service<RedisCluster, Cluster>()("@terrace/testkit/RedisCluster") {}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

const script = readFileSync(new URL("../containers/redis-cluster.sh", import.meta.url), "utf8")

/**
 * Starts a cluster that lives as long as the scope.
 *
 * Behavior:
 * - ready when every node says that all slots are served: about two seconds.
 * - an image that is missing is pulled; fails with `ContainerError` if that cannot be, or if no engine answers.
 * - its data goes with the scope. An interruption at any point leaves no container.
 */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<Cluster, ContainerError, Scope.Scope> {
  const settings = Object.entries(options.config ?? {}).flatMap(([name, value]) => [`--${name}`, value])
  const container = yield* Container.start({
    image: options.image ?? "redis:8",
    run: (first, host) => {
      // The same ports inside as outside, so that an announced address is right in both places.
      const ports = [first, first + 1, first + 2]
      return {
        ports,
        ...Container.script("sh", script),
        command: [host, ...ports.map(String), ...settings]
      }
    },
    isReady: (host, ports) =>
      Effect.map(
        Effect.forEach(ports, (port) => ask(host, port, "CLUSTER INFO")),
        (replies) => replies.every((reply) => /cluster_state:ok/.test(reply) && /cluster_known_nodes:3/.test(reply))
      ),
    stopSeconds: 10
  })
  const { control, host } = container
  const [first = 0] = container.ports
  return {
    ...control,
    nodes: [
      { host, port: first },
      { host, port: first + 1 },
      { host, port: first + 2 }
    ],
    exec: (port, command) => container.exec(["redis-cli", "-e", "-p", String(port), ...command])
  }
})

/** The cluster as a service; see `make`. */
export const layer = (options?: Options): Layer.Layer<RedisCluster, ContainerError> =>
  Layer.effect(RedisCluster, make(options))
