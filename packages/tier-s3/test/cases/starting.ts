/** What a start says about a bucket that cannot be used. */
import { DeleteBucketCommand, PutBucketPolicyCommand } from "@aws-sdk/client-s3"
import { assert } from "@effect/vitest"
import type { TierError } from "@terrace/core/TierError"
import * as Fixtures from "@terrace/testkit/Fixtures"
import * as FaultProxy from "@terrace/testkit/FaultProxy"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { Scope } from "effect/Scope"
import { randomBytes } from "node:crypto"
import type * as S3Tier from "../../src/S3Tier.ts"
import { withEnvironment } from "../support/Environment.ts"
import * as Requests from "../support/Requests.ts"
import { credentialsOf, fixture } from "../support/Servers.ts"
import type { It } from "../support/Suite.ts"

/** The start fails for this reason, and says so in one line that names bucket, endpoint, and what to do. */
const fails = Effect.fnUntraced(function* (
  start: Effect.Effect<S3Tier.S3, S3Tier.StartError, Scope>,
  reason: S3Tier.StartError["reason"],
  message: RegExp
) {
  const error = yield* Effect.flip(start)
  assert.strictEqual(error.reason, reason)
  assert.match(error.message, message)
  assert.notInclude(error.message, "\n")
  return error
})

/** An SDK that finds nothing. */
const nothingToFind = withEnvironment({
  AWS_ACCESS_KEY_ID: undefined,
  AWS_SECRET_ACCESS_KEY: undefined,
  AWS_PROFILE: undefined,
  AWS_REGION: undefined,
  AWS_DEFAULT_REGION: undefined,
  AWS_CONFIG_FILE: "/nonexistent",
  AWS_SHARED_CREDENTIALS_FILE: "/nonexistent",
  AWS_EC2_METADATA_DISABLED: "true"
})

export const starting = (it: It): void => {
  it.effect("a start with a wrong secret, or a key that the server does not know, says so", () =>
    Effect.gen(function* () {
      const { bucket, open, server } = yield* fixture
      const secretAccessKey = Redacted.make("not the secret")
      const start = (accessKeyId: string) => open({ credentials: { accessKeyId, secretAccessKey } })

      const error = yield* fails(start(server.accessKeyId), "denied", /SignatureDoesNotMatch \(HTTP 403\)/)
      yield* fails(start("nobody"), "denied", /InvalidAccessKeyId/)

      assert.include(error.message, `s3://${bucket}/ at ${server.endpoint}`)
      assert.include(error.message, "Allow these credentials s3:ListBucket")
      assert.notInclude(error.message, "not the secret")
    })
  )

  it.effect("a start with keys that may not touch the bucket says so", () =>
    Effect.gen(function* () {
      const { open, server } = yield* fixture

      yield* fails(open({ credentials: credentialsOf(server.stranger) }), "denied", /AccessDenied/)
    })
  )

  it.effect(
    "a start without a bucket says how to make it; with createBucket it is made, and used when it is there",
    () =>
      Effect.gen(function* () {
        const { open } = yield* fixture
        const bucket = `made-${randomBytes(6).toString("hex")}`

        yield* fails(
          open({ bucket }),
          "no-bucket",
          /there is no bucket made-.*Make the bucket, for example with "aws s3 mb/
        )
        yield* open({ bucket, createBucket: true })

        const tier = yield* open({ bucket, createBucket: true })
        assert.deepStrictEqual(yield* tier.put(Fixtures.blob()), { _tag: "Stored" })
      })
  )

  it.effect("a start without credentials, or without a region, says what to set", () =>
    Effect.gen(function* () {
      const { open } = yield* fixture
      yield* nothingToFind

      yield* fails(open({ credentials: undefined }), "no-credentials", /Set credentials, or AWS_ACCESS_KEY_ID/)
      const error = yield* fails(
        open({ endpoint: undefined, region: undefined }),
        "invalid-option",
        /there is no region\. Set region, for example "eu-central-1"/
      )
      assert.notInclude(error.message, "undefined")
    })
  )

  it.effect("a start finds credentials where the SDK does", () =>
    Effect.gen(function* () {
      const { open, server } = yield* fixture
      yield* nothingToFind
      yield* withEnvironment({
        AWS_ACCESS_KEY_ID: server.accessKeyId,
        AWS_SECRET_ACCESS_KEY: server.secretAccessKey
      })

      const tier = yield* open({ credentials: undefined })

      assert.deepStrictEqual(yield* tier.put(Fixtures.blob()), { _tag: "Stored" })
    })
  )

  it.effect("a start without an answer fails, or warns and serves once there is one, as ifUnreachable says", () =>
    Effect.gen(function* () {
      const { open, server } = yield* fixture
      const proxy = yield* FaultProxy.make({ host: server.host, port: server.port })
      const options = { endpoint: `http://${proxy.host}:${proxy.port}`, requestTimeout: "200 millis" } as const
      yield* proxy.down

      yield* fails(open(options), "unreachable", /does not answer: connect ECONNREFUSED.*set ifUnreachable to "warn"/)
      const tier = yield* open({ ...options, ifUnreachable: "warn" })
      const blob = Fixtures.blob()
      assert.strictEqual((yield* Effect.flip(tier.put(blob))).reason._tag, "Unavailable")
      yield* proxy.set({ blackHole: true })
      yield* fails(open(options), "unreachable", /does not answer within 200 ms/)
      yield* proxy.set({})

      assert.deepStrictEqual(yield* tier.put(blob), { _tag: "Stored" })
    })
  )

  it.effect("a start with ifUnreachable: warn waits for an answer no longer than for a connection", () =>
    Effect.gen(function* () {
      const { open, server } = yield* fixture
      const proxy = yield* FaultProxy.make({ host: server.host, port: server.port, faults: { blackHole: true } })
      const endpoint = `http://${proxy.host}:${proxy.port}`

      const tier = yield* open({
        endpoint,
        ifUnreachable: "warn",
        connectTimeout: "200 millis",
        requestTimeout: "1 hour"
      })

      yield* proxy.set({})
      assert.deepStrictEqual(yield* tier.put(Fixtures.blob()), { _tag: "Stored" })
    })
  )

  it.effect("a start with ifUnreachable: warn still fails for what a wait does not heal", () =>
    Effect.gen(function* () {
      const { open, server } = yield* fixture

      yield* fails(open({ bucket: "no-such-bucket", ifUnreachable: "warn" }), "no-bucket", /no-such-bucket/)
      yield* fails(
        open({ credentials: credentialsOf(server.stranger), ifUnreachable: "warn" }),
        "denied",
        /AccessDenied/
      )
    })
  )

  it.effect("keys that may only read - start, read, and are denied to write", () =>
    Effect.gen(function* () {
      const { bucket, client, open, server } = yield* fixture
      const owner = yield* open()
      const blob = Fixtures.blob()
      yield* owner.put(blob)
      const policy = {
        Version: "2012-10-17",
        Statement: [
          {
            Effect: "Allow",
            Principal: { AWS: ["arn:aws:iam:::user/stranger"] },
            Action: ["s3:ListBucket", "s3:GetObject"],
            Resource: [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`]
          }
        ]
      }
      const command = new PutBucketPolicyCommand({ Bucket: bucket, Policy: JSON.stringify(policy) })
      yield* Effect.promise(() => client.send(command))

      const tier = yield* open({ credentials: credentialsOf(server.stranger) })

      assert.strictEqual((yield* tier.get(blob.header.key))._tag, "Hit")
      const error = yield* Effect.flip(tier.put(Fixtures.blob({ generation: 2 })))
      assert.strictEqual(error.reason._tag, "Denied")
      assert.isFalse(error.isUnknownOutcome)
    })
  )

  it.effect("a start leaves nothing in the bucket, and asks nothing more when it writes", () =>
    Effect.gen(function* () {
      const { keys, open, uploads } = yield* fixture

      const tier = yield* open()
      assert.deepStrictEqual([yield* keys, yield* uploads], [[], 0])
      const [, sent] = yield* Requests.during(tier.put(Fixtures.blob()))

      assert.strictEqual(Requests.methods(sent), "HEAD PUT")
    })
  )

  it.effect("a bucket that is gone later - is Denied to every call, never a miss", () =>
    Effect.gen(function* () {
      const { bucket, client, open } = yield* fixture
      const tier = yield* open()
      const blob = Fixtures.blob()
      yield* Effect.promise(() => client.send(new DeleteBucketCommand({ Bucket: bucket })))

      const calls: ReadonlyArray<Effect.Effect<unknown, TierError>> = [
        tier.get(blob.header.key),
        tier.head(blob.header.key),
        tier.put(blob),
        tier.remove(blob.header.key, 1),
        tier.removeGroup("fixture", 1),
        tier.usage
      ]
      for (const call of calls) {
        const error = yield* Effect.flip(call)
        assert.strictEqual(error.reason._tag, "Denied")
        assert.match(error.message, /NoSuchBucket \(HTTP 404\)/)
      }
    })
  )
}
