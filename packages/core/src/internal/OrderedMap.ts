/**
 * A map in the order in which entries were set, which finds its oldest entry in O(1).
 *
 * Idea. The entries are linked in a ring, with one node that is no entry between the newest and the oldest. A `Map` has an
 * order too, but no cheap beginning: V8 leaves a hole where an entry was deleted, a fresh iterator walks all of them, and
 * one that is kept holds on to every table that the map has outgrown meanwhile.
 */
interface Links {
  newer: Links
  older: Links
}

export interface Entry<out K, out V> {
  readonly key: K
  readonly value: V
}

interface Linked<K, V> extends Links, Entry<K, V> {
  value: V
}

export class OrderedMap<K, V> {
  private readonly byKey = new Map<K, Linked<K, V>>()
  private readonly ring: Links

  constructor() {
    const ring = {} as Links
    ring.newer = ring
    ring.older = ring
    this.ring = ring
  }

  get size(): number {
    return this.byKey.size
  }

  get(key: K): V | undefined {
    return this.byKey.get(key)?.value
  }

  /** Sets an entry and makes it the newest. */
  set(key: K, value: V): void {
    const present = this.byKey.get(key)
    if (present !== undefined) {
      present.value = value
      unlink(present)
      this.link(present)
      return
    }
    const entry: Linked<K, V> = { key, value, newer: this.ring, older: this.ring }
    this.link(entry)
    this.byKey.set(key, entry)
  }

  delete(key: K): boolean {
    const entry = this.byKey.get(key)
    if (entry === undefined) return false
    unlink(entry)
    return this.byKey.delete(key)
  }

  clear(): void {
    this.byKey.clear()
    this.ring.newer = this.ring
    this.ring.older = this.ring
  }

  /** The entry that was set longest ago. */
  oldest(): Entry<K, V> | undefined {
    const { newer } = this.ring
    return newer === this.ring ? undefined : (newer as Linked<K, V>)
  }

  /** From the oldest to the newest; the one at hand may be deleted. */
  *[Symbol.iterator](): Generator<Entry<K, V>> {
    for (let at = this.ring.newer; at !== this.ring;) {
      const { newer } = at
      yield at as Linked<K, V>
      at = newer
    }
  }

  private link(entry: Links): void {
    const { ring } = this
    entry.older = ring.older
    entry.newer = ring
    ring.older.newer = entry
    ring.older = entry
  }
}

const unlink = (entry: Links): void => {
  entry.older.newer = entry.newer
  entry.newer.older = entry.older
}
