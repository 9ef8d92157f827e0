import { assert, describe, it } from "@effect/vitest"
import * as Base64 from "@terrace/legacy-base64/Base64"
import { Fixtures } from "@terrace/testkit"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { seed } from "./support/seed.ts"
import { b64encode, encodebytes, urlsafe } from "./support/written.ts"

const mebibyte = 1_048_576

/** The bytes in hex, or what was said of the text. */
const outcome = (text: string, maxBytes = mebibyte): string =>
  Result.match(Base64.decode(text, maxBytes), {
    onSuccess: (bytes) => Buffer.from(bytes).toString("hex"),
    onFailure: ({ reason }) => {
      if (reason._tag === "TooLarge") return `${reason.part} above ${reason.maxBytes}`
      return reason._tag === "InvalidBase64" ? `${reason.problem} at ${reason.position}` : reason._tag
    }
  })

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

/** With all digits of both alphabets in it. */
const bytes = Fixtures.bytes(7, 1_000)
const lines = (between: string) => b64encode(bytes).replace(/.{76}(?=.)/g, `$&${between}`)

describe("Base64", () => {
  it.each([
    ["as b64encode writes it", b64encode(bytes)],
    ["as encodebytes writes it", encodebytes(bytes)],
    ["as urlsafe_b64encode writes it", urlsafe(bytes)],
    ["without padding", b64encode(bytes).replaceAll("=", "")],
    ["in the URL-safe alphabet without padding", Buffer.from(bytes).toString("base64url")],
    ["in both alphabets at once", b64encode(bytes).replace("+", "-").replace("/", "_")],
    ["in lines that end in CR LF", `${lines("\r\n")}\r\n`],
    ["in lines that end in CR alone", lines("\r")],
    ["in folded lines", lines("\r\n\t")],
    ["in lines that are folded by more than four blanks", lines("\r\n        ")],
    ["in lines of 64, as PEM has them", b64encode(bytes).replace(/.{64}/g, "$&\n")],
    ["in lines of one digit", b64encode(bytes).split("").join("\n")],
    ["in lines of different length", b64encode(bytes).replace(/[A-M]/g, "$&\n")],
    ["in lines, with one line break too many", lines("\n").replace(/(\n[^\n]*){5}/, "$&\n")],
    [
      "in one line that is longer than any that is looked for",
      `${b64encode(bytes).slice(0, 500)}\n${b64encode(bytes).slice(500)}`
    ],
    ["with blanks at both ends", ` \t\r\n${b64encode(bytes)} \t\r\n`],
    ["with blanks before and in the padding", b64encode(bytes).replace("==", " \n= =\n")],
    ["in a data URI", `data:image/png;base64,${b64encode(bytes)}`],
    ["in a data URI in upper case", `DATA:IMAGE/PNG;BASE64,${b64encode(bytes)}`],
    ["in a data URI without a type", `data:;base64,${b64encode(bytes)}`],
    ["in a data URI with parameters", `data:image/png;name="a,b.png";charset=utf-8;base64,${b64encode(bytes)}`],
    ["in a data URI after a line break, in lines", `\n data:image/png;base64,\n${encodebytes(bytes)}`],
    ["in a data URI, URL-safe and unpadded", `data:image/webp;base64,${Buffer.from(bytes).toString("base64url")}`]
  ])("decode - takes base64 %s", (_, text) => {
    assert.strictEqual(outcome(text), hex(bytes))
  })

  it.each([
    ["", "empty at 0"],
    [" \n", "empty at 0"],
    ["data:image/png;base64,", "empty at 22"],
    ["=", "padding at 0"],
    ["====", "padding at 0"],
    ["Q", "cut-off at 1"],
    ["QUJDQ", "cut-off at 5"],
    ["QUJDQ===", "cut-off at 5"],
    ["QQ=", "padding at 2"],
    ["QQ===", "padding at 2"],
    ["QUI==", "padding at 3"],
    ["QUJD=", "padding at 4"],
    ["QUJD====", "padding at 4"],
    ["QQ==QQ==", "after-padding at 4"],
    ["QUI=QUJD", "after-padding at 4"],
    ["QQ=Q=", "after-padding at 3"],
    ["QR", "stray-bits at 1"],
    ["QR==", "stray-bits at 1"],
    ["QUJDQUJ", "stray-bits at 6"],
    ["QUJ=\n", "stray-bits at 2"],
    ["QUJD!", "foreign-character at 4"],
    ["QU.JD", "foreign-character at 2"],
    ["QUJDQUJ*", "foreign-character at 7"],
    ["*QUJDQUJ", "foreign-character at 0"],
    ["QQ==\u2028", "foreign-character at 4"],
    ["QUJD\u000b", "foreign-character at 4"],
    ["QUJD\u000c", "foreign-character at 4"],
    ["QUJD\u00a0", "foreign-character at 4"],
    ["QUJD\0", "foreign-character at 4"],
    ["\ufeffQUJD", "foreign-character at 0"],
    ["QU\u00c1D", "foreign-character at 2"],
    ["QU\u{1f600}D", "foreign-character at 2"],
    ["QU\ud800D", "foreign-character at 2"],
    ["QUJDQQ%3D%3D", "foreign-character at 6"],
    ["image/png;base64,QUJD", "foreign-character at 9"],
    ["data:image/png,QUJD", "not-base64-uri at 0"],
    ["data:image/png;base64QUJD", "not-base64-uri at 0"],
    ["data:image/png,%89PNG", "not-base64-uri at 0"],
    [`data:image/png;${"a".repeat(2_000)};base64,QUJD`, "not-base64-uri at 0"],
    ["data%3Aimage/png;base64,QUJD", "foreign-character at 4"]
  ])("decode - says what is wrong with %j", (text, expected) => {
    assert.strictEqual(outcome(text), expected)
  })

  it("decode - does not take a character for the digit that its low byte is", () => {
    // `Buffer.from` does.
    assert.strictEqual(
      Buffer.from("\u0141UJD", "base64").toString("latin1"),
      Buffer.from("AUJD", "base64").toString("latin1")
    )

    assert.strictEqual(outcome("\u0141UJD"), "foreign-character at 0")
    assert.strictEqual(outcome(`${lines("\n")}\u013d`), `foreign-character at ${lines("\n").length}`)
  })

  it("decode - gives every byte back, at every length", () => {
    for (let length = 1; length <= 300; length++) {
      const some = Fixtures.bytes(length, length)
      for (const text of [b64encode(some), urlsafe(some), encodebytes(some), b64encode(some).replaceAll("=", "")]) {
        assert.strictEqual(outcome(text), hex(some))
      }
    }
  })

  const Bytes = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))).check(
    Schema.isMinLength(1)
  )
  const Blank = Schema.Literals(["\n", "\r\n", "\r", " ", "\t", "\r\n\t", "\n\n"])
  const Oddities = Schema.Struct({
    bytes: Bytes,
    prefix: Schema.Literals(["", "data:image/png;base64,", "data:;base64,", "\n DATA:image/jpeg;q=1;BASE64,"]),
    alphabet: Schema.Literals(["base64", "base64url"]),
    isPadded: Schema.Boolean,
    line: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 90 })),
    between: Schema.Literals(["", "\n", "\r\n", "\r\n ", "\t"]),
    last: Schema.Literals(["", "\n", " \t"]),
    scattered: Schema.Array(
      Schema.Struct({ at: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 400 })), blank: Blank })
    ).check(Schema.isMaxLength(4))
  })

  const written = ({
    alphabet,
    between,
    bytes,
    isPadded,
    last,
    line,
    prefix,
    scattered
  }: typeof Oddities.Type): string => {
    const digits = Buffer.from(bytes).toString(alphabet).replaceAll("=", "")
    const padded = isPadded ? digits.padEnd(Math.ceil(digits.length / 4) * 4, "=") : digits
    const inLines = (padded.match(new RegExp(`.{1,${line}}`, "g")) ?? []).join(between) + last
    const scatter = (text: string, { at, blank }: { readonly at: number; readonly blank: string }) =>
      text.slice(0, at) + blank + text.slice(at)
    return prefix + scattered.reduce(scatter, inLines)
  }

  it.prop(
    `decode - gives back what was encoded, with any mixture of oddities (seed ${seed})`,
    [Oddities],
    ([oddities]) => assert.strictEqual(outcome(written(oddities)), hex(Buffer.from(oddities.bytes))),
    { arbitrary: { runs: 3_000, size: 200, seed } }
  )

  it.prop(
    `decode - finds any foreign character, wherever it is (seed ${seed})`,
    [
      Oddities,
      Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000 })),
      Schema.Literals("!*.,:;%\\\"'\0\u000b\u000c\u007f\u0080\u00c1\u00ff\u0141\u3041\uff21".split(""))
    ],
    ([oddities, place, foreign]) => {
      const text = written(oddities)
      const body = text.slice(oddities.prefix.length)
      const at = oddities.prefix.length + (place % (body.length + 1))
      const inserted = text.slice(0, at) + foreign + text.slice(at)
      const replaced = text.slice(0, at) + foreign + text.slice(at + 1)

      assert.strictEqual(outcome(inserted), `foreign-character at ${at}`)
      assert.strictEqual(outcome(replaced), `foreign-character at ${at}`)
    },
    { arbitrary: { runs: 2_000, size: 200, seed } }
  )

  /** What the docstring says, with nothing in mind but that. */
  const reference = (text: string): string | undefined => {
    const [, body = ""] = /^(?:[\t\n\r ]*data:.*?;base64,)?(.*)$/is.exec(text) ?? []
    if (/^[\t\n\r ]*data:/i.test(body)) return undefined
    const bare = body.replaceAll(/[\t\n\r ]/g, "")
    const [, digits, padding] = /^([A-Za-z0-9+/_-]+)(={0,2})$/.exec(bare) ?? []
    if (digits === undefined || padding === undefined) return undefined
    if (padding !== "" && (digits.length + padding.length) % 4 !== 0) return undefined
    const decoded = Buffer.from(digits, "base64url")
    return decoded.toString("base64url") === digits.replaceAll("+", "-").replaceAll("/", "_")
      ? decoded.toString("hex")
      : undefined
  }

  it.prop(
    `decode - takes what the rules allow, and nothing else (seed ${seed})`,
    [
      Schema.Array(
        Schema.Literals([
          "A",
          "Q",
          "g",
          "w",
          "/",
          "-",
          "=",
          "=",
          "\n",
          " ",
          "AAAA",
          "\u0141",
          "é",
          ":",
          "data:;base64,"
        ])
      )
    ],
    ([parts]) => {
      const text = parts.join("")
      const expected = reference(text)
      const actual = Base64.decode(text, mebibyte)

      assert.strictEqual(Result.isSuccess(actual) ? hex(actual.success) : undefined, expected)
    },
    { arbitrary: { runs: 20_000, size: 24, seed } }
  )

  it.each([
    ["plain", b64encode],
    ["unpadded", (some: Uint8Array) => b64encode(some).replaceAll("=", "")],
    ["in lines", encodebytes],
    ["in irregular lines", (some: Uint8Array) => b64encode(some).replaceAll("A", "A\n")],
    ["as a data URI", (some: Uint8Array) => `data:image/png;base64,${b64encode(some)}`]
  ])("decode - takes as many bytes as are allowed and refuses one more, %s", (_, encode) => {
    for (const length of [999, 1_000, 1_001]) {
      const some = Fixtures.bytes(3, length)
      assert.strictEqual(outcome(encode(some), length), hex(some))
      assert.strictEqual(outcome(encode(some), length - 1), `image above ${length - 1}`)
    }
  })

  it("decode - does not look at a text that is far too long", () => {
    assert.strictEqual(outcome("!".repeat(2_000_000), 1_000), "image above 1000")
    assert.strictEqual(outcome(" ".repeat(2_000_000), 1_000), "image above 1000")
  })

  it("decode - gives 4 MB back in every form", () => {
    const large = Fixtures.bytes(11, 3_000_001)
    const text = b64encode(large)
    for (const form of [
      text,
      encodebytes(large),
      urlsafe(large),
      text.replace(/.{76}/g, "$&\r\n"),
      `data:image/png;base64,${text}`
    ]) {
      const decoded = Result.getOrThrow(Base64.decode(form, 4_000_000))
      assert.isTrue(Buffer.from(large).equals(decoded))
    }
    assert.strictEqual(
      outcome(`${text.slice(0, 2_000_000)}*${text.slice(2_000_001)}`, 4_000_000),
      "foreign-character at 2000000"
    )
  })

  it("messages name what is expected and an example, and hold nothing of the text", () => {
    for (const text of ["SECRETSECRET!", "data:secret,SECRET", "SECRETSE=SECRET", "SECRETS", "SECRET=", "SECRE"]) {
      const error = Base64.decode(text, mebibyte)
      if (Result.isSuccess(error)) assert.fail("expected an error")
      assert.match(error.failure.message, /^the base64 text .*: expected base64 .*, for example "iVBORw0KGgo="$/)
      assert.notMatch(JSON.stringify(error.failure) + error.failure.message, /secret/i)
      assert.isFalse(error.failure.isRetryable)
    }
  })
})
