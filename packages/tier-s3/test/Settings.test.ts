import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Settings from "../src/internal/Settings.ts"
import * as S3Tier from "../src/S3Tier.ts"

const credentials: S3Tier.Credentials = { accessKeyId: "key", secretAccessKey: Redacted.make("secret") }

/** Values that no option may have, and what the message says is expected. */
const wrong: ReadonlyArray<readonly [options: Partial<S3Tier.Options>, expected: RegExp]> = [
  [{ bucket: "" }, /bucket is "".*for example "my-images"/],
  [{ bucket: "a/b" }, /bucket is "a\/b"/],
  [{ bucket: "images--use1-az4--x-s3" }, /directory buckets list in no order/],
  [{ prefix: "images" }, /prefix is "images".*ends with "\/", for example "images\/"/],
  [{ prefix: "/images/" }, /prefix is/],
  [{ prefix: "a//b/" }, /prefix is/],
  [{ prefix: "../" }, /prefix is/],
  [{ prefix: "a/./" }, /prefix is/],
  [{ prefix: `${"x".repeat(700)}/` }, /of at most 700 characters/],
  [{ endpoint: "s3.example.com" }, /endpoint is.*a URL, for example "https:\/\/s3\.example\.com"/],
  [{ endpoint: "ftp://s3.example.com" }, /endpoint is/],
  [{ publicEndpoint: "" }, /publicEndpoint is/],
  [{ cdnUrl: "cdn" }, /cdnUrl is/],
  [{ inlineBelow: 0 }, /inlineBelow is 0.*1048576 for 1 MiB/],
  [{ maxBytes: 0.5 }, /maxBytes is 0\.5.*52428800 for 50 MiB/],
  [{ multipartFrom: 0 }, /multipartFrom is 0/],
  [{ partBytes: 5_242_879 }, /partBytes is 5242879.*from 5 MiB to 5 GiB/],
  [{ partBytes: 5_368_709_121 }, /partBytes is/],
  [{ concurrency: 0 }, /concurrency is 0/],
  [{ maxStreams: -1 }, /maxStreams is -1/],
  [{ maxWaiting: Number.NaN }, /maxWaiting is null/],
  [{ connectTimeout: 0 }, /connectTimeout is 0.*for example "3 seconds"/],
  [{ requestTimeout: "-1 seconds" }, /requestTimeout is "-1 seconds"/]
]

describe("options", () => {
  it.effect("believe that a removal is one step of Amazon's server, and of another one only if they say so", () =>
    Effect.gen(function* () {
      const resolved = (options: Partial<S3Tier.Options>) =>
        Effect.map(
          Settings.resolve({ bucket: "images", credentials, ...options }),
          (settings) => settings.atomicRemovals
        )
      const endpoint = "https://s3.example.com"

      assert.isTrue(yield* resolved({}))
      assert.isFalse(yield* resolved({ endpoint }))
      assert.isTrue(yield* resolved({ endpoint, atomicRemovals: true }))
    })
  )

  it.effect("of an impossible value - fail the start with the name, what is expected, and an example", () =>
    Effect.gen(function* () {
      for (const [options, expected] of wrong) {
        const error = yield* Effect.flip(S3Tier.make({ bucket: "images", credentials, ...options }))

        assert.strictEqual(error.reason, "invalid-option")
        assert.match(error.message, expected)
        assert.match(error.message, /Set it to /)
      }
    })
  )
})
