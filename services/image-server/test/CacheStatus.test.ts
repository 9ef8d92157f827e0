import { assert, describe, it } from "@effect/vitest"
import type * as Trail from "@terrace/core/Trail"
import * as Schema from "effect/Schema"
import * as CacheStatus from "../src/CacheStatus.ts"

const step = (tier: string, outcome: Trail.Outcome, millis = 0): Trail.Step => ({ tier, outcome, millis })
const trail = (steps: ReadonlyArray<Trail.Step>, joined = false): Trail.Trail => ({ steps, joined })
const hit: Trail.Outcome = { _tag: "Hit" }
const miss: Trail.Outcome = { _tag: "Miss" }
const made: Trail.Outcome = { _tag: "Made" }

describe("CacheStatus.cacheStatus", () => {
  it("says hit for the tier that answered", () => {
    assert.strictEqual(CacheStatus.cacheStatus(trail([step("memory", hit)])), "terrace-memory;hit")
  })

  it("puts the tier nearest to the origin first", () => {
    assert.strictEqual(
      CacheStatus.cacheStatus(trail([step("memory", miss), step("filesystem", hit)])),
      "terrace-filesystem;hit, terrace-memory;fwd=miss"
    )
  })

  it("has no member for the producer", () => {
    assert.strictEqual(
      CacheStatus.cacheStatus(trail([step("memory", miss), step("filesystem", miss), step("producer", made)])),
      "terrace-filesystem;fwd=miss, terrace-memory;fwd=miss"
    )
    assert.isUndefined(CacheStatus.cacheStatus(trail([step("producer", made)])))
    assert.isUndefined(CacheStatus.cacheStatus(trail([])))
  })

  it("says why a tier was passed", () => {
    const members: ReadonlyArray<readonly [Trail.Outcome, string]> = [
      [{ _tag: "Skipped", why: "breaker-open" }, "terrace-s3;fwd=bypass;detail=breaker-open"],
      [{ _tag: "Skipped", why: "closed" }, "terrace-s3;fwd=bypass;detail=closed"],
      [{ _tag: "Outdated" }, "terrace-s3;fwd=stale;detail=outdated"],
      [{ _tag: "Expired" }, "terrace-s3;fwd=stale;detail=expired"],
      [{ _tag: "Failed", reason: "TimedOut" }, "terrace-s3;fwd=miss;detail=timed-out"],
      [{ _tag: "Failed", reason: "Unavailable" }, "terrace-s3;fwd=miss;detail=unavailable"],
      [{ _tag: "Failed", reason: "NoSpace" }, "terrace-s3;fwd=miss;detail=no-space"],
      [{ _tag: "Declined", why: "too-large" }, "terrace-s3;fwd=miss;stored=?0;detail=too-large"]
    ]
    for (const [outcome, member] of members) {
      assert.strictEqual(CacheStatus.cacheStatus(trail([step("s3", outcome)])), member)
    }
  })

  it("says collapsed with each fwd of a request that joined a flight", () => {
    assert.strictEqual(
      CacheStatus.cacheStatus(trail([step("memory", miss), step("filesystem", hit)], true)),
      "terrace-filesystem;hit, terrace-memory;fwd=miss;collapsed"
    )
  })

  it("has one member for a copy that the store has confirmed, and none for the comparison", () => {
    assert.strictEqual(
      CacheStatus.cacheStatus(trail([step("memory", hit), step("s3", { _tag: "Confirmed" })])),
      "terrace-memory;hit"
    )
    assert.strictEqual(
      CacheStatus.cacheStatus(
        trail([step("memory", miss), step("filesystem", hit), step("s3", { _tag: "Confirmed" })])
      ),
      "terrace-filesystem;hit, terrace-memory;fwd=miss"
    )
  })

  it("says unconfirmed of a hit that the store could not be asked about, whatever the reason", () => {
    for (const why of ["breaker-open", "busy", "closed", "TimedOut", "Unavailable"] as const) {
      assert.strictEqual(
        CacheStatus.cacheStatus(trail([step("memory", hit), step("s3", { _tag: "Unconfirmed", why })])),
        "terrace-memory;hit;detail=unconfirmed"
      )
    }
    assert.strictEqual(
      CacheStatus.cacheStatus(
        trail(
          [step("memory", miss), step("filesystem", hit), step("s3", { _tag: "Unconfirmed", why: "TimedOut" })],
          true
        )
      ),
      "terrace-filesystem;hit;detail=unconfirmed, terrace-memory;fwd=miss;collapsed"
    )
  })

  it("says outdated of a copy that the comparison has dropped, and hit of the store that has another", () => {
    assert.strictEqual(
      CacheStatus.cacheStatus(trail([step("memory", { _tag: "Outdated" }), step("s3", hit)])),
      "terrace-s3;hit, terrace-memory;fwd=stale;detail=outdated"
    )
  })

  it("says fwd only of what was made from something unconfirmed", () => {
    assert.strictEqual(
      CacheStatus.cacheStatus(
        trail([step("memory", miss), step("producer", made), step("s3", { _tag: "Unconfirmed", why: "TimedOut" })])
      ),
      "terrace-memory;fwd=miss"
    )
  })

  it("writes a name that is no token as a string", () => {
    const names: ReadonlyArray<readonly [tier: string, member: string]> = [
      ["redis:6379/0", "terrace-redis:6379/0;hit"],
      ["eu west", `"terrace-eu west";hit`],
      ["a,b;c=d", `"terrace-a,b;c=d";hit`],
      [`say "hi" \\ there`, `"terrace-say \\"hi\\" \\\\ there";hit`],
      ["zürich\n", `"terrace-z?rich?";hit`]
    ]
    for (const [tier, member] of names) assert.strictEqual(CacheStatus.cacheStatus(trail([step(tier, hit)])), member)
  })

  it.prop(
    "is a structured field of one member per tier, whatever the names",
    [Schema.Array(Schema.String), Schema.Boolean],
    ([tiers, joined]) => {
      const named = tiers.filter((tier) => tier !== "producer")
      const text = CacheStatus.cacheStatus(
        trail(
          named.map((tier) => step(tier, { _tag: "Failed", reason: "Gone" })),
          joined
        )
      )
      assert.strictEqual(text === undefined ? 0 : membersOf(text).length, named.length)
    }
  )
})

describe("CacheStatus.serverTiming", () => {
  it("has every step in order, in milliseconds", () => {
    assert.strictEqual(
      CacheStatus.serverTiming(
        trail([step("memory", miss, 0.004), step("filesystem", miss, 1.249), step("producer", made, 312)])
      ),
      "memory;dur=0.0, filesystem;dur=1.2, producer;dur=312.0"
    )
    assert.isUndefined(CacheStatus.serverTiming(trail([])))
  })

  it("has the time that the store took to confirm a copy, or not to", () => {
    const confirmed = trail([step("memory", hit, 0.01), step("s3", { _tag: "Confirmed" }, 21.06)])
    const unconfirmed = trail([step("memory", hit, 0.01), step("s3", { _tag: "Unconfirmed", why: "TimedOut" }, 5_000)])
    assert.strictEqual(CacheStatus.serverTiming(confirmed), "memory;dur=0.0, s3;dur=21.1")
    assert.strictEqual(CacheStatus.serverTiming(unconfirmed), "memory;dur=0.0, s3;dur=5000.0")
  })

  it("writes names as tokens and durations as plain decimals", () => {
    assert.strictEqual(
      CacheStatus.serverTiming(
        trail([step("eu west,1", hit, Number.NaN), step("", hit, -1), step("é", hit, Infinity), step("a", hit, 1e21)])
      ),
      "eu_west_1;dur=0.0, _;dur=0.0, _;dur=0.0, a;dur=0.0"
    )
  })

  it.prop("is a list of tokens with decimals, whatever the steps", [Schema.String, Schema.Number], ([tier, millis]) => {
    const text = CacheStatus.serverTiming(trail([step(tier, hit, millis)])) ?? ""
    assert.match(text, /^[!#$%&'*+.^_`|~0-9A-Za-z-]+;dur=[0-9]{1,15}\.[0-9]$/)
  })
})

/** Parses a list of items with parameters by the algorithm of RFC 9651 §4.2, so far as these fields use it. */
const membersOf = (text: string): ReadonlyArray<string> => {
  const member =
    /^(?:[A-Za-z*][!#$%&'*+.^_`|~:/0-9A-Za-z-]*|"(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*")(?:;[a-z*][a-z0-9_.*-]*(?:=(?:\?[01]|[A-Za-z*][!#$%&'*+.^_`|~:/0-9A-Za-z-]*))?)*/
  const members: Array<string> = []
  let rest = text
  while (rest !== "") {
    const found = member.exec(rest)?.[0] ?? assert.fail(`no member at ${JSON.stringify(rest)}`)
    members.push(found)
    rest = rest.slice(found.length)
    if (rest !== "") {
      assert.isTrue(rest.startsWith(", "))
      rest = rest.slice(2)
    }
  }
  return members
}
