/**
 * A server beside a real Redis, with a proxy between.
 */
import * as FaultProxy from "@terrace/testkit/FaultProxy"
import * as RedisServer from "@terrace/testkit/RedisServer"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Redis } from "ioredis"
import { join } from "node:path"
import { Server } from "./Http.ts"
import { type Environment, startOn, temporaryDirectory } from "./TestServer.ts"

export interface Node {
  /** A client that goes past the proxy, to see and to change what is there. */
  readonly redis: Redis
  /** Between the server and Redis. */
  readonly proxy: FaultProxy.FaultProxy
  readonly server: Server["Service"]
  readonly environment: Environment
}

/** Runs a test with a server beside a real Redis, its images on the disk unless the settings say otherwise. */
export const withNode = <E>(
  use: (node: Node) => Effect.Effect<unknown, E, Server | RedisServer.RedisServer | Scope.Scope>,
  settings: Environment = {}
) =>
  Effect.gen(function* () {
    const { port, url } = yield* RedisServer.RedisServer
    const redis = yield* Effect.acquireRelease(
      Effect.sync(() => new Redis(url)),
      (client) => Effect.sync(() => client.disconnect())
    )
    yield* Effect.promise(() => redis.pipeline().flushall().config("RESETSTAT").exec())
    const proxy = yield* FaultProxy.make({ port })
    const environment = { TERRACE_REDIS_URL: `redis://${proxy.host}:${proxy.port}`, ...settings }
    const server = yield* startOn(join(yield* temporaryDirectory, "data"), environment)
    yield* Effect.provideService(use({ redis, proxy, server, environment }), Server, server)
  })
