/**
 * Trouble at a tier that the chain must route around.
 *
 * A miss is a value, not an error. The reason says what happened and whether trying again may help; the cause keeps
 * the errno, HTTP status or reply of the backend.
 */
import * as Schema from "effect/Schema"

export const operations = ["get", "head", "put", "remove", "removeGroup", "scan", "usage", "open"] as const
export type Operation = (typeof operations)[number]

/** The backend could not be reached, or answered badly. Its state after a write is unknown, unless `noEffect` says so. */
export class Unavailable extends Schema.TaggedError<Unavailable>("@terrace/core/TierError/Unavailable")("Unavailable", {
  cause: Schema.Defect(),
  /** True: the request was never sent, or was refused whole, so that a write has changed nothing. Absent: not known. */
  noEffect: Schema.optionalKey(Schema.Boolean)
}) {
  readonly isRetryable = true
}

/** No answer within the deadline. Whether a write took effect is unknown. */
export class TimedOut extends Schema.TaggedError<TimedOut>("@terrace/core/TierError/TimedOut")("TimedOut", {
  millis: Schema.Number
}) {
  readonly isRetryable = true
}

/** The backend asks for fewer requests. */
export class Throttled extends Schema.TaggedError<Throttled>("@terrace/core/TierError/Throttled")("Throttled", {
  cause: Schema.Defect()
}) {
  readonly isRetryable = true
}

/** The breaker of the tier is open: it was not asked. */
export class BreakerOpen extends Schema.TaggedError<BreakerOpen>("@terrace/core/TierError/BreakerOpen")("BreakerOpen", {
  /** When it may be asked again; absent: another call is finding out now. */
  retryAfterMillis: Schema.optionalKey(Schema.Number)
}) {
  readonly isRetryable = true
}

/** Permission or credentials are missing. */
export class Denied extends Schema.TaggedError<Denied>("@terrace/core/TierError/Denied")("Denied", {
  cause: Schema.Defect()
}) {
  readonly isRetryable = false
}

/** The blob does not fit: the budget, the reserve of free space, or the device is used up. What was there is intact. */
export class NoSpace extends Schema.TaggedError<NoSpace>("@terrace/core/TierError/NoSpace")("NoSpace", {
  detail: Schema.String,
  /** What the backend said, if it was the one to refuse. */
  cause: Schema.optionalKey(Schema.Defect())
}) {
  readonly isRetryable = false
}

/** The only copy is damaged; it was set aside and is not served. */
export class Corrupt extends Schema.TaggedError<Corrupt>("@terrace/core/TierError/Corrupt")("Corrupt", {
  detail: Schema.String
}) {
  readonly isRetryable = false
}

/** A streamed body whose generation the tier no longer holds; nothing of it was delivered. */
export class Gone extends Schema.TaggedError<Gone>("@terrace/core/TierError/Gone")("Gone", {
  key: Schema.String
}) {
  readonly isRetryable = false
}

/** The tier does not declare the capability that the operation needs. */
export class Unsupported extends Schema.TaggedError<Unsupported>("@terrace/core/TierError/Unsupported")("Unsupported", {
  capability: Schema.String
}) {
  readonly isRetryable = false
}

/** The cursor of a scan is none that this tier has given. */
export class BadCursor extends Schema.TaggedError<BadCursor>("@terrace/core/TierError/BadCursor")("BadCursor", {
  cursor: Schema.String
}) {
  readonly isRetryable = false
}

/** Anything else; a bug or a backend that answers outside its contract. */
export class Unknown extends Schema.TaggedError<Unknown>("@terrace/core/TierError/Unknown")("Unknown", {
  cause: Schema.Defect()
}) {
  readonly isRetryable = false
}

export type Reason =
  | Unavailable
  | TimedOut
  | Throttled
  | BreakerOpen
  | Denied
  | NoSpace
  | Corrupt
  | Gone
  | Unsupported
  | BadCursor
  | Unknown

/** The one error of tier operations; match its `reason` with `Effect.catchReason`. */
export class TierError extends Schema.TaggedError<TierError>("@terrace/core/TierError")("TierError", {
  tier: Schema.String,
  operation: Schema.Literals(operations),
  reason: Schema.Union([
    Unavailable,
    TimedOut,
    Throttled,
    BreakerOpen,
    Denied,
    NoSpace,
    Corrupt,
    Gone,
    Unsupported,
    BadCursor,
    Unknown
  ])
}) {
  override get message(): string {
    const { reason } = this
    const detail =
      reason._tag === "TimedOut"
        ? `no answer within ${reason.millis} ms`
        : reason._tag === "NoSpace" || reason._tag === "Corrupt"
          ? reason.detail
          : reason._tag === "Gone"
            ? reason.key
            : reason._tag === "Unsupported"
              ? reason.capability
              : reason._tag === "BadCursor"
                ? JSON.stringify(reason.cursor.slice(0, 60))
                : reason._tag === "BreakerOpen"
                  ? "not asked, after too many failures"
                  : causeText(reason.cause)
    return `${this.tier}.${this.operation}: ${reason._tag}${detail === "" ? "" : `: ${detail}`}`
  }

  /** Whether the same call may succeed later. */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }

  /** Whether a write that failed so may have taken effect all the same. */
  get isUnknownOutcome(): boolean {
    const { reason } = this
    return reason._tag === "Unavailable"
      ? reason.noEffect !== true
      : reason._tag === "TimedOut" || reason._tag === "Unknown"
  }
}

const causeText = (cause: unknown): string =>
  cause instanceof Error ? cause.message : typeof cause === "string" ? cause : ""
