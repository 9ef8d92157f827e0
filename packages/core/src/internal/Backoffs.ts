/**
 * When to try again to make a stale blob anew, after that has failed: at first a second later, then twice as long each
 * time, up to a minute, with jitter, so that a broken origin is not asked by every reader.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { Key } from "../Key.ts"
import { BoundedMap } from "./BoundedMap.ts"

const firstMillis = 1_000
const longestMillis = 60_000

interface Backoff {
  readonly failures: number
  /** Unix milliseconds. */
  readonly until: number
}

export class Backoffs {
  private readonly entries: BoundedMap<string, Backoff>

  constructor(limit: number) {
    this.entries = new BoundedMap(limit)
  }

  allows(key: Key, now: number): boolean {
    const backoff = this.entries.get(key.text)
    // A clock that went back must not make it last longer.
    return backoff === undefined || now >= backoff.until || backoff.until - now > longestMillis
  }

  readonly failed = (key: Key): Effect.Effect<void> =>
    Effect.clockWith((clock) =>
      Effect.map(Random.next, (random) => {
        const failures = (this.entries.get(key.text)?.failures ?? 0) + 1
        const millis = Math.min(longestMillis, firstMillis * 2 ** (failures - 1))
        const until = clock.currentTimeMillisUnsafe() + millis * (1 - random / 5)
        this.entries.set(key.text, { failures, until })
      })
    )

  succeeded(key: Key): void {
    this.entries.delete(key.text)
  }
}
