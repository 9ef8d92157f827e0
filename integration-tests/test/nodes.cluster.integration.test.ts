/**
 * Two nodes over one bucket whose Redis is a cluster: messages, leases, the catalog and old records go through it.
 */
import { assert, it } from "@effect/vitest"
import * as RedisCluster from "@terrace/testkit/RedisCluster"
import * as S3Server from "@terrace/testkit/S3Server"
import * as Effect from "effect/Effect"
import { Cluster } from "ioredis"
import { join } from "node:path"
import { bytesOf, jsonOf, put, send, Server } from "./support/Http.ts"
import { eventually } from "./support/eventually.ts"
import { png } from "./support/images.ts"
import * as OldRecords from "./support/OldRecords.ts"
import { workOf } from "./support/records.ts"
import { startOn, temporaryDirectory, type TestServer } from "./support/TestServer.ts"

const get = (node: TestServer, path: string) =>
  Effect.gen(function* () {
    const response = yield* send(`/images/${path}`)
    return { status: response.status, etag: response.headers.get("etag"), bytes: yield* bytesOf(response) }
  }).pipe(Effect.provideService(Server, node))

it.live(
  "nodes over a Redis Cluster hear of each other's writes, and convert an old record once",
  () =>
    Effect.gen(function* () {
      const [cluster, s3] = yield* Effect.all([RedisCluster.make(), S3Server.make()], { concurrency: 2 })
      const redis = yield* Effect.acquireRelease(
        Effect.sync(() => new Cluster([...cluster.nodes])),
        (client) => Effect.sync(() => client.disconnect())
      )
      const environment = {
        TERRACE_EFFORT: "0",
        TERRACE_REDIS_URL: `redis://${cluster.nodes[1].host}:${cluster.nodes[1].port}`,
        TERRACE_REDIS_CLUSTER: "on",
        TERRACE_REVALIDATE_AFTER: "1 hour",
        TERRACE_S3_BUCKET: yield* s3.createBucket,
        TERRACE_S3_ENDPOINT: s3.endpoint,
        AWS_ACCESS_KEY_ID: s3.accessKeyId,
        AWS_SECRET_ACCESS_KEY: s3.secretAccessKey
      }
      const node = Effect.flatMap(temporaryDirectory, (directory) => startOn(join(directory, "data"), environment))
      const [a, b] = yield* Effect.all([node, node], { concurrency: 2 })
      const [one, other] = yield* Effect.promise(() => Promise.all([png(60, 40), png(40, 60)]))

      // Their groups lie in different slots.
      for (const id of ["alpha", "beta", "gamma", "delta"]) {
        for (const image of [one, other, one]) {
          const { etag } = yield* put(id, image).pipe(Effect.flatMap(jsonOf), Effect.provideService(Server, a))
          yield* eventually(
            `${id} is the new one`,
            Effect.map(get(b, id), (seen) => seen.etag === etag)
          )
        }
        assert.include(yield* Effect.promise(() => redis.get(OldRecords.keyOf(id))), `"cached"`)
      }

      yield* Effect.promise(() => redis.set(OldRecords.keyOf("old"), OldRecords.record(one), "EX", 600))
      const readers = Array.from({ length: 25 }).flatMap(() => [a, b])
      const answers = yield* Effect.forEach(readers, (reader) => get(reader, "old"), { concurrency: "unbounded" })
      assert.strictEqual(new Set(answers.map(({ etag, status }) => `${status} ${etag}`)).size, 1)
      assert.strictEqual(answers[0]?.status, 200)
      yield* eventually(
        "compacted",
        Effect.promise(async () => (await redis.get(OldRecords.keyOf("old")))?.includes("base64_data") === false)
      )
      const work = yield* Effect.forEach([a, b], (server) =>
        Effect.map(Effect.flatMap(Effect.provideService(send("/tiers"), Server, server), jsonOf), workOf)
      )
      assert.strictEqual(
        work.reduce((sum, { taken }) => sum + taken, 0),
        1
      )

      yield* Effect.provideService(send("/images/alpha", { method: "DELETE" }), Server, a)
      yield* eventually(
        "what was removed is gone",
        Effect.map(get(b, "alpha"), ({ status }) => status === 404)
      )
    }),
  120_000
)
