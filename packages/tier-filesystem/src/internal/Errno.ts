/**
 * From errors of the file system to the reasons of a `TierError`.
 *
 * Effect's own tags fold ENOSPC, EMFILE, EROFS and most others into `Unknown`; the errno is kept in the cause.
 */
import * as TierError from "@terrace/core/TierError"
import type { PlatformError } from "effect/PlatformError"
import * as Predicate from "effect/Predicate"

/** The errno's name, for example "ENOSPC"; undefined if the error carries none. */
export const codeOf = (error: PlatformError): string | undefined => {
  const { cause } = error.reason
  return Predicate.hasProperty(cause, "code") && Predicate.isString(cause.code) ? cause.code : undefined
}

/** There is no such file: no name, or a part of its path is no directory. */
export const isAbsent = (error: PlatformError): boolean => {
  const code = codeOf(error)
  return code === "ENOENT" || code === "ENOTDIR" || (code === undefined && error.reason._tag === "NotFound")
}

export const isExisting = (error: PlatformError): boolean =>
  codeOf(error) === "EEXIST" || error.reason._tag === "AlreadyExists"

const full = new Set(["ENOSPC", "EDQUOT"])
const denied = new Set(["EACCES", "EPERM", "EROFS"])
const unavailable = new Set([
  "EAGAIN",
  "EBUSY",
  "EHOSTDOWN",
  "EIO",
  "EMFILE",
  "ENFILE",
  "ENODEV",
  "ENOENT",
  "ENOMEM",
  "ENOTCONN",
  "ENXIO",
  "ESTALE",
  "ETIMEDOUT"
])

export const isFull = (error: PlatformError): boolean => full.has(codeOf(error) ?? "")
export const isDenied = (error: PlatformError): boolean =>
  denied.has(codeOf(error) ?? "") || error.reason._tag === "PermissionDenied"

/** The reason for a failed call. A missing file is trouble here: who expects it asks `isAbsent` before. */
export const reasonOf = (error: PlatformError): TierError.Reason => {
  const code = codeOf(error) ?? ""
  const cause = error.reason.cause ?? error
  if (full.has(code)) return new TierError.NoSpace({ detail: `${code}: the device or the quota is used up` })
  if (isDenied(error)) return new TierError.Denied({ cause })
  if (unavailable.has(code)) return new TierError.Unavailable({ cause })
  return new TierError.Unknown({ cause })
}
