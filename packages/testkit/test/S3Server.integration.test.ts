import { GetObjectCommand, ListBucketsCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3"
import { assert, describe, it } from "@effect/vitest"
import * as S3Server from "@terrace/testkit/S3Server"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { containersOf, ownOwner } from "./containersOf.ts"

const clientOf = (server: S3Server.S3, credentials: S3Server.Credentials = server) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const { accessKeyId, secretAccessKey } = credentials
      const { endpoint, forcePathStyle, region } = server
      return new S3Client({
        endpoint,
        region,
        forcePathStyle,
        credentials: { accessKeyId, secretAccessKey },
        maxAttempts: 1,
        requestHandler: { requestTimeout: 500, throwOnRequestTimeout: true }
      })
    }),
    (client) => Effect.sync(() => client.destroy())
  )

const read = (client: S3Client, Bucket: string, Key: string) =>
  Effect.tryPromise({
    try: async () => (await client.send(new GetObjectCommand({ Bucket, Key }))).Body?.transformToString(),
    catch: (cause) => (cause instanceof Error ? cause : new Error(String(cause)))
  })

describe("S3Server", () => {
  it.layer(S3Server.layer(), { timeout: "120 seconds" })("as a layer", (it) => {
    it.effect("stores objects in a bucket of its own, and lets a stranger touch nothing", () =>
      Effect.gen(function* () {
        const server = yield* S3Server.S3Server
        const Bucket = yield* server.createBucket
        const other = yield* server.createBucket
        const client = yield* clientOf(server)
        yield* Effect.promise(() => client.send(new PutObjectCommand({ Bucket, Key: "a", Body: "hello" })))

        assert.notStrictEqual(Bucket, other)
        assert.strictEqual(yield* read(client, Bucket, "a"), "hello")
        const stranger = yield* clientOf(server, server.stranger)
        assert.strictEqual((yield* Effect.flip(read(stranger, Bucket, "a"))).name, "AccessDenied")
        const { Buckets } = yield* Effect.promise(() => stranger.send(new ListBucketsCommand({})))
        assert.isEmpty(Buckets ?? [])
        const wrong = yield* clientOf(server, { ...server.stranger, secretAccessKey: "not it" })
        assert.strictEqual((yield* Effect.flip(read(wrong, Bucket, "a"))).name, "SignatureDoesNotMatch")
        assert.strictEqual((yield* Effect.flip(read(client, "no-such-bucket", "a"))).name, "NoSuchBucket")
      })
    )

    it.effect("admin - sets a quota, which the server then holds", () =>
      Effect.gen(function* () {
        const server = yield* S3Server.S3Server
        const Bucket = yield* server.createBucket
        const client = yield* clientOf(server)

        yield* server.admin(["quota", "set", "--quota-scope=bucket", `--bucket=${Bucket}`, "--max-size=4096"])
        yield* server.admin(["quota", "enable", "--quota-scope=bucket", `--bucket=${Bucket}`])

        const put = new PutObjectCommand({ Bucket, Key: "a", Body: Buffer.alloc(100_000) })
        const refusal: unknown = yield* Effect.promise(() => client.send(put).catch((cause: unknown) => cause))
        assert.strictEqual(refusal instanceof Error && refusal.name, "QuotaExceeded")
      })
    )

    it.effect("pause - answers nothing until unpause", () =>
      Effect.gen(function* () {
        const server = yield* S3Server.S3Server
        const Bucket = yield* server.createBucket
        const client = yield* clientOf(server)

        yield* server.pause
        const error = yield* Effect.flip(read(client, Bucket, "a"))
        yield* server.unpause

        assert.strictEqual(error.name, "TimeoutError")
        assert.strictEqual((yield* Effect.flip(read(client, Bucket, "a"))).name, "NoSuchKey")
      })
    )

    it.effect("stop - refuses connections; start - serves what it had, at the same port", () =>
      Effect.gen(function* () {
        const server = yield* S3Server.S3Server
        const Bucket = yield* server.createBucket
        const client = yield* clientOf(server)
        yield* Effect.promise(() => client.send(new PutObjectCommand({ Bucket, Key: "a", Body: "kept" })))

        for (let round = 0; round < 2; round++) {
          yield* server.stop
          const error = yield* Effect.flip(read(client, Bucket, "a"))
          assert.match(String(error), /ECONNREFUSED/)
          yield* server.start

          assert.strictEqual(yield* read(client, Bucket, "a"), "kept")
        }
        yield* Effect.promise(() => client.send(new PutObjectCommand({ Bucket, Key: "b", Body: "after" })))
        assert.strictEqual(yield* read(client, Bucket, "b"), "after")
      })
    )

    it.effect("createBucket - fails while the server is stopped", () =>
      Effect.gen(function* () {
        const server = yield* S3Server.S3Server
        yield* server.stop

        const error = yield* Effect.flip(server.createBucket)
        yield* server.start

        assert.match(error.message, /^quay\.io\/ceph\/ceph:v20: createBucket: /)
      })
    )
  })

  it.live("an interruption while it starts leaves no container", () =>
    Effect.gen(function* () {
      const owner = yield* ownOwner
      const fiber = yield* Effect.forkChild(Effect.scoped(Effect.andThen(S3Server.make(), Effect.never)))
      yield* Effect.repeat(containersOf({ owner }), { until: (found) => found.length === 1 })

      yield* Fiber.interrupt(fiber)

      assert.lengthOf(yield* containersOf({ owner }), 0)
    })
  )
})
