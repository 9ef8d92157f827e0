import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as ByteRange from "../src/ByteRange.ts"

const whole: ByteRange.ByteRange = { _tag: "Whole" }
const partial = (start: number, end: number, contentRange: string): ByteRange.ByteRange => ({
  _tag: "Partial",
  start,
  end,
  contentRange
})
const unsatisfiable = (size: number): ByteRange.ByteRange => ({
  _tag: "Unsatisfiable",
  contentRange: `bytes */${size}`
})

describe("ByteRange.parse", () => {
  const cases: ReadonlyArray<readonly [range: string, size: number, result: ByteRange.ByteRange]> = [
    ["bytes=0-99", 1000, partial(0, 100, "bytes 0-99/1000")],
    ["bytes=100-199", 1000, partial(100, 200, "bytes 100-199/1000")],
    ["bytes=0-0", 1000, partial(0, 1, "bytes 0-0/1000")],
    ["bytes=999-999", 1000, partial(999, 1000, "bytes 999-999/1000")],
    ["bytes=900-", 1000, partial(900, 1000, "bytes 900-999/1000")],
    ["bytes=0-", 1000, partial(0, 1000, "bytes 0-999/1000")],
    ["bytes=-100", 1000, partial(900, 1000, "bytes 900-999/1000")],
    ["bytes=-1000", 1000, partial(0, 1000, "bytes 0-999/1000")],
    ["bytes=-5000", 1000, partial(0, 1000, "bytes 0-999/1000")],
    ["bytes=500-5000", 1000, partial(500, 1000, "bytes 500-999/1000")],
    ["bytes=0-99999999999999999999999999", 1000, partial(0, 1000, "bytes 0-999/1000")],
    ["Bytes=0-1", 1000, partial(0, 2, "bytes 0-1/1000")],
    ["bytes=0000-0001", 1000, partial(0, 2, "bytes 0-1/1000")],
    ["bytes=1000-", 1000, unsatisfiable(1000)],
    ["bytes=1000-2000", 1000, unsatisfiable(1000)],
    ["bytes=99999999999999999999999999-", 1000, unsatisfiable(1000)],
    ["bytes=-0", 1000, unsatisfiable(1000)],
    ["bytes=0-", 0, unsatisfiable(0)],
    ["bytes=0-0", 0, unsatisfiable(0)],
    ["bytes=-0", 0, unsatisfiable(0)],
    ["bytes=-1", 0, whole],
    ["bytes=200-100", 1000, whole],
    ["bytes=0-1,5-6", 1000, whole],
    ["bytes=0-1, -1", 1000, whole],
    ["bytes=-", 1000, whole],
    ["bytes=", 1000, whole],
    ["bytes", 1000, whole],
    ["", 1000, whole],
    ["bytes=5", 1000, whole],
    ["bytes=a-b", 1000, whole],
    ["bytes=0x1-2", 1000, whole],
    ["bytes=1.5-2", 1000, whole],
    ["bytes=+1-2", 1000, whole],
    ["bytes=--5", 1000, whole],
    ["bytes=1--5", 1000, whole],
    ["bytes= 0-1", 1000, whole],
    ["bytes=0 - 1", 1000, whole],
    ["bytes =0-1", 1000, whole],
    ["items=0-1", 1000, whole],
    ["bytes=0-1;x", 1000, whole],
    ["bytes=٠-١", 1000, whole]
  ]
  for (const [range, size, result] of cases) {
    it(`${JSON.stringify(range)} of ${size} bytes is ${result._tag}`, () => {
      assert.deepStrictEqual(ByteRange.parse(range, size), result)
    })
  }

  it.prop("never throws, whatever the text", [Schema.String, Schema.Natural], ([text, size]) => {
    isWithin(ByteRange.parse(text, size), size)
    isWithin(ByteRange.parse(`bytes=${text}`, size), size)
  })

  it.prop(
    "never leaves the representation",
    [Schema.Natural, Schema.Natural, Schema.Natural],
    ([first, last, size]) => {
      for (const range of [`bytes=${first}-${last}`, `bytes=${first}-`, `bytes=-${last}`]) {
        isWithin(ByteRange.parse(range, size), size)
      }
    }
  )
})

const isWithin = (range: ByteRange.ByteRange, size: number): void => {
  if (range._tag !== "Partial") return
  assert.isTrue(range.start >= 0 && range.start < range.end && range.end <= size)
  assert.strictEqual(range.contentRange, `bytes ${range.start}-${range.end - 1}/${size}`)
}

describe("ByteRange.evaluate", () => {
  const tag = `"9f86d081884c7d65"`
  const current = { etag: tag, lastModified: 784_111_777_500 }
  const date = "Sun, 06 Nov 1994 08:49:37 GMT"
  const range = "bytes=0-9"
  const first = partial(0, 10, "bytes 0-9/100")

  it("is the whole without a Range", () => {
    assert.deepStrictEqual(ByteRange.evaluate("GET", {}, 100, current), whole)
    assert.deepStrictEqual(ByteRange.evaluate("GET", { "if-range": tag }, 100, current), whole)
  })

  it("serves ranges to GET only", () => {
    assert.deepStrictEqual(ByteRange.evaluate("GET", { range }, 100, current), first)
    assert.deepStrictEqual(ByteRange.evaluate("HEAD", { range }, 100, current), whole)
    assert.deepStrictEqual(ByteRange.evaluate("HEAD", { range: "bytes=200-" }, 100, current), whole)
  })

  const conditions: ReadonlyArray<readonly [ifRange: string, holds: boolean]> = [
    [tag, true],
    [date, true],
    ["Sunday, 06-Nov-94 08:49:37 GMT", true],
    [`W/${tag}`, false],
    [`"other"`, false],
    [`${tag}, "other"`, false],
    ["*", false],
    ["", false],
    [tag.slice(1, -1), false],
    ["Sun, 06 Nov 1994 08:49:36 GMT", false],
    ["Sun, 06 Nov 1994 08:49:38 GMT", false]
  ]
  for (const [ifRange, holds] of conditions) {
    it(`If-Range: ${ifRange} ${holds ? "allows the range" : "gives the whole"}`, () => {
      assert.deepStrictEqual(
        ByteRange.evaluate("GET", { range, "if-range": ifRange }, 100, current),
        holds ? first : whole
      )
    })
  }

  it("gives the whole to an If-Range with a date where none is known, and in place of a 416", () => {
    assert.deepStrictEqual(ByteRange.evaluate("GET", { range, "if-range": date }, 100, { etag: tag }), whole)
    assert.deepStrictEqual(
      ByteRange.evaluate("GET", { range: "bytes=200-", "if-range": `"other"` }, 100, current),
      whole
    )
  })

  it.prop("If-Range never throws and holds for nothing but the tag and the date", [Schema.String], ([text]) => {
    assert.isFalse(ByteRange.isCurrent(text, current))
  })
})
