/**
 * The text of a record: what an old record says, and the one that takes its place once its image is stored elsewhere.
 *
 * A record is a JSON object. Old ones hold the image as base64 in `base64_data`; what is left when that is taken out is the
 * metadata. All other members are kept as they are written: their order, escapes, numbers of any size.
 */
import * as Result from "effect/Result"
import { isAscii, isUtf8 } from "node:buffer"
import { invalidAt, type Member, membersOf } from "./internal/members.ts"
import { InvalidField, InvalidJson, InvalidUtf8, type LegacyError, of, type Reason } from "./LegacyError.ts"
import * as Metadata from "./Metadata.ts"

/** Name of the member that holds the image. */
export const imageField = "base64_data"

/** Largest record without its image, in bytes: what is parsed must stay small, whatever somebody has written. */
export const maxFieldBytes = 1_048_576

/** Levels of arrays and objects in each other; far above what old records have, far below what exhausts a stack. */
export const maxDepth = 100

export interface LegacyRecord {
  /** The text of `base64_data`; undefined: the field is absent, null or empty, and the record is metadata only. */
  readonly base64: string | undefined
  readonly metadata: Metadata.Metadata
}

/**
 * Takes the bytes of a record apart. The base64 is not looked at: see `Base64.decode`.
 *
 * Behavior:
 * - fails for bytes that are not UTF-8, or not a JSON object as RFC 8259 has it: no byte order mark, no `NaN`.
 *   A control character in `base64_data` may be left for `Base64.decode` to refuse.
 * - of a field that occurs twice, the last one counts, as in Python and JavaScript.
 * - fails with `InvalidField` if `base64_data` is neither text nor null.
 * - fails with `TooLarge` and `TooDeep` before a value is made of what is too large or too deep.
 * - keeps nothing of `bytes` alive.
 */
export const parse = (bytes: Uint8Array): Result.Result<LegacyRecord, LegacyError> =>
  Result.mapError(parseBuffer(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)), of)

/**
 * The text of the record that takes the place of an old one: its metadata with `"cached": true` and the facts, and without
 * `base64_data`.
 *
 * Behavior:
 * - every other member stays exactly as it is written. `cached` keeps its place and loses its value.
 * - the facts are one member, `terrace`, so that they meet no old field. One that was written by this function is replaced;
 *   if an old record has something else under that name, it stays, and the facts are left out.
 * - the same metadata and facts give the same text. Less than 200 bytes beside the old fields.
 * - throws for facts that are none, such as a negative width.
 */
export const compacted = (metadata: Metadata.Metadata, facts: Metadata.Facts): string =>
  Metadata.toText(Metadata.markCached(metadata, facts))

const byteOrderMark = Buffer.from("\ufeff")
const limits = { maxBytes: maxFieldBytes, maxDepth, payload: imageField }

const parseBuffer = (bytes: Buffer): Result.Result<LegacyRecord, Reason> =>
  Result.gen(function* () {
    if (!isUtf8(bytes)) return yield* Result.fail(new InvalidUtf8())
    if (bytes.subarray(0, byteOrderMark.length).equals(byteOrderMark)) {
      return yield* Result.fail(new InvalidJson({ problem: "begins with a byte order mark" }))
    }
    let image: unknown
    const sources: Array<Metadata.Source> = []
    const fields: Array<readonly [name: string, value: unknown]> = []
    for (const member of yield* membersOf(bytes, limits)) {
      const { name, nameText, valueEnd, valueStart } = member
      const value = yield* valueOf(bytes, member)
      if (name === imageField) {
        image = value
        continue
      }
      fields.push([name, value])
      sources.push({ name, nameText, valueText: bytes.toString("utf8", valueStart, valueEnd) })
    }
    // Unlike an assignment, this makes a field of `__proto__` too.
    const metadata = Metadata.make(Object.fromEntries(fields), sources)
    if (image === undefined || image === null || image === "") return { base64: undefined, metadata }
    if (typeof image === "string") return { base64: image, metadata }
    return yield* Result.fail(new InvalidField({ field: imageField, found: kindOf(image), expected: imageExpected }))
  })

const imageExpected = `base64 text or null, for example "iVBORw0KGgo="`

const kindOf = (value: unknown): string =>
  Array.isArray(value) ? "an array" : typeof value === "object" ? "an object" : `a ${typeof value}`

/** What `JSON.parse` makes of it; base64 without escapes, as almost all is, needs no parsing: a quarter of the time. */
const valueOf = (bytes: Buffer, { name, valueEnd, valueStart }: Member): Result.Result<unknown, Reason> => {
  const value = bytes.subarray(valueStart, valueEnd)
  if (name === imageField && isPlainText(value)) return Result.succeed(value.toString("latin1", 1, value.length - 1))
  return Result.try({
    try: (): unknown => JSON.parse(value.toString("utf8")),
    catch: () => invalidAt(bytes, valueStart)
  })
}

/**
 * Whether the text is what stands between its quotes. Of the characters that JSON wants escaped, only those are looked
 * for that `Base64.decode` would take for blanks; it refuses the others.
 */
const isPlainText = (value: Buffer): boolean =>
  value.length > 1 &&
  value[0] === 0x22 &&
  value.at(-1) === 0x22 &&
  isAscii(value) &&
  !["\\", "\n", "\r", "\t"].some((character) => value.includes(character))
