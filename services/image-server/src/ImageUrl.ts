/**
 * Attacker-controlled request targets end here.
 *
 * Takes the request target as it came (`/images/hero?preset=thumb`, not decoded) and answers values that are safe to use:
 * an id of the group grammar, and parameters that were all understood. The path and each parameter are decoded exactly
 * once, and everything is checked after that decoding, so no second decoding can bring a `/` or `..` back. Nothing is
 * ignored: an unknown, repeated or empty parameter is an error that names it.
 *
 * Targets are those of RFC 9112 §3.2.1 (origin-form); percent-encoding is RFC 3986 §2.1; in parameters `+` is a space, as
 * HTML forms write it. All functions take linear time and never throw.
 */
import * as Key from "@terrace/core/Key"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

/** What `GET /images/:id` asks for. */
export interface ImageRequest {
  readonly id: string
  /** Name of a preset; its grammar is checked, whether there is such a preset is not. */
  readonly preset: string | undefined
  /** Version that the client expects: the first 16 hex digits of the master's digest. */
  readonly version: string | undefined
}

/** What `GET /explain/images/:id` asks for. */
export type ExplainRequest = Pick<ImageRequest, "id" | "preset">

/** What `GET /images/:id/presigned` asks for. */
export interface PresignRequest extends Pick<ImageRequest, "id" | "preset"> {
  /** The method that the URL is to be good for. */
  readonly method: "GET" | "HEAD"
  /** Seconds that the URL is to be good for; undefined: as the server is set. */
  readonly expires: number | undefined
}

/** What `GET /images` asks for. */
export interface ListRequest {
  /** Beginning of the ids to list; absent: all. */
  readonly prefix: string | undefined
  /** Opaque position to go on after. */
  readonly after: string | undefined
  /** Most ids in one answer, 1 to `maxListLimit`. */
  readonly limit: number
}

/** Ids in one answer of a list unless `limit` says otherwise. */
export const defaultListLimit = 100
/** Largest `limit`. */
export const maxListLimit = 1_000
/** Largest `expires`, in seconds: a signature lasts 7 days. */
export const maxExpires = 604_800
/** Longest `after`, in characters. */
export const maxCursorLength = 512

/** The path names no image. Status 400. */
export class InvalidId extends Schema.TaggedError<InvalidId>("@terrace/image-server/ImageUrl/InvalidId")("InvalidId", {
  /** The id as it came, shortened. */
  value: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `image id ${JSON.stringify(this.value)} ${this.problem}: expected 1 to 200 letters, digits, ".", "_" or "-", beginning with a letter or digit, for example "hero_recycle-01"`
  }
}

/** A parameter that is not understood. Status 400. */
export class InvalidQuery extends Schema.TaggedError<InvalidQuery>("@terrace/image-server/ImageUrl/InvalidQuery")(
  "InvalidQuery",
  {
    /** The parameter as it came, shortened. */
    parameter: Schema.String,
    problem: Schema.String,
    expected: Schema.String
  }
) {
  override get message(): string {
    return `query parameter ${JSON.stringify(this.parameter)} ${this.problem}: expected ${this.expected}`
  }
}

// -----------------------------------------------------------------------------
// Routes
// -----------------------------------------------------------------------------

/** Reads the target of `GET` and `HEAD /images/:id`: parameters `preset` and `v`. */
export const parseImage = (target: string): Result.Result<ImageRequest, InvalidId | InvalidQuery> => {
  // A bare `/images/hero` is most of the traffic; the grammar has neither "?" nor "%".
  const plain = target.startsWith(imagesPrefix) ? target.slice(imagesPrefix.length) : ""
  if (Key.isGroup(plain)) return Result.succeed({ id: plain, preset: undefined, version: undefined })
  const id = idOf(pathOf(target), imagesPrefix)
  if (Result.isFailure(id)) return Result.fail(id.failure)
  return Result.map(parametersOf(target, imageParameters), (given) => ({
    id: id.success,
    preset: given.get("preset"),
    version: given.get("v")
  }))
}

/** Reads the target of `GET /explain/images/:id`: parameter `preset`. */
export const parseExplain = (target: string): Result.Result<ExplainRequest, InvalidId | InvalidQuery> => {
  const id = idOf(pathOf(target), explainPrefix)
  if (Result.isFailure(id)) return Result.fail(id.failure)
  return Result.map(parametersOf(target, explainParameters), (given) => ({
    id: id.success,
    preset: given.get("preset")
  }))
}

/**
 * Reads the id of a target that takes no parameters: `/images/:id` for `PUT` and `DELETE`, and `/images/:id/metadata` with
 * the suffix `"/metadata"`.
 */
export const parseId = (target: string, suffix = ""): Result.Result<string, InvalidId | InvalidQuery> => {
  const id = idOf(pathOf(target), imagesPrefix, suffix)
  return Result.isFailure(id) ? id : Result.map(parametersOf(target, noParameters), () => id.success)
}

/** Reads the target of `GET /images/:id/presigned`: parameters `preset`, `method` and `expires`. */
export const parsePresign = (target: string): Result.Result<PresignRequest, InvalidId | InvalidQuery> => {
  const id = idOf(pathOf(target), imagesPrefix, "/presigned")
  if (Result.isFailure(id)) return Result.fail(id.failure)
  return Result.map(parametersOf(target, presignParameters), (given) => {
    const expires = given.get("expires")
    return {
      id: id.success,
      preset: given.get("preset"),
      method: given.get("method") === "HEAD" ? "HEAD" : "GET",
      expires: expires === undefined ? undefined : Number(expires)
    }
  })
}

/** Reads the target of `GET /images`: parameters `prefix`, `after` and `limit`. */
export const parseList = (target: string): Result.Result<ListRequest, InvalidQuery> =>
  Result.map(parametersOf(target, listParameters), (given) => {
    const limit = given.get("limit")
    return {
      prefix: given.get("prefix"),
      after: given.get("after"),
      limit: limit === undefined ? defaultListLimit : Number(limit)
    }
  })

/** Checks that a target, for example that of `POST /images`, has no parameters. */
export const parseBare = (target: string): Result.Result<void, InvalidQuery> =>
  Result.map(parametersOf(target, noParameters), () => undefined)

/** The preset of this name. */
export const presetOf = <A>(presets: ReadonlyMap<string, A>, name: string): Result.Result<A, InvalidQuery> => {
  const preset = presets.get(name)
  return preset === undefined ? Result.fail(unknownPreset(name, presets.keys())) : Result.succeed(preset)
}

/** The error for a preset that is well formed but not configured. */
export const unknownPreset = (preset: string, known: Iterable<string>): InvalidQuery =>
  new InvalidQuery({
    parameter: "preset",
    problem: `is ${shown(preset)}`,
    expected: `one of ${Array.from(known, (name) => JSON.stringify(name)).join(", ")}`
  })

// -----------------------------------------------------------------------------
// Path
// -----------------------------------------------------------------------------

const imagesPrefix = "/images/"
const explainPrefix = "/explain/images/"

/** Longest id in its longest spelling: 200 characters, each percent-encoded. */
const maxEncodedId = 600

const pathOf = (target: string): string => {
  const question = target.indexOf("?")
  return question === -1 ? target : target.slice(0, question)
}

const idOf = (path: string, prefix: string, suffix = ""): Result.Result<string, InvalidId> => {
  if (!path.startsWith(prefix) || !path.endsWith(suffix) || path.length < prefix.length + suffix.length) {
    return invalidId(path, `is not in the place of <id> in ${prefix}<id>${suffix}`)
  }
  const encoded = path.slice(prefix.length, path.length - suffix.length)
  if (encoded.length > maxEncodedId) return invalidId(encoded, `is ${encoded.length} characters long`)
  const id = decodeOnce(encoded)
  if (id === undefined) return invalidId(encoded, "has malformed percent-encoding")
  return Key.isGroup(id) ? Result.succeed(id) : invalidId(encoded, problemOfId(id))
}

const problemOfId = (id: string): string => {
  if (id === "") return "is empty"
  const position = id.search(/[^A-Za-z0-9._-]/)
  if (position !== -1) return `contains ${JSON.stringify(String.fromCodePoint(id.codePointAt(position) ?? 0))}`
  if (!/^[A-Za-z0-9]/.test(id)) return `begins with ${JSON.stringify(id.charAt(0))}`
  return `is ${id.length} characters long`
}

const invalidId = (value: string, problem: string): Result.Result<never, InvalidId> =>
  Result.fail(new InvalidId({ value: shorten(value), problem }))

// -----------------------------------------------------------------------------
// Parameters
// -----------------------------------------------------------------------------

interface Parameter {
  readonly expected: string
  readonly accepts: (value: string) => boolean
}
type Parameters = ReadonlyMap<string, Parameter>

const noParameters: Parameters = new Map()

const presetParameter: readonly [name: string, Parameter] = [
  "preset",
  {
    expected: `the name of a preset, 1 to 48 lower-case letters, digits, "_" or "-", for example "thumb"`,
    accepts: (value) => /^[a-z0-9][a-z0-9_-]{0,47}$/.test(value)
  }
]

const explainParameters: Parameters = new Map([presetParameter])

const imageParameters: Parameters = new Map([
  presetParameter,
  [
    "v",
    {
      expected: `16 lower-case hex digits, the first of the image's digest, for example "9f86d081884c7d65"`,
      accepts: (value) => /^[0-9a-f]{16}$/.test(value)
    }
  ]
])

const presignParameters: Parameters = new Map([
  presetParameter,
  ["method", { expected: "GET or HEAD", accepts: (value) => value === "GET" || value === "HEAD" }],
  [
    "expires",
    {
      expected: `whole seconds from 1 to ${maxExpires}, for example "300"`,
      accepts: (value) => /^[1-9][0-9]{0,5}$/.test(value) && Number(value) <= maxExpires
    }
  ]
])

const listParameters: Parameters = new Map([
  ["prefix", { expected: `the beginning of an image id, for example "hero_"`, accepts: Key.isGroup }],
  [
    "after",
    {
      expected: `the position that an earlier answer gave, at most ${maxCursorLength} characters`,
      accepts: (value) => value.length <= maxCursorLength
    }
  ],
  [
    "limit",
    {
      expected: `a whole number from 1 to ${maxListLimit}, for example "100"`,
      accepts: (value) => /^[1-9][0-9]{0,3}$/.test(value) && Number(value) <= maxListLimit
    }
  ]
])

const none: ReadonlyMap<string, string> = new Map()

const parametersOf = (target: string, known: Parameters): Result.Result<ReadonlyMap<string, string>, InvalidQuery> => {
  const question = target.indexOf("?")
  if (question === -1 || question === target.length - 1) return Result.succeed(none)
  const given = new Map<string, string>()
  for (let start = question + 1; start <= target.length;) {
    const ampersand = target.indexOf("&", start)
    const end = ampersand === -1 ? target.length : ampersand
    const equals = target.indexOf("=", start)
    const nameEnd = equals === -1 || equals > end ? end : equals
    const rawName = target.slice(start, nameEnd)
    const name = decodeParameter(rawName)
    const parameter = name === undefined ? undefined : known.get(name)
    if (name === undefined || parameter === undefined) {
      return invalidQuery(rawName, "is not known here", knownNames(known))
    }
    if (given.has(name)) return invalidQuery(name, "is given twice", `it once; ${parameter.expected}`)
    const rawValue = target.slice(Math.min(nameEnd + 1, end), end)
    const value = decodeParameter(rawValue)
    if (value === undefined) {
      return invalidQuery(name, `is ${shown(rawValue)}, malformed percent-encoding`, parameter.expected)
    }
    if (value === "") return invalidQuery(name, "has no value", parameter.expected)
    if (!parameter.accepts(value)) return invalidQuery(name, `is ${shown(value)}`, parameter.expected)
    given.set(name, value)
    start = end + 1
  }
  return Result.succeed(given)
}

const knownNames = (known: Parameters): string =>
  known.size === 0
    ? "no query parameters"
    : `only ${Array.from(known.keys(), (name) => JSON.stringify(name)).join(", ")}`

const invalidQuery = (parameter: string, problem: string, expected: string): Result.Result<never, InvalidQuery> =>
  Result.fail(new InvalidQuery({ parameter: shorten(parameter), problem, expected }))

// -----------------------------------------------------------------------------
// Text
// -----------------------------------------------------------------------------

const decodeParameter = (text: string): string | undefined =>
  decodeOnce(text.includes("+") ? text.replaceAll("+", " ") : text)

/** Undefined if an escape is cut short, is not hex, or the bytes are not UTF-8. */
const decodeOnce = (text: string): string | undefined => {
  if (!text.includes("%")) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

const shorten = (text: string): string => (text.length > 60 ? `${text.slice(0, 60)}…` : text)

const shown = (text: string): string => JSON.stringify(shorten(text))
