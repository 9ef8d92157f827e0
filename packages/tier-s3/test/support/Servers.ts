/**
 * Tiers and plain clients on a real S3 server.
 */
import { ListMultipartUploadsCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3"
import * as S3Server from "@terrace/testkit/S3Server"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as S3Tier from "../../src/S3Tier.ts"
import { make } from "../../src/S3Tier.ts"

export const credentialsOf = ({ accessKeyId, secretAccessKey }: S3Server.Credentials): S3Tier.Credentials => ({
  accessKeyId,
  secretAccessKey: Redacted.make(secretAccessKey)
})

/** What a tier on the server is given, apart from its bucket. */
export const optionsOn = (server: S3Server.S3) => ({
  endpoint: server.endpoint,
  region: server.region,
  forcePathStyle: true,
  credentials: credentialsOf(server)
})

/** A client of the SDK, for what a test does or looks at past the tier. */
export const clientOf = (server: S3Server.S3): Effect.Effect<S3Client, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const { accessKeyId, endpoint, region, secretAccessKey } = server
      return new S3Client({
        endpoint,
        region,
        forcePathStyle: true,
        maxAttempts: 1,
        credentials: { accessKeyId, secretAccessKey }
      })
    }),
    (client) => Effect.sync(() => client.destroy())
  )

export interface Fixture {
  readonly server: S3Server.S3
  readonly client: S3Client
  readonly bucket: string
  /** A tier in the bucket; each has a client of its own, as in another process. */
  readonly open: (options?: Partial<S3Tier.Options>) => Effect.Effect<S3Tier.S3, S3Tier.StartError, Scope.Scope>
  readonly keys: Effect.Effect<ReadonlyArray<string>>
  /** Uploads in parts that were neither completed nor aborted. */
  readonly uploads: Effect.Effect<number>
}

/** A bucket of its own. */
export const fixture: Effect.Effect<Fixture, never, S3Server.S3Server | Scope.Scope> = Effect.gen(function* () {
  const server = yield* S3Server.S3Server
  const bucket = yield* Effect.orDie(server.createBucket)
  const client = yield* clientOf(server)
  return {
    server,
    client,
    bucket,
    open: (options) => make({ ...optionsOn(server), bucket, ...options }),
    keys: Effect.promise(async () => {
      const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }))
      return Contents.map(({ Key = "" }) => Key)
    }),
    uploads: Effect.promise(async () => uploadsIn(client, bucket))
  }
})

export const uploadsIn = async (client: S3Client, bucket: string): Promise<number> =>
  (await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))).Uploads?.length ?? 0
