/**
 * The copies that are being made of streamed blobs while readers read them: one per key, and not too many.
 *
 * A tee lasts as long as its reader, who may be slow, so it holds no floor back. Instead whoever makes a blob out of date
 * aborts the tees of that key or group. From its last bytes on a tee is an activity like any other write.
 */
import type { Key } from "../Key.ts"

export interface Tee {
  readonly key: Key
  /** Its blob is out of date: nothing of it is kept. What has been handed over whole is dropped again once it is there. */
  readonly abort: () => void
}

/** Tees at the same time; what is read beyond that is copied another time. */
const limit = 100

export class Tees {
  private readonly byKey = new Map<string, Tee>()

  /** Whether a tee of this key may begin. */
  allows(key: Key): boolean {
    return this.byKey.size < limit && !this.byKey.has(key.text)
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
