import { assert, describe, it } from "@effect/vitest"
import * as Blob from "@terrace/core/Blob"
import * as Header from "@terrace/core/Header"
import * as Key from "@terrace/core/Key"
import * as Fixtures from "@terrace/testkit/Fixtures"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as BlobFile from "../src/internal/BlobFile.ts"

const encoded = (blob: Blob.Blob): Buffer => {
  const body = blob.body._tag === "Inline" ? blob.body.bytes : new Uint8Array()
  const trailer = BlobFile.encodeTrailer(Effect.runSync(Header.encode(blob.header)), body.byteLength)
  return Buffer.concat([body, trailer])
}

const sample = Fixtures.blob({ size: 300, attributes: { title: "Bäume" }, expiresAt: 12, freshUntil: 11 })
const file = encoded(sample)
const trailerStart = 300

describe("BlobFile", () => {
  it("decodes what it has encoded, from the whole file and from its tail", () => {
    const expected: BlobFile.Decoded = { _tag: "Whole", header: sample.header }
    assert.deepEqual(BlobFile.decodeTail(file, file.length), expected)
    assert.deepEqual(BlobFile.decodeTail(file.subarray(100), file.length), expected)
    assert.deepEqual(BlobFile.decodeTail(file.subarray(trailerStart), file.length), expected)
  })

  it("begins the trailer with a free box of its length, after the unchanged payload", () => {
    assert.strictEqual(file.readUInt32BE(trailerStart), file.length - trailerStart)
    assert.strictEqual(file.toString("latin1", trailerStart + 4, trailerStart + 8), "free")
    assert.deepEqual(Header.checksumsOf(file.subarray(0, trailerStart)), sample.header.checksums)
  })

  it("keeps the layout that files on disks have", () => {
    const key = Key.makeUnsafe("hero", "master")
    const blob = Blob.make(key, Buffer.from("payload"), { contentType: "image/webp", generation: 5, createdAt: 6 })
    const bytes = encoded(blob)
    assert.strictEqual(bytes.toString("latin1", bytes.length - 8), "TERRACE\n")
    const end = bytes.length
    const headerBytes = bytes.readUInt32BE(end - 28)
    assert.strictEqual(headerBytes, end - 7 - 8 - 28)
    assert.strictEqual(bytes.readBigUInt64BE(end - 24), 7n)
    assert.strictEqual(bytes.readUInt32BE(end - 16), 1)
    const header: unknown = JSON.parse(bytes.toString("latin1", 7 + 8, 7 + 8 + headerBytes))
    assert.deepInclude(header, { key: "hero/master", type: "image/webp", size: 7, generation: 5, created: 6 })
  })

  it("finds every truncation", () => {
    for (let length = 0; length < file.length; length++) {
      assert.strictEqual(BlobFile.decodeTail(file.subarray(0, length), length)._tag, "Damaged", `at ${length}`)
    }
  })

  it("finds every flipped byte of the trailer", () => {
    for (let index = trailerStart; index < file.length; index++) {
      for (const flip of [0x01, 0x80, 0xff]) {
        const damaged = Buffer.from(file)
        damaged[index] = (damaged[index] ?? 0) ^ flip
        assert.strictEqual(BlobFile.decodeTail(damaged, damaged.length)._tag, "Damaged", `at ${index}`)
      }
    }
  })

  it("tells a file of a later version from a damaged one", () => {
    const later = Buffer.from(file)
    later.writeUInt32BE(2, later.length - 16)
    assert.strictEqual(BlobFile.decodeTail(later, later.length)._tag, "Damaged")
    later.writeUInt32BE(crc(later.subarray(trailerStart, later.length - 12)), later.length - 12)
    assert.deepEqual(BlobFile.decodeTail(later, later.length), { _tag: "Later", version: 2 })
  })

  it("finds bytes that were added", () => {
    assert.strictEqual(BlobFile.decodeTail(Buffer.concat([Buffer.from("x"), file]), file.length + 1)._tag, "Damaged")
    assert.strictEqual(BlobFile.decodeTail(Buffer.concat([file, Buffer.from("x")]), file.length + 1)._tag, "Damaged")
  })

  const Part = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 })))
  it.prop("answers whatever the bytes are", [Part, Schema.Boolean], ([bytes, withEnd]) => {
    const tail = withEnd ? Buffer.concat([Buffer.from(bytes), Buffer.from("TERRACE\n")]) : Buffer.from(bytes)
    assert.strictEqual(BlobFile.decodeTail(tail, tail.length)._tag, "Damaged")
  })

  it.prop(
    "finds any truncation together with any flipped byte",
    [
      Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 10_000 })),
      Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 255 }))
    ],
    ([seed, flip]) => {
      const length = trailerStart + (seed % (file.length - trailerStart)) + 1
      const damaged = Buffer.from(file.subarray(0, length))
      const index = Math.max(trailerStart, length - 1 - (seed % 40))
      damaged[index] = (damaged[index] ?? 0) ^ flip
      assert.strictEqual(BlobFile.decodeTail(damaged, length)._tag, "Damaged")
    }
  )
})

const crc = (bytes: Uint8Array): number => Header.checksumsOf(bytes)[0] ?? 0
