/**
 * The entries of a memory tier: a map by key, the members of each group, and a ring in order of use.
 *
 * The ring is doubly linked through the entries, with one node that is no entry between the most and the least recently
 * used, so that finding, touching, adding, dropping and choosing a victim are O(1) whatever the number of entries. (A
 * `Map` in order of insertion is not: V8 leaves holes where entries were deleted, and finding the oldest walks them.)
 * A group whose last member leaves is forgotten, so the maps never hold more than the entries do.
 */
import type { Header } from "@terrace/core/Header"
import type * as Key from "@terrace/core/Key"
import type { Read, ReadHeader } from "@terrace/core/Tier"

interface Links {
  newer: Links
  older: Links
}

export interface Entry extends Links {
  readonly header: Header
  /** The ready answers of `get` and `head`. */
  readonly read: Read
  readonly readHeader: ReadHeader
  /** What the entry counts against the budget, in bytes. */
  readonly charge: number
}

export class Entries {
  /** Sum of the charges, in bytes. */
  bytes = 0
  /** Number of entries. */
  count = 0

  private readonly byKey = new Map<string, Entry>()
  private readonly groups = new Map<string, Set<Entry>>()
  private readonly ring: Links

  constructor() {
    const ring = {} as Links
    ring.newer = ring
    ring.older = ring
    this.ring = ring
  }

  find(key: Key.Key): Entry | undefined {
    return this.byKey.get(key.text)
  }

  /** Makes the entry the most recently used. */
  touch(entry: Entry): void {
    if (this.ring.older === entry) return
    unlink(entry)
    this.linkAsNewest(entry)
  }

  /** Adds an entry as the most recently used; its key must not be there. */
  add(parts: Pick<Entry, "header" | "read" | "readHeader" | "charge">): void {
    const { group, text } = parts.header.key
    const entry: Entry = { ...parts, newer: this.ring, older: this.ring }
    this.linkAsNewest(entry)
    this.byKey.set(text, entry)
    const members = this.groups.get(group)
    if (members === undefined) this.groups.set(group, new Set([entry]))
    else members.add(entry)
    this.bytes += entry.charge
    this.count++
  }

  drop(entry: Entry): void {
    const { group, text } = entry.header.key
    unlink(entry)
    this.byKey.delete(text)
    const members = this.groups.get(group)
    members?.delete(entry)
    if (members?.size === 0) this.groups.delete(group)
    this.bytes -= entry.charge
    this.count--
  }

  /** The least recently used entry. */
  oldest(): Entry | undefined {
    return this.ring.newer === this.ring ? undefined : (this.ring.newer as Entry)
  }

  /** The entries of a group; dropping them while iterating is allowed. */
  members(group: string): Iterable<Entry> {
    return this.groups.get(group) ?? []
  }

  /** Names of the groups, in no order. */
  groupNames(): Iterable<string> {
    return this.groups.keys()
  }

  private linkAsNewest(entry: Entry): void {
    const { ring } = this
    entry.older = ring.older
    entry.newer = ring
    ring.older.newer = entry
    ring.older = entry
  }
}

const unlink = (entry: Entry): void => {
  entry.older.newer = entry.newer
  entry.newer.older = entry.older
}
