/**
 * Shows a trail to the client: `Cache-Status` (RFC 9211) and `Server-Timing` (W3C Server Timing).
 *
 * `Cache-Status` has one member per tier. RFC 9211 §2 wants the cache nearest to the origin first, so the order is the reverse
 * of the trail: `terrace-filesystem;hit, terrace-memory;fwd=miss`. The producer is the origin, not a cache, and has no
 * member: when it made the answer, every member says `fwd`. `Server-Timing` has every step in the order it was taken.
 *
 * `cacheStatus` does not look at durations, so callers may keep its answer for a trail that they keep.
 */
import * as Trail from "@terrace/core/Trail"
import { kebab } from "./internal/kebab.ts"

/** Name of the step of a chain that makes what no tier has. */
const producer = "producer"

/**
 * The value of `Cache-Status`; undefined if no tier was asked.
 *
 * Behavior:
 * - a tier that answered says `hit`, every other one `fwd` and why it was passed: `miss`, `stale` for a copy that is expired or
 *   older than a put or remove, `bypass` for a tier that was skipped.
 * - `detail` says more where the reason is not plain: `breaker-open`, `timed-out`, `outdated`, `expired`.
 * - a tier that would not take the answer says `stored=?0` and why.
 * - a `hit` that could not be compared with the store, though it was due, has the detail `unconfirmed`.
 * - `collapsed` stands with each `fwd` of a request that shared the flight of another.
 */
export const cacheStatus = (trail: Trail.Trail): string | undefined => {
  const hit = Trail.isUnconfirmed(trail) ? ";hit;detail=unconfirmed" : ";hit"
  let text: string | undefined
  for (const step of trail.steps) {
    const { outcome } = step
    if (outcome._tag === "Made" || step.tier === producer || isComparison(outcome)) continue
    const member = item(`terrace-${step.tier}`) + (outcome._tag === "Hit" ? hit : forwarded(outcome, trail.joined))
    text = text === undefined ? member : `${member}, ${text}`
  }
  return text
}

/** The value of `Server-Timing`, in milliseconds: `memory;dur=0.0, filesystem;dur=1.2`; undefined if there was no step. */
export const serverTiming = (trail: Trail.Trail): string | undefined => {
  let text: string | undefined
  for (const step of trail.steps) {
    const metric = `${metricName(step.tier)};dur=${duration(step.millis)}`
    text = text === undefined ? metric : `${text}, ${metric}`
  }
  return text
}

type Comparison = Extract<Trail.Outcome, { readonly _tag: "Confirmed" | "Unconfirmed" }>
type Passed = Exclude<Trail.Outcome, Comparison | { readonly _tag: "Hit" | "Made" }>

/** The store was asked about a copy that a cache has: it forwarded nothing and delivered nothing. */
const isComparison = (outcome: Trail.Outcome): outcome is Comparison =>
  outcome._tag === "Confirmed" || outcome._tag === "Unconfirmed"

const forwarded = (outcome: Passed, joined: boolean): string => reasonOf(outcome) + (joined ? ";collapsed" : "")

const reasonOf = (outcome: Passed): string =>
  outcome._tag === "Miss"
    ? ";fwd=miss"
    : outcome._tag === "Skipped"
      ? `;fwd=bypass;detail=${item(outcome.why)}`
      : outcome._tag === "Outdated"
        ? ";fwd=stale;detail=outdated"
        : outcome._tag === "Expired"
          ? ";fwd=stale;detail=expired"
          : outcome._tag === "Failed"
            ? `;fwd=miss;detail=${item(kebab(outcome.reason))}`
            : outcome._tag === "LetGo"
              ? ";fwd=miss;detail=let-go"
              : `;fwd=miss;stored=?0;detail=${item(outcome.why)}`

// -----------------------------------------------------------------------------
// Serialisation
// -----------------------------------------------------------------------------

/** `sf-token`, RFC 9651 §3.3.4. */
const tokenPattern = /^[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*$/

/**
 * A bare item: a token where the text can be one, else a string (RFC 9651 §4.1.6), which holds printable ASCII only; any
 * other character becomes `?`.
 */
const item = (text: string): string =>
  tokenPattern.test(text) ? text : `"${text.replace(/[^\x20-\x7e]/g, "?").replace(/["\\]/g, "\\$&")}"`

/** `token` of RFC 9110 §5.6.2, which Server-Timing names its metrics by. */
const metricName = (tier: string): string => (tier === "" ? "_" : tier.replace(/[^A-Za-z0-9!#$%&'*+.^_`|~-]/g, "_"))

/** Tenths of a millisecond; a duration that is none counts as 0. */
const duration = (millis: number): string => (millis > 0 && millis < 1e15 ? millis.toFixed(1) : "0.0")
