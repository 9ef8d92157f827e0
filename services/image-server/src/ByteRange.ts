/**
 * Range requests: RFC 9110 §14 and `If-Range` of §13.1.5.
 *
 * One byte range is served; anything else that a client may write is answered with the whole representation, which
 * §14.2 always allows: other units, several ranges (a multipart answer is an amplifier and no image client needs it), and
 * text that is no range at all. Only a well-formed range that lies behind the end is 416.
 */
import * as DateTime from "effect/DateTime"
import * as Headers from "effect/http/Headers"
import * as Result from "effect/Result"
import type { RequestHeaders, Validators } from "./Conditional.ts"

export type ByteRange =
  /** 200 with all bytes. */
  | { readonly _tag: "Whole" }
  /** 206 with the bytes from `start` up to but not including `end`, as `Body.Range` has it. */
  | { readonly _tag: "Partial"; readonly start: number; readonly end: number; readonly contentRange: string }
  /** 416; `contentRange` tells the size. */
  | { readonly _tag: "Unsatisfiable"; readonly contentRange: string }

/**
 * What to send of a representation of `size` bytes.
 *
 * Behavior:
 * - `Range` counts for `GET` only (§14.2), and only if `If-Range`, where given, names what is there now.
 * - evaluate the preconditions first: a 304 or 412 has no range.
 */
export const evaluate = (method: string, headers: RequestHeaders, size: number, current: Validators): ByteRange => {
  const range = headers["range"]
  if (range === undefined || method !== "GET") return whole
  const ifRange = headers["if-range"]
  return ifRange === undefined || isCurrent(ifRange, current) ? parse(range, size) : whole
}

/**
 * Reads a `Range` header for a representation of `size` bytes.
 *
 * Behavior:
 * - `bytes=0-99`, `bytes=100-` and `bytes=-100` (the last 100) are partial; an end behind the last byte is clamped to it.
 * - a first position at or behind `size`, and a suffix of no bytes, are unsatisfiable.
 * - a suffix of an empty representation is all of it: `Content-Range` cannot express no bytes.
 */
export const parse = (range: string, size: number): ByteRange => {
  if (!isBytesUnit(range)) return whole
  const dash = range.indexOf("-", unit.length)
  if (dash === -1) return whole
  const first = number(range, unit.length, dash)
  const last = number(range, dash + 1, range.length)
  if (first === undefined || last === undefined) return whole
  if (first === "empty") {
    if (last === "empty") return whole
    if (last === 0) return unsatisfiable(size)
    return size === 0 ? whole : partial(Math.max(0, size - last), size, size)
  }
  if (last !== "empty" && last < first) return whole
  if (first >= size) return unsatisfiable(size)
  return partial(first, last === "empty" ? size : Math.min(last + 1, size), size)
}

/**
 * Whether an `If-Range` value names what is there now, by the strong comparison that §13.1.5 asks for: the same strong tag, or
 * exactly the date of `Last-Modified`. A `W/` tag never does.
 */
export const isCurrent = (ifRange: string, current: Validators): boolean => {
  const value = ifRange.trim()
  if (value.startsWith('"') || value.startsWith("W/")) return value === current.etag
  if (current.lastModified === undefined) return false
  const date = Headers.parseHttpDate(value)
  return (
    Result.isSuccess(date) && DateTime.toEpochMillis(date.success) === Math.floor(current.lastModified / 1000) * 1000
  )
}

const unit = "bytes="

/** Names of units are case-insensitive (§14.1). */
const isBytesUnit = (range: string): boolean =>
  range.startsWith(unit) || range.slice(0, unit.length).toLowerCase() === unit

const whole: ByteRange = { _tag: "Whole" }

const partial = (start: number, end: number, size: number): ByteRange => ({
  _tag: "Partial",
  start,
  end,
  contentRange: `bytes ${start}-${end - 1}/${size}`
})

const unsatisfiable = (size: number): ByteRange => ({ _tag: "Unsatisfiable", contentRange: `bytes */${size}` })

/** Digits and nothing else; a number too large to be exact counts as the largest exact one. */
const number = (text: string, start: number, end: number): number | "empty" | undefined => {
  if (start === end) return "empty"
  let value = 0
  for (let position = start; position < end; position++) {
    const digit = text.charCodeAt(position) - 0x30
    if (digit < 0 || digit > 9) return undefined
    value = Math.min(value * 10 + digit, Number.MAX_SAFE_INTEGER)
  }
  return value
}
