/**
 * Headers kept as small entries of their own, so that who needs only a digest reads no body.
 *
 * Least recently used headers go first. Entries follow the same floors as cached copies.
 */
import type { Generation } from "../Generation.ts"
import type { Header } from "../Header.ts"
import type { Key } from "../Key.ts"

export class HeaderCache {
  private readonly entries = new Map<string, Header>()
  private readonly limit: number

  constructor(limit: number) {
    this.limit = limit
  }

  get(key: Key): Header | undefined {
    const header = this.entries.get(key.text)
    if (header === undefined) return undefined
    this.entries.delete(key.text)
    this.entries.set(key.text, header)
    return header
  }

  set(header: Header): void {
    const { text } = header.key
    this.entries.delete(text)
    this.entries.set(text, header)
    if (this.entries.size > this.limit) {
      for (const oldest of this.entries.keys()) {
        this.entries.delete(oldest)
        return
      }
    }
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
    for (const [text, header] of this.entries) if (header.key.group === group) this.entries.delete(text)
  }
}
