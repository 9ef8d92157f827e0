/** Bodies of all sizes, and bytes that are not those of the header. */
import { assert } from "@effect/vitest"
import * as Body from "@terrace/core/Body"
import { TierError, Unavailable } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Fixtures from "../../Fixtures.ts"
import * as Case from "../Case.ts"
import * as expect from "../expect.ts"

const kibibyte = 1_024
const mebibyte = 1_048_576

const sizes: ReadonlyArray<readonly [label: string, bytes: number]> = [
  ["an empty body", 0],
  ["1 byte", 1],
  ["64 KiB − 1", 64 * kibibyte - 1],
  ["64 KiB", 64 * kibibyte],
  ["64 KiB + 1", 64 * kibibyte + 1],
  ["1 MiB − 1", mebibyte - 1],
  ["1 MiB", mebibyte],
  ["1 MiB + 1", mebibyte + 1],
  ["16 MiB", 16 * mebibyte]
]

const sized = sizes.map(([label, size]) =>
  Case.make(
    `put - keeps ${label}`,
    { bodyBytes: size },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const blob = Fixtures.blob({ group: group("g"), size, seed: size })

      yield* expect.stores(tier, blob)

      yield* expect.holds(tier, blob)
    })
  )
)

const mismatches: ReadonlyArray<readonly [label: string, bytes: (right: Uint8Array) => Uint8Array]> = [
  ["one bit is wrong", (right) => right.map((byte, index) => (index === 1_000 ? byte ^ 1 : byte))],
  ["the last byte is missing", (right) => right.slice(0, -1)],
  ["one byte follows", (right) => Buffer.concat([right, Buffer.of(0)])],
  ["there are none", () => new Uint8Array(0)]
]

const mismatched = mismatches.map(([label, wrong]) =>
  Case.make(
    `put - refuses bytes that are not those of the header: ${label}; the old blob stays`,
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const current = Fixtures.blob({ group: group("g"), generation: 1 })
      const next = Fixtures.blob({ group: group("g"), generation: 2, size: 4_000 })
      const fresh = Fixtures.blob({ group: group("g"), name: "fresh", generation: 2, size: 4_000 })
      const bytes = wrong(yield* Body.toBytes(next.body))
      yield* expect.stores(tier, current)

      yield* expect.refuses(tier, Fixtures.withBytes(next, bytes))
      yield* expect.refuses(tier, Fixtures.withBytes(fresh, bytes))

      yield* expect.holds(tier, current)
      yield* expect.misses(tier, fresh.header.key)
      yield* expect.stores(tier, next)
      yield* expect.holds(tier, next)
    })
  )
)

export const bodies: ReadonlyArray<Case.Case> = [
  ...sized,
  ...mismatched,

  Case.make(
    "put - refuses a header whose digest is not that of the bytes though its checksums are; the old blob stays",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const current = Fixtures.blob({ group: group("g"), generation: 1 })
      const next = Fixtures.blob({ group: group("g"), generation: 2 })
      yield* expect.stores(tier, current)

      yield* expect.refuses(tier, { ...next, header: { ...next.header, digest: "0".repeat(64) } })

      yield* expect.holds(tier, current)
    })
  ),

  Case.make(
    "put - keeps every value of a byte, and text that a decoder would change",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const every = Uint8Array.from({ length: 512 }, (_, index) => index & 0xff)
      const text = Buffer.from([0xef, 0xbb, 0xbf, 0x0d, 0x0a, 0x00, 0xff, 0xfe, 0xc3, 0x28, 0x1a, 0x0a])
      for (const [index, bytes] of [every, text].entries()) {
        const blob = Fixtures.blob({ group: group("g"), name: `n${index}`, bytes })

        yield* expect.stores(tier, blob)

        yield* expect.holds(tier, blob)
      }
    })
  ),

  Case.make(
    "put - keeps the bytes of a view into a larger buffer, and only those",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const large = Fixtures.bytes(1, 50_000)
      const blob = Fixtures.blob({ group: group("g"), bytes: large.subarray(10_000, 12_000) })

      yield* expect.stores(tier, blob)

      yield* expect.holds(tier, blob)
    })
  ),

  Case.make(
    "put - takes a streamed body in pieces of any size",
    { streaming: true, bodyBytes: 3 * mebibyte + 7 },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const blob = Fixtures.blob({ group: group("g"), size: 3 * mebibyte + 7 })
      const bytes = yield* Body.toBytes(blob.body)
      for (const [index, piece] of [1_000, 65_536, 700_001, 4 * mebibyte].entries()) {
        const pieces = Array.from({ length: Math.ceil(bytes.byteLength / piece) }, (_, at) =>
          bytes.subarray(at * piece, (at + 1) * piece)
        )
        const header = { ...blob.header, generation: index + 1 }
        const body = Body.streamed(bytes.byteLength, () => Stream.fromIterable(pieces))

        yield* expect.stores(tier, { header, body })

        yield* expect.holds(tier, { header, body })
      }
    })
  ),

  Case.make(
    "put - of a streamed body that fails half-way fails; the old blob stays",
    { streaming: true, bodyBytes: 2 * mebibyte },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const current = Fixtures.blob({ group: group("g"), generation: 1 })
      const next = Fixtures.blob({ group: group("g"), generation: 2, size: 2 * mebibyte })
      const bytes = yield* Body.toBytes(next.body)
      const trouble = new TierError({
        tier: "source",
        operation: "open",
        reason: new Unavailable({ cause: "the connection was lost" })
      })
      const half = Stream.concat(Stream.succeed(bytes.subarray(0, mebibyte + 1)), Stream.fail(trouble))
      yield* expect.stores(tier, current)

      const result = yield* Effect.result(
        tier.put({ header: next.header, body: Body.streamed(bytes.byteLength, () => half) })
      )

      assert.strictEqual(result._tag, "Failure")
      yield* expect.holds(tier, current)
    })
  ),

  Case.make(
    "put - refuses a streamed body that delivers other bytes, fewer or more; the old blob stays",
    { streaming: true, bodyBytes: 2 * mebibyte },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const current = Fixtures.blob({ group: group("g"), generation: 1 })
      const next = Fixtures.blob({ group: group("g"), generation: 2, size: 2 * mebibyte })
      const bytes = yield* Body.toBytes(next.body)
      yield* expect.stores(tier, current)

      for (const [, wrong] of mismatches) {
        const body = Body.streamed(bytes.byteLength, () => Stream.succeed(wrong(bytes)))
        yield* expect.refuses(tier, { header: next.header, body })
      }

      yield* expect.holds(tier, current)
    })
  ),

  Case.make(
    "put - refuses a streamed body where streaming is not declared, and keeps what it had",
    { streaming: false },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const current = Fixtures.blob({ group: group("g"), generation: 1 })
      const next = Fixtures.blob({ group: group("g"), generation: 2, size: 2_000 })
      const bytes = yield* Body.toBytes(next.body)
      yield* expect.stores(tier, current)

      yield* expect.refuses(tier, {
        header: next.header,
        body: Body.streamed(bytes.byteLength, () => Stream.succeed(bytes))
      })

      yield* expect.holds(tier, current)
    })
  ),

  Case.make(
    "get - answers bodies in memory where streaming is not declared",
    { streaming: false },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const blob = Fixtures.blob({ group: group("g"), size: 60_000 })
      yield* expect.stores(tier, blob)

      const read = yield* tier.get(blob.header.key)

      assert.isTrue(read._tag === "Hit" && read.blob.body._tag === "Inline")
    })
  )
]
