/**
 * Why an S3 tier cannot start, and what to do about it.
 */
import * as Schema from "effect/Schema"

/**
 * The bucket cannot be used as asked. `reason`:
 * - `invalid-option`: an option has an impossible value.
 * - `no-credentials`: there are none, or they cannot be read.
 * - `denied`: the server refuses these credentials, or what they may do.
 * - `no-bucket`: there is no such bucket.
 * - `wrong-region`: the bucket is in another region.
 * - `ignores-conditions`: the server writes although the condition of the write does not hold.
 * - `unreachable`: the server does not answer, or not as it should.
 */
export class StartError extends Schema.TaggedError<StartError>("@terrace/tier-s3/StartError")("StartError", {
  /** `s3://bucket/prefix`, and the endpoint if it is not Amazon's. */
  location: Schema.String,
  reason: Schema.Literals([
    "invalid-option",
    "no-credentials",
    "denied",
    "no-bucket",
    "wrong-region",
    "ignores-conditions",
    "unreachable"
  ]),
  /** What is the matter. */
  detail: Schema.String,
  /** What to do. */
  fix: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `cannot use ${this.location}: ${this.detail}. ${this.fix}`
  }
}
