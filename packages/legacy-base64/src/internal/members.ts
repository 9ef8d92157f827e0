/**
 * Finds the members of a JSON object in its bytes, without making a value of any.
 *
 * A record is megabytes of base64 and a few hundred bytes of everything else. Taken apart here, the base64 becomes a text
 * in one copy, the rest is parsed alone, and what is written back is, byte for byte, what was there. Whether names and
 * values are JSON is for `JSON.parse` to say, which is given all of them; the walk only has to find where they end, and
 * does so for any bytes in linear time.
 */
import * as Result from "effect/Result"
import { InvalidJson, NotAnObject, type Reason, TooDeep, TooLarge } from "../LegacyError.ts"

/** A member, and where its value is. */
export interface Member {
  readonly name: string
  /** The name as it is written, with its quotes. */
  readonly nameText: string
  readonly valueStart: number
  readonly valueEnd: number
}

export interface Limits {
  /** Bytes of all but the payload. */
  readonly maxBytes: number
  /** Levels of arrays and objects in each other, the outermost included. */
  readonly maxDepth: number
  /** Name of the members whose values, if they are strings, do not count. */
  readonly payload: string
}

/** The members in their order; a name may occur more than once. */
export const membersOf = (bytes: Buffer, limits: Limits): Result.Result<ReadonlyArray<Member>, Reason> => {
  const members: Array<Member> = []
  /** Where the bytes that are allowed end; every payload that is passed moves it. */
  let bound = limits.maxBytes
  let position = afterSpace(bytes, 0)
  if (bytes[position] !== openBrace) return Result.fail(notAnObject(bytes, position))
  position = afterSpace(bytes, position + 1)
  if (bytes[position] === closeBrace) return ending(bytes, position, members)
  for (;;) {
    const nameStart = position
    const nameEnd = bytes[nameStart] === quote ? endOfString(bytes, nameStart) : nameStart
    if (nameEnd > bound) return tooLarge(limits)
    const nameText = bytes.toString("utf8", nameStart, nameEnd)
    const name = nameOf(nameText)
    const colon = afterSpace(bytes, nameEnd)
    if (name === undefined || bytes[colon] !== 0x3a) return notJson(bytes, name === undefined ? nameStart : colon)

    const valueStart = afterSpace(bytes, colon + 1)
    const isPayload = name === limits.payload && bytes[valueStart] === quote
    const value = isPayload
      ? { end: endOfString(bytes, valueStart), depth: 0 }
      : endOfValue(bytes, valueStart, bound, limits.maxDepth - 1)
    if (value.depth >= limits.maxDepth) return Result.fail(new TooDeep({ maxDepth: limits.maxDepth }))
    if (isPayload) bound += value.end - valueStart
    if (value.end > bound) return tooLarge(limits)
    members.push({ name, nameText, valueStart, valueEnd: value.end })

    position = afterSpace(bytes, value.end)
    if (bytes[position] === closeBrace) return ending(bytes, position, members)
    if (bytes[position] !== comma) return notJson(bytes, position)
    position = afterSpace(bytes, position + 1)
  }
}

const quote = 0x22
const comma = 0x2c
const backslash = 0x5c
const openBrace = 0x7b
const closeBrace = 0x7d

const isSpace = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09

const afterSpace = (bytes: Buffer, start: number): number => {
  let position = start
  while (isSpace(bytes[position])) position++
  return position
}

/** Behind the closing quote of the string that begins at `start`; behind all bytes if there is none. */
const endOfString = (bytes: Buffer, start: number): number => {
  const end = bytes.indexOf(quote, start + 1)
  if (end === -1) return bytes.length
  if (bytes[end - 1] !== backslash) return end + 1
  for (let position = start + 1; position < bytes.length; position++) {
    const byte = bytes[position]
    if (byte === backslash) position++
    else if (byte === quote) return position + 1
  }
  return bytes.length
}

interface Extent {
  /** Behind the value. */
  readonly end: number
  /** Levels of arrays and objects in it. */
  readonly depth: number
}

/** The value that begins at `start`; gives up past `bound` and past `maxDepth`. */
const endOfValue = (bytes: Buffer, start: number, bound: number, maxDepth: number): Extent => {
  const first = bytes[start]
  if (first === quote) return { end: endOfString(bytes, start), depth: 0 }
  if (isOpening(first)) return endOfNested(bytes, start, bound, maxDepth)
  let end = start
  while (end < bytes.length && bytes[end] !== comma && !isClosing(bytes[end]) && !isSpace(bytes[end])) end++
  return { end, depth: 0 }
}

/** Counts brackets of both kinds alike: whether they match is seen when the value is parsed. */
const endOfNested = (bytes: Buffer, start: number, bound: number, maxDepth: number): Extent => {
  let open = 0
  let depth = 0
  let position = start
  do {
    const byte = bytes[position]
    if (isOpening(byte)) depth = Math.max(depth, ++open)
    else if (isClosing(byte)) open--
    position = byte === quote ? endOfString(bytes, position) : position + 1
  } while (open > 0 && position < bytes.length && position <= bound && depth <= maxDepth)
  return { end: position, depth }
}

const isOpening = (byte: number | undefined): boolean => byte === openBrace || byte === 0x5b
const isClosing = (byte: number | undefined): boolean => byte === closeBrace || byte === 0x5d

/** Undefined if it is no string. */
const nameOf = (source: string): string | undefined => {
  try {
    const name: unknown = JSON.parse(source)
    return typeof name === "string" ? name : undefined
  } catch {
    return undefined
  }
}

const ending = (
  bytes: Buffer,
  brace: number,
  members: ReadonlyArray<Member>
): Result.Result<ReadonlyArray<Member>, Reason> => {
  const end = afterSpace(bytes, brace + 1)
  return end < bytes.length ? notJson(bytes, end) : Result.succeed(members)
}

const tooLarge = ({ maxBytes }: Limits): Result.Result<never, Reason> =>
  Result.fail(new TooLarge({ part: "fields", maxBytes }))

const notJson = (bytes: Buffer, position: number): Result.Result<never, Reason> =>
  Result.fail(invalidAt(bytes, position))

/** What is wrong where JSON goes on otherwise than it must. */
export const invalidAt = (bytes: Buffer, position: number): InvalidJson =>
  new InvalidJson({ problem: position >= bytes.length ? "ends too early" : `is not JSON at byte ${position}` })

const notAnObject = (bytes: Buffer, position: number): Reason => {
  if (bytes[position] === 0x5b) return new NotAnObject({ found: "an array" })
  if (bytes[position] === quote) return new NotAnObject({ found: "a text" })
  const scalar = bytes.toString("latin1", position, position + longestScalar).trimEnd()
  if (/^(true|false)$/.test(scalar)) return new NotAnObject({ found: "a boolean" })
  if (scalar === "null") return new NotAnObject({ found: "null" })
  if (/^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(scalar)) return new NotAnObject({ found: "a number" })
  return invalidAt(bytes, position)
}

const longestScalar = 64
