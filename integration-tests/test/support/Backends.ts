/**
 * Servers whose masters are in a bucket, beside a Redis. A proxy that can be made to fail lies before each of the two; the
 * test itself goes past it.
 */
import {
  CopyObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client
} from "@aws-sdk/client-s3"
import * as FaultProxy from "@terrace/testkit/FaultProxy"
import * as RedisServer from "@terrace/testkit/RedisServer"
import * as S3Server from "@terrace/testkit/S3Server"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { Redis } from "ioredis"
import { createHash } from "node:crypto"
import { join } from "node:path"
import { bytesOf, jsonOf, send, Server } from "./Http.ts"
import * as OldRecords from "./OldRecords.ts"
import { type Environment, startOn, temporaryDirectory, type TestServer } from "./TestServer.ts"

export interface Deployment {
  readonly bucket: string
  readonly s3: S3Client
  readonly redis: Redis
  /** Between the servers and S3. */
  readonly toS3: FaultProxy.FaultProxy
  /** Between the servers and Redis. */
  readonly toRedis: FaultProxy.FaultProxy
  /** What tells a server of the bucket, without a proxy, and of no Redis. */
  readonly direct: Environment
  /** What tells a server of the bucket, through the proxy, and of no Redis. */
  readonly alone: Environment
  /** What tells a server of both, through the proxies. */
  readonly proxied: Environment
  /** Starts a server on a data directory of its own, or on one that is there. */
  readonly start: (environment: Environment, dataDir?: string) => Effect.Effect<TestServer, never, Scope.Scope>
}

/** A server with a bucket of its own, from which images come into the buckets of tests. */
class Nursery extends Context.Service<Nursery, { readonly server: TestServer; readonly bucket: string }>()(
  "test/Nursery"
) {}

const nursery = Effect.gen(function* () {
  const s3 = yield* S3Server.S3Server
  const bucket = yield* s3.createBucket
  const server = yield* startOn(join(yield* temporaryDirectory, "data"), environmentOf(s3, bucket))
  return { server, bucket }
})

/** What tells a server of a bucket. */
const environmentOf = ({ accessKeyId, endpoint, secretAccessKey }: S3Server.S3, bucket: string) => ({
  TERRACE_S3_BUCKET: bucket,
  TERRACE_S3_ENDPOINT: endpoint,
  AWS_ACCESS_KEY_ID: accessKeyId,
  AWS_SECRET_ACCESS_KEY: secretAccessKey,
  // What is under test is not how long an encoder thinks.
  TERRACE_EFFORT: "0"
})

/** Both backends, and a nursery, for all tests of a file. */
export const backends = Layer.mergeAll(
  Layer.provideMerge(Layer.effect(Nursery, nursery), S3Server.layer()),
  RedisServer.layer({ config: { "enable-debug-command": "yes" } })
)

export const deployment: Effect.Effect<Deployment, never, S3Server.S3Server | RedisServer.RedisServer | Scope.Scope> =
  Effect.gen(function* () {
    const server = yield* S3Server.S3Server
    const { port, url } = yield* RedisServer.RedisServer
    const { accessKeyId, endpoint, region, secretAccessKey } = server
    const bucket = yield* server.createBucket
    const s3 = yield* Effect.acquireRelease(
      Effect.sync(
        () => new S3Client({ endpoint, region, forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } })
      ),
      (client) => Effect.sync(() => client.destroy())
    )
    const redis = yield* Effect.acquireRelease(
      // What it says while Redis is away is what the test is about.
      Effect.sync(() => new Redis(url).on("error", () => undefined)),
      (client) => Effect.sync(() => client.disconnect())
    )
    yield* Effect.promise(() => redis.flushall())
    const toS3 = yield* FaultProxy.make({ host: server.host, port: server.port })
    const toRedis = yield* FaultProxy.make({ port })
    const direct = environmentOf(server, bucket)
    const alone = { ...direct, TERRACE_S3_ENDPOINT: `http://${toS3.host}:${toS3.port}` }
    return {
      bucket,
      s3,
      redis,
      toS3,
      toRedis,
      direct,
      alone,
      proxied: { ...alone, TERRACE_REDIS_URL: `redis://${toRedis.host}:${toRedis.port}` },
      start: (environment, dataDir) =>
        Effect.flatMap(dataDir === undefined ? temporaryDirectory : Effect.succeed(dataDir), (directory) =>
          startOn(join(directory, "data"), environment)
        )
    } satisfies Deployment
  }).pipe(Effect.orDie)

/** Puts images into the bucket that no server of this deployment has seen. */
export const seed = ({ bucket, s3 }: Deployment, images: Readonly<Record<string, Uint8Array>>) =>
  Effect.flatMap(Nursery, (from) =>
    Effect.forEach(
      Object.entries(images),
      ([id, body]) =>
        Effect.andThen(
          put(id, body),
          Effect.promise(() =>
            s3.send(
              new CopyObjectCommand({ Bucket: bucket, Key: `${id}/master`, CopySource: `${from.bucket}/${id}/master` })
            )
          )
        ),
      { concurrency: 4, discard: true }
    ).pipe(Effect.provideService(Server, from.server))
  )

// -----------------------------------------------------------------------------
// Requests
// -----------------------------------------------------------------------------

/** What a reader sees of an answer. */
export interface Seen {
  readonly status: number
  readonly etag: string | null
  readonly cacheStatus: string | null
  readonly retryAfter: string | null
  /** What problem it is, if it is one. */
  readonly problem: string | undefined
  readonly bytes: Buffer
}

const seen = (path: string, init: RequestInit = {}) =>
  Effect.gen(function* () {
    const response = yield* send(path, init)
    const bytes = yield* bytesOf(response)
    const isProblem = response.headers.get("content-type") === "application/problem+json"
    const { type = "" } = isProblem ? (JSON.parse(bytes.toString()) as { readonly type?: string }) : {}
    return {
      status: response.status,
      etag: response.headers.get("etag"),
      cacheStatus: response.headers.get("cache-status"),
      retryAfter: response.headers.get("retry-after"),
      problem: isProblem ? type.replace("urn:terrace:problem:", "") : undefined,
      bytes
    } satisfies Seen
  })

/** GET of `/images/<path>`. */
export const get = (path: string) => seen(`/images/${path}`)

export const statusOf = (path: string) => Effect.map(get(path), ({ status }) => status)

export const put = (id: string, body: Uint8Array) =>
  seen(`/images/${id}`, { method: "PUT", body: new Uint8Array(body) })

export const remove = (id: string) => seen(`/images/${id}`, { method: "DELETE" })

export const operate = (path: string) => Effect.map(seen(path), ({ status }) => status)

/** The tiers of a chain. */
export const tiersOf = (chain: string) =>
  Effect.map(Effect.flatMap(send("/tiers"), jsonOf), ({ chains = [] }) => {
    const tiers = chains.find((report) => report.chain === chain)?.tiers ?? []
    return Object.fromEntries(tiers.map((report) => [report.tier, report]))
  })

/** Digest of the bytes of an answer, as its tag says it. */
export const tagOf = (bytes: Uint8Array): string => `"${createHash("sha256").update(bytes).digest("hex")}"`

// -----------------------------------------------------------------------------
// Past the proxies
// -----------------------------------------------------------------------------

/** The names of all objects. */
export const objects = ({ bucket, s3 }: Deployment) =>
  Effect.promise(async () => {
    const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: bucket }))
    return Contents.map(({ Key = "" }) => Key)
  })

/** Keys of uploads in parts that were neither completed nor aborted. */
export const uploads = ({ bucket, s3 }: Deployment) =>
  Effect.promise(async () => {
    const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket: bucket }))
    return Uploads.map(({ Key = "" }) => Key)
  })

/** The tag that S3 gives the stored master of an image; undefined: there is none. */
export const storedTag = ({ bucket, s3 }: Deployment, id: string) =>
  Effect.promise(() =>
    s3.send(new HeadObjectCommand({ Bucket: bucket, Key: `${id}/master` })).then(
      ({ ETag }) => ETag,
      () => undefined
    )
  )

export const recordOf = ({ redis }: Deployment, id: string) => Effect.promise(() => redis.get(OldRecords.keyOf(id)))

export const writeRecord = ({ redis }: Deployment, id: string, image: Buffer) => {
  const text = OldRecords.record(image)
  return Effect.as(
    Effect.promise(() => OldRecords.write(redis, id, text)),
    text
  )
}
