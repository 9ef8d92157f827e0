/**
 * A blob as an HTTP response: validators, preconditions, ranges, caching.
 */
import type { Blob } from "@terrace/core/Blob"
import type * as Body from "@terrace/core/Body"
import type { Header } from "@terrace/core/Header"
import type { Trail } from "@terrace/core/Trail"
import type { TierError } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ByteRange from "./ByteRange.ts"
import { cacheStatus, serverTiming } from "./CacheStatus.ts"
import * as Conditional from "./Conditional.ts"
import type { Destination } from "./Delivery.ts"
import * as Problem from "./Problem.ts"

export interface Representation {
  readonly blob: Blob
  readonly trail: Trail
  /** Value of `Cache-Control`. */
  readonly cacheControl: string
}

/** Sent with every response: the bytes are what they say, and no document. */
export const securityHeaders: Readonly<Record<string, string>> = {
  "x-content-type-options": "nosniff",
  "content-security-policy": "default-src 'none'; sandbox"
}

export type Responder = (
  request: HttpServerRequest,
  representation: Representation
) => Effect.Effect<HttpServerResponse.HttpServerResponse, Problem.Problem | TierError, Scope.Scope>

/**
 * Answers `GET` and `HEAD`; `policy` are headers that every answer carries.
 *
 * Behavior:
 * - 200 or 206 with the bytes, 304 without, or the problems `precondition-failed` and `range-not-satisfiable`.
 * - a streamed body is opened before anything is sent, so that one that is gone fails with `Gone` in time to look again.
 */
export const responder = (policy: Readonly<Record<string, string>>): Responder => {
  // A blob in memory is answered many times with the same trail; its headers are then worded once.
  const worded = new WeakMap<Blob, Worded>()

  const wordedFor = ({ blob, cacheControl, trail }: Representation): Worded => {
    const known = worded.get(blob)
    if (known !== undefined && known.trail === trail && known.cacheControl === cacheControl) return known
    const made = wordHeaders(blob, trail, cacheControl, policy)
    worded.set(blob, made)
    return made
  }

  return (request, representation) => {
    const { blob } = representation
    const { current, headers, whole } = wordedFor(representation)
    const outcome = Conditional.evaluate(request.headers, current)
    if (outcome === "not-modified") return Effect.succeed(HttpServerResponse.empty({ status: 304, headers }))
    if (outcome === "failed") return Effect.fail(Problem.of("precondition-failed", "the image is not the expected one"))
    const { size } = blob.header
    const range = ByteRange.evaluate(request.method, request.headers, size, current)
    switch (range._tag) {
      case "Unsatisfiable":
        return Effect.fail(
          Problem.of("range-not-satisfiable", `the image has ${size} bytes`, { "content-range": range.contentRange })
        )
      case "Partial":
        return withBody(blob, { status: 206, headers: { ...headers, "content-range": range.contentRange } }, range)
      case "Whole":
        return whole ?? withBody(blob, { status: 200, headers }, undefined)
    }
  }
}

interface Worded {
  readonly trail: Trail
  readonly cacheControl: string
  readonly current: Conditional.Validators
  readonly headers: Readonly<Record<string, string>>
  /** The whole answer, if the bytes are at hand. */
  readonly whole: Effect.Effect<HttpServerResponse.HttpServerResponse> | undefined
}

const wordHeaders = (
  { body, header }: Blob,
  trail: Trail,
  cacheControl: string,
  policy: Readonly<Record<string, string>>
): Worded => {
  const { current, headers } = wordFacts({ header, trail, cacheControl }, policy)
  const whole =
    body._tag === "Inline"
      ? Effect.succeed(HttpServerResponse.uint8Array(body.bytes, { headers, contentType: header.contentType }))
      : undefined
  return { trail, cacheControl, current, headers, whole }
}

/** What is known of a representation without its bytes. */
interface Facts extends Pick<Representation, "trail" | "cacheControl"> {
  readonly header: Header
}

const wordFacts = ({ cacheControl, header, trail }: Facts, policy: Readonly<Record<string, string>>) => {
  const current: Conditional.Validators = { etag: Conditional.etag(header.digest), lastModified: header.createdAt }
  const headers: Record<string, string> = {
    ...policy,
    "cache-control": cacheControl,
    etag: current.etag,
    "last-modified": Conditional.lastModified(header.createdAt),
    "accept-ranges": "bytes"
  }
  const status = cacheStatus(trail)
  if (status !== undefined) headers["cache-status"] = status
  const timing = serverTiming(trail)
  if (timing !== undefined) headers["server-timing"] = timing
  return { current, headers }
}

/** The 304 for a client that has what is current, as its conditions say; undefined: it needs the bytes. */
export const notModified = (
  request: HttpServerRequest,
  facts: Facts,
  policy: Readonly<Record<string, string>>
): HttpServerResponse.HttpServerResponse | undefined => {
  const { current, headers } = wordFacts(facts, policy)
  return Conditional.evaluate(request.headers, current) === "not-modified"
    ? HttpServerResponse.empty({ status: 304, headers })
    : undefined
}

/**
 * Sends a client to where the bytes are. It carries no validators: a client that has kept it would ask whether it is still
 * good, be told that the image is unchanged, and follow a signature that has ended.
 */
export const redirect = (
  { maxAge, url }: Pick<Destination, "maxAge" | "url">,
  policy: Readonly<Record<string, string>>
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.redirect(url, {
    status: 302,
    headers: { ...policy, "cache-control": `private, max-age=${maxAge}`, "content-length": "0" }
  })

const withBody = (
  { body, header }: Blob,
  options: { readonly status: number; readonly headers: Readonly<Record<string, string>> },
  range: Body.Range | undefined
): Effect.Effect<HttpServerResponse.HttpServerResponse, TierError, Scope.Scope> => {
  const { contentType } = header
  if (body._tag === "Inline") {
    const bytes = range === undefined ? body.bytes : body.bytes.subarray(range.start, range.end)
    return Effect.succeed(HttpServerResponse.uint8Array(bytes, { ...options, contentType }))
  }
  const contentLength = range === undefined ? body.size : range.end - range.start
  return Effect.map(opened(body.open(range)), (stream) =>
    HttpServerResponse.stream(stream, { ...options, contentType, contentLength })
  )
}

/** Pulls the first bytes now; the rest when the response is sent. */
const opened = (
  stream: Stream.Stream<Uint8Array, TierError>
): Effect.Effect<Stream.Stream<Uint8Array, TierError>, TierError, Scope.Scope> =>
  Effect.flatMap(Stream.toPull(stream), (pull) =>
    Pull.matchEffect(pull, {
      onSuccess: (first) =>
        Effect.succeed(Stream.concat(Stream.fromIterable(first), Stream.fromPull(Effect.succeed(pull)))),
      onFailure: Effect.failCause,
      onDone: () => Effect.succeed(Stream.empty)
    })
  )
