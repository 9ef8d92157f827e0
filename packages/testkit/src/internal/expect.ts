/**
 * Assertions about the answers of a tier.
 */
import { assert } from "@effect/vitest"
import type { Blob } from "@terrace/core/Blob"
import * as Body from "@terrace/core/Body"
import * as Header from "@terrace/core/Header"
import type * as Key from "@terrace/core/Key"
import type * as Tier from "@terrace/core/Tier"
import { type Operation, TierError } from "@terrace/core/TierError"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { withLiveClock } from "./liveClock.ts"

/** Compares every field; an absent optional field and an undefined one are the same. */
export const sameHeader = (actual: Header.Header, expected: Header.Header): void => {
  assert.deepStrictEqual(comparable(actual), comparable(expected))
}

const comparable = (header: Header.Header) => ({
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

/** Compares without printing megabytes: says where the first byte differs. */
export const sameBytes = (actual: Uint8Array, expected: Uint8Array, label = "the body"): void => {
  assert.strictEqual(actual.byteLength, expected.byteLength, `length of ${label}`)
  if (Buffer.compare(actual, expected) === 0) return
  const at = actual.findIndex((byte, index) => byte !== expected[index])
  assert.fail(
    `bytes of ${label}: byte ${at} of ${expected.byteLength} is ${actual[at]}, expected ${expected[at]} (the first that differs)`
  )
}

/** Which blob a message is about. */
const named = ({ header }: Blob): string => `${header.key.text} (generation ${header.generation}, ${header.size} bytes)`

/** What a write answered, with its reason. */
const answered = (write: Tier.Write): string =>
  write._tag === "Declined"
    ? `Declined as ${write.why}`
    : write._tag === "Stored"
      ? write._tag
      : `${write._tag} by ${write.current}`

/** An error of the tier names it, and the operation that failed. */
export const isOf = (error: TierError, tier: Tier.Tier, operation: Operation): void => {
  assert.strictEqual(error.tier, tier.name, `the tier that is named in "${error.message}"`)
  assert.strictEqual(error.operation, operation, `the operation that is named in "${error.message}"`)
}

/** `get` and `head` answer exactly this blob. */
export const holds = Effect.fnUntraced(function* (tier: Tier.Tier, blob: Blob) {
  const read = yield* tier.get(blob.header.key)
  if (read._tag !== "Hit") assert.fail(`get of ${blob.header.key.text}: expected Hit, got ${read._tag}`)
  sameHeader(read.blob.header, blob.header)
  assert.strictEqual(Body.size(read.blob.body), blob.header.size, "size of the body")
  sameBytes(yield* Body.toBytes(read.blob.body), yield* Body.toBytes(blob.body), named(blob))

  const head = yield* tier.head(blob.header.key)
  if (head._tag !== "Hit") assert.fail(`head of ${blob.header.key.text}: expected Hit, got ${head._tag}`)
  sameHeader(head.header, blob.header)

  const peeked = tier.peek?.(blob.header.key)
  if (peeked === undefined) return
  if (peeked._tag !== "Hit") assert.fail(`peek at ${blob.header.key.text}: expected Hit, got ${peeked._tag}`)
  sameHeader(peeked.blob.header, blob.header)
  sameBytes(yield* Body.toBytes(peeked.blob.body), yield* Body.toBytes(blob.body), `${named(blob)} by peek`)
})

/** How often a blob may be replaced between its `get` and the opening of its body. */
const maxReadsAgain = 1_000

/** What is read: the whole blob, or undefined for `Miss`. A body that is `Gone` before its first byte is read again. */
export const reads = Effect.fnUntraced(function* (tier: Tier.Tier, key: Key.Key) {
  for (let attempt = 0; attempt < maxReadsAgain; attempt++) {
    const read = yield* tier.get(key)
    if (read._tag === "Miss") return undefined
    if (read._tag !== "Hit") assert.fail(`get of ${key.text}: expected Hit or Miss, got ${read._tag}`)
    const bytes = yield* Effect.result(Body.toBytes(read.blob.body))
    if (bytes._tag === "Success") return { header: read.blob.header, bytes: bytes.success }
    if (bytes.failure.reason._tag !== "Gone") return yield* Effect.fail(bytes.failure)
    yield* Effect.yieldNow
  }
  return assert.fail(`get of ${key.text}: the body was Gone ${maxReadsAgain} times`)
})

/** What is read is one of these, whole; undefined stands for `Miss`. Answers which. */
export const holdsOneOf = Effect.fnUntraced(function* (
  tier: Tier.Tier,
  key: Key.Key,
  candidates: ReadonlyArray<Blob | undefined>
) {
  const read = yield* reads(tier, key)
  if (read === undefined) {
    assert.include(candidates, undefined, `get of ${key.text} answered Miss`)
    return undefined
  }
  const blob = candidates.find((candidate) => candidate?.header.generation === read.header.generation)
  if (blob === undefined) assert.fail(`get of ${key.text} answered generation ${read.header.generation}`)
  sameHeader(read.header, blob.header)
  sameBytes(read.bytes, yield* Body.toBytes(blob.body), named(blob))
  return blob
})

/** `get` and `head` answer `Miss`. */
export const misses = Effect.fnUntraced(function* (tier: Tier.Tier, key: Key.Key) {
  assert.strictEqual((yield* tier.get(key))._tag, "Miss", `get of ${key.text}`)
  assert.strictEqual((yield* tier.head(key))._tag, "Miss", `head of ${key.text}`)
  const peeked = tier.peek?.(key)
  if (peeked?._tag !== "Hit") return
  const now = yield* Clock.currentTimeMillis
  assert.isTrue(Header.isExpired(peeked.blob.header, now), `peek at ${key.text}: a blob that has not expired`)
})

/** Puts a blob that the tier must take. */
export const stores = Effect.fnUntraced(function* (tier: Tier.Tier, blob: Blob, options?: Tier.PutOptions) {
  const write = yield* tier.put(blob, options)
  if (write._tag !== "Stored") assert.fail(`put of ${named(blob)}: expected Stored, got ${answered(write)}`)
})

/** Puts a blob that the tier may refuse: it declines, or fails with an error that trying again does not help. */
export const storesOrRefuses = Effect.fnUntraced(function* (tier: Tier.Tier, blob: Blob) {
  const result = yield* Effect.result(tier.put(blob))
  if (result._tag === "Failure") {
    assert.isFalse(result.failure.isRetryable, `isRetryable of ${result.failure.message}`)
    isOf(result.failure, tier, "put")
    return false
  }
  const { success: write } = result
  if (write._tag === "Stored") return true
  return write._tag === "Declined" ? false : assert.fail(`put of ${named(blob)}: got ${answered(write)}`)
})

/** Puts a blob that the tier must not take. */
export const refuses = Effect.fnUntraced(function* (tier: Tier.Tier, blob: Blob) {
  if (yield* storesOrRefuses(tier, blob)) assert.fail(`put of ${named(blob)}: expected a refusal, got Stored`)
})

/** An operation of the tier fails with a reason of this tag; answers the error. */
export const failsWith = Effect.fnUntraced(function* <A>(
  effect: Effect.Effect<A, TierError>,
  tag: TierError["reason"]["_tag"],
  tier: Tier.Tier,
  operation: Operation
) {
  const result = yield* Effect.result(effect)
  if (result._tag === "Success") assert.fail(`${operation}: expected ${tag}, got an answer`)
  const { failure } = result
  assert.instanceOf(failure, TierError)
  assert.strictEqual(failure.reason._tag, tag, failure.message)
  isOf(failure, tier, operation)
  return failure
})

/** Bytes and entries, where the tier counts exactly. */
export const counted = (tier: Tier.Tier) =>
  Effect.map(tier.usage, ({ bytes, entries, exact }) => (exact ? { bytes, entries } : undefined))

/** What is asked so often in vain is not asked again at once. */
const quickPolls = 200
const pollMillis = 5

/** The value comes to satisfy `is` within so many milliseconds of the real clock. */
export const eventually = Effect.fnUntraced(function* <A, E, R>(
  what: string,
  value: Effect.Effect<A, E, R>,
  is: (value: A) => boolean,
  millis: number
) {
  const until = performance.now() + millis
  let last = yield* value
  for (let poll = 0; !is(last) && performance.now() < until; poll++) {
    yield* poll < quickPolls ? Effect.yieldNow : withLiveClock(Effect.sleep(pollMillis))
    last = yield* value
  }
  assert.isTrue(is(last), `${what}: ${JSON.stringify(last)}`)
})

/** The tier holds no more open than before, soon: it may tidy up after its answer. */
export const leaksNothing = (when: string, leaks: Effect.Effect<number>, before: number) =>
  eventually(`what the tier holds open ${when}`, leaks, (now) => now <= before, 1_000)

/** The tier counts exactly, soon: it may count after it has opened its storage. */
export const countsExactly = (tier: Tier.Tier) =>
  eventually(
    'usage is `exact: false` though nothing is running (a tier that cannot count exactly is given to the suite with `usage: "approximate"`)',
    tier.usage,
    ({ exact }) => exact,
    5_000
  )

/** Names the seed in whatever failure the effect ends with. */
export const seeded = <A, E, R>(seed: number, effect: Effect.Effect<A, E, R>): Effect.Effect<A, never, R> =>
  Effect.catchCause(effect, (cause) => {
    const problem = Cause.squash(cause)
    const text = problem instanceof Error ? problem.message : String(problem)
    return Effect.die(new Error(`with the seed ${seed}: ${text}`, { cause: problem }))
  })
