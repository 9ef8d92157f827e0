/**
 * Why a configuration cannot be used.
 */
import * as Schema from "effect/Schema"

/** The configuration is not usable; the message has one line for each thing that is wrong. */
export class InvalidConfig extends Schema.TaggedError<InvalidConfig>("@terrace/config/InvalidConfig")("InvalidConfig", {
  problems: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return this.problems.join("\n")
  }
}
