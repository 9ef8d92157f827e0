/**
 * Why a record cannot be used. It stays in Redis as it is.
 *
 * Messages are one line that a client may see: what was found, what is expected, an example. They never hold the data of
 * the record. None of these goes away by trying again.
 */
import * as Schema from "effect/Schema"

const example = `{"title": "The Bottle Beacon", "base64_data": "iVBORw0KGgo="}`

/** Redis holds something else than a string under the name. */
export class NotAString extends Schema.TaggedError<NotAString>("@terrace/legacy-base64/LegacyError/NotAString")(
  "NotAString",
  {}
) {
  readonly isRetryable = false
  override get message(): string {
    return `the record is a list, hash or other structure of Redis: expected a string that holds a JSON object, for example ${example}`
  }
}

/** Something is larger than its limit; the rest of it was not looked at. */
export class TooLarge extends Schema.TaggedError<TooLarge>("@terrace/legacy-base64/LegacyError/TooLarge")("TooLarge", {
  /** The stored text, all of it but the image, or the image when decoded. */
  part: Schema.Literals(["record", "fields", "image"]),
  maxBytes: Schema.Number
}) {
  readonly isRetryable = false
  override get message(): string {
    const what = {
      record: "the record is",
      fields: "the fields beside base64_data are",
      image: "the decoded image is"
    }[this.part]
    return `${what} too large: expected at most ${this.maxBytes} bytes`
  }
}

/** The bytes are no UTF-8, which JSON is (RFC 8259 §8.1). */
export class InvalidUtf8 extends Schema.TaggedError<InvalidUtf8>("@terrace/legacy-base64/LegacyError/InvalidUtf8")(
  "InvalidUtf8",
  {}
) {
  readonly isRetryable = false
  override get message(): string {
    return `the record is not UTF-8: expected a JSON object, for example ${example}`
  }
}

/** The text is no JSON (RFC 8259). */
export class InvalidJson extends Schema.TaggedError<InvalidJson>("@terrace/legacy-base64/LegacyError/InvalidJson")(
  "InvalidJson",
  {
    /** What is wrong, such as `begins with a byte order mark`. */
    problem: Schema.String
  }
) {
  readonly isRetryable = false
  override get message(): string {
    return `the record ${this.problem}: expected a JSON object, for example ${example}`
  }
}

/** JSON, but not an object. */
export class NotAnObject extends Schema.TaggedError<NotAnObject>("@terrace/legacy-base64/LegacyError/NotAnObject")(
  "NotAnObject",
  {
    /** What it is, such as `an array`. */
    found: Schema.String
  }
) {
  readonly isRetryable = false
  override get message(): string {
    return `the record is ${this.found}: expected a JSON object, for example ${example}`
  }
}

/** Arrays and objects lie too deep in each other to be handed on safely. */
export class TooDeep extends Schema.TaggedError<TooDeep>("@terrace/legacy-base64/LegacyError/TooDeep")("TooDeep", {
  maxDepth: Schema.Number
}) {
  readonly isRetryable = false
  override get message(): string {
    return `the record is nested too deep: expected at most ${this.maxDepth} levels, for example ${example}`
  }
}

/** A field has a value of a type that it cannot have. */
export class InvalidField extends Schema.TaggedError<InvalidField>("@terrace/legacy-base64/LegacyError/InvalidField")(
  "InvalidField",
  {
    field: Schema.String,
    /** What it is, such as `a number`. */
    found: Schema.String,
    expected: Schema.String
  }
) {
  readonly isRetryable = false
  override get message(): string {
    return `${this.field} is ${this.found}: expected ${this.expected}`
  }
}

const problems = {
  empty: "has no digits",
  "not-base64-uri": `begins like a data URI that is not ";base64,"`,
  "foreign-character": "has a character that is no digit of base64",
  "after-padding": "goes on after its padding",
  padding: "has the wrong padding",
  "cut-off": "ends in the middle of a byte",
  "stray-bits": "ends in a digit that no encoder writes there"
} as const

/** The text is no base64, in any of the forms that are accepted. */
export class InvalidBase64 extends Schema.TaggedError<InvalidBase64>(
  "@terrace/legacy-base64/LegacyError/InvalidBase64"
)("InvalidBase64", {
  problem: Schema.Literals(Object.keys(problems) as ReadonlyArray<keyof typeof problems>),
  /** Where, in UTF-16 units from 0, the prefix included. */
  position: Schema.Number
}) {
  readonly isRetryable = false
  /** What is wrong with the text, to follow its name: `is …`, `has …`. */
  get finding(): string {
    return `${problems[this.problem]} (position ${this.position})`
  }
  override get message(): string {
    return `the base64 text ${this.finding}: expected base64 in either alphabet, with or without padding, line breaks and "data:image/png;base64,", for example "iVBORw0KGgo="`
  }
}

export type Reason =
  | NotAString
  | TooLarge
  | InvalidUtf8
  | InvalidJson
  | NotAnObject
  | TooDeep
  | InvalidField
  | InvalidBase64

/** The one error of records; match its `reason` with `Effect.catchReason`. */
export class LegacyError extends Schema.TaggedError<LegacyError>("@terrace/legacy-base64/LegacyError")("LegacyError", {
  reason: Schema.Union([
    NotAString,
    TooLarge,
    InvalidUtf8,
    InvalidJson,
    NotAnObject,
    TooDeep,
    InvalidField,
    InvalidBase64
  ])
}) {
  override get message(): string {
    return this.reason.message
  }

  /** Whether the same call may succeed later: never, as long as the record stays as it is. */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
}

/** Shorthand for `new LegacyError({ reason })`. */
export const of = (reason: Reason): LegacyError => new LegacyError({ reason })
