/** Bodies of all sizes, and bytes that are not those of the header. */
import { assert } from "@effect/vitest"
import * as Body from "@terrace/core/Body"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Fixtures from "../../Fixtures.ts"
import * as Case from "../Case.ts"
import * as expect from "../expect.ts"
import { mismatches } from "../mismatches.ts"
import { mulberry32 } from "../mulberry32.ts"

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
    "put - refuses a header whose checksums are not those of the bytes though its digest is; the old blob stays",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const current = Fixtures.blob({ group: group("g"), generation: 1 })
      const { header, body } = Fixtures.blob({ group: group("g"), generation: 2 })
      yield* expect.stores(tier, current)

      for (const checksums of [[], [0], [...header.checksums, 0]]) {
        yield* expect.refuses(tier, { header: { ...header, checksums }, body })
      }

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
    "put - keeps random bytes of random lengths",
    {},
    Effect.gen(function* () {
      const { tier, group, seed } = yield* Case.Subject
      const next = mulberry32(seed)
      const largest = Math.min(70 * kibibyte, tier.capabilities.maxBytes ?? Number.POSITIVE_INFINITY)
      const random = Effect.gen(function* () {
        for (let generation = 1; generation <= 60; generation++) {
          const size = next() % (generation % 2 === 0 ? 300 : largest + 1)
          const blob = Fixtures.blob({ group: group("g"), name: `n${next() % 4}`, generation, seed: next(), size })

          yield* expect.stores(tier, blob)

          yield* expect.holds(tier, blob)
        }
      })

      yield* expect.seeded(seed, random)
    })
  ),

  Case.make(
    "put - declines a body above the declared maxBytes as too large, and keeps what it had",
    { maxBytesUpTo: 64 * mebibyte },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const maxBytes = tier.capabilities.maxBytes ?? assert.fail("the case requires maxBytes")
      const current = Fixtures.blob({ group: group("g"), generation: 1 })
      yield* expect.stores(tier, current)

      const write = yield* tier.put(Fixtures.blob({ group: group("g"), generation: 2, size: maxBytes + 1 }))

      assert.deepStrictEqual(write, { _tag: "Declined", why: "too-large" })
      yield* expect.holds(tier, current)
    })
  ),

  Case.make(
    "put - answers Unsupported to a streamed body where streaming is not declared, and keeps what it had",
    { streaming: false },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const current = Fixtures.blob({ group: group("g"), generation: 1 })
      const next = Fixtures.blob({ group: group("g"), generation: 2, size: 2_000 })
      const bytes = yield* Body.toBytes(next.body)
      yield* expect.stores(tier, current)

      const body = Body.streamed(bytes.byteLength, () => Stream.succeed(bytes))
      const error = yield* expect.failsWith(tier.put({ header: next.header, body }), "Unsupported", tier, "put")

      assert.deepInclude(error.reason, { capability: "streaming" })
      yield* expect.holds(tier, current)
    })
  ),

  Case.make(
    "get - answers bodies in memory where streaming is not declared",
    { streaming: false, bodyBytes: 60_000 },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const blob = Fixtures.blob({ group: group("g"), size: 60_000 })
      yield* expect.stores(tier, blob)

      const read = yield* tier.get(blob.header.key)

      assert.isTrue(read._tag === "Hit" && read.blob.body._tag === "Inline")
    })
  )
]
