/**
 * Conditional requests: RFC 9110 §13, evaluated in the order of §13.2.2.
 *
 * `evaluate` is for `GET` and `HEAD`, `evaluateWrite` for `PUT`, `POST` and `DELETE`. Both ask what the headers say about the
 * state that the caller saw; for a write the caller also learns what must still hold when the store takes it, so that
 * two clients with the same precondition cannot both succeed.
 *
 * Runs on every request: linear in the length of the headers, without allocation.
 */
import * as DateTime from "effect/DateTime"
import * as Headers from "effect/http/Headers"
import * as Result from "effect/Result"

/** Request headers by lower-case name. */
export type RequestHeaders = Readonly<Record<string, string | undefined>>

/** What identifies the representation that is there now. */
export interface Validators {
  /** Strong entity tag with its quotes; see `etag`. */
  readonly etag: string
  /** Unix milliseconds of the last change; absent: conditions on dates are not evaluated. */
  readonly lastModified?: number | undefined
}

/** `proceed`: answer as if unconditional. `not-modified`: 304. `failed`: 412. */
export type Outcome = "proceed" | "not-modified" | "failed"

export type WriteDecision =
  | {
      readonly _tag: "Proceed"
      /**
       * What must hold when the store takes the write: that nothing is there, or that it is still what was evaluated. If the
       * store answers that it is not, evaluate again with what is there then. Undefined: no condition.
       */
      readonly expectation: "absent" | "current" | undefined
    }
  /** 412. */
  | { readonly _tag: "Failed" }

/** The strong entity tag of bytes with this digest (64 hex digits): `"<digest>"`, RFC 9110 §8.8.3. */
export const etag = (digest: string): string => `"${digest}"`

/** `Last-Modified` for Unix milliseconds, in whole seconds: `Sun, 06 Nov 1994 08:49:37 GMT`, RFC 9110 §8.8.2. */
export const lastModified = (unixMillis: number): string => Headers.formatHttpDate(DateTime.makeUnsafe(unixMillis))

/**
 * Evaluates the preconditions of a `GET` or `HEAD` whose answer would otherwise be 200.
 *
 * Behavior:
 * - `If-Match` compares strongly, so `W/` tags never match; without it, `If-Unmodified-Since` counts.
 * - `If-None-Match` compares weakly, `*` matches; without it, `If-Modified-Since` counts.
 * - a date that cannot be read is as if it were not there; in a list of tags, what follows a malformed one is not read.
 */
export const evaluate = (headers: RequestHeaders, current: Validators): Outcome => {
  const ifMatch = headers["if-match"]
  if (ifMatch !== undefined) {
    if (search(ifMatch, current.etag, "strong") !== "match") return "failed"
  } else if (isModifiedSince(headers["if-unmodified-since"], current) === true) {
    return "failed"
  }
  const ifNoneMatch = headers["if-none-match"]
  if (ifNoneMatch !== undefined) {
    return search(ifNoneMatch, current.etag, "weak") === "match" ? "not-modified" : "proceed"
  }
  return isModifiedSince(headers["if-modified-since"], current) === false ? "not-modified" : "proceed"
}

/**
 * Evaluates the preconditions of a write against what is there now (undefined: nothing).
 *
 * Behavior:
 * - `If-Match: "a", "b"` needs one of them to be there, `If-Match: *` anything; without it, `If-Unmodified-Since` counts.
 * - `If-None-Match: *` needs nothing to be there, `If-None-Match: "a"` anything else.
 * - a malformed list of tags fails: the client asked for protection, and what it asked for cannot be known.
 */
export const evaluateWrite = (headers: RequestHeaders, current: Validators | undefined): WriteDecision => {
  const ifMatch = headers["if-match"]
  const ifUnmodifiedSince = headers["if-unmodified-since"]
  const ifNoneMatch = headers["if-none-match"]
  let expectation: "absent" | "current" | undefined

  if (ifMatch !== undefined) {
    if (current === undefined || search(ifMatch, current.etag, "strong") !== "match") return failed
    expectation = "current"
  } else if (ifUnmodifiedSince !== undefined && current !== undefined) {
    const modified = isModifiedSince(ifUnmodifiedSince, current)
    if (modified === true) return failed
    if (modified === false) expectation = "current"
  }
  if (ifNoneMatch !== undefined) {
    if (search(ifNoneMatch, current?.etag ?? noTag, "weak", current !== undefined) !== "no-match") return failed
    expectation = current === undefined ? "absent" : "current"
  }
  return expectation === undefined ? unconditional : expectation === "absent" ? ifAbsent : ifCurrent
}

/** Whether a write is wanted whatever is stored. */
export const isUnconditional = (headers: RequestHeaders): boolean =>
  headers["if-match"] === undefined &&
  headers["if-none-match"] === undefined &&
  headers["if-unmodified-since"] === undefined

const failed: WriteDecision = { _tag: "Failed" }
const unconditional: WriteDecision = { _tag: "Proceed", expectation: undefined }
const ifAbsent: WriteDecision = { _tag: "Proceed", expectation: "absent" }
const ifCurrent: WriteDecision = { _tag: "Proceed", expectation: "current" }

/** Undefined if there is nothing to compare: no readable date, or no date of the last change. */
const isModifiedSince = (since: string | undefined, current: Validators): boolean | undefined => {
  if (since === undefined || current.lastModified === undefined) return undefined
  const date = Headers.parseHttpDate(since)
  // HTTP dates have whole seconds.
  return Result.isFailure(date)
    ? undefined
    : Math.floor(current.lastModified / 1000) * 1000 > DateTime.toEpochMillis(date.success)
}

// -----------------------------------------------------------------------------
// Lists of entity tags
// -----------------------------------------------------------------------------

/** Stands for "nothing is there": equal to no tag, since tags have quotes. */
const noTag = "-"

/**
 * Looks for `tag` in `*` or `1#entity-tag` (RFC 9110 §8.8.3). A tag may hold commas, so the list is walked from quote to quote.
 * Tags after the first match are not read.
 */
const search = (
  list: string,
  tag: string,
  comparison: "strong" | "weak",
  exists = true
): "match" | "no-match" | "malformed" => {
  if (list === tag) return "match"
  if (list.trim() === "*") return exists ? "match" : "no-match"
  let position = 0
  let seen = false
  let afterTag = false
  while (position < list.length) {
    const code = list.charCodeAt(position)
    if (code === space || code === tab) {
      position++
    } else if (code === comma) {
      afterTag = false
      position++
    } else {
      const isWeak = code === upperW && list.charCodeAt(position + 1) === slash
      const open = isWeak ? position + 2 : position
      if (afterTag || list.charCodeAt(open) !== quote) return "malformed"
      const close = list.indexOf('"', open + 1)
      if (close === -1) return "malformed"
      const isSame = close + 1 - open === tag.length && list.startsWith(tag, open)
      if (isSame && !(isWeak && comparison === "strong")) return "match"
      seen = true
      afterTag = true
      position = close + 1
    }
  }
  return seen ? "no-match" : "malformed"
}

const tab = 0x09
const space = 0x20
const quote = 0x22
const comma = 0x2c
const slash = 0x2f
const upperW = 0x57
