/**
 * Why a filesystem tier cannot start, and what to do about it.
 */
import * as Schema from "effect/Schema"

/** Who holds the lock of a store directory. */
export const Holder = Schema.Struct({
  pid: Schema.Number,
  host: Schema.String,
  /** When its tier started, ISO 8601. */
  since: Schema.String
})

/**
 * The directory cannot be used as asked. `reason`:
 * - `invalid-option`: an option has an impossible value.
 * - `not-a-directory`: the root, or a part of its path, is a file.
 * - `not-writable`: this user may not write there, or the device is read-only.
 * - `no-space`: the device is so full that not even a small file can be made.
 * - `in-use`: another tier writes there; `holder` names it if known.
 * - `unavailable`: the device does not answer as it should; the cause has the errno.
 */
export class StartError extends Schema.TaggedError<StartError>("@terrace/tier-filesystem/StartError")("StartError", {
  root: Schema.String,
  reason: Schema.Literals(["invalid-option", "not-a-directory", "not-writable", "no-space", "in-use", "unavailable"]),
  /** What is the matter. */
  detail: Schema.String,
  /** What to do. */
  fix: Schema.String,
  holder: Schema.optionalKey(Holder),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `cannot use ${this.root}: ${this.detail}. ${this.fix}`
  }
}
