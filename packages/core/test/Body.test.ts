import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Blob from "../src/Blob.ts"
import * as Body from "../src/Body.ts"
import * as Header from "../src/Header.ts"
import * as Key from "../src/Key.ts"

const bytes = Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
const inline = Body.inline(bytes)
const streamed = Body.streamed(10, ({ start, end } = { start: 0, end: 10 }) =>
  Stream.fromIterable([bytes.subarray(start, Math.min(end, 4)), bytes.subarray(Math.max(start, 4), end)])
)

const collected = (body: Body.Body, range?: Body.Range) =>
  Effect.map(Stream.runCollect(Body.toStream(body, range)), (runs) => Array.from(Buffer.concat(runs)))

describe("Body", () => {
  it("size - is the length in bytes", () => {
    assert.deepStrictEqual([inline, streamed, Body.inline(new Uint8Array(0))].map(Body.size), [10, 10, 0])
  })

  it.effect.each([
    ["inline", inline],
    ["streamed", streamed]
  ] as const)("toStream and toBytes - deliver all bytes of a body that is %s", ([, body]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* collected(body), [...bytes])
      assert.deepStrictEqual([...(yield* Body.toBytes(body))], [...bytes])
    })
  )

  it.effect.each([
    ["inline", inline],
    ["streamed", streamed]
  ] as const)("toStream - delivers a range of a body that is %s: the start is included, the end is not", ([, body]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* collected(body, { start: 2, end: 6 }), [2, 3, 4, 5])
      assert.deepStrictEqual(yield* collected(body, { start: 0, end: 1 }), [0])
      assert.deepStrictEqual(yield* collected(body, { start: 9, end: 10 }), [9])
      assert.deepStrictEqual(yield* collected(body, { start: 5, end: 5 }), [])
    })
  )

  it.effect("toStream - of bytes in memory leaves out what lies outside of them", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* collected(inline, { start: -3, end: 2 }), [0, 1])
      assert.deepStrictEqual(yield* collected(inline, { start: 8, end: 99 }), [8, 9])
      assert.deepStrictEqual(yield* collected(inline, { start: -5, end: -2 }), [])
    })
  )

  it.effect("toBytes - of bytes in memory copies nothing", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Body.toBytes(inline), bytes)
    })
  )
})

describe("Blob", () => {
  it.effect("make - describes the bytes and keeps them in memory", () =>
    Effect.gen(function* () {
      const blob = Blob.make(Key.makeUnsafe("hero", "master"), bytes, {
        contentType: "image/webp",
        generation: 1,
        createdAt: 0
      })

      assert.isTrue(Header.verifies(blob.header, bytes))
      assert.strictEqual(yield* Body.toBytes(blob.body), bytes)
    })
  )
})
