/**
 * Assertions about the answers of a tier.
 */
import { assert } from "@effect/vitest"
import type { Blob } from "@terrace/core/Blob"
import * as Body from "@terrace/core/Body"
import type { Header } from "@terrace/core/Header"
import type * as Key from "@terrace/core/Key"
import type * as Tier from "@terrace/core/Tier"
import { TierError } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"

/** Compares every field; an absent optional field and an undefined one are the same. */
export const sameHeader = (actual: Header, expected: Header): void => {
  assert.deepStrictEqual(comparable(actual), comparable(expected))
}

const comparable = (header: Header) => ({
  group: header.key.group,
  name: header.key.name,
  key: header.key.text,
  digest: header.digest,
  size: header.size,
  checksums: [...header.checksums],
  contentType: header.contentType,
  generation: header.generation,
  createdAt: header.createdAt,
  freshUntil: header.freshUntil,
  expiresAt: header.expiresAt,
  attributes: Object.entries(header.attributes).sort(([left], [right]) => (left < right ? -1 : 1))
})

/** Compares without printing megabytes. */
export const sameBytes = (actual: Uint8Array, expected: Uint8Array): void => {
  assert.strictEqual(actual.byteLength, expected.byteLength, "length of the body")
  assert.isTrue(Buffer.compare(actual, expected) === 0, "bytes of the body")
}

/** `get` and `head` answer exactly this blob. */
export const holds = Effect.fnUntraced(function* (tier: Tier.Tier, blob: Blob) {
  const read = yield* tier.get(blob.header.key)
  if (read._tag !== "Hit") assert.fail(`get of ${blob.header.key.text}: expected Hit, got ${read._tag}`)
  sameHeader(read.blob.header, blob.header)
  assert.strictEqual(Body.size(read.blob.body), blob.header.size, "size of the body")
  sameBytes(yield* Body.toBytes(read.blob.body), yield* Body.toBytes(blob.body))

  const head = yield* tier.head(blob.header.key)
  if (head._tag !== "Hit") assert.fail(`head of ${blob.header.key.text}: expected Hit, got ${head._tag}`)
  sameHeader(head.header, blob.header)
})

/** `get` and `head` answer `Miss`. */
export const misses = Effect.fnUntraced(function* (tier: Tier.Tier, key: Key.Key) {
  assert.strictEqual((yield* tier.get(key))._tag, "Miss", `get of ${key.text}`)
  assert.strictEqual((yield* tier.head(key))._tag, "Miss", `head of ${key.text}`)
})

/** Puts a blob that the tier must take. */
export const stores = Effect.fnUntraced(function* (tier: Tier.Tier, blob: Blob, options?: Tier.PutOptions) {
  assert.deepStrictEqual(yield* tier.put(blob, options), { _tag: "Stored" }, `put of ${blob.header.key.text}`)
})

/** Puts a blob that the tier must not take: it declines, or fails with an error that trying again does not help. */
export const refuses = Effect.fnUntraced(function* (tier: Tier.Tier, blob: Blob) {
  const result = yield* Effect.result(tier.put(blob))
  if (result._tag === "Success") {
    assert.strictEqual(result.success._tag, "Declined", `put of ${blob.header.key.text}`)
  } else {
    assert.isFalse(result.failure.isRetryable, `isRetryable of ${result.failure.message}`)
  }
})

/** The effect fails with `Unsupported`. */
export const isUnsupported = Effect.fnUntraced(function* <A>(effect: Effect.Effect<A, TierError>) {
  const result = yield* Effect.result(effect)
  if (result._tag === "Success") assert.fail("expected Unsupported, got an answer")
  assert.instanceOf(result.failure, TierError)
  assert.strictEqual(result.failure.reason._tag, "Unsupported")
})
