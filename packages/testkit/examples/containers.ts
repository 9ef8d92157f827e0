import { GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3"
import { assert, it } from "@effect/vitest"
import * as FaultProxy from "@terrace/testkit/FaultProxy"
import * as RedisServer from "@terrace/testkit/RedisServer"
import * as S3Server from "@terrace/testkit/S3Server"
import * as Effect from "effect/Effect"
import { Redis } from "ioredis"

it.layer(RedisServer.layer({ config: { save: "" } }), { timeout: "2 minutes" })("Redis", (it) => {
  it.effect("an increment whose answer is lost has been made all the same", () =>
    Effect.gen(function* () {
      const { exec, host, port } = yield* RedisServer.RedisServer
      const proxy = yield* FaultProxy.make({ host, port })
      const client = yield* Effect.acquireRelease(
        Effect.sync(() => new Redis(proxy.port, proxy.host, { commandTimeout: 500 })),
        (open) => Effect.sync(() => open.disconnect())
      )
      yield* Effect.promise(() => client.set("orders", 41))

      yield* proxy.set({ toClient: { blackHole: true } })
      yield* Effect.flip(Effect.tryPromise(() => client.incr("orders")))

      assert.strictEqual(yield* exec(["get", "orders"]), "42")
    })
  )
})

it.layer(S3Server.layer(), { timeout: "2 minutes" })("S3", (it) => {
  it.effect("a body that breaks off is an error, not a short body", () =>
    Effect.gen(function* () {
      const { createBucket, host, port, ...s3 } = yield* S3Server.S3Server
      const proxy = yield* FaultProxy.make({ host, port })
      const client = new S3Client({
        endpoint: `http://${proxy.host}:${proxy.port}`,
        region: s3.region,
        credentials: { accessKeyId: s3.accessKeyId, secretAccessKey: s3.secretAccessKey },
        forcePathStyle: s3.forcePathStyle
      })
      const object = { Bucket: yield* createBucket, Key: "large" }
      yield* Effect.promise(() => client.send(new PutObjectCommand({ ...object, Body: Buffer.alloc(1_000_000) })))

      yield* proxy.set({ toClient: { cutAfter: { bytes: 100_000, how: "close" } } })
      const { Body } = yield* Effect.promise(() => client.send(new GetObjectCommand(object)))

      yield* Effect.flip(Effect.tryPromise(async () => Body?.transformToByteArray()))
    })
  )
})
