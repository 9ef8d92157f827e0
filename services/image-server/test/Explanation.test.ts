import { assert, describe, it } from "@effect/vitest"
import type * as Chain from "@terrace/core/Chain"
import * as Header from "@terrace/core/Header"
import * as Key from "@terrace/core/Key"
import * as Explanation from "../src/Explanation.ts"

const key = Key.makeUnsafe("hero", "master")

const header = (generation: number, expiresAt?: number): Header.Header =>
  Header.describe(key, Buffer.from(`image ${generation}`), {
    contentType: "image/webp",
    generation,
    createdAt: 1_700_000_000_000,
    expiresAt,
    attributes: { title: "not for operators" }
  })

const tier = (name: string, parts: Partial<Chain.TierExplanation> = {}): Chain.TierExplanation => ({
  tier: name,
  role: "cache",
  breaker: "closed",
  outcome: parts.header === undefined ? { _tag: "Miss" } : { _tag: "Hit" },
  millis: 0.123_456,
  header: undefined,
  standing: undefined,
  ...parts
})

const store = (parts: Partial<Chain.TierExplanation> = {}) => tier("store", { role: "store", ...parts })

const explained = (
  tiers: ReadonlyArray<Chain.TierExplanation>,
  parts: Partial<Chain.Explanation> = {}
): Chain.Explanation => ({
  key: key.text,
  answer: { _tag: "NotFound", isRemembered: false },
  floor: 0,
  tiers,
  ...parts
})

const failed = { outcome: { _tag: "Failed", reason: "TimedOut" } } as const
const unavailable = { answer: { _tag: "Unavailable" } } as const
const found = (tier: string): Pick<Chain.Explanation, "answer"> => ({
  answer: { _tag: "Found", tier, header: header(7) }
})

describe("Explanation.describe", () => {
  const json = (report: Explanation.Report): unknown => JSON.parse(JSON.stringify(report))

  it("has the answer, where it comes from, and the facts of every tier, but nothing else of the header", () => {
    const { digest, size } = header(7)
    const master = explained(
      [tier("memory", { header: header(7, 1_800_000_000_000), standing: "confirmed" }), store({ header: header(7) })],
      { floor: 5, ...found("memory") }
    )

    assert.deepStrictEqual(json(Explanation.describe("hero", undefined, { master, variant: undefined })), {
      id: "hero",
      answer: "found",
      from: "memory",
      master: {
        answer: "found",
        from: "memory",
        floor: 5,
        tiers: [
          {
            tier: "memory",
            role: "cache",
            outcome: "hit",
            millis: 0.123,
            breaker: "closed",
            standing: "confirmed",
            has: {
              generation: 7,
              digest,
              size,
              createdAt: "2023-11-14T22:13:20.000Z",
              expiresAt: "2027-01-15T08:00:00.000Z"
            }
          },
          {
            tier: "store",
            role: "store",
            outcome: "hit",
            millis: 0.123,
            breaker: "closed",
            has: { generation: 7, digest, size, createdAt: "2023-11-14T22:13:20.000Z" }
          }
        ]
      }
    })
  })

  it("says why a tier could not say", () => {
    const master = explained(
      [
        tier("memory", { outcome: { _tag: "Skipped", why: "busy" } }),
        store({ ...failed, breaker: "half-open" }),
        store({ outcome: { _tag: "Skipped", why: "breaker-open" }, breaker: "open" })
      ],
      unavailable
    )
    const report = Explanation.describe("hero", undefined, { master, variant: undefined })
    assert.deepStrictEqual([report.answer, report.from], ["unavailable", undefined])
    assert.deepStrictEqual(
      report.master.tiers.map(({ breaker, outcome, why }) => [outcome, why, breaker]),
      [
        ["skipped", "busy", "closed"],
        ["failed", "timed-out", "half-open"],
        ["skipped", "breaker-open", "open"]
      ]
    )
  })

  const answerFor = (explained: Explanation.Explained): string => {
    const { answer, from } = Explanation.describe("hero", "thumb", explained)
    return `${answer} ${from}`
  }

  it("says of a variant that no tier has that it would be made, if its master can be read", () => {
    const present = explained([store({ header: header(1) })], found("store"))
    const gone = explained([store(failed)], unavailable)
    const made = explained([tier("memory"), tier("disk", failed)], unavailable)
    const kept = explained([tier("memory"), tier("disk", { header: header(1) })], found("disk"))
    assert.strictEqual(answerFor({ master: present, variant: made }), "made producer")
    assert.strictEqual(answerFor({ master: present, variant: kept }), "found disk")
    assert.strictEqual(answerFor({ master: gone, variant: kept }), "found disk")
    assert.strictEqual(answerFor({ master: gone, variant: made }), "unavailable undefined")
    assert.strictEqual(answerFor({ master: gone, variant: undefined }), "unavailable undefined")
    assert.strictEqual(
      answerFor({
        master: explained([store()], { answer: { _tag: "NotFound", isRemembered: true } }),
        variant: undefined
      }),
      "not-found absences"
    )
  })

  it("leaves out a time that is none", () => {
    const odd = { ...header(1), createdAt: 1e300 }
    const report = Explanation.describe("hero", undefined, {
      master: explained([store({ header: odd })]),
      variant: undefined
    })
    assert.isUndefined(report.master.tiers[0]?.has?.createdAt)
  })
})
