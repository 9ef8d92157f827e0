/**
 * Headers kept as small entries of their own, so that who needs only a digest reads no body.
 *
 * Least recently used headers go first. Entries follow the same floors as cached copies.
 */
import type { Generation } from "../Generation.ts"
import type { Header } from "../Header.ts"
import type { Key } from "../Key.ts"
import { BoundedMap } from "./BoundedMap.ts"

export class HeaderCache {
  private readonly entries: BoundedMap<string, Header>

  constructor(limit: number) {
    this.entries = new BoundedMap(limit)
  }

  get size(): number {
    return this.entries.size
  }

  get(key: Key): Header | undefined {
    const header = this.entries.get(key.text)
    if (header !== undefined) this.entries.set(key.text, header)
    return header
  }

  set(header: Header): void {
    this.entries.set(header.key.text, header)
  }

  delete(key: Key): void {
    this.entries.delete(key.text)
  }

  /** Forgets a header that is older than a write. */
  deleteBelow(key: Key, generation: Generation): void {
    const header = this.entries.get(key.text)
    if (header !== undefined && header.generation < generation) this.entries.delete(key.text)
  }

  /** Linear in the limit; group removals are rare. */
  deleteGroup(group: string): void {
    this.entries.deleteWhere(({ key }) => key.group === group)
  }
}
