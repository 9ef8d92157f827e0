/** What a header may hold, kept exactly or refused. */
import type { Blob } from "@terrace/core/Blob"
import * as Header from "@terrace/core/Header"
import type * as Tier from "@terrace/core/Tier"
import * as Effect from "effect/Effect"
import * as Fixtures from "../../Fixtures.ts"
import * as Case from "../Case.ts"
import * as expect from "../expect.ts"

/** Texts that are changed, cut or refused somewhere between here and a disk. */
const texts: ReadonlyArray<readonly [label: string, text: string]> = [
  ["an empty text", ""],
  ["spaces around", "  two before, two after  "],
  ["a line break that would begin a header of HTTP", "a\r\nX-Injected: 1"],
  ["control characters", "\u0000\u0001\u001b\u007f\u0080\u009f"],
  ["quotes and backslashes", '"\\"\\\\\\u0041\\n'],
  ["what looks encoded", "%00%C3%28 =?UTF-8?B?w4Q=?= &amp; +"],
  ["composed and decomposed accents", "\u00c4 A\u0308"],
  ["right to left, marks of direction, a byte order mark", "\u05e9\u202e\ufeff\u200f"],
  ["characters of four bytes", "🌋👩‍👩‍👧𝒳"],
  ["halves of characters", "\ud83c a \udf0b"],
  ["separators of lines", "a\u0085b\u2028c\u2029d"],
  ["noncharacters", "\ufffe\uffff\u{10ffff}"]
]

/** Names that mean something to an object, a map of headers, or a reader of them. */
const oddNames = [
  "__proto__",
  "constructor",
  "toString",
  "",
  " ",
  "UPPER",
  "upper",
  "a:b",
  "a=b; c",
  "x-amz-meta-a",
  "Ä"
]

const keptOrRefused = Effect.fnUntraced(function* (tier: Tier.Tier, blob: Blob) {
  const isKept = yield* expect.storesOrRefuses(tier, blob)
  yield* isKept ? expect.holds(tier, blob) : expect.misses(tier, blob.header.key)
})

/** A blob whose encoded header has exactly this many bytes. */
const ofHeaderBytes = Effect.fnUntraced(function* (group: string, generation: number, bytes: number) {
  const bare = yield* Effect.orDie(Header.encode(Fixtures.blob({ group, generation, attributes: { fill: "" } }).header))
  return Fixtures.blob({ group, generation, attributes: { fill: "x".repeat(bytes - bare.length) } })
})

const ofText = texts.map(([label, text]) =>
  Case.make(
    `put - keeps ${label} in attributes and content type exactly, or refuses it`,
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject

      yield* keptOrRefused(
        tier,
        Fixtures.blob({ group: group("g"), name: "value", attributes: { title: text, z: "1" } })
      )
      yield* keptOrRefused(tier, Fixtures.blob({ group: group("g"), name: "name", attributes: { [text]: "title" } }))
      yield* keptOrRefused(tier, Fixtures.blob({ group: group("g"), name: "type", contentType: text }))
    })
  )
)

export const headers: ReadonlyArray<Case.Case> = [
  ...ofText,

  Case.make(
    "put - keeps attributes of odd names, each with its value, or refuses them",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      // By entries, since `{ __proto__: … }` would set the prototype.
      const attributes = Object.fromEntries(oddNames.map((name, index) => [name, `value ${index}`]))
      const each = oddNames.map((name) => Object.fromEntries([[name, "1"]]))

      for (const [index, some] of [...each, attributes].entries()) {
        yield* keptOrRefused(tier, Fixtures.blob({ group: group("g"), name: `n${index}`, attributes: some }))
      }
    })
  ),

  Case.make(
    "put - keeps a header of 1,800 encoded bytes, and refuses one of 1,801; the old blob stays",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const largest = yield* ofHeaderBytes(group("g"), 7, Header.maxEncodedBytes)
      const larger = yield* ofHeaderBytes(group("g"), 8, Header.maxEncodedBytes + 1)
      yield* expect.stores(tier, largest)

      yield* expect.refuses(tier, larger)

      yield* expect.holds(tier, largest)
    })
  ),

  Case.make(
    "put - keeps times of any size exactly",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const farAway = 253_402_300_799_999
      const times = [
        { createdAt: 0, freshUntil: 0 },
        { createdAt: -86_400_000, freshUntil: -1 },
        { createdAt: 1_700_000_000_000.25, freshUntil: 1_700_000_000_000.5 },
        { createdAt: farAway, freshUntil: farAway, expiresAt: farAway },
        { createdAt: 1, freshUntil: farAway }
      ]
      for (const [index, some] of times.entries()) {
        const blob = Fixtures.blob({ group: group("g"), name: `n${index}`, ...some })

        yield* expect.stores(tier, blob)

        yield* expect.holds(tier, blob)
      }
    })
  ),

  Case.make(
    "put - keeps times that are no finite numbers exactly, or refuses them",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const times = [
        { createdAt: Number.NaN },
        { createdAt: Number.NEGATIVE_INFINITY },
        { freshUntil: Number.POSITIVE_INFINITY },
        { freshUntil: Number.NaN },
        { expiresAt: Number.POSITIVE_INFINITY }
      ]
      for (const [index, some] of times.entries()) {
        const { body, header } = Fixtures.blob({ group: group("g"), name: `n${index}` })
        yield* keptOrRefused(tier, { header: { ...header, ...some }, body })
      }
    })
  )
]
