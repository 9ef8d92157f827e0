import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Upload from "../src/Upload.ts"

const maxBytes = 1_048_576

const messageOf = (result: Result.Result<unknown, Error>): string =>
  Result.isFailure(result) ? result.failure.message : "succeeded"

const read = (body: unknown, reserved?: ReadonlySet<string>) =>
  Upload.fromJson(JSON.stringify(body), { maxBytes, reserved })

describe("Upload.fromJson", () => {
  it("reads the image and keeps the other fields as attributes", () => {
    const upload = Result.getOrThrow(
      read({
        title: "The Bottle Beacon — café",
        base64_data: "QUFB",
        style: "minimalist",
        year: 2024,
        cached: true,
        x: ""
      })
    )
    assert.deepStrictEqual(Array.from(upload.bytes), [65, 65, 65])
    assert.deepStrictEqual(upload.attributes, {
      title: "The Bottle Beacon — café",
      style: "minimalist",
      year: "2024",
      cached: "true",
      x: ""
    })
  })

  it("reads line breaks and slashes that JSON escapes", () => {
    const upload = Result.getOrThrow(
      Upload.fromJson(`{"base64_data": "data:image\\/png;base64,QU\\nFB\\u0041AA\\/"}`, { maxBytes })
    )
    assert.strictEqual(Buffer.from(upload.bytes).toString("base64"), "QUFBAAA/")
  })

  it("says what is wrong with base64 text, and where", () => {
    const tooLarge = Upload.fromJson(JSON.stringify({ base64_data: "QUFBQQ==" }), { maxBytes: 3 })
    assert.isTrue(Result.isFailure(tooLarge) && tooLarge.failure._tag === "UploadTooLarge")
    assert.strictEqual(messageOf(tooLarge), "the image is too large: expected at most 3 bytes")
    assert.strictEqual(
      messageOf(read({ base64_data: "QUFB%QUFB" })),
      `base64_data has a character that is no digit of base64 (position 4): expected base64 text, with or without a "data:image/png;base64," prefix, for example "iVBORw0KGgo="`
    )
  })

  it("reads bytes, which must be UTF-8", () => {
    const body = Buffer.from(`{"base64_data": "QUFB", "title": "é"}`)
    assert.strictEqual(Result.getOrThrow(Upload.fromJson(body, { maxBytes })).attributes["title"], "é")
    assert.include(
      messageOf(Upload.fromJson(Buffer.from(body.toString(), "latin1"), { maxBytes })),
      "body is not UTF-8"
    )
  })

  const refused: ReadonlyArray<readonly [body: unknown, problem: string]> = [
    [[], "body is not a JSON object"],
    ["text", "body is not a JSON object"],
    [null, "body is not a JSON object"],
    [{}, "base64_data is missing: expected base64 text"],
    [{ title: "a" }, "base64_data is missing"],
    [{ base64_data: null }, "base64_data is null"],
    [{ base64_data: 5 }, "base64_data is a number"],
    [{ base64_data: ["QUFB"] }, "base64_data is an array"],
    [{ base64_data: "" }, "base64_data has no digits"],
    [{ base64_data: "QUFB", title: null }, "title is null: expected text of at most 1000 characters"],
    [{ base64_data: "QUFB", tags: ["a"] }, "tags is an array"],
    [{ base64_data: "QUFB", meta: { a: 1 } }, "meta is an object"],
    [{ base64_data: "QUFB", title: "a\nb" }, "title contains the control character U+000A at position 1"],
    [{ base64_data: "QUFB", title: "\u0085" }, "title contains the control character U+0085"],
    [{ base64_data: "QUFB", title: "\u007f" }, "title contains the control character U+007F"],
    [{ base64_data: "QUFB", title: "\ud800" }, "title contains half of a surrogate pair"],
    [{ base64_data: "QUFB", title: "a".repeat(1001) }, "title is 1001 characters long"],
    [{ base64_data: "QUFB", "": "a" }, `field "" cannot name an attribute`],
    [{ base64_data: "QUFB", "a b": "a" }, `field "a b" cannot name an attribute`],
    [{ base64_data: "QUFB", "a\r\nset-cookie": "a" }, `field "a\\r\\nset-cookie" cannot name an attribute`],
    [{ base64_data: "QUFB", ["a".repeat(65)]: "a" }, "cannot name an attribute"],
    [{ base64_data: "QUFB", constructor: "a" }, `field "constructor" cannot name an attribute`],
    [{ base64_data: "QUFB", id: "../x" }, "id is no attribute: expected the id in the path"],
    [
      { base64_data: "QUFB", ...Object.fromEntries(Array.from({ length: 33 }, (_, index) => [`a${index}`, index])) },
      "body has too many fields"
    ]
  ]
  for (const [body, problem] of refused) {
    it(`refuses ${JSON.stringify(body).slice(0, 60)}: ${problem.slice(0, 60)}`, () => {
      assert.include(messageOf(read(body)), problem)
    })
  }

  it("refuses names that the server sets itself", () => {
    assert.include(messageOf(read({ base64_data: "QUFB", width: 5 }, new Set(["width"]))), "width is set by the server")
  })

  it("refuses text that is no JSON, without repeating it", () => {
    for (const text of ["", "{", "nonsense", `{"base64_data": "QUFB"`, `{"base64_data": "QUFB",}`, "\u0000"]) {
      assert.include(
        messageOf(Upload.fromJson(text, { maxBytes })),
        "body is not a JSON object: expected a flat JSON object"
      )
    }
  })

  it("refuses numbers out of range", () => {
    assert.include(
      messageOf(Upload.fromJson(`{"base64_data":"QUFB","n":1e999}`, { maxBytes })),
      "n is a number out of range"
    )
  })

  it("refuses __proto__ and leaves the prototype of all objects alone", () => {
    const result = Upload.fromJson(`{"base64_data":"QUFB","__proto__":{"polluted":"yes"}}`, { maxBytes })
    assert.include(messageOf(result), `field "__proto__" cannot name an attribute`)
    assert.include(
      messageOf(Upload.fromJson(`{"base64_data":"QUFB","__proto__":"x"}`, { maxBytes })),
      `field "__proto__" cannot name an attribute`
    )
    assert.isUndefined(({} as Record<string, unknown>)["polluted"])
  })

  it("does not take base64_data from the prototype", () => {
    assert.include(
      messageOf(Upload.fromJson(`{"__proto__":{"base64_data":"QUFB"}}`, { maxBytes })),
      "base64_data is missing"
    )
  })

  it("refuses bodies that would parse into millions of values, without parsing them", () => {
    const bombs = ["[".repeat(20_000_000), `{"a":`.repeat(4_000_000), `{"a":[${"1,".repeat(10_000_000)}1]}`]
    for (const bomb of bombs) assert.include(messageOf(Upload.fromJson(bomb, { maxBytes })), "body has too many values")
  })

  it("finds the end of strings with escaped quotes and backslashes", () => {
    const title = `"\\`.repeat(200)
    const upload = Result.getOrThrow(read({ title, note: `,[{`.repeat(300), base64_data: "QUFB" }))
    assert.deepStrictEqual(upload.attributes, { title, note: `,[{`.repeat(300) })
  })

  it("reports an image that is too large as such", () => {
    const result = Upload.fromJson(`{"base64_data":"${"QUFB".repeat(400_000)}"}`, { maxBytes })
    assert.isTrue(Result.isFailure(result) && result.failure._tag === "UploadTooLarge")
  })

  it.prop("never throws, whatever the text", [Schema.String], ([text]) => {
    assert.isTrue(Result.isFailure(Upload.fromJson(text, { maxBytes })))
    assert.isTrue(Result.isResult(Upload.fromJson(`{"base64_data":"QUFB",${text}}`, { maxBytes })))
    assert.isTrue(Result.isResult(read({ base64_data: "QUFB", [text]: text })))
  })
})

describe("Upload.maxJsonBytes", () => {
  it("is 4/3 of the image and 64 KiB", () => {
    assert.strictEqual(Upload.maxJsonBytes(52_428_800), 69_905_068 + 65_536)
  })
})
