/**
 * Lists entries by group, then by name, in the order of their UTF-16 code units: an order that does not depend on how
 * the entries came. The cursor of an entry is the text of its key.
 */
import * as Header from "@terrace/core/Header"
import type { Entry as Listed, ScanOptions } from "@terrace/core/Tier"
import type { Entries } from "./Entries.ts"

/**
 * Walks the entries that are there and not past `expiresAt` at `unixMillis`.
 *
 * The names of the groups are sorted when the walk begins (O(n log n) for n groups), those of a group when the walk comes
 * to it; a group that comes later is not listed.
 */
export function* listing(entries: Entries, options: ScanOptions | undefined, unixMillis: number): Generator<Listed> {
  const { groupPrefix = "", after } = options ?? {}
  const [afterGroup = "", afterName = ""] = after === undefined ? [] : after.split("/", 2)
  const groups = [...entries.groupNames()].filter((group) => group.startsWith(groupPrefix) && group >= afterGroup)
  for (const group of groups.sort(ascending)) {
    const members = [...entries.members(group)].sort((left, right) =>
      ascending(left.header.key.name, right.header.key.name)
    )
    for (const { header } of members) {
      if (group === afterGroup && header.key.name <= afterName) continue
      if (!Header.isExpired(header, unixMillis)) yield { key: header.key, size: header.size, cursor: header.key.text }
    }
  }
}

const ascending = (left: string, right: string): number => (left < right ? -1 : left > right ? 1 : 0)
