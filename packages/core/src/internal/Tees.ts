/**
 * The copies that are being made of streamed blobs while readers read them: one per key.
 *
 * A tee lasts as long as its reader, who may be slow, so it holds no floor back. Instead whoever raises a floor aborts
 * the tees of that key or group; from its last bytes on a tee is an activity like any other write.
 */
import type { Key } from "../Key.ts"

export interface Tee {
  readonly key: Key
  /** Ends it before it has copied the whole; later it has no effect. */
  readonly abort: () => void
}

export class Tees {
  private readonly byKey = new Map<string, Tee>()

  get size(): number {
    return this.byKey.size
  }

  has(key: Key): boolean {
    return this.byKey.has(key.text)
  }

  add(tee: Tee): void {
    this.byKey.set(tee.key.text, tee)
  }

  delete(tee: Tee): void {
    if (this.byKey.get(tee.key.text) === tee) this.byKey.delete(tee.key.text)
  }

  abort(key: Key): void {
    this.byKey.get(key.text)?.abort()
  }

  abortGroup(group: string): void {
    for (const tee of this.byKey.values()) if (tee.key.group === group) tee.abort()
  }
}
