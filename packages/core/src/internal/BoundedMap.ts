/**
 * A map that holds at most `limit` entries: what was set longest ago goes first. Every operation on one entry is O(1).
 */
import { OrderedMap } from "./OrderedMap.ts"

export class BoundedMap<K, V> {
  private readonly entries = new OrderedMap<K, V>()
  private readonly limit: number

  constructor(limit: number) {
    this.limit = limit
  }

  get size(): number {
    return this.entries.size
  }

  get(key: K): V | undefined {
    return this.entries.get(key)
  }

  /** Sets an entry and makes it the newest. */
  set(key: K, value: V): void {
    if (this.limit <= 0) return
    this.entries.set(key, value)
    if (this.entries.size <= this.limit) return
    const oldest = this.entries.oldest()
    if (oldest !== undefined) this.entries.delete(oldest.key)
  }

  delete(key: K): boolean {
    return this.entries.delete(key)
  }

  clear(): void {
    this.entries.clear()
  }

  /** Linear. */
  deleteWhere(matches: (value: V, key: K) => boolean): void {
    for (const { key, value } of this.entries) if (matches(value, key)) this.entries.delete(key)
  }
}
