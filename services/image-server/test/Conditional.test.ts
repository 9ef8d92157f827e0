import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as Conditional from "../src/Conditional.ts"

const digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
const tag = `"${digest}"`
const changed = 784_111_777_500
const current: Conditional.Validators = { etag: tag, lastModified: changed }

const sameSecond = "Sun, 06 Nov 1994 08:49:37 GMT"
const before = "Sun, 06 Nov 1994 08:49:36 GMT"
const after = "Sun, 06 Nov 1994 08:49:38 GMT"

describe("Conditional validators", () => {
  it("are a strong tag of the digest and a date in whole seconds", () => {
    assert.strictEqual(Conditional.etag(digest), tag)
    assert.strictEqual(Conditional.lastModified(changed), sameSecond)
  })
})

describe("Conditional.evaluate", () => {
  const cases: ReadonlyArray<
    readonly [name: string, headers: Conditional.RequestHeaders, outcome: Conditional.Outcome]
  > = [
    ["no header proceeds", {}, "proceed"],
    ["If-None-Match of the same tag", { "if-none-match": tag }, "not-modified"],
    ["If-None-Match compares weakly", { "if-none-match": `W/${tag}` }, "not-modified"],
    ["If-None-Match of another tag", { "if-none-match": `"other"` }, "proceed"],
    ["If-None-Match: *", { "if-none-match": "*" }, "not-modified"],
    ["If-None-Match finds the tag in a list", { "if-none-match": `"a", W/"b",${tag} , "c"` }, "not-modified"],
    ["If-None-Match of a list without the tag", { "if-none-match": `"a", W/"b"` }, "proceed"],
    ["tags may hold commas", { "if-none-match": `"a,b", ",", ${tag}` }, "not-modified"],
    ["a tag within another tag is not that tag", { "if-none-match": `"a, ${digest}, b"` }, "proceed"],
    ["empty elements of a list are skipped", { "if-none-match": `, ,${tag},` }, "not-modified"],
    ["a prefix of the tag is not the tag", { "if-none-match": tag.slice(0, -2) + `"` }, "proceed"],
    ["the digest without quotes is no tag", { "if-none-match": digest }, "proceed"],
    ["a tag that does not end is no tag", { "if-none-match": `"${digest}` }, "proceed"],
    ["w/ in lower case is no weak tag", { "if-none-match": `w/${tag}` }, "proceed"],
    ["what follows a malformed tag is not read", { "if-none-match": `abc, ${tag}` }, "proceed"],
    ["two tags need a comma", { "if-none-match": `"a" ${tag}` }, "proceed"],
    ["an empty list matches nothing", { "if-none-match": "" }, "proceed"],
    ["If-Modified-Since of the same second", { "if-modified-since": sameSecond }, "not-modified"],
    ["If-Modified-Since later", { "if-modified-since": after }, "not-modified"],
    ["If-Modified-Since earlier", { "if-modified-since": before }, "proceed"],
    [
      "If-Modified-Since in the form of RFC 850",
      { "if-modified-since": "Sunday, 06-Nov-94 08:49:37 GMT" },
      "not-modified"
    ],
    ["If-Modified-Since in the form of asctime", { "if-modified-since": "Sun Nov  6 08:49:37 1994" }, "not-modified"],
    ["If-Modified-Since that is no date is ignored", { "if-modified-since": "yesterday" }, "proceed"],
    ["If-None-Match overrules If-Modified-Since", { "if-none-match": `"a"`, "if-modified-since": after }, "proceed"],
    ["If-Match of the same tag", { "if-match": tag }, "proceed"],
    ["If-Match finds the tag in a list", { "if-match": `"a", ${tag}` }, "proceed"],
    ["If-Match: *", { "if-match": "*" }, "proceed"],
    ["If-Match of another tag", { "if-match": `"other"` }, "failed"],
    ["If-Match compares strongly", { "if-match": `W/${tag}` }, "failed"],
    ["If-Match reads on after the weak tag", { "if-match": `W/${tag}, ${tag}` }, "proceed"],
    ["If-Match that is malformed", { "if-match": digest }, "failed"],
    ["If-Unmodified-Since of the same second", { "if-unmodified-since": sameSecond }, "proceed"],
    ["If-Unmodified-Since earlier", { "if-unmodified-since": before }, "failed"],
    ["If-Unmodified-Since that is no date is ignored", { "if-unmodified-since": "0" }, "proceed"],
    ["If-Match overrules If-Unmodified-Since", { "if-match": tag, "if-unmodified-since": before }, "proceed"],
    ["If-Match fails before If-None-Match", { "if-match": `"a"`, "if-none-match": tag }, "failed"],
    ["If-Match holds and If-None-Match matches", { "if-match": tag, "if-none-match": tag }, "not-modified"],
    [
      "If-Unmodified-Since fails before If-None-Match",
      { "if-unmodified-since": before, "if-none-match": tag },
      "failed"
    ]
  ]
  for (const [name, headers, outcome] of cases) {
    it(`${name}: ${outcome}`, () => {
      assert.strictEqual(Conditional.evaluate(headers, current), outcome)
    })
  }

  it("ignores dates where the date of the last change is not known", () => {
    assert.strictEqual(Conditional.evaluate({ "if-modified-since": after }, { etag: tag }), "proceed")
    assert.strictEqual(Conditional.evaluate({ "if-unmodified-since": before }, { etag: tag }), "proceed")
  })

  it.prop("never throws, and finds no tag in a text that does not hold it", [Schema.String], ([text]) => {
    for (const list of [text, `"${text}"`, `"a", ${text}`]) {
      if (list.trim() === "*") continue
      assert.strictEqual(Conditional.evaluate({ "if-none-match": list, "if-modified-since": text }, current), "proceed")
      assert.strictEqual(Conditional.evaluate({ "if-match": list }, current), "failed")
    }
  })

  it.prop(
    "finds the tag anywhere in a list of tags",
    [
      Schema.Array(Schema.String.check(Schema.isPattern(/^[!#-~]*$/))),
      Schema.Array(Schema.String.check(Schema.isPattern(/^[!#-~]*$/)))
    ],
    ([head, tail]) => {
      const list = [...head.map((text) => `"${text}"`), tag, ...tail.map((text) => `W/"${text}"`)].join(", ")
      assert.strictEqual(Conditional.evaluate({ "if-none-match": list }, current), "not-modified")
      assert.strictEqual(Conditional.evaluate({ "if-match": list }, current), "proceed")
    }
  )

  it("takes linear time on a list of 200,000 tags that do not end well", () => {
    const list = `${`"a", `.repeat(200_000)}"b`
    assert.strictEqual(Conditional.evaluate({ "if-none-match": list }, current), "proceed")
  })
})

const shown = (decision: Conditional.WriteDecision): string =>
  decision._tag === "Failed" ? "412" : (decision.expectation ?? "unconditional")

const proceed = (expectation: "absent" | "current" | undefined): Conditional.WriteDecision => ({
  _tag: "Proceed",
  expectation
})

describe("Conditional.evaluateWrite", () => {
  const failed: Conditional.WriteDecision = { _tag: "Failed" }

  const cases: ReadonlyArray<
    readonly [
      name: string,
      headers: Conditional.RequestHeaders,
      overExisting: Conditional.WriteDecision,
      overNothing: Conditional.WriteDecision
    ]
  > = [
    ["no header", {}, proceed(undefined), proceed(undefined)],
    ["If-Match of the same tag", { "if-match": tag }, proceed("current"), failed],
    ["If-Match of a list with the tag", { "if-match": `"a", ${tag}` }, proceed("current"), failed],
    ["If-Match of another tag", { "if-match": `"a"` }, failed, failed],
    ["If-Match of a weak tag", { "if-match": `W/${tag}` }, failed, failed],
    ["If-Match: *", { "if-match": "*" }, proceed("current"), failed],
    ["If-Match that is malformed", { "if-match": digest }, failed, failed],
    ["If-None-Match: *", { "if-none-match": "*" }, failed, proceed("absent")],
    ["If-None-Match of the same tag", { "if-none-match": tag }, failed, proceed("absent")],
    ["If-None-Match of the same tag, weak", { "if-none-match": `W/${tag}` }, failed, proceed("absent")],
    ["If-None-Match of another tag", { "if-none-match": `"a"` }, proceed("current"), proceed("absent")],
    ["If-None-Match that is malformed", { "if-none-match": digest }, failed, failed],
    ["If-None-Match that does not end", { "if-none-match": `"a", "` }, failed, failed],
    ["If-None-Match that is empty", { "if-none-match": "" }, failed, failed],
    ["both that hold", { "if-match": tag, "if-none-match": `"a"` }, proceed("current"), failed],
    ["both that contradict", { "if-match": "*", "if-none-match": "*" }, failed, failed],
    [
      "If-Unmodified-Since of the same second",
      { "if-unmodified-since": sameSecond },
      proceed("current"),
      proceed(undefined)
    ],
    ["If-Unmodified-Since earlier", { "if-unmodified-since": before }, failed, proceed(undefined)],
    ["If-Unmodified-Since that is no date", { "if-unmodified-since": "soon" }, proceed(undefined), proceed(undefined)],
    ["If-Modified-Since, which is for reads", { "if-modified-since": after }, proceed(undefined), proceed(undefined)]
  ]
  for (const [name, headers, overExisting, overNothing] of cases) {
    it(`${name}: ${shown(overExisting)} over an image, ${shown(overNothing)} over nothing`, () => {
      assert.deepStrictEqual(Conditional.evaluateWrite(headers, current), overExisting)
      assert.deepStrictEqual(Conditional.evaluateWrite(headers, undefined), overNothing)
    })
  }

  it.prop(
    "never throws, and never proceeds without an expectation where there is a precondition",
    [Schema.String],
    ([text]) => {
      for (const headers of [{ "if-match": text }, { "if-none-match": text }]) {
        for (const state of [current, undefined]) {
          const decision = Conditional.evaluateWrite(headers, state)
          assert.isTrue(decision._tag === "Failed" || decision.expectation !== undefined)
        }
      }
    }
  )
})
