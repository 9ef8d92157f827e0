import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { randomBytes } from "node:crypto"
import * as Upload from "../src/Upload.ts"

const maxBytes = 1_048_576
const bytes = Uint8Array.from({ length: 256 }, (_, index) => (index * 7 + 251) % 256)
const base64 = Buffer.from(bytes).toString("base64")
const base64url = Buffer.from(bytes).toString("base64url")

const decode = (text: string) => Upload.decodeBase64(text, maxBytes)

const messageOf = (result: Result.Result<unknown, Error>): string =>
  Result.isFailure(result) ? result.failure.message : "succeeded"

const hexOf = (result: Result.Result<Uint8Array, Error>): string =>
  Buffer.from(Result.getOrThrow(result)).toString("hex")

const hex = (expected: Uint8Array): string => Buffer.from(expected).toString("hex")

const read = (body: unknown, reserved?: ReadonlySet<string>) =>
  Upload.fromJson(JSON.stringify(body), { maxBytes, reserved })

describe("Upload.decodeBase64", () => {
  const tolerated: ReadonlyArray<readonly [name: string, text: string]> = [
    ["plain base64", base64],
    ["no padding", base64.replaceAll("=", "")],
    ["the URL-safe alphabet", base64url],
    ["the URL-safe alphabet with padding", base64.replaceAll("+", "-").replaceAll("/", "_")],
    ["lines of 76 characters", base64.replace(/.{76}/g, "$&\r\n")],
    ["a line break at the end", `${base64}\n`],
    ["blanks and tabs anywhere", ` \t${base64.slice(0, 3)} ${base64.slice(3, -1)}\n${base64.slice(-1)} `],
    ["a data URI", `data:image/png;base64,${base64}`],
    ["a data URI without a type", `data:;base64,${base64}`],
    ["a data URI with parameters", `data:image/png;charset=utf-8;name="a,b.png";base64,${base64}`],
    ["a data URI in upper case", `DATA:IMAGE/PNG;BASE64,${base64}`],
    ["a data URI after a line break", `\n data:image/png;base64,\n${base64}`],
    ["a data URI with the URL-safe alphabet and no padding", `data:image/webp;base64,${base64url}`]
  ]
  for (const [name, text] of tolerated) {
    it(`takes ${name}`, () => assert.strictEqual(hexOf(decode(text)), hex(bytes)))
  }

  const refused: ReadonlyArray<readonly [text: string, problem: string]> = [
    ["", "base64_data is empty"],
    ["  \n", "base64_data is empty"],
    ["data:image/png;base64,", "base64_data is empty"],
    ["=", "has the wrong padding at position 0"],
    ["QUFB%QUFB", `contains "%" at position 4`],
    ["QUFB.QUFB", `contains "." at position 4`],
    [`QU"FB`, `contains "\\"" at position 2`],
    ["QUFB\u0000", "contains U+0000 at position 4"],
    ["QUFB\u00a0", "contains U+00A0 at position 4"],
    ["ŁŁŁŁ", "contains U+0141 at position 0"],
    ["QUFBĽĽ", "contains U+013D at position 4"],
    ["QUFB💩", "contains U+1F4A9 at position 4"],
    ["QUFB\ud83d", "contains U+D83D at position 4"],
    ["QQ==QQ==", `contains "Q" at position 4, after the padding`],
    ["QQ==\u2028", "contains U+2028 at position 4, after the padding"],
    ["QUFBQ", "is cut short at position 5"],
    ["Q", "is cut short at position 1"],
    ["QQ=", "has the wrong padding at position 2"],
    ["QQ===", "has the wrong padding at position 2"],
    ["QUE==", "has the wrong padding at position 3"],
    ["QUFB=", "has the wrong padding at position 4"],
    ["QUFB====", "has the wrong padding at position 4"],
    ["data:image/png,QUFB", `begins like a data URI that has no ";base64,"`],
    [`data:image/png;${"a".repeat(2_000)};base64,QUFB`, `begins like a data URI that has no ";base64,"`],
    ["image/png;base64,QUFB", `contains ";" at position 9`],
    ["data:image/png;base64,QUFB!", `contains "!" at position 26`]
  ]
  for (const [text, problem] of refused) {
    it(`refuses ${JSON.stringify(text.slice(0, 40))}: ${problem}`, () => {
      const result = decode(text)
      assert.isTrue(Result.isFailure(result) && result.failure._tag === "InvalidUpload")
      assert.include(messageOf(result), problem)
      assert.include(messageOf(result), `for example "iVBORw0KGgo="`)
    })
  }

  it("counts the bytes before it decodes them", () => {
    assert.strictEqual(hexOf(Upload.decodeBase64("QUFB", 3)), hex(Buffer.from("AAA")))
    const result = Upload.decodeBase64("QUFBQQ==", 3)
    assert.isTrue(Result.isFailure(result) && result.failure._tag === "UploadTooLarge")
    assert.strictEqual(messageOf(result), "the image takes 4 bytes: expected at most 3")
  })

  it("does not count blanks as bytes", () => {
    assert.strictEqual(hexOf(Upload.decodeBase64(`${"\r\n".repeat(1_000)}QUFB`, 3)), hex(Buffer.from("AAA")))
  })

  it.prop(
    "gives back any bytes, however they were written",
    [Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))), Schema.Natural],
    ([values, cut]) => {
      const original = Uint8Array.from([7, ...values])
      const text = Buffer.from(original).toString("base64")
      const at = cut % text.length
      assert.strictEqual(hexOf(decode(text)), hex(original))
      assert.strictEqual(hexOf(decode(Buffer.from(original).toString("base64url"))), hex(original))
      assert.strictEqual(hexOf(decode(`${text.slice(0, at)}\r\n${text.slice(at)}`)), hex(original))
      assert.strictEqual(hexOf(decode(`data:image/png;base64,${text}`)), hex(original))
    }
  )

  it.prop("never throws, and decodes exactly the digits of what it takes", [Schema.String], ([text]) => {
    const result = decode(text)
    if (Result.isSuccess(result)) {
      const digits = text.replace(/^\s*data:.*?;base64,/is, "").replace(/[ \t\r\n=]/g, "")
      assert.strictEqual(result.success.byteLength, Math.floor((digits.length * 3) / 4))
    }
  })

  it("decodes 50 MiB with a prefix, with line breaks or in the URL-safe alphabet", { timeout: 60_000 }, () => {
    const large = randomBytes(52_428_800)
    const text = large.toString("base64")
    for (const spelling of [
      `data:image/png;base64,${text}`,
      text.replace(/.{76}/g, "$&\n"),
      large.toString("base64url")
    ]) {
      assert.isTrue(large.equals(Result.getOrThrow(Upload.decodeBase64(spelling, 52_428_800))))
    }
    assert.isTrue(Result.isFailure(Upload.decodeBase64(text, 52_428_799)))
  })
})

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
    [{ base64_data: "" }, "base64_data is empty"],
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
