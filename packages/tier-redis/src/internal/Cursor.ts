/**
 * Positions in a scan, as text.
 *
 * Redis' cursors stand between pages, not between keys, and where the next page ends depends on what was written
 * meanwhile. So a position names the page by the cursor it began with, and what of it was listed: the last entry, and a
 * short hash of each group before it. Whoever goes on reads the page again and leaves that out. No order of Redis' own
 * is relied on.
 *
 * A cursor means nothing to another process of the server, which hashes keys in another way: `servers` tells them apart.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { hash } from "node:crypto"

export interface Cursor {
  /** Fingerprint of the processes that hold the keys, in order. */
  readonly servers: string
  /** Which of them is being read. */
  readonly server: number
  /** Redis' cursor with which the page began. */
  readonly page: string
  /** Fingerprints of the groups of the page that were listed whole, one after the other. */
  readonly listed: string
  /** Group and name of the last entry. */
  readonly group: string
  readonly name: string
}

const Encoded = Schema.fromJsonString(
  Schema.Tuple([
    Schema.String.check(Schema.isPattern(/^[\w-]{12}$/)),
    Schema.Natural,
    Schema.String.check(Schema.isPattern(/^\d{1,20}$/)),
    Schema.String.check(Schema.isPattern(/^([\w-]{8})*$/)),
    Schema.String,
    Schema.String
  ])
)

const decodeJson = Schema.decodeUnknownOption(Encoded)

/** Begins every cursor, and names its form. */
const mark = "r1."

export const encode = ({ group, listed, name, page, server, servers }: Cursor): string =>
  mark + Buffer.from(JSON.stringify([servers, server, page, listed, group, name])).toString("base64url")

/** None if the text is no cursor. */
export const decode = (text: string): Option.Option<Cursor> => {
  const body = text.slice(mark.length)
  if (!text.startsWith(mark) || !/^[\w-]+$/.test(body)) return Option.none()
  const json = Buffer.from(body, "base64url").toString()
  return Option.map(decodeJson(json), ([servers, server, page, listed, group, name]) => ({
    servers,
    server,
    page,
    listed,
    group,
    name
  }))
}

/** Of processes: 72 bits. */
export const serversOf = (ids: ReadonlyArray<string>): string => digest(ids.join(" "), 12)

/** Of a group: 48 bits, so that two of one page have the same one in some 10^-11 of all pages. */
export const fingerprint = (group: string): string => digest(group, 8)

const digest = (text: string, length: number): string => hash("sha256", text, "base64url").slice(0, length)

/** The fingerprints that `listed` is made of. */
export const fingerprintsOf = ({ listed }: Cursor): ReadonlySet<string> => new Set(listed.match(/.{8}/g))
