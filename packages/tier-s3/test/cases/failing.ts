/** Errors of a server that answers. */
import { PutObjectCommand } from "@aws-sdk/client-s3"
import { assert } from "@effect/vitest"
import type { TierError } from "@terrace/core/TierError"
import * as Fixtures from "@terrace/testkit/Fixtures"
import * as Effect from "effect/Effect"
import { fixture } from "../support/Servers.ts"
import type { It } from "../support/Suite.ts"

export const failing = (it: It): void => {
  it.effect("a server that asks for fewer requests - is Throttled, to reads and writes, and nothing was written", () =>
    Effect.gen(function* () {
      const { bucket, open, server } = yield* fixture
      const tier = yield* open()
      const blob = Fixtures.blob()
      const { key } = blob.header
      yield* tier.put(blob)
      const scope = ["--ratelimit-scope=bucket", `--bucket=${bucket}`]
      yield* server.admin(["ratelimit", "set", ...scope, "--max-read-ops=1", "--max-write-ops=1"])
      yield* server.admin(["ratelimit", "enable", ...scope])
      const calls: ReadonlyArray<Effect.Effect<unknown, TierError>> = [
        tier.get(key),
        tier.head(key),
        tier.put(Fixtures.blob({ group: "other" }))
      ]

      for (const call of calls) {
        const error = yield* Effect.flip(Effect.repeat(call, { times: 10 }))
        assert.strictEqual(error.reason._tag, "Throttled", error.message)
        assert.isTrue(error.isRetryable)
        assert.isFalse(error.isUnknownOutcome)
      }
    })
  )

  it.effect("a bucket whose quota is used up - is NoSpace to writes; what is there is read", () =>
    Effect.gen(function* () {
      const { bucket, client, keys, open, server } = yield* fixture
      const tier = yield* open()
      const small = Fixtures.blob({ size: 10 })
      yield* tier.put(small)
      const scope = ["--quota-scope=bucket", `--bucket=${bucket}`]
      yield* server.admin(["quota", "set", ...scope, "--max-size=8192"])
      yield* server.admin(["quota", "enable", ...scope])

      const error = yield* Effect.flip(tier.put(Fixtures.blob({ group: "large", size: 100_000 })))

      assert.strictEqual(error.reason._tag, "NoSpace")
      assert.match(error.message, /QuotaExceeded/)
      assert.isFalse(error.isUnknownOutcome)
      assert.strictEqual((yield* tier.get(small.header.key))._tag, "Hit")
      assert.deepStrictEqual(yield* keys, ["fixture/master"])
      yield* Effect.promise(() => client.send(new PutObjectCommand({ Bucket: bucket, Key: "tiny", Body: "-" })))
    })
  )
}
