/**
 * Decodes base64 as it is found in old records: tolerant of how it was written down, strict about what it says.
 *
 * `Buffer.from` does the work at its own speed, but skips what is no digit, and takes U+0141 for `A`. So the length of
 * its answer is held against the length that it must have if the text is all digits but for regular line breaks: any
 * character that was skipped makes the answer shorter. Only if the lengths differ is the text looked at one by one.
 */
import * as Result from "effect/Result"
import { type Count, bitsOf, countDigits, countRegular, lengthOf } from "./internal/digits.ts"
import { InvalidBase64, type LegacyError, of, TooLarge } from "./LegacyError.ts"

/**
 * Decodes `text` to at most `maxBytes` bytes.
 *
 * Behavior:
 * - takes both alphabets of RFC 4648, even mixed: each digit means one thing only.
 * - ignores line breaks, spaces and tabs wherever they are.
 * - padding may be missing; if there is some, it is all there, and no digit comes after it.
 * - cuts off a prefix `data:<type>;…;base64,` (RFC 2397), in upper or lower case.
 * - fails with `InvalidBase64` for anything else: any other character, percent-encoding, no digits at all, a text that
 *   ends in the middle of a byte, bits in the last digit that belong to no byte (RFC 4648 §3.5).
 * - fails with `TooLarge` before anything is decoded.
 */
export const decode = (text: string, maxBytes: number): Result.Result<Uint8Array, LegacyError> => {
  const start = endOfPrefix(text)
  if (start === undefined) return invalid("not-base64-uri", 0)
  if (text.length - start > mostCharacters(maxBytes)) return tooLarge(maxBytes)

  const regular = countRegular(text, start)
  if (regular !== undefined && isDecidable(regular) && lengthOf(regular.digits) <= maxBytes && !isWide(text)) {
    const bytes = Buffer.from(text.slice(start), "base64")
    if (bytes.length === lengthOf(regular.digits)) return checked(text, regular, bytes)
  }

  const exact = countDigits(text, start)
  if (exact._tag === "Foreign") return invalid(exact.problem, exact.position)
  if (lengthOf(exact.digits) > maxBytes) return tooLarge(maxBytes)
  return checked(text, exact, Buffer.from(text.slice(start), "base64"))
}

/** Characters of a text that is no longer looked at: twice what the digits take. */
const mostCharacters = (maxBytes: number): number => 8 * Math.ceil(maxBytes / 3) + 1_024

/** One digit more than whole bytes take adds no byte: the length would not tell that one was skipped. */
const isDecidable = ({ digits }: Count): boolean => digits % 4 !== 1

/** Whether the table of `Buffer.from` could be wrong. Costs nothing in a string of one byte per character. */
const isWide = (text: string): boolean => /[\u0100-\uffff]/.test(text)

/** The bytes, if the text begins, ends and is padded as it must. */
const checked = (
  text: string,
  { digits, end, padding }: Count,
  bytes: Uint8Array
): Result.Result<Uint8Array, LegacyError> => {
  if (digits === 0) return invalid(padding === 0 ? "empty" : "padding", end)
  const rest = digits % 4
  if (rest === 1) return invalid("cut-off", end)
  if (padding > 0 && (rest === 0 || padding !== 4 - rest)) return invalid("padding", end)
  const stray = rest === 2 ? 0b1111 : rest === 3 ? 0b11 : 0
  if ((bitsOf(text.charCodeAt(end - 1)) & stray) !== 0) return invalid("stray-bits", end - 1)
  return Result.succeed(bytes)
}

/** Characters in which a prefix must end. */
const longestPrefix = 1_024

/** Where the digits begin: 0 without a prefix; undefined if there is one that does not end in `;base64,`. */
const endOfPrefix = (text: string): number | undefined => {
  const head = text.slice(0, longestPrefix)
  if (!/^[\t\n\r ]*data:/i.test(head)) return 0
  const mark = head.search(/;base64,/i)
  return mark === -1 ? undefined : mark + ";base64,".length
}

const tooLarge = (maxBytes: number): Result.Result<never, LegacyError> =>
  Result.fail(of(new TooLarge({ part: "image", maxBytes })))

const invalid = (problem: InvalidBase64["problem"], position: number): Result.Result<never, LegacyError> =>
  Result.fail(of(new InvalidBase64({ problem, position })))
