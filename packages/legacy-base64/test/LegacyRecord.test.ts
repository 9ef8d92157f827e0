import { assert, describe, it } from "@effect/vitest"
import * as LegacyRecord from "@terrace/legacy-base64/LegacyRecord"
import { Fixtures } from "@terrace/testkit"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { seed } from "./support/seed.ts"
import { b64encode, dumps, encodebytes, facts } from "./support/written.ts"

const read = (text: string | Uint8Array) => LegacyRecord.parse(typeof text === "string" ? Buffer.from(text) : text)
const record = (text: string | Uint8Array) => Result.getOrThrow(read(text))
const messageOf = (text: string | Uint8Array): string =>
  Result.match(read(text), { onSuccess: () => "no error", onFailure: (error) => error.message })
const tagOf = (text: string | Uint8Array): string =>
  Result.match(read(text), { onSuccess: () => "Success", onFailure: (error) => error.reason._tag })
const compacted = (text: string | Uint8Array): string => LegacyRecord.compacted(record(text).metadata, facts)

const factsText = `"terrace": {"width":1536,"height":1024,"bytes":417312,"digest":"${facts.digest}","content_type":"image/webp"}`

describe("LegacyRecord", () => {
  describe("parse", () => {
    it("tells the image from everything else", () => {
      const { base64, metadata } = record(
        dumps({ title: "The Bottle Beacon", style: "minimalist", base64_data: "iVBORw0KGgo=", cached: false })
      )

      assert.strictEqual(base64, "iVBORw0KGgo=")
      assert.deepStrictEqual(metadata.fields, { title: "The Bottle Beacon", style: "minimalist", cached: false })
      assert.isFalse(metadata.isCached)
      assert.isUndefined(metadata.facts)
      assert.isUndefined(metadata.cdnUrl)
    })

    it.each([
      ["absent", `{"title": "a"}`],
      ["null", `{"title": "a", "base64_data": null}`],
      ["empty", `{"title": "a", "base64_data": ""}`]
    ])("base64_data that is %s makes a record of metadata only", (_, text) => {
      assert.isUndefined(record(text).base64)
      assert.deepStrictEqual(record(text).metadata.fields, { title: "a" })
    })

    it("takes a record of 4 MB as each of Python's encoders wrote it, escapes and all", () => {
      const bytes = Fixtures.bytes(5, 3_000_000)
      for (const encode of [b64encode, encodebytes]) {
        for (const ensureAscii of [true, false]) {
          const { base64, metadata } = record(
            Buffer.from(dumps({ title: "Flaschenpost – 灯台 🗼", base64_data: encode(bytes), style: "ü" }, ensureAscii))
          )
          assert.isTrue(base64 === encode(bytes))
          assert.deepStrictEqual(metadata.fields, { title: "Flaschenpost – 灯台 🗼", style: "ü" })
        }
      }
    })

    it("knows its field however the name is written, and of two the last", () => {
      assert.strictEqual(record(`{"base64\\u005fdata": "QQ=="}`).base64, "QQ==")
      assert.strictEqual(record(`{"base64_data": "QQ==", "a": 1, "base64_data": "Qg=="}`).base64, "Qg==")
      assert.isUndefined(record(`{"base64_data": "QQ==", "base64_data": null}`).base64)
      assert.isUndefined(record(`{"nested": {"base64_data": "QQ=="}, "Base64_data": "QQ=="}`).base64)
    })

    it("makes fields of names that mean something to JavaScript", () => {
      const { fields } = record(`{"__proto__": {"polluted": true}, "constructor": 1}`).metadata

      assert.deepStrictEqual(Object.entries(fields), [
        ["__proto__", { polluted: true }],
        ["constructor", 1]
      ])
      assert.notProperty({}, "polluted")
    })

    it("reads what it has written itself", () => {
      const { base64, metadata } = record(compacted(`{"title": "a", "base64_data": "QQ=="}`))

      assert.isUndefined(base64)
      assert.isTrue(metadata.isCached)
      assert.deepStrictEqual(metadata.facts, facts)
    })

    it.each([
      ["https://cdn.example.com/a.webp?b=c", "https://cdn.example.com/a.webp?b=c"],
      ["HTTP://CDN.example.com/ü", "http://cdn.example.com/%C3%BC"],
      ["javascript:alert(1)", undefined],
      ["//cdn.example.com/a", undefined],
      ["/a.webp", undefined],
      ["https://", undefined],
      ["https://cdn.example.com/a b", undefined],
      ["https://cdn.example.com:port/", undefined],
      [" https://cdn.example.com", undefined],
      ["https://cdn.example.com/\r\nset-cookie: a", undefined],
      ["https://user:secret@cdn.example.com/a.webp", undefined],
      ["https://user@cdn.example.com/a.webp", undefined],
      [`https://cdn.example.com/${"a".repeat(7_976)}`, `https://cdn.example.com/${"a".repeat(7_976)}`],
      [`https://cdn.example.com/${"a".repeat(7_977)}`, undefined],
      [`https://cdn.example.com/${"ü".repeat(2_000)}`, undefined],
      [5, undefined]
    ])("cdn_url %j leads to %j", (value, expected) => {
      assert.strictEqual(record(JSON.stringify({ cdn_url: value })).metadata.cdnUrl, expected)
    })

    it("keeps nothing of the bytes alive", () => {
      const bytes = Buffer.from(`{"title": "a", "base64_data": "QUJD", "n": 1.0}`)
      const { base64, metadata } = record(bytes)
      bytes.fill(0)

      assert.strictEqual(base64, "QUJD")
      assert.strictEqual(
        LegacyRecord.compacted(metadata, facts),
        `{"title": "a", "n": 1.0, "cached": true, ${factsText}}`
      )
    })

    const expected = `: expected a JSON object, for example {"title": "The Bottle Beacon", "base64_data": "iVBORw0KGgo="}`
    it.each([
      ["", "the record ends too early"],
      [" \n", "the record ends too early"],
      ["{", "the record ends too early"],
      [`{"a"`, "the record ends too early"],
      [`{"a":`, "the record ends too early"],
      [`{"a": "b`, "the record ends too early"],
      [`{"a": "b\\"`, "the record ends too early"],
      [`{"a": [1, 2`, "the record ends too early"],
      [`{"base64_data": "QUJD`, "the record ends too early"],
      [`{"a": 1`, "the record ends too early"],
      [`{"a": 1,`, "the record ends too early"],
      [`{"a": 1,}`, "the record is not JSON at byte 8"],
      [`{"a": 1} x`, "the record is not JSON at byte 9"],
      [`{"a": 1}{`, "the record is not JSON at byte 8"],
      [`{a: 1}`, "the record is not JSON at byte 1"],
      [`{1: 1}`, "the record is not JSON at byte 1"],
      [`{'a': 1}`, "the record is not JSON at byte 1"],
      [`{"a" 1}`, "the record is not JSON at byte 5"],
      [`{"a": }`, "the record is not JSON at byte 6"],
      [`{"a": NaN}`, "the record is not JSON at byte 6"],
      [`{"a": 1 2}`, "the record is not JSON at byte 8"],
      [`{"a": 01}`, "the record is not JSON at byte 6"],
      [`{"a": [1}}`, "the record is not JSON at byte 6"],
      [`{"a": tru}`, "the record is not JSON at byte 6"],
      [`{"a": "\n"}`, "the record is not JSON at byte 6"],
      [`{"a\n": 1}`, "the record is not JSON at byte 1"],
      [`{"base64_data": "QU\nJD"}`, "the record is not JSON at byte 16"],
      [`{"base64_data": "QU\\xJD"}`, "the record is not JSON at byte 16"],
      [`\ufeff{"a": 1}`, "the record begins with a byte order mark"],
      ["nul", "the record is not JSON at byte 0"],
      ["QUJD", "the record is not JSON at byte 0"],
      [" null ", "the record is null"],
      ["true", "the record is a boolean"],
      ["-1.5e+3\n", "the record is a number"],
      [`"QUJD"`, "the record is a text"],
      [`[{"base64_data": "QUJD"}]`, "the record is an array"]
    ])("says what is wrong with %j", (text, problem) => {
      assert.strictEqual(messageOf(text), problem + expected)
    })

    it.each([
      ["5", "a number"],
      ["true", "a boolean"],
      [`["QUJD"]`, "an array"],
      [`{"base64_data": "QUJD"}`, "an object"]
    ])("refuses base64_data that is %s", (value, found) => {
      assert.strictEqual(
        messageOf(`{"base64_data": ${value}}`),
        `base64_data is ${found}: expected base64 text or null, for example "iVBORw0KGgo="`
      )
    })

    it("refuses bytes that are not UTF-8, wherever they are", () => {
      for (const broken of [[0xff], [0xc3], [0xe2, 0x82], [0xed, 0xa0, 0x80], [0xc0, 0x80]]) {
        const bytes = Buffer.concat([Buffer.from(`{"title": "`), Buffer.from(broken), Buffer.from(`"}`)])
        assert.strictEqual(messageOf(bytes), `the record is not UTF-8${expected}`)
      }
      assert.strictEqual(tagOf(Buffer.from(`{"a": 1}`, "utf16le")), "InvalidJson")
    })

    it("messages and errors hold nothing of the record", () => {
      for (const text of [
        `{"secret": SECRET}`,
        `{"base64_data": "SECRET`,
        `{"secret": "SECRET\n"}`,
        `"SECRET"`,
        `{"base64_data": {"SECRET": 1}}`,
        `{"SECRET" 1}`
      ]) {
        const error = Result.getOrThrow(Result.flip(read(text)))
        assert.notMatch(JSON.stringify(error) + error.message + String(error.stack), /secret/i)
        assert.isFalse(error.isRetryable)
      }
    })
  })

  describe("parse, of what somebody wrote to do harm", () => {
    const depth = LegacyRecord.maxDepth
    const nested = (levels: number) => `{"a": ${"[".repeat(levels - 1)}${"]".repeat(levels - 1)}}`

    it("takes 100 levels of nesting, and refuses one more, in time and without a value of it", () => {
      assert.strictEqual(tagOf(nested(depth)), "Success")
      assert.strictEqual(tagOf(nested(depth + 1)), "TooDeep")
      assert.match(
        messageOf(nested(depth + 1)),
        /^the record is nested too deep: expected at most 100 levels, for example/
      )
      for (const opening of ["[", `{"a":`, `[{"a":`]) {
        assert.strictEqual(tagOf(`{"a": ${opening.repeat(2_000_000)}`), "TooDeep")
      }
    })

    it("takes a MiB of fields beside the image, and refuses a byte more", () => {
      const image = b64encode(Fixtures.bytes(1, 3_000_000))
      const withFields = (bytes: number) => {
        const frame = `{"base64_data": "${image}", "a": ""}`.length - image.length - 2
        return `{"base64_data": "${image}", "a": "${"x".repeat(bytes - frame)}"}`
      }

      assert.strictEqual(tagOf(withFields(LegacyRecord.maxFieldBytes)), "Success")
      assert.strictEqual(
        messageOf(withFields(LegacyRecord.maxFieldBytes + 2)),
        "the fields beside base64_data are too large: expected at most 1048576 bytes"
      )
    })

    it.each([
      ["empty arrays", `{"a": [${"[],".repeat(5_000_000)}[]]}`],
      ["members", `{${`"a":0,`.repeat(3_000_000)}"b":0}`],
      ["a long name", `{"${"a".repeat(5_000_000)}": 0}`],
      ["a long text", `{"a": "${"b".repeat(5_000_000)}"}`],
      ["escaped quotes", `{"a": "${`\\"`.repeat(3_000_000)}"}`],
      ["blanks", `{${" ".repeat(5_000_000)}"a": 0}`],
      ["an array in place of the image", `{"base64_data": [${"0,".repeat(3_000_000)}0]}`],
      ["a long number", `{"a": ${"1".repeat(5_000_000)}}`]
    ])("refuses megabytes of %s", (_, text) => {
      assert.strictEqual(tagOf(text), "TooLarge")
    })

    it("passes megabytes of escapes in the image on, which is no base64 for it", () => {
      assert.strictEqual(record(`{"base64_data": "${`\\"`.repeat(1_000_000)}"}`).base64, '"'.repeat(1_000_000))
    })
  })

  describe("compacted", () => {
    it("is the metadata with cached and the facts, and without the image", () => {
      const old = dumps({
        title: "The Bottle Beacon",
        style: "minimalist",
        base64_data: b64encode(Fixtures.bytes(1, 2_000_000)),
        prompt: "a lighthouse made of bottles",
        cached: false
      })

      const text = compacted(old)

      assert.strictEqual(
        text,
        `{"title": "The Bottle Beacon", "style": "minimalist", "prompt": "a lighthouse made of bottles", "cached": true, ${factsText}}`
      )
      assert.isBelow(text.length, 500)
    })

    it.each([
      ["integers above 2^53", `{"a": 9007199254740993, "b": -123456789012345678901234567890}`],
      ["numbers as they are written", `{"a": 1.0, "b": 1e400, "c": -0, "d": 1E+2, "e": 0.10}`],
      ["escapes as they are written", `{"a": "\\u00fc\\/\\u0041\\b", "\\u0062": "ü"}`],
      ["halves of surrogate pairs", `{"a": "\\ud800", "b": "\\udc00\\ud800"}`],
      ["nested values with their blanks", `{"a": {"b": [1.0, {"c":2 ,  "d" :[ ]}], "base64_data": "QQ=="}}`],
      ["names like numbers in their place", `{"b": 1, "7": 2, "a": 3, "0": 4}`],
      ["names that mean something to JavaScript", `{"__proto__": {"__proto__": 1}, "constructor": 2, "toString": 3}`],
      ["names that occur twice", `{"a": 1, "a": 2}`],
      ["an empty name", `{"": null}`],
      ["brackets and quotes in text", `{"a": "}\\"]{[\\\\", "b\\"}": ","}`]
    ])("keeps %s", (_, text) => {
      const withImage = `${text.slice(0, -1)}, "base64_data": "QQ=="}`

      assert.strictEqual(compacted(withImage), `${text.slice(0, -1)}, "cached": true, ${factsText}}`)
    })

    it("takes out every base64_data of the record, and no other", () => {
      assert.strictEqual(
        compacted(`{"base64_data": "QQ==", "a": 1, "base64\\u005fdata": "Qg==", "Base64_data": 2}`),
        `{"a": 1, "Base64_data": 2, "cached": true, ${factsText}}`
      )
    })

    it("puts true in place of whatever cached was", () => {
      for (const was of ["false", "null", "0", `"no"`, `{"by": "python"}`]) {
        assert.strictEqual(compacted(`{"cached": ${was}, "a": 1}`), `{"cached": true, "a": 1, ${factsText}}`)
      }
    })

    it("touches no old field that is named like a fact", () => {
      const text = `{"width": 12, "digest": "md5", "bytes": "many", "content_type": "image/png"`
      assert.strictEqual(compacted(`${text}}`), `${text}, "cached": true, ${factsText}}`)
    })

    it("replaces facts that were written before", () => {
      const before = LegacyRecord.compacted(record(`{"a": 1}`).metadata, { ...facts, width: 7 })
      const again = `${before.slice(0, -1)}, "base64_data": "QQ=="}`

      assert.strictEqual(compacted(again), `{"a": 1, "cached": true, ${factsText}}`)
    })

    it("leaves a foreign field named terrace alone, and the facts out", () => {
      assert.strictEqual(compacted(`{"terrace": "sunny", "a": 1}`), `{"terrace": "sunny", "a": 1, "cached": true}`)
      assert.strictEqual(compacted(`{"terrace": {"width": 1}}`), `{"terrace": {"width": 1}, "cached": true}`)
    })

    it("throws for facts that are none", () => {
      for (const wrong of [{ width: -1 }, { height: 1.5 }, { bytes: Number.NaN }, { digest: "ABC" }]) {
        assert.throws(() => LegacyRecord.compacted(record("{}").metadata, { ...facts, ...wrong }))
      }
    })
  })

  // ---------------------------------------------------------------------------
  // Any record
  // ---------------------------------------------------------------------------

  const Space = Schema.Literals(["", "", " ", "\n", "\t", "\r\n  "])
  const Name = Schema.Literals([`"a"`, `"b"`, `"7"`, `""`, `"__proto__"`, `"\\u0061"`, `"x\\"}"`, `"é"`, `"cached"`])
  const Leaf = Schema.Literals([
    "1.0",
    "1e400",
    "-0",
    "9007199254740993",
    "true",
    "null",
    `"\\ud800"`,
    `"},]"`,
    `"ü\\n"`,
    "[]",
    "{}"
  ])
  const Value = Schema.Union([
    Leaf,
    Schema.Struct({ items: Schema.Array(Leaf), space: Space }),
    Schema.Struct({ names: Schema.Array(Name), value: Leaf, space: Space })
  ])
  const valueText = (value: typeof Value.Type): string => {
    if (typeof value === "string") return value
    const { space } = value
    return "items" in value
      ? `[${space}${value.items.join(`${space},${space}`)}${space}]`
      : `{${space}${value.names.map((name) => `${name}${space}:${space}${value.value}`).join(`,${space}`)}${space}}`
  }
  const Members = Schema.Array(Schema.Struct({ name: Name, value: Value, before: Space, after: Space }))
  const ofMembers = (members: typeof Members.Type, image: number | undefined): string => {
    const texts = members.map(
      ({ after, before, name, value }) => `${before}${name}${after}:${before}${valueText(value)}${after}`
    )
    if (image !== undefined) texts.splice(image % (texts.length + 1), 0, ` "base64_data" : "QUJD"`)
    return `{${texts.join(",")}}`
  }

  it.prop(
    `compaction keeps every other member as it is written, in its place (seed ${seed})`,
    [Members, Schema.Natural],
    ([members, image]) => {
      const kept = members.map(({ name, value }) => `${name}: ${name === `"cached"` ? "true" : valueText(value)}`)
      const isCached = members.some(({ name }) => name === `"cached"`)
      const expected = `{${[...kept, ...(isCached ? [] : [`"cached": true`]), factsText].join(", ")}}`

      const { base64, metadata } = record(ofMembers(members, image))

      assert.strictEqual(base64, "QUJD")
      assert.strictEqual(LegacyRecord.compacted(metadata, facts), expected)
      assert.deepStrictEqual(metadata.fields, JSON.parse(ofMembers(members, undefined)))
    },
    { arbitrary: { runs: 1_000, size: 60, seed } }
  )

  it.prop(
    `takes exactly the objects that JSON.parse takes (seed ${seed})`,
    [
      Members,
      Schema.Natural,
      Schema.Natural,
      Schema.Literals(["", `"`, "{", "}", "[", "]", ",", ":", "\\", " ", "0", "x", "\u0001", "é", `""`])
    ],
    ([members, image, place, put]) => {
      const text = ofMembers(members, image)
      const at = place % (text.length + 1)
      for (const changed of [text.slice(0, at) + put + text.slice(at), text.slice(0, at) + put + text.slice(at + 1)]) {
        const expected = Result.try((): unknown => JSON.parse(changed))
        const actual = read(changed)

        if (Result.isSuccess(actual)) {
          const { base64, metadata } = actual.success
          if (base64?.includes("\u0001") === true) continue // for Base64.decode to refuse
          const fields = base64 === undefined ? metadata.fields : { ...metadata.fields, base64_data: base64 }
          assert.sameDeepMembers(Object.entries(fields), Object.entries(Result.getOrThrow(expected) as object))
        } else if (actual.failure.reason._tag !== "InvalidField") {
          assert.isTrue(Result.isFailure(expected), `${changed}: ${actual.failure.message}`)
        }
      }
    },
    { arbitrary: { runs: 2_500, size: 40, seed } }
  )

  it.prop(
    `answers whatever the bytes are (seed ${seed})`,
    [Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 })))],
    ([bytes]) => {
      for (const text of [Buffer.from(bytes), Buffer.from([0x7b, 0x22, ...bytes, 0x7d])]) {
        assert.include(["InvalidUtf8", "InvalidJson", "NotAnObject"], tagOf(text))
      }
    },
    { arbitrary: { runs: 1_000, size: 40, seed } }
  )
})
