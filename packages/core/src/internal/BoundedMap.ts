/**
 * A map that holds at most `limit` entries: what was set longest ago goes first.
 */
export class BoundedMap<K, V> {
  private readonly entries = new Map<K, V>()
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
    this.entries.delete(key)
    if (this.limit <= 0) return
    if (this.entries.size >= this.limit) this.deleteOldest()
    this.entries.set(key, value)
  }

  delete(key: K): boolean {
    return this.entries.delete(key)
  }

  clear(): void {
    this.entries.clear()
  }

  /** Linear. */
  deleteWhere(matches: (value: V, key: K) => boolean): void {
    for (const [key, value] of this.entries) if (matches(value, key)) this.entries.delete(key)
  }

  private deleteOldest(): void {
    for (const oldest of this.entries.keys()) {
      this.entries.delete(oldest)
      return
    }
  }
}
