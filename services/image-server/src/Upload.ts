/**
 * Uploads as JSON: `{ "base64_data": "…", "title": "…", "style": "…" }`.
 *
 * `base64_data` is read tolerantly, as old clients and stored records write it; see `Base64.decode`. Every other field becomes
 * an attribute of the image.
 *
 * All of it takes linear time (50 MiB: about 0.2 s) and nothing is allocated before it is known to fit: the text is
 * counted before it is parsed, and the base64 before it is decoded.
 */
import * as Base64 from "@terrace/legacy-base64/Base64"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { isUtf8 } from "node:buffer"

export interface Upload {
  readonly bytes: Uint8Array
  /** The other fields as text, in the order they came. */
  readonly attributes: Readonly<Record<string, string>>
}

export interface Options {
  /** Largest image after decoding, in bytes. */
  readonly maxBytes: number
  /** Names that the server gives to attributes of its own; refused. Default: none. */
  readonly reserved?: ReadonlySet<string> | undefined
}

/** Most attributes of one image. */
export const maxAttributes = 32
/** Longest value of an attribute, in UTF-16 units. */
export const maxAttributeLength = 1_000

/** Largest JSON body for images of up to `maxBytes` bytes: their base64 and 64 KiB for everything else. */
export const maxJsonBytes = (maxBytes: number): number => Math.ceil(maxBytes / 3) * 4 + 65_536

/** The upload cannot be read. Status 400. */
export class InvalidUpload extends Schema.TaggedError<InvalidUpload>("@terrace/image-server/Upload/InvalidUpload")(
  "InvalidUpload",
  {
    /** The field, or `body`. */
    field: Schema.String,
    problem: Schema.String,
    expected: Schema.String
  }
) {
  override get message(): string {
    return `${this.field} ${this.problem}: expected ${this.expected}`
  }
}

/** The image is larger than allowed; nothing was decoded. Status 413. */
export class UploadTooLarge extends Schema.TaggedError<UploadTooLarge>("@terrace/image-server/Upload/UploadTooLarge")(
  "UploadTooLarge",
  { maxBytes: Schema.Number }
) {
  override get message(): string {
    return `the image is too large: expected at most ${this.maxBytes} bytes`
  }
}

/** Reads a JSON body: its bytes, which must be UTF-8 (RFC 8259 §8.1), or its text. */
export const fromJson = (
  body: Uint8Array | string,
  options: Options
): Result.Result<Upload, InvalidUpload | UploadTooLarge> => {
  const text = typeof body === "string" ? body : utf8(body)
  if (text === undefined) return invalid("body", "is not UTF-8", objectExpected)
  if (!isSmallStructure(text)) return invalid("body", "has too many values", objectExpected)
  const fields = Option.getOrUndefined(decodeObject(text))
  if (fields === undefined) return invalid("body", "is not a JSON object", objectExpected)
  const base64 = fields["base64_data"]
  if (typeof base64 !== "string") {
    return invalid("base64_data", base64 === undefined ? "is missing" : `is ${kindOf(base64)}`, base64Expected)
  }
  const attributes = attributesOf(fields, options.reserved ?? new Set())
  if (Result.isFailure(attributes)) return Result.fail(attributes.failure)
  return Result.map(decodeBase64(base64, options.maxBytes), (bytes) => ({ bytes, attributes: attributes.success }))
}

// -----------------------------------------------------------------------------
// JSON
// -----------------------------------------------------------------------------

const decodeObject = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown)))

const objectExpected = `a flat JSON object of at most ${maxAttributes} fields beside base64_data, for example {"base64_data": "iVBORw0KGgo=", "title": "Bottle"}`

/** Undefined if the bytes are none: a lenient decoder would put U+FFFD into titles. */
const utf8 = (bytes: Uint8Array): string | undefined =>
  isUtf8(bytes) ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8") : undefined

/** Far above what `attributesOf` takes, so that its messages, which name the field, are what people see. */
const maxValues = 1_000

/**
 * Whether parsing `text` makes few values. A body of one allowed size can hold millions of nested arrays, which take
 * gigabytes and seconds to parse; what opens or separates values outside of strings is counted first.
 */
const isSmallStructure = (text: string): boolean => {
  let values = 0
  for (let position = 0; position < text.length; position++) {
    const code = text.charCodeAt(position)
    if (code === quote) {
      position = endOfString(text, position)
      if (position === -1) return true
    } else if (code === comma || code === openBrace || code === openBracket) {
      if (++values > maxValues) return false
    }
  }
  return true
}

/** Position of the quote that ends the string begun at `start`: the next one after an even number of backslashes. */
const endOfString = (text: string, start: number): number => {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let run = end
    while (text.charCodeAt(run - 1) === backslash) run--
    if ((end - run) % 2 === 0) return end
  }
  return -1
}

const quote = 0x22
const comma = 0x2c
const openBracket = 0x5b
const backslash = 0x5c
const openBrace = 0x7b

// -----------------------------------------------------------------------------
// Attributes
// -----------------------------------------------------------------------------

const namePattern = /^[A-Za-z0-9_.-]{1,64}$/

/** Names that mean something to JavaScript objects. */
const treacherous = new Set(["__proto__", "constructor", "prototype"])

const isScalar = Schema.is(Schema.Union([Schema.String, Schema.Finite, Schema.Boolean]))

const valueExpected = `text of at most ${maxAttributeLength} characters, a number, true or false, for example "Bottle"; leave the field out if there is nothing to say`

/** The attribute that a field makes; undefined: it cannot be one. */
export const attributeOf = (name: string, value: unknown): string | undefined => {
  if (!namePattern.test(name) || treacherous.has(name) || name === "id" || !isScalar(value)) return undefined
  const text = String(value)
  return problemOfText(text) === undefined ? text : undefined
}

const attributesOf = (
  fields: Readonly<Record<string, unknown>>,
  reserved: ReadonlySet<string>
): Result.Result<Readonly<Record<string, string>>, InvalidUpload> => {
  const attributes: Array<readonly [name: string, value: string]> = []
  for (const [name, value] of Object.entries(fields)) {
    if (name === "base64_data") continue
    if (!namePattern.test(name) || treacherous.has(name)) {
      return invalid(
        `field ${JSON.stringify(name.slice(0, 64))}`,
        "cannot name an attribute",
        `1 to 64 letters, digits, "_", "." or "-", for example "title"`
      )
    }
    if (name === "id")
      return invalid("id", "is no attribute", "the id in the path, for example PUT /images/hero_recycle-01")
    if (reserved.has(name)) return invalid(name, "is set by the server", `another name, for example "my_${name}"`)
    if (attributes.length === maxAttributes) return invalid("body", "has too many fields", objectExpected)
    if (!isScalar(value)) return invalid(name, `is ${kindOf(value)}`, valueExpected)
    const text = String(value)
    const problem = problemOfText(text)
    if (problem !== undefined) return invalid(name, problem, valueExpected)
    attributes.push([name, text])
  }
  return Result.succeed(Object.fromEntries(attributes))
}

const problemOfText = (text: string): string | undefined => {
  if (text.length > maxAttributeLength) return `is ${text.length} characters long`
  if (!text.isWellFormed()) return "contains half of a surrogate pair"
  const control = text.search(/\p{Cc}/u)
  return control === -1
    ? undefined
    : `contains the control character ${codePoint(text, control)} at position ${control}`
}

const kindOf = (value: unknown): string =>
  value === null
    ? "null"
    : Array.isArray(value)
      ? "an array"
      : typeof value === "object"
        ? "an object"
        : value === Infinity || value === -Infinity
          ? "a number out of range"
          : `a ${typeof value}`

// -----------------------------------------------------------------------------
// Base64
// -----------------------------------------------------------------------------

const base64Expected = `base64 text, with or without a "data:image/png;base64," prefix, for example "iVBORw0KGgo="`

const decodeBase64 = (text: string, maxBytes: number): Result.Result<Uint8Array, InvalidUpload | UploadTooLarge> =>
  Result.mapError(Base64.decode(text, maxBytes), ({ reason }) =>
    reason._tag === "InvalidBase64"
      ? new InvalidUpload({ field: "base64_data", problem: reason.finding, expected: base64Expected })
      : new UploadTooLarge({ maxBytes })
  )

const codePoint = (text: string, position: number): string => {
  const code = text.codePointAt(position) ?? 0
  const number = `U+${code.toString(16).toUpperCase().padStart(4, "0")}`
  return code > 0x20 && code < 0x7f ? JSON.stringify(String.fromCodePoint(code)) : number
}

const invalid = (field: string, problem: string, expected: string): Result.Result<never, InvalidUpload> =>
  Result.fail(new InvalidUpload({ field, problem, expected }))
