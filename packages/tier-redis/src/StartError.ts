/**
 * Why a connection to Redis cannot be used as asked, and what to do about it.
 */
import * as Schema from "effect/Schema"

/**
 * Redis cannot be used. `reason`:
 * - `invalid-option`: an option has an impossible value; nothing was tried, or the server has no such database.
 * - `denied`: the server answers and refuses the credentials, or asks for some.
 * - `unavailable`: no server answers, and the connection is `required`.
 */
export class StartError extends Schema.TaggedError<StartError>("@terrace/tier-redis/StartError")("StartError", {
  /** `host:port`, without credentials; what was given for it if that is none. */
  address: Schema.String,
  reason: Schema.Literals(["invalid-option", "denied", "unavailable"]),
  /** What is the matter. */
  detail: Schema.String,
  /** What to do. */
  fix: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `cannot use Redis at ${this.address}: ${this.detail}. ${this.fix}`
  }
}
