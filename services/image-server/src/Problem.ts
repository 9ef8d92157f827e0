/**
 * What clients see of errors: RFC 9457 problem details, one stable `type` each.
 *
 * The single place where domain errors become statuses. `docs/problems.md` lists the same types; a test compares them.
 * Causes never leave the server: an internal error carries only the request id, under which the log has the rest.
 */
import type {
  ChainUnavailable,
  Conflict,
  Contended,
  DraftExpired,
  ProducerTimedOut,
  Refused
} from "@terrace/core/ChainError"
import * as Trail from "@terrace/core/Trail"
import type { HeaderTooLarge } from "@terrace/core/Header"
import type { TierError } from "@terrace/core/TierError"
import type { PresignError } from "@terrace/tier-s3/Presign"
import type { ImageError } from "@terrace/image/ImageError"
import * as Schema from "effect/Schema"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { catalogName } from "./Catalog.ts"
import type { InvalidId, InvalidQuery } from "./ImageUrl.ts"
import type { UnusableRecord } from "./LegacyOrigin.ts"
import type { InvalidUpload, UploadTooLarge } from "./Upload.ts"

interface Kind {
  readonly status: number
  readonly title: string
  /** Seconds after which trying again may help. */
  readonly retryAfter?: number
}

/** Every problem type, by the last part of its URI. */
export const kinds = {
  "invalid-id": { status: 400, title: "The image id is not valid" },
  "invalid-parameter": { status: 400, title: "A query parameter is not valid" },
  "invalid-upload": { status: 400, title: "The upload is not valid" },
  "bad-request": { status: 400, title: "The request is not HTTP as it should be" },
  unauthorized: { status: 401, title: "A token is needed" },
  forbidden: { status: 403, title: "Not allowed from here" },
  "not-found": { status: 404, title: "There is no such resource" },
  "image-not-found": { status: 404, title: "There is no such image" },
  "image-not-stored": { status: 404, title: "The catalog knows the image, but it is stored nowhere" },
  "not-in-bucket": { status: 409, title: "The image is not in the bucket now" },
  "method-not-allowed": { status: 405, title: "The resource does not take this method" },
  "precondition-failed": { status: 412, title: "The stored image is not the expected one" },
  "request-timed-out": { status: 408, title: "The request did not arrive in time" },
  "too-large": { status: 413, title: "The upload is too large" },
  "unsupported-type": { status: 415, title: "The type of the upload is not accepted" },
  "range-not-satisfiable": { status: 416, title: "The range lies behind the end" },
  undecodable: { status: 422, title: "The image cannot be decoded" },
  "too-many-pixels": { status: 422, title: "The image has too many pixels" },
  "too-much-work": { status: 422, title: "The image takes too long to process" },
  "headers-too-large": { status: 431, title: "The header section is too large" },
  busy: { status: 429, title: "The server is busy", retryAfter: 1 },
  internal: { status: 500, title: "The server has a fault" },
  "unusable-record": { status: 500, title: "The old record of the image cannot be used" },
  damaged: { status: 500, title: "The stored image is damaged" },
  "no-bucket": { status: 501, title: "The server keeps these images in no bucket" },
  unavailable: { status: 503, title: "A backend is not available", retryAfter: 5 },
  "timed-out": { status: 504, title: "The image was not ready in time", retryAfter: 5 },
  "no-space": { status: 507, title: "There is no space left for images" }
} as const satisfies Record<string, Kind>

export type ProblemType = keyof typeof kinds

/** URI of a problem type. */
export const uri = (type: ProblemType): string => `urn:terrace:problem:${type}`

/** An error that already knows what the client may see. */
export class Problem extends Schema.TaggedError<Problem>("@terrace/image-server/Problem")("Problem", {
  type: Schema.Literals(Object.keys(kinds) as ReadonlyArray<ProblemType>),
  /** One sentence for a person: what is wrong, what is expected. */
  detail: Schema.String,
  /** Further response headers, for example `Allow`; they come before those of the type. */
  headers: Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
}) {
  override get message(): string {
    return `${this.type}: ${this.detail}`
  }
}

/** Everything that a route may fail with. */
export type RouteError =
  | Problem
  | InvalidId
  | InvalidQuery
  | InvalidUpload
  | UploadTooLarge
  | ImageError
  | ChainUnavailable
  | ProducerTimedOut
  | DraftExpired
  | Conflict
  | Refused
  | Contended
  | HeaderTooLarge
  | TierError
  | PresignError
  | UnusableRecord

/** What the client sees of an error. */
export const fromError = (error: RouteError): Problem => {
  switch (error._tag) {
    case "Problem":
      return error
    case "InvalidId":
      return of("invalid-id", error.message)
    case "InvalidQuery":
      return of("invalid-parameter", error.message)
    case "InvalidUpload":
      return of("invalid-upload", error.message)
    case "UploadTooLarge":
      return of("too-large", error.message)
    case "HeaderTooLarge":
      return of(
        "invalid-upload",
        "the attributes take too much room: expected their names and values to take at most about 900 bytes together, where a character outside ASCII takes six"
      )
    case "Conflict":
      return of("precondition-failed", "the stored image is not the one that the request expects")
    case "Contended":
      return of("unavailable", "other writers of this image were faster; nothing was stored")
    case "Refused":
      return of("no-space", "the store does not take an image of this size")
    case "ProducerTimedOut":
    case "DraftExpired":
      return of("timed-out", "the image was not ready in time")
    case "ChainUnavailable":
      if (error.tiers.some(({ why }) => why === "busy")) {
        return of("busy", "too many images are being read at the same time: try again later")
      }
      return error.tiers.some(({ why }) => why === "Corrupt")
        ? of("damaged", "the only copy of the image is damaged, and is not served")
        : of("unavailable", "whether the image exists cannot be learned now")
    case "TierError":
      return fromTierError(error)
    case "PresignError":
      return of("unavailable", "no URL can be signed now")
    case "ImageError":
      return fromImageError(error)
    case "UnusableRecord":
      return of("unusable-record", error.detail)
  }
}

const fromTierError = ({ reason, tier }: TierError): Problem => {
  if (tier === catalogName) return of("unavailable", "the record of the image cannot be reached now")
  switch (reason._tag) {
    case "BadCursor":
      return of(
        "invalid-parameter",
        `query parameter "after" is none that this server gave: expected "next" of an earlier answer`
      )
    case "NoSpace":
      return of("no-space", "the store is full; nothing was changed")
    case "BreakerOpen":
      return of(
        "unavailable",
        "the store has failed too often and is not asked for a while",
        reason.retryAfterMillis === undefined ? undefined : { "retry-after": seconds(reason.retryAfterMillis) }
      )
    case "Unavailable":
    case "TimedOut":
    case "Throttled":
    case "Denied":
    case "Corrupt":
    case "Gone":
    case "Unsupported":
    case "Unknown":
      return of("unavailable", "the store cannot do this now")
  }
}

/** A value of `Retry-After`, in whole seconds: not before the time is over. */
const seconds = (millis: number): string => String(Math.max(1, Math.ceil(millis / 1_000)))

const fromImageError = ({ reason }: ImageError): Problem => {
  switch (reason._tag) {
    case "UnsupportedType":
      return of("unsupported-type", reason.message)
    case "Undecodable":
      return of("undecodable", reason.message)
    case "TooManyPixels":
      return of("too-many-pixels", reason.message)
    case "InvalidPreset":
      return of("invalid-parameter", reason.message)
    case "TimedOut":
      return of("too-much-work", reason.message)
    case "Busy":
      return of("busy", reason.message)
  }
}

export const of = (type: ProblemType, detail: string, headers?: Readonly<Record<string, string>>): Problem =>
  new Problem(headers === undefined ? { type, detail } : { type, detail, headers })

/** There is no image of this id; `trail` says whether a record of it is left. */
export const imageNotFound = (id: string, trail: Trail.Trail): Problem =>
  Trail.isLetGo(trail)
    ? of("image-not-stored", `there is a record of ${id}, but its image is not stored any more`)
    : of("image-not-found", `there is no image ${id}`)

/** The response of a problem: `application/problem+json`, never cached but for a second where nothing was found. */
export const toResponse = (problem: Problem, requestId: string): HttpServerResponse.HttpServerResponse => {
  const { retryAfter, status, title }: Kind = kinds[problem.type]
  return HttpServerResponse.jsonUnsafe(
    { type: uri(problem.type), status, title, detail: problem.detail, requestId },
    {
      status,
      contentType: "application/problem+json",
      headers: {
        "cache-control": status === 404 && problem.type !== "not-found" ? "public, max-age=1" : "no-store",
        "x-request-id": requestId,
        ...(retryAfter === undefined ? {} : { "retry-after": String(retryAfter) }),
        ...problem.headers
      }
    }
  )
}
