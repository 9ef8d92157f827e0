/**
 * Several servers over one bucket and one Redis, each behind proxies of its own, so that one can be cut off.
 */
import { ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3"
import * as FaultProxy from "@terrace/testkit/FaultProxy"
import * as RedisServer from "@terrace/testkit/RedisServer"
import * as S3Server from "@terrace/testkit/S3Server"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { Redis } from "ioredis"
import { join } from "node:path"
import { eventually } from "./eventually.ts"
import { bytesOf, type Explanation, jsonOf, send, Server } from "./Http.ts"
import { type Environment, startOn, temporaryDirectory, type TestServer } from "./TestServer.ts"

export interface Node {
  readonly server: TestServer
  /** Begins anew on its data directory, after its process has ended; with the same proxies. */
  readonly restart: Effect.Effect<Node, never, Scope.Scope>
  /** Between the node and Redis. */
  readonly redis: FaultProxy.FaultProxy
  /** Between the node and S3. */
  readonly s3: FaultProxy.FaultProxy
}

export interface Nodes {
  readonly a: Node
  readonly b: Node
  /** Two more, with settings of their own, as long as the scope. */
  readonly twoMore: ReturnType<typeof opener>
  /** A client that goes past the proxies, to see and to change what is there. */
  readonly redis: Redis
  /** Names of all objects of the bucket. */
  readonly objects: Effect.Effect<ReadonlyArray<string>>
}

export class Deployment extends Context.Service<Deployment, Nodes>()("test/Deployment") {}

const opener =
  (common: Environment, redis: { readonly port: number }, s3: { readonly port: number }, client: Redis) =>
  (settings: Environment = {}) => {
    const open = Effect.gen(function* () {
      const toRedis = yield* FaultProxy.make({ port: redis.port })
      const toS3 = yield* FaultProxy.make({ port: s3.port })
      const dataDir = join(yield* temporaryDirectory, "data")
      const begin: Effect.Effect<Node, never, Scope.Scope> = Effect.map(
        startOn(dataDir, {
          ...common,
          TERRACE_REDIS_URL: `redis://${toRedis.host}:${toRedis.port}`,
          TERRACE_S3_ENDPOINT: `http://${toS3.host}:${toS3.port}`,
          ...settings
        }),
        (server) => ({ server, redis: toRedis, s3: toS3, restart: begin })
      )
      return yield* begin
    })
    return Effect.gen(function* () {
      const before = yield* listeners(client)
      const two = yield* Effect.all([open, open], { concurrency: 2 })
      yield* eventually(
        "the nodes listen to the others",
        Effect.map(listeners(client), (now) => now >= before + 2)
      )
      return two
    })
  }

/** Nodes that hear messages now. */
const listeners = (redis: Redis) => Effect.promise(async () => Number((await redis.pubsub("NUMSUB", "terrace:bus"))[1]))

/** Kills the process of a node; afterwards nothing of it listens any more, whatever its proxies let through. */
export const kill = ({ redis, server }: Node) =>
  Effect.gen(function* () {
    const nodes = yield* Deployment
    const before = yield* listeners(nodes.redis)
    yield* Effect.promise(() => server.end("SIGKILL"))
    yield* redis.cut("reset")
    yield* eventually(
      "Redis has noticed",
      Effect.map(listeners(nodes.redis), (now) => now < before)
    )
  })

const make = (settings: Environment) =>
  Effect.gen(function* () {
    const redisServer = yield* RedisServer.RedisServer
    const s3Server = yield* S3Server.S3Server
    const redis = yield* Effect.acquireRelease(
      Effect.sync(() => new Redis(redisServer.url)),
      (client) => Effect.sync(() => client.disconnect())
    )
    const s3 = yield* Effect.acquireRelease(
      Effect.sync(() => new S3Client({ ...s3Server, credentials: s3Server })),
      (client) => Effect.sync(() => client.destroy())
    )
    const bucket = yield* s3Server.createBucket
    const environment = {
      TERRACE_EFFORT: "0",
      TERRACE_S3_BUCKET: bucket,
      AWS_ACCESS_KEY_ID: s3Server.accessKeyId,
      AWS_SECRET_ACCESS_KEY: s3Server.secretAccessKey,
      ...settings
    }
    const twoMore = opener(environment, redisServer, s3Server, redis)
    const [a, b] = yield* twoMore()
    const objects = Effect.promise(async () => {
      const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: bucket }))
      return Contents.map(({ Key = "" }) => Key)
    })
    return Deployment.of({ a, b, twoMore, redis, objects })
  })

/** Two nodes with the same settings, and what they share, in containers. */
export const layer = (settings: Environment = {}) =>
  Layer.effect(Deployment, make(settings)).pipe(
    Layer.provide(Layer.merge(RedisServer.layer({ config: { save: "" } }), S3Server.layer()))
  )

// -----------------------------------------------------------------------------
// Requests
// -----------------------------------------------------------------------------

/** What a node answers. */
export interface Answer {
  readonly status: number
  readonly etag: string | null
  readonly cacheStatus: string | null
  readonly bytes: Buffer
}

/** Sends a request to a node. */
export const ask = (node: Node, path: string, init?: RequestInit) =>
  Effect.provideService(send(path, init), Server, node.server)

export const get = (node: Node, path: string, init?: RequestInit): Effect.Effect<Answer> =>
  Effect.flatMap(ask(node, `/images/${path}`, init), (response) =>
    Effect.map(bytesOf(response), (bytes) => ({
      status: response.status,
      etag: response.headers.get("etag"),
      cacheStatus: response.headers.get("cache-status"),
      bytes
    }))
  )

/** Uploads an image; answers the status, and the ETag that it is served with from now on. */
export const put = (node: Node, id: string, body: Uint8Array, headers: Record<string, string> = {}) =>
  Effect.flatMap(ask(node, `/images/${id}`, { method: "PUT", body: new Uint8Array(body), headers }), (response) =>
    Effect.map(jsonOf(response), ({ etag }) => ({ status: response.status, etag: etag ?? null }))
  )

export const remove = (node: Node, id: string, headers: Record<string, string> = {}) =>
  Effect.map(ask(node, `/images/${id}`, { method: "DELETE", headers }), ({ status }) => status)

export const json = (node: Node, path: string) => Effect.flatMap(ask(node, path), jsonOf)

export const explain = (node: Node, path: string) =>
  Effect.flatMap(ask(node, `/explain/images/${path}`), (response) =>
    Effect.promise(() => response.json() as Promise<Explanation>)
  )
