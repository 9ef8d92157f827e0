import { assert, describe, it } from "@effect/vitest"
import * as Body from "@terrace/core/Body"
import * as Header from "@terrace/core/Header"
import { Fixtures } from "@terrace/testkit"
import * as Effect from "effect/Effect"
import { deflateSync } from "node:zlib"

describe("Fixtures", () => {
  it("bytes - are the same for the same seed, and others for another", () => {
    assert.deepStrictEqual(Fixtures.bytes(1, 1_000), Fixtures.bytes(1, 1_000))
    assert.notDeepEqual(Fixtures.bytes(1, 1_000), Fixtures.bytes(2, 1_000))
    assert.strictEqual(Buffer.from(Fixtures.bytes(1, 9)).toString("hex"), "f3ea87a0c949b300eb")
  })

  it("bytes - have any length, a buffer of their own, and no pattern that compresses", () => {
    for (const length of [0, 1, 3, 4, 5, 65_537]) {
      assert.strictEqual(Fixtures.bytes(7, length).byteLength, length)
      assert.strictEqual(Fixtures.bytes(7, length).buffer.byteLength, length)
    }
    assert.isAbove(deflateSync(Fixtures.bytes(7, 100_000)).byteLength, 100_000)
  })

  it.effect("blob - has the header of its bytes, and other bytes for another generation", () =>
    Effect.gen(function* () {
      const blob = Fixtures.blob({ group: "g", name: "n", size: 5_000, generation: 3, attributes: { title: "t" } })

      assert.isTrue(Header.verifies(blob.header, yield* Body.toBytes(blob.body)))
      assert.deepInclude(blob.header, { size: 5_000, generation: 3, attributes: { title: "t" } })
      assert.strictEqual(blob.header.key.text, "g/n")
      assert.notStrictEqual(blob.header.digest, Fixtures.blob({ size: 5_000, generation: 4 }).header.digest)
    })
  )

  it.effect("withBytes - keeps the header over other bytes", () =>
    Effect.gen(function* () {
      const blob = Fixtures.withBytes(Fixtures.blob(), Fixtures.bytes(9, 256))

      assert.strictEqual(blob.header.digest, Fixtures.blob().header.digest)
      assert.isFalse(Header.verifies(blob.header, yield* Body.toBytes(blob.body)))
    })
  )
})
