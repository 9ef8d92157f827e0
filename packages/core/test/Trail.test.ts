import { assert, describe, it } from "@effect/vitest"
import * as Trail from "../src/Trail.ts"

const trail = (...outcomes: ReadonlyArray<Trail.Outcome>): Trail.Trail => ({
  steps: outcomes.map((outcome, index) => ({ tier: `tier${index}`, outcome, millis: 1 })),
  joined: false
})

const miss: Trail.Outcome = { _tag: "Miss" }
const skipped: Trail.Outcome = { _tag: "Skipped", why: "breaker-open" }
const failed: Trail.Outcome = { _tag: "Failed", reason: "TimedOut" }
const hit: Trail.Outcome = { _tag: "Hit" }
const outdated: Trail.Outcome = { _tag: "Outdated" }

describe("Trail", () => {
  it("answeredBy - names the tier that hit, or the producer", () => {
    assert.strictEqual(Trail.answeredBy(trail(miss, failed, hit)), "tier2")
    assert.strictEqual(Trail.answeredBy(trail(miss, { _tag: "Made" })), "tier1")
    assert.strictEqual(Trail.answeredBy(trail(hit, { _tag: "Declined", why: "too-large" })), "tier0")
  })

  it("answeredBy - names nobody if nobody had it", () => {
    assert.isUndefined(Trail.answeredBy(trail()))
    assert.isUndefined(Trail.answeredBy(trail(miss, outdated, { _tag: "Expired" }, skipped)))
  })

  it("answeredBy - names the last that answered, whose blob was used", () => {
    assert.strictEqual(Trail.answeredBy(trail(hit, outdated, hit)), "tier2")
  })

  it("isMade - holds if a producer or an origin gave the answer", () => {
    assert.isTrue(Trail.isMade(trail(miss, { _tag: "Made" })))
    assert.isFalse(Trail.isMade(trail(miss, hit)))
  })

  it("isInconclusive - holds if a tier could not say, whatever the others said", () => {
    assert.isTrue(Trail.isInconclusive(trail(miss, skipped)))
    assert.isTrue(Trail.isInconclusive(trail(failed, hit)))
    assert.isFalse(Trail.isInconclusive(trail(miss, outdated, { _tag: "Expired" }, hit)))
    assert.isFalse(Trail.isInconclusive(trail()))
  })
})
