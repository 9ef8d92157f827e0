/**
 * What went wrong with one request, before an operation makes an error of the tier of it.
 */
import * as Trouble from "@terrace/core/TierError"
import * as Predicate from "effect/Predicate"

/** The server has answered with an error. */
export interface Refused {
  readonly _tag: "Refused"
  /** As S3 names it, for example `NoSuchKey`. Answers without a body, to HEAD, have only a status. */
  readonly code: string
  readonly status: number
  /** Region of the bucket, if the server named it. */
  readonly region: string | undefined
  readonly cause: Error
}

export type Failure =
  | Refused
  /** There are no credentials: nothing was sent. */
  | { readonly _tag: "NoCredentials"; readonly cause: Error }
  /** No answer, or not the whole of it. */
  | { readonly _tag: "Lost"; readonly cause: Error }
  /** No answer in time. */
  | { readonly _tag: "TimedOut"; readonly millis: number }
  /** The bytes are not those of the header. */
  | { readonly _tag: "Damaged"; readonly detail: string }
  /** Too many requests wait for their turn already: nothing was sent. */
  | { readonly _tag: "Busy" }

export const busy: Failure = { _tag: "Busy" }

/** Errors of S3: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html. */
const throttling = new Set([
  "SlowDown",
  "SlowDownRead",
  "SlowDownWrite",
  "ServiceUnavailable",
  "RequestLimitExceeded",
  "Throttling",
  "ThrottlingException",
  "TooManyRequests"
])
const full = new Set(["EntityTooLarge", "InsufficientStorage", "QuotaExceeded", "XMinioStorageFull"])
const damaged = new Set([
  "BadDigest",
  "InvalidDigest",
  "XAmzContentChecksumMismatch",
  "XAmzContentSHA256Mismatch",
  "ChecksumMismatch"
])
const unsupported = new Set(["NotImplemented", "MethodNotAllowed"])

/** What a rejected call of the SDK means, whose client gives up connecting after `connectMillis`. */
export const from = (thrown: unknown, connectMillis: number): Failure => {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown))
  const status = statusOf(error)
  if (status !== undefined) {
    const code = Predicate.hasProperty(error, "Code") && typeof error.Code === "string" ? error.Code : error.name
    return { _tag: "Refused", code, status, region: regionOf(error), cause: described(error, code, status) }
  }
  if (error.name === "CredentialsProviderError" || error.name === "TokenProviderError") {
    return { _tag: "NoCredentials", cause: error }
  }
  // The SDK gives this name to lost connections too, which have the errno of the system.
  if (error.name === "TimeoutError" && !Predicate.hasProperty(error, "code")) {
    return { _tag: "TimedOut", millis: connectMillis }
  }
  return { _tag: "Lost", cause: error.message === "" ? unnamed(error) : error }
}

/** The reason of a `TierError`. */
export const reasonOf = (failure: Failure): Trouble.Reason => {
  switch (failure._tag) {
    case "Refused":
      return refusalOf(failure)
    case "NoCredentials":
      return new Trouble.Denied({ cause: failure.cause })
    case "Lost":
      return new Trouble.Unavailable({ cause: failure.cause })
    case "TimedOut":
      return new Trouble.TimedOut({ millis: failure.millis })
    case "Damaged":
      return new Trouble.Corrupt({ detail: failure.detail })
    case "Busy":
      return new Trouble.Throttled({ cause: new Error("too many requests wait for their turn; nothing was sent") })
  }
}

/**
 * Everything that says that nothing was done must be a reason that says so too (`isUnknownOutcome`): the server has
 * refused each request that it answers with 4xx.
 */
const refusalOf = ({ cause, code, status }: Refused): Trouble.Reason => {
  if (throttling.has(code) || status === 429) return new Trouble.Throttled({ cause })
  if (full.has(code) || status === 507) return new Trouble.NoSpace({ detail: cause.message })
  if (damaged.has(code)) return new Trouble.Corrupt({ detail: cause.message })
  if (unsupported.has(code) || status === 501) return new Trouble.Unsupported({ capability: cause.message })
  // The socket was idle for too long, an upload was aborted by somebody else, or a request came twice at once.
  if (code === "RequestTimeout" || code === "NoSuchUpload" || status === 408) return new Trouble.Unavailable({ cause })
  if (status === 409 || status === 412) return new Trouble.Throttled({ cause })
  // A 503 without a code of S3 comes from what stands in between, which does not say what became of the request.
  return status >= 500 ? new Trouble.Unavailable({ cause }) : new Trouble.Denied({ cause })
}

export const isCode = (failure: Failure, ...codes: ReadonlyArray<string>): boolean =>
  failure._tag === "Refused" && codes.includes(failure.code)

export const isStatus = (failure: Failure, ...statuses: ReadonlyArray<number>): boolean =>
  failure._tag === "Refused" && statuses.includes(failure.status)

/** The connection was closed before there was an answer. */
export const isBroken = (failure: Failure): boolean =>
  failure._tag === "Lost" &&
  Predicate.hasProperty(failure.cause, "code") &&
  (failure.cause.code === "ECONNRESET" || failure.cause.code === "EPIPE")

const statusOf = (error: Error): number | undefined => {
  const metadata = Predicate.hasProperty(error, "$metadata") ? error.$metadata : undefined
  return Predicate.hasProperty(metadata, "httpStatusCode") && typeof metadata.httpStatusCode === "number"
    ? metadata.httpStatusCode
    : undefined
}

const regionOf = (error: Error): string | undefined => {
  if (Predicate.hasProperty(error, "Region") && typeof error.Region === "string") return error.Region
  const response = Predicate.hasProperty(error, "$response") ? error.$response : undefined
  const headers = Predicate.hasProperty(response, "headers") ? response.headers : undefined
  const region = Predicate.hasProperty(headers, "x-amz-bucket-region") ? headers["x-amz-bucket-region"] : undefined
  return typeof region === "string" ? region : undefined
}

/** An error whose message says in one line all that an operator needs; the SDK's own is its cause. */
const described = (error: Error, code: string, status: number): Error => {
  const region = regionOf(error)
  const [line = ""] = error.message.split("\n")
  const isTelling = line !== "" && line !== "UnknownError" && line !== code
  const inRegion = region === undefined ? "" : `; the bucket is in the region ${region}`
  const text = `${code} (HTTP ${status})${isTelling ? `: ${line}` : ""}${inRegion}`
  return Object.assign(new Error(text, { cause: error }), { code, status })
}

/** Node's error for a host name of which no address answers has no message. */
const unnamed = (error: Error): Error => {
  const code = Predicate.hasProperty(error, "code") ? String(error.code) : error.name
  return Object.assign(new Error(code, { cause: error }), { code })
}
