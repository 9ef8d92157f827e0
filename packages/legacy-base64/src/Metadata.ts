/**
 * Everything that a record says beside the image itself.
 *
 * Members are kept as they are written, because a value that went through JavaScript would not come back the same: 2^53 + 1
 * loses its last digit, 1.0 its zero, 1e400 everything, and a name like "7" its place.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** Name of the member that says whether the image is stored elsewhere. */
export const cachedField = "cached"
/** Name of the member that holds the facts. */
export const factsField = "terrace"
/** Name of the member that says where a content delivery network has the image. */
export const cdnField = "cdn_url"

/** What is known of the stored image: a copy of what its header says, for those who read records. */
export const Facts = Schema.Struct({
  /** Pixels. */
  width: Schema.Natural,
  height: Schema.Natural,
  /** Size of the stored image. */
  bytes: Schema.Natural,
  /** SHA-256 of the stored image, 64 lower-case hex digits. */
  digest: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/)),
  /** `content_type` in the record. */
  contentType: Schema.String
}).pipe(Schema.encodeKeys({ contentType: "content_type" }))
export type Facts = typeof Facts.Type

/** A member as it is written. */
export interface Source {
  readonly name: string
  /** JSON text, with its quotes. */
  readonly nameText: string
  /** JSON text. */
  readonly valueText: string
}

export interface Metadata {
  /** Values by name; of a name that occurs twice, the last. Numbers are doubles: `sources` has the exact ones. */
  readonly fields: Readonly<Record<string, unknown>>
  /** The members in their order. */
  readonly sources: ReadonlyArray<Source>
  /** Whether the record says that the image is stored elsewhere: `"cached": true`. */
  readonly isCached: boolean
  /** Absent in old records. */
  readonly facts: Facts | undefined
  /**
   * Absolute `http` or `https` URL of the image, in ASCII, as `Location` needs it; see `cdnUrlOf`. A `cdn_url` that is none
   * leads nowhere, and counts as absent.
   */
  readonly cdnUrl: string | undefined
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

const decodeFacts = Schema.decodeUnknownOption(Facts)
const encodeFacts = Schema.encodeSync(Facts)

export const make = (fields: Readonly<Record<string, unknown>>, sources: ReadonlyArray<Source>): Metadata => ({
  fields,
  sources,
  isCached: fields[cachedField] === true,
  facts: Option.getOrUndefined(decodeFacts(fields[factsField])),
  cdnUrl: cdnUrlOf(fields[cdnField])
})

/** Longest URL that is followed, in characters: what RFC 9110 §4.1 asks everyone to support. */
const maxUrlLength = 8_000

/**
 * The URL that a value of `cdn_url` stands for; undefined if it is none to send a browser to.
 *
 * Behavior:
 * - absolute, `http` or `https`, without user and password, at most 8,000 characters once it is in ASCII.
 * - `URL` drops line breaks and blanks at the ends; here they make it none.
 */
export const cdnUrlOf = (value: unknown): string | undefined => {
  const url =
    typeof value === "string" && value.length <= maxUrlLength && /^https?:\/\/[^\s\p{Cc}]+$/iu.test(value)
      ? URL.parse(value)
      : null
  return url !== null && url.username === "" && url.password === "" && url.href.length <= maxUrlLength
    ? url.href
    : undefined
}

/** A member that is written anew. */
export const source = (name: string, value: string | true | typeof Facts.Encoded): Source => ({
  name,
  nameText: JSON.stringify(name),
  valueText: JSON.stringify(value)
})

// -----------------------------------------------------------------------------
// Writing
// -----------------------------------------------------------------------------

/**
 * The members with `"cached": true` and the facts; all others stay as they are, in their place.
 *
 * A member `terrace` that holds facts is replaced. One that holds something else is not ours: it stays, and the facts,
 * which the header of the image has too, are left out.
 */
export const markCached = ({ sources, fields }: Metadata, facts: Facts): ReadonlyArray<Source> => {
  const isTaken = factsField in fields && Option.isNone(decodeFacts(fields[factsField]))
  const kept = sources
    .filter(({ name }) => name !== factsField || isTaken)
    .map((old) => (old.name === cachedField ? { ...old, valueText: "true" } : old))
  return [
    ...kept,
    ...(cachedField in fields ? [] : [source(cachedField, true)]),
    ...(isTaken ? [] : [source(factsField, encodeFacts(facts))])
  ]
}

/** One line of JSON, spaced as Python's `json.dumps` does. */
export const toText = (sources: ReadonlyArray<Source>): string =>
  `{${sources.map(({ nameText, valueText }) => `${nameText}: ${valueText}`).join(", ")}}`
