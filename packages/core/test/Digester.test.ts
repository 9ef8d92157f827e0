import { assert, describe, it } from "@effect/vitest"
import * as Header from "../src/Header.ts"
import * as Key from "../src/Key.ts"

const mebibyte = 1_048_576
const key = Key.makeUnsafe("hero", "master")
const description: Header.Description = { contentType: "image/webp", generation: 1, createdAt: 0 }
const bytesOf = (length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 12)) & 255)

const verifies = (header: Header.Header, pieces: Iterable<Uint8Array>): boolean => {
  const digester = new Header.Digester()
  for (const piece of pieces) digester.update(piece)
  return digester.verifies(header)
}

function* piecesOf(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let start = 0; start < bytes.byteLength; start += size) yield bytes.subarray(start, start + size)
}

describe("Digester", () => {
  it.each([0, 1, mebibyte - 1, mebibyte, mebibyte + 1, 3 * mebibyte + 7])(
    "verifies %i bytes in pieces of any size",
    (length) => {
      const bytes = bytesOf(length)
      const header = Header.describe(key, bytes, description)
      for (const size of [4_093, 65_536, mebibyte - 1, mebibyte, mebibyte + 1, 4 * mebibyte]) {
        assert.isTrue(verifies(header, piecesOf(bytes, size)), `pieces of ${size}`)
      }
    }
  )

  it("verifies single bytes, and empty pieces between them", () => {
    const bytes = bytesOf(50)

    assert.isTrue(
      verifies(
        Header.describe(key, bytes, description),
        [...piecesOf(bytes, 1)].flatMap((piece) => [new Uint8Array(0), piece])
      )
    )
  })

  it("refuses other bytes, fewer, more, and the same in another order", () => {
    const bytes = bytesOf(2 * mebibyte + 10)
    const header = Header.describe(key, bytes, description)
    const [first = bytes, second = bytes] = piecesOf(bytes, mebibyte + 5)

    assert.isFalse(verifies(header, [bytes.map((byte, index) => (index === mebibyte ? byte ^ 1 : byte))]))
    assert.isFalse(verifies(header, [bytes.subarray(0, -1)]))
    assert.isFalse(verifies(header, [bytes, Buffer.of(0)]))
    assert.isFalse(verifies(header, [second, first]))
    assert.isFalse(verifies(header, []))
  })

  it("refuses a header of another digest, of other checksums, and of fewer", () => {
    const bytes = bytesOf(mebibyte + 1)
    const header = Header.describe(key, bytes, description)

    assert.isFalse(verifies({ ...header, digest: "0".repeat(64) }, [bytes]))
    assert.isFalse(verifies({ ...header, checksums: [0, 0] }, [bytes]))
    assert.isFalse(verifies({ ...header, checksums: header.checksums.slice(0, 1) }, [bytes]))
  })
})
