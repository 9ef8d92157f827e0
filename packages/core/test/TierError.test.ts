import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TierError from "../src/TierError.ts"

const cause = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" })

/** Every reason: whether a retry may help, whether a write may have taken effect, what the message says. */
const reasons: ReadonlyArray<readonly [TierError.Reason, retryable: boolean, unknown: boolean, message: string]> = [
  [new TierError.Unavailable({ cause }), true, true, "Unavailable: read ECONNRESET"],
  [new TierError.Unavailable({ cause, noEffect: true }), true, false, "Unavailable: read ECONNRESET"],
  [new TierError.TimedOut({ millis: 250 }), true, true, "TimedOut: no answer within 250 ms"],
  [new TierError.Throttled({ cause: "slow down" }), true, false, "Throttled: slow down"],
  [
    new TierError.BreakerOpen({ retryAfterMillis: 1_000 }),
    true,
    false,
    "BreakerOpen: not asked, after too many failures"
  ],
  [new TierError.Denied({ cause }), false, false, "Denied: read ECONNRESET"],
  [new TierError.NoSpace({ detail: "9 of 10 bytes" }), false, false, "NoSpace: 9 of 10 bytes"],
  [new TierError.Corrupt({ detail: "chunk 3" }), false, false, "Corrupt: chunk 3"],
  [new TierError.Gone({ key: "hero/master" }), false, false, "Gone: hero/master"],
  [new TierError.Unsupported({ capability: "list" }), false, false, "Unsupported: list"],
  [new TierError.BadCursor({ cursor: "x" }), false, false, 'BadCursor: "x"'],
  [new TierError.Unknown({ cause: { status: 599 } }), false, true, "Unknown"]
]

const make = (reason: TierError.Reason) => new TierError.TierError({ tier: "disk", operation: "put", reason })

describe("TierError", () => {
  it.each(reasons)(
    "$_tag - says what happened and whether trying again may help",
    (reason, retryable, unknown, message) => {
      const error = make(reason)

      assert.strictEqual(error.isRetryable, retryable)
      assert.strictEqual(error.isUnknownOutcome, unknown)
      assert.strictEqual(error.message, `disk.put: ${message}`)
    }
  )

  it("every reason is tested", () => {
    const tested: Record<TierError.Reason["_tag"], boolean> = {
      Unavailable: true,
      TimedOut: true,
      Throttled: true,
      BreakerOpen: true,
      Denied: true,
      NoSpace: true,
      Corrupt: true,
      Gone: true,
      Unsupported: true,
      BadCursor: true,
      Unknown: true
    }
    assert.sameMembers([...new Set(reasons.map(([reason]) => reason._tag))], Object.keys(tested))
  })

  it("keeps the cause of the backend, with its code", () => {
    const { reason } = make(new TierError.Unavailable({ cause }))

    assert.isTrue(reason._tag === "Unavailable" && reason.cause === cause)
  })

  it.effect("is matched by its reason", () =>
    Effect.gen(function* () {
      const call = (reason: TierError.Reason) =>
        Effect.fail(make(reason)).pipe(
          Effect.catchReason("TierError", "NoSpace", (noSpace) => Effect.succeed(noSpace.detail)),
          Effect.catchTag("TierError", (error) => Effect.succeed(error.message))
        )

      assert.strictEqual(yield* call(new TierError.NoSpace({ detail: "full" })), "full")
      assert.strictEqual(yield* call(new TierError.Gone({ key: "a/b" })), "disk.put: Gone: a/b")
    })
  )
})
