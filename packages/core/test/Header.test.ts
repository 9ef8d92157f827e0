import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"
import { crc32 } from "node:zlib"
import * as Header from "../src/Header.ts"
import * as Key from "../src/Key.ts"

const key = Key.makeUnsafe("hero_recycle-01", "master")
const mebibyte = 1_048_576

const description: Header.Description = {
  contentType: "image/webp",
  generation: 1_700_000_000_000_001,
  createdAt: 1_700_000_000_000,
  freshUntil: 1_700_000_060_000,
  expiresAt: 1_700_000_120_000,
  attributes: { title: "Äpfel, 東京 🌋", "quoted key": 'a "b" \\ c\n\u2028\u0000\u007f', empty: "" }
}

/** Bytes whose chunks differ. */
const bytesOf = (length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 12)) & 255)

const roundTrip = (header: Header.Header) => Effect.map(Header.encode(header), Header.decode)

describe("Header", () => {
  describe("of bytes", () => {
    it("describe - throws an error that names a time which is none", () => {
      for (const name of ["createdAt", "freshUntil", "expiresAt"]) {
        for (const time of [Number.NaN, Number.POSITIVE_INFINITY]) {
          assert.throws(
            () => Header.describe(key, bytesOf(3), { ...description, [name]: time }),
            `${name} is ${time}: expected Unix milliseconds, for example 1700000000000`
          )
        }
      }
    })

    it("describe - computes size, SHA-256 and one CRC-32 per chunk of 1 MiB", () => {
      const bytes = bytesOf(2 * mebibyte + 5)

      const header = Header.describe(key, bytes, description)

      assert.strictEqual(header.size, bytes.byteLength)
      assert.strictEqual(header.digest, createHash("sha256").update(bytes).digest("hex"))
      assert.deepStrictEqual(header.checksums, [
        crc32(bytes.subarray(0, mebibyte)),
        crc32(bytes.subarray(mebibyte, 2 * mebibyte)),
        crc32(bytes.subarray(2 * mebibyte))
      ])
    })

    it.each([
      [0, 0],
      [1, 1],
      [mebibyte - 1, 1],
      [mebibyte, 1],
      [mebibyte + 1, 2]
    ])("describe - gives a body of %i bytes %i checksums", (length, count) => {
      assert.strictEqual(Header.describe(key, bytesOf(length), description).checksums.length, count)
    })
  })

  describe("matches and verifies", () => {
    const bytes = bytesOf(mebibyte + 100)
    const header = Header.describe(key, bytes, description)

    it("accept the bytes of the header, and an empty body", () => {
      assert.isTrue(Header.matches(header, bytes))
      assert.isTrue(Header.verifies(header, bytes))
      assert.isTrue(Header.verifies(Header.describe(key, new Uint8Array(0), description), new Uint8Array(0)))
    })

    it.each([
      ["a bit in the first chunk", bytes.map((byte, index) => (index === 7 ? byte ^ 1 : byte))],
      ["a bit in the last chunk", bytes.map((byte, index) => (index === mebibyte + 50 ? byte ^ 128 : byte))],
      ["a missing byte", bytes.subarray(0, -1)],
      ["a byte too many", Buffer.concat([bytes, Buffer.of(0)])],
      ["no bytes", new Uint8Array(0)]
    ])("refuse %s", (_, damaged) => {
      assert.isFalse(Header.matches(header, damaged))
      assert.isFalse(Header.verifies(header, damaged))
    })

    it("refuse a header that has fewer or more checksums than the bytes have chunks", () => {
      for (const checksums of [[], header.checksums.slice(0, 1), [...header.checksums, 0]]) {
        assert.isFalse(Header.matches({ ...header, checksums }, bytes))
        assert.isFalse(Header.verifies({ ...header, checksums }, bytes))
      }
    })

    it("verifies refuses another digest, which matches does not compute", () => {
      const other = { ...header, digest: "0".repeat(64) }

      assert.isTrue(Header.matches(other, bytes))
      assert.isFalse(Header.verifies(other, bytes))
    })
  })

  describe("isExpired and isStale", () => {
    const header = Header.describe(key, bytesOf(1), { ...description, freshUntil: 1_000, expiresAt: 2_000 })

    it("hold from the named millisecond on", () => {
      assert.deepStrictEqual(
        [999, 1_000].map((millis) => Header.isStale(header, millis)),
        [false, true]
      )
      assert.deepStrictEqual(
        [1_999, 2_000].map((millis) => Header.isExpired(header, millis)),
        [false, true]
      )
    })

    it("never hold for a header without a time", () => {
      const lasting = { ...header, freshUntil: undefined, expiresAt: undefined }

      assert.isFalse(Header.isStale(lasting, Number.MAX_SAFE_INTEGER))
      assert.isFalse(Header.isExpired(lasting, Number.MAX_SAFE_INTEGER))
    })

    it("hold from the beginning for the time 0", () => {
      assert.isTrue(Header.isExpired({ ...header, expiresAt: 0 }, 0))
    })
  })

  describe("encode and decode", () => {
    it.effect("give back every field, as ASCII", () =>
      Effect.gen(function* () {
        const header = Header.describe(key, bytesOf(2 * mebibyte + 5), description)

        const text = yield* Header.encode(header)

        assert.match(text, /^[\x20-\x7e]*$/)
        assert.deepStrictEqual(Header.decode(text), Option.some(header))
      })
    )

    it.effect("give back a header without optional fields", () =>
      Effect.gen(function* () {
        const header = Header.describe(key, new Uint8Array(0), {
          contentType: "",
          generation: 1,
          createdAt: 0
        })

        assert.deepStrictEqual(yield* roundTrip(header), Option.some(header))
      })
    )

    it.effect("give back times that are no whole milliseconds, or lie before 1970", () =>
      Effect.gen(function* () {
        const header = Header.describe(key, bytesOf(1), {
          ...description,
          createdAt: -1,
          freshUntil: 1_700_000_000_000.25,
          expiresAt: 1_700_000_000_001.5
        })

        assert.deepStrictEqual(yield* roundTrip(header), Option.some(header))
      })
    )

    it.effect("give back an attribute that is named like a member of every object", () =>
      Effect.gen(function* () {
        const attributes = JSON.parse('{"__proto__":"a","constructor":"b","toString":"c"}') as Record<string, string>
        const header = Header.describe(key, bytesOf(1), { ...description, attributes })

        const decoded = Option.getOrThrow(yield* roundTrip(header))

        assert.deepStrictEqual(Object.entries(decoded.attributes), Object.entries(attributes))
      })
    )

    it.effect.prop(
      "give back any attributes that fit",
      { attributes: Schema.Record(Schema.String, Schema.String), contentType: Schema.String },
      Effect.fnUntraced(function* ({ attributes, contentType }) {
        const header = Header.describe(key, bytesOf(3), { ...description, attributes, contentType })
        const encoded = yield* Effect.result(Header.encode(header))
        if (encoded._tag === "Failure") return

        assert.match(encoded.success, /^[\x20-\x7e]*$/)
        const decoded = Option.getOrThrow(Header.decode(encoded.success))
        assert.sameDeepMembers(Object.entries(decoded.attributes), Object.entries(attributes))
        assert.strictEqual(decoded.contentType, contentType)
      })
    )

    it.effect("encode - takes 1,800 bytes and fails with HeaderTooLarge at one more", () =>
      Effect.gen(function* () {
        const withTitle = (title: string) => Header.describe(key, bytesOf(1), { ...description, attributes: { title } })
        const room = Header.maxEncodedBytes - (yield* Header.encode(withTitle(""))).length

        assert.strictEqual((yield* Header.encode(withTitle("x".repeat(room)))).length, 1_800)
        const error = yield* Effect.flip(Header.encode(withTitle("x".repeat(room + 1))))

        assert.instanceOf(error, Header.HeaderTooLarge)
        assert.strictEqual(
          error.message,
          "the header of hero_recycle-01/master takes 1801 bytes: expected at most 1800; shorten its attributes"
        )
      })
    )

    it.effect("encode - fits 50 MiB of checksums with the longest key", () =>
      Effect.gen(function* () {
        const header = Header.describe(Key.makeUnsafe("g".repeat(200), "n".repeat(48)), bytesOf(1), description)
        const checksums = Array.from({ length: 50 }, () => 0xffffffff)

        assert.isAtMost((yield* Header.encode({ ...header, checksums })).length, 1_800)
      })
    )

    it.effect("encode - keeps checksums that begin with zeros", () =>
      Effect.gen(function* () {
        const header = { ...Header.describe(key, bytesOf(1), description), checksums: [0, 1, 0xff, 0xffffffff] }

        assert.deepStrictEqual(Option.getOrThrow(yield* roundTrip(header)).checksums, [0, 1, 0xff, 0xffffffff])
      })
    )

    it.effect("decode - answers none for a text that is no header", () =>
      Effect.gen(function* () {
        const text = yield* Header.encode(Header.describe(key, bytesOf(1), description))
        const fields = JSON.parse(text) as Record<string, unknown>
        const changed = (changes: Record<string, unknown>) => JSON.stringify({ ...fields, ...changes })
        const damaged = [
          "",
          "null",
          "[]",
          "{}",
          text.slice(0, -1),
          changed({ key: "no slash" }),
          changed({ key: "../etc/passwd" }),
          changed({ digest: "0".repeat(63) }),
          changed({ digest: "G".repeat(64) }),
          changed({ size: -1 }),
          changed({ size: 1.5 }),
          changed({ size: "1" }),
          changed({ crc: "0123456" }),
          changed({ generation: 1e300 }),
          changed({ generation: null }),
          changed({ expires: "tomorrow" }),
          changed({ attributes: { title: 1 } }),
          changed({ type: undefined })
        ]

        for (const one of damaged) assert.isTrue(Option.isNone(Header.decode(one)), one)
        assert.isTrue(Option.isSome(Header.decode(changed({ unknown: "field" }))), "a field of a later version")
      })
    )
  })
})
