/**
 * The header of a blob as metadata of its object: one entry, `x-amz-meta-terrace`, in ASCII.
 *
 * User metadata has 2 KB, names included: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html.
 */
import * as Header from "@terrace/core/Header"
import type * as Key from "@terrace/core/Key"
import * as Option from "effect/Option"

const entry = "terrace"
/** For the value: 2,048 bytes without the name. */
const maxValueBytes = 2_048 - entry.length

/**
 * The metadata for an encoded header; undefined if it does not fit. Signatures fold runs of spaces, and Amazon decodes
 * `=?…?=` as RFC 2047 does, so neither is written: both can only stand in a text of the JSON, where `\u` says the same.
 */
export const encode = (encodedHeader: string): Record<string, string> | undefined => {
  const value = encodedHeader.replace(/ (?= )/g, "\\u0020").replaceAll("=?", "=\\u003f")
  return value.length > maxValueBytes ? undefined : { [entry]: value }
}

/** The header in the metadata of the object of `key`; undefined if this tier has not written it. */
export const decode = (key: Key.Key, metadata: Record<string, string> | undefined): Header.Header | undefined => {
  const value = metadata?.[entry]
  const header = value === undefined ? undefined : Option.getOrUndefined(Header.decode(value))
  return header?.key.text === key.text ? header : undefined
}

/** What other clients see as the object's type. Ours read the header, which may hold what HTTP cannot. */
export const contentType = (header: Header.Header): string =>
  /^[\w.+-]{1,100}\/[\w.+-]{1,100}(;[\x20-\x7e]{1,200})?$/.test(header.contentType)
    ? header.contentType
    : "application/octet-stream"
