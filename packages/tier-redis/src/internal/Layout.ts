/**
 * How blobs lie in Redis: one hash per group, `<prefix>:b:{<group>}`, with two fields per blob.
 *
 * - `h:<name>`: `1 <generation> <expiresAt or -> <size> <digest> ` and the encoded header. What stands before the header
 *   is for the scripts, which cannot read every JSON.
 * - `p:<name>`: the bytes.
 *
 * Redis evicts a key as a whole, so a blob never loses its header or its bytes alone, and a group that was evicted has
 * left nothing behind that a removal would miss. The braces keep all that has to do with one group in one slot of a
 * cluster.
 */
import * as Header from "@terrace/core/Header"
import * as Key from "@terrace/core/Key"
import * as Option from "effect/Option"

/** Braces would gather all groups in one slot. */
const prefixPattern = /^[A-Za-z0-9:._-]{1,64}$/

/** Throws a `RangeError` if keys cannot begin so. */
export const checkPrefix = (prefix: string): void => {
  if (prefixPattern.test(prefix)) return
  const given = JSON.stringify(prefix.slice(0, 80))
  throw new RangeError(
    `prefix is ${given}: expected 1 to 64 letters, digits, ":", ".", "_" or "-", for example "terrace"`
  )
}

export const groupKey = (prefix: string, group: string): string => `${prefix}:b:{${group}}`

/** The group of a key; undefined if that is no key of a group. */
export const groupOf = (prefix: string, key: string): string | undefined => {
  const before = `${prefix}:b:{`
  if (!key.startsWith(before) || !key.endsWith("}")) return undefined
  const group = key.slice(before.length, -1)
  return Key.isGroup(group) ? group : undefined
}

export const headerField = (name: string): string => `h:${name}`
export const payloadField = (name: string): string => `p:${name}`

/** What the scripts read of a header. */
const facts = ({ digest, expiresAt, generation, size }: Header.Header): string =>
  `1 ${generation} ${expiresAt ?? "-"} ${size} ${digest} `

/** Value of the header's field. */
export const headerValue = (header: Header.Header, encoded: string): string => facts(header) + encoded

/** The header of this key in the value of a field; undefined if it is damaged. */
export const headerOf = (key: Key.Key, value: string): Header.Header | undefined => {
  const json = value.indexOf("{")
  const header = json === -1 ? undefined : Option.getOrUndefined(Header.decode(value.slice(json)))
  return header?.key.text === key.text && value.slice(0, json) === facts(header) ? header : undefined
}

/** How much longer than its blob a field stays, in milliseconds: clocks of clients and servers differ. */
export const graceMillis = 60_000

/** Times that are further away than this are left to the header: some versions of Redis refuse them. */
const furthestMillis = 100 * 366 * 86_400_000

/** After how many milliseconds Redis may forget a blob; 0: never. Exactly when it expires, its header says. */
export const lifetime = (expiresAt: number | undefined, now: number): number => {
  if (expiresAt === undefined || expiresAt - now > furthestMillis) return 0
  return Math.max(1, Math.ceil(expiresAt - now)) + graceMillis
}
