/**
 * Why a chain could not do what it was asked. Every error names the key and what may help.
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { HeaderTooLarge } from "./Header.ts"
import type { TierError } from "./TierError.ts"

/**
 * Nobody has the blob, and the one who would know could not say: absence is not proven.
 *
 * `isRetryable`: the same request may succeed later.
 */
export class ChainUnavailable extends Schema.TaggedError<ChainUnavailable>("@terrace/core/ChainError/ChainUnavailable")(
  "ChainUnavailable",
  {
    chain: Schema.String,
    key: Schema.String,
    tiers: Schema.Array(Schema.Struct({ tier: Schema.String, why: Schema.String }))
  }
) {
  readonly isRetryable = true
  override get message(): string {
    return `${this.chain}: cannot say whether ${this.key} exists${this.tiers.length === 0 ? "" : ` (${this.tiers.map(({ tier, why }) => `${tier}: ${why}`).join(", ")})`}`
  }
}

/** The condition of a write does not hold; `current` is what is there. */
export class Conflict extends Schema.TaggedError<Conflict>("@terrace/core/ChainError/Conflict")("Conflict", {
  key: Schema.String,
  current: Schema.Union([Schema.Number, Schema.Literal("absent")])
}) {
  readonly isRetryable = false
  override get message(): string {
    return `${this.key}: the stored blob is not the expected one (${this.current === "absent" ? "there is none" : `generation ${this.current}`})`
  }
}

/** The store does not take such a blob. */
export class Refused extends Schema.TaggedError<Refused>("@terrace/core/ChainError/Refused")("Refused", {
  key: Schema.String,
  tier: Schema.String,
  why: Schema.String
}) {
  readonly isRetryable = false
  override get message(): string {
    return `${this.tier} does not take ${this.key}: ${this.why}`
  }
}

/** Other writers kept overtaking this one. Nothing of it is stored. */
export class Contended extends Schema.TaggedError<Contended>("@terrace/core/ChainError/Contended")("Contended", {
  key: Schema.String
}) {
  readonly isRetryable = true
  override get message(): string {
    return `${this.key}: other writers were faster three times`
  }
}

/** The producer did not end in time. */
export class ProducerTimedOut extends Schema.TaggedError<ProducerTimedOut>("@terrace/core/ChainError/ProducerTimedOut")(
  "ProducerTimedOut",
  { key: Schema.String, millis: Schema.Number }
) {
  readonly isRetryable = true
  override get message(): string {
    return `${this.key}: not made within ${this.millis} ms`
  }
}

/** What was made is past its `expiresAt` now that it is there: it is answered to nobody, and not kept. */
export class DraftExpired extends Schema.TaggedError<DraftExpired>("@terrace/core/ChainError/DraftExpired")(
  "DraftExpired",
  {
    key: Schema.String,
    /** Unix milliseconds. */
    expiresAt: Schema.Number,
    /** Unix milliseconds when it was made. */
    madeAt: Schema.Number
  }
) {
  readonly isRetryable = true
  override get message(): string {
    return `${this.key}: made at ${iso(this.madeAt)}, but it expired at ${iso(this.expiresAt)}: expected an expiresAt after the end of the making, for example ${this.madeAt + 60_000}`
  }
}

/** A time that no date can hold stays a number. */
const iso = (unixMillis: number): string =>
  Option.match(DateTime.make(unixMillis), { onNone: () => String(unixMillis), onSome: DateTime.formatIso })

export type WriteError = TierError | Conflict | Refused | Contended | HeaderTooLarge
