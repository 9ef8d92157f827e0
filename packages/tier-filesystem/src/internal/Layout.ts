/**
 * Names inside a root directory.
 *
 * ```
 * <root>/<2 hex>/<2 hex>/<group>~<name>   a blob; the shard is the hash of the group, so a group has one directory
 * <root>/<2 hex>/<2 hex>/.tmp-<writer>-…  a write that is under way, or that its writer left when it died
 * <root>/quarantine/                      damaged files, for a person to look at
 * <root>/usage.json                       what the blobs take, so that a start need not count them
 * <root>/lock                             the one writer of a store
 * ```
 *
 * A group has no `~`, so the first one ends it. The longest name has 249 bytes of the 255 that file systems allow. Any
 * other name is foreign and left alone.
 */
import * as Key from "@terrace/core/Key"
import { hash } from "node:crypto"
import * as Path from "node:path"

/** Two directory names below the root, 2 hex digits each. */
export interface Shard {
  readonly outer: string
  readonly inner: string
}

const hexPair = /^[0-9a-f]{2}$/
const temporaryPrefix = ".tmp-"
const longestName = 255

export const shardOf = (group: string): Shard => {
  const digest = hash("sha256", group, "hex")
  return { outer: digest.slice(0, 2), inner: digest.slice(2, 4) }
}

/** Whether `name` names a shard directory, outer or inner. */
export const isShardName = (name: string): boolean => hexPair.test(name)

/** Every name that an outer shard directory can have, in order. */
export const outerNames: ReadonlyArray<string> = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, "0")
)

export const outerPath = (root: string, outer: string): string => Path.join(root, outer)
export const shardPath = (root: string, shard: Shard): string => Path.join(root, shard.outer, shard.inner)
export const lockPath = (root: string): string => Path.join(root, "lock")
export const usagePath = (root: string): string => Path.join(root, "usage.json")
export const quarantinePath = (root: string): string => Path.join(root, "quarantine")

export const groupPrefix = (group: string): string => `${group}~`
export const fileName = (key: Key.Key): string => groupPrefix(key.group) + key.name

/** The key whose blob `name` in `shard` would hold; undefined for a foreign name, or one that lies in a wrong place. */
export const keyOf = (shard: Shard, name: string): Key.Key | undefined => {
  const tilde = name.indexOf("~")
  if (tilde === -1) return undefined
  const key = Key.make(name.slice(0, tilde), name.slice(tilde + 1))
  if (key._tag === "Failure") return undefined
  const home = shardOf(key.success.group)
  return home.outer === shard.outer && home.inner === shard.inner ? key.success : undefined
}

/** Name of a temporary file; `nonce` is new for every call, since two writers of one name would tear each other. */
export const temporaryName = (writer: string, nonce: string): string => `${temporaryPrefix}${writer}-${nonce}`
export const isTemporary = (name: string): boolean => name.startsWith(temporaryPrefix)
export const isTemporaryOf = (writer: string, name: string): boolean => name.startsWith(`${temporaryPrefix}${writer}-`)

/** Name of a file in the quarantine: when it came there, something unique, and what it was called. */
export const quarantineName = (unixMillis: number, nonce: string, name: string): string =>
  `${unixMillis}-${nonce}-${name}`.slice(0, longestName)

/** When a file came into the quarantine, in Unix milliseconds; undefined for a foreign name. */
export const quarantinedAt = (name: string): number | undefined => {
  const digits = /^(\d{1,15})-/.exec(name)?.[1]
  return digits === undefined ? undefined : Number(digits)
}
