/** What a backend has damaged is found out before it is served. */
import { assert } from "@effect/vitest"
import type { Blob } from "@terrace/core/Blob"
import * as Body from "@terrace/core/Body"
import * as Header from "@terrace/core/Header"
import type * as Tier from "@terrace/core/Tier"
import type { Operation, TierError } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Fixtures from "../../Fixtures.ts"
import * as Case from "../Case.ts"
import * as expect from "../expect.ts"

const places: ReadonlyArray<readonly [where: Case.Damage, label: string]> = [
  ["body", "whose body was damaged"],
  ["header", "whose header was damaged"],
  ["truncated", "that was truncated"]
]

const chunk = Header.chunkBytes
const largeBytes = 2 * chunk + 200_007
/** Where the chunk begins that holds the last byte, which is what `body` damages. */
const damagedFrom = 2 * chunk
const small = 3_000
const large: Case.Requires = { damage: true, streaming: true, bodyBytes: largeBytes }

/** The tier found out: it sets the blob aside, and says so or not. */
const foundOut = (tier: Tier.Tier, error: TierError, operation: Operation): void => {
  const expected = operation === "open" ? ["Corrupt", "Gone"] : ["Corrupt"]
  assert.include(expected, error.reason._tag, error.message)
  expect.isOf(error, tier, operation)
}

/** Runs a stream that must fail; answers what it delivered before. */
const delivered = Effect.fnUntraced(function* (tier: Tier.Tier, stream: Stream.Stream<Uint8Array, TierError>) {
  const taken: Array<Uint8Array> = []
  const result = yield* Effect.result(Stream.runForEach(stream, (piece) => Effect.sync(() => taken.push(piece))))
  if (result._tag === "Success") assert.fail("the stream of a damaged blob came to its end")
  foundOut(tier, result.failure, "open")
  return Buffer.concat(taken)
})

/** `get`, and what it promises to deliver, gives nothing of the damaged blob but whole chunks before the damage. */
const givesNothing = Effect.fnUntraced(function* (tier: Tier.Tier, blob: Blob, soundBytes: number) {
  const result = yield* Effect.result(tier.get(blob.header.key))
  if (result._tag === "Failure") return foundOut(tier, result.failure, "get")
  if (result.success._tag === "Miss") return
  if (result.success._tag !== "Hit") assert.fail(`get of a damaged blob: got ${result.success._tag}`)
  const { body } = result.success.blob
  if (body._tag === "Inline") assert.fail("get answered a damaged blob")
  yield* prefix(yield* delivered(tier, body.open()), blob, soundBytes)
})

const prefix = Effect.fnUntraced(function* (got: Uint8Array, blob: Blob, soundBytes: number) {
  assert.isAtMost(got.byteLength, soundBytes, "bytes that were delivered before the damage was found")
  expect.sameBytes(got, (yield* Body.toBytes(blob.body)).subarray(0, got.byteLength), "what was delivered")
})

/** Once found, the blob is counted and gone; the same blob can be put again, and nothing else was touched. */
const isSetAside = Effect.fnUntraced(function* (
  tier: Tier.Tier,
  blob: Blob,
  before: { readonly corrupted: number; readonly entries: number | undefined }
) {
  assert.isDefined(tier.corrupted, "`corrupted` of a tier whose backend can damage a blob")
  assert.isAbove(tier.corrupted?.() ?? 0, before.corrupted, "blobs that were counted as `corrupted`")
  yield* givesNothing(tier, blob, 0)
  yield* expect.stores(tier, blob)
  yield* expect.holds(tier, blob)
  assert.strictEqual((yield* expect.counted(tier))?.entries, before.entries, "entries once the blob was put again")
})

/** Puts a blob and its neighbour, damages it, and asks the tier about it; then all must be in order. */
const damaged = Effect.fnUntraced(function* (
  where: Case.Damage,
  size: number,
  ask: (tier: Tier.Tier, blob: Blob, inflict: Effect.Effect<void>) => Effect.Effect<void, TierError>
) {
  const { damage, group, tier } = yield* Case.Subject
  const blob = Fixtures.blob({ group: group("g"), generation: 7, size })
  const neighbour = Fixtures.blob({ group: group("g"), name: "neighbour", size: small })
  for (const some of [blob, neighbour]) yield* expect.stores(tier, some)
  const before = { corrupted: tier.corrupted?.() ?? 0, entries: (yield* expect.counted(tier))?.entries }

  yield* ask(tier, blob, damage(blob.header.key, where))

  yield* isSetAside(tier, blob, before)
  yield* expect.holds(tier, neighbour)
})

export const damaging: ReadonlyArray<Case.Case> = [
  ...places.map(([where, label]) =>
    Case.make(
      `get - of a blob ${label} behind the tier's back answers Miss or Corrupt, and counts it; it can be put again`,
      { damage: true },
      damaged(where, small, (tier, blob, inflict) => Effect.andThen(inflict, givesNothing(tier, blob, 0)))
    )
  ),

  ...places.map(([where, label]) =>
    Case.make(
      `head - of a blob ${label} behind the tier's back answers no other header; a newer blob can be put`,
      { damage: true },
      Effect.gen(function* () {
        const { damage, group, tier } = yield* Case.Subject
        const blob = Fixtures.blob({ group: group("g"), generation: 7, size: small })
        const newer = Fixtures.blob({ group: group("g"), generation: 8, size: small })
        yield* expect.stores(tier, blob)
        const usage = yield* expect.counted(tier)

        yield* damage(blob.header.key, where)

        const result = yield* Effect.result(tier.head(blob.header.key))
        if (result._tag === "Failure") foundOut(tier, result.failure, "head")
        else if (result.success._tag === "Hit") {
          assert.notStrictEqual(where, "header", "head answered a header that cannot be read")
          expect.sameHeader(result.success.header, blob.header)
        } else assert.strictEqual(result.success._tag, "Miss")
        yield* expect.stores(tier, newer)
        yield* expect.holds(tier, newer)
        assert.strictEqual((yield* expect.counted(tier))?.entries, usage?.entries, "entries once a newer blob was put")
      })
    )
  ),

  ...places.map(([where, label]) =>
    Case.make(
      `open - of a blob ${label} after it was got delivers no damaged byte, fails, and counts it; it can be put again`,
      large,
      damaged(
        where,
        largeBytes,
        Effect.fnUntraced(function* (tier, blob, inflict) {
          const read = yield* tier.get(blob.header.key)
          if (read._tag !== "Hit") assert.fail(`get of ${blob.header.key.text}: expected Hit, got ${read._tag}`)

          yield* inflict

          yield* prefix(yield* delivered(tier, Body.toStream(read.blob.body)), blob, damagedFrom)
        })
      )
    )
  ),

  ...places.map(([where, label]) =>
    Case.make(
      `get - of a large blob ${label} behind the tier's back delivers no damaged byte, and counts it; it can be put again`,
      large,
      damaged(where, largeBytes, (tier, blob, inflict) =>
        Effect.andThen(inflict, givesNothing(tier, blob, damagedFrom))
      )
    )
  ),

  Case.make(
    "open - of a range in a damaged chunk delivers none of its bytes; of a range in a sound one, its bytes or an error",
    large,
    damaged(
      "body",
      largeBytes,
      Effect.fnUntraced(function* (tier, blob, inflict) {
        const read = yield* tier.get(blob.header.key)
        if (read._tag !== "Hit") assert.fail(`get of ${blob.header.key.text}: expected Hit, got ${read._tag}`)
        const sound = { start: chunk - 2, end: chunk + 2 }

        yield* inflict

        const found = yield* Effect.result(Stream.runCollect(Body.toStream(read.blob.body, sound)))
        if (found._tag === "Failure") foundOut(tier, found.failure, "open")
        else {
          const bytes = yield* Body.toBytes(blob.body)
          expect.sameBytes(Buffer.concat(found.success), bytes.subarray(sound.start, sound.end), "the sound range")
        }
        // These bytes are sound, but their chunk is not.
        const got = yield* delivered(tier, Body.toStream(read.blob.body, { start: damagedFrom, end: damagedFrom + 10 }))
        assert.strictEqual(got.byteLength, 0, "bytes of the damaged chunk")
      })
    )
  )
]
