import { assert, describe, it } from "@effect/vitest"
import { ChainUnavailable } from "@terrace/core/ChainError"
import { BreakerOpen, type Reason, TierError, TimedOut, Unavailable } from "@terrace/core/TierError"
import * as Problem from "../src/Problem.ts"

const answerTo = (error: Problem.RouteError) => {
  const { headers, status } = Problem.toResponse(Problem.fromError(error), "request-id")
  return { status, retryAfter: headers["retry-after"] }
}

const atStore = (reason: Reason): TierError => new TierError({ tier: "filesystem", operation: "put", reason })

describe("Problem", () => {
  it("tells how long the breaker of the store stays open, in seconds rounded up", () => {
    const waits: ReadonlyArray<readonly [millis: number, seconds: string]> = [
      [0, "1"],
      [1, "1"],
      [1_000, "1"],
      [1_001, "2"],
      [29_600.5, "30"]
    ]
    for (const [retryAfterMillis, retryAfter] of waits) {
      assert.deepStrictEqual(answerTo(atStore(new BreakerOpen({ retryAfterMillis }))), { status: 503, retryAfter })
    }
  })

  it("tells the usual time to wait where nobody knows how long", () => {
    const unknown: ReadonlyArray<Problem.RouteError> = [
      atStore(new BreakerOpen({})),
      atStore(new TimedOut({ millis: 5_000 })),
      atStore(new Unavailable({ cause: new Error("EIO") })),
      new ChainUnavailable({
        chain: "masters",
        key: "hero/master",
        tiers: [{ tier: "filesystem", why: "breaker-open" }]
      })
    ]
    for (const error of unknown) assert.deepStrictEqual(answerTo(error), { status: 503, retryAfter: "5" })
  })

  it("does not blame the store for a record that cannot be reached", () => {
    const error = new TierError({ tier: "catalog", operation: "remove", reason: new TimedOut({ millis: 5_000 }) })
    assert.strictEqual(Problem.fromError(error).detail, "the record of the image cannot be reached now")
    assert.deepStrictEqual(answerTo(error), { status: 503, retryAfter: "5" })
  })

  it("says nothing of causes", () => {
    const { detail } = Problem.fromError(atStore(new Unavailable({ cause: new Error("EIO /var/lib/terrace") })))
    assert.notInclude(detail, "terrace")
  })
})
