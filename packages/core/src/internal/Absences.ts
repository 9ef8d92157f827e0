/**
 * Negative answers: keys that were proven to be nowhere, remembered for a moment, so that a crowd that asks for what is
 * not there does not reach the store one by one.
 *
 * Only a proven absence is remembered, never an error. A put forgets it at once, also one of which it is not known
 * whether it has taken effect, and what was looked up before a put was acknowledged is not remembered at all.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { Floors, Mark } from "../Floor.ts"
import type { Key } from "../Key.ts"
import type { Step, Trail } from "../Trail.ts"
import { BoundedMap } from "./BoundedMap.ts"
import type { Confirmations } from "./Confirmations.ts"

/** Keys whose last sign of presence is remembered one by one. */
const maxPresent = 1_000

interface Absence {
  readonly group: string
  /** When the lookup that has proven it began. */
  readonly since: Mark
  /** By the monotonic clock, in nanoseconds: a clock that is set back must not make it last longer. */
  readonly until: bigint
  readonly trail: Trail
}

export class Absences {
  private readonly entries: BoundedMap<string, Absence>
  private readonly floors: Floors
  private readonly confirmations: Confirmations
  private readonly millis: number
  /** One for all keys that are nowhere, and one for those that the origin has let go of. */
  private readonly trails: { readonly absent: Trail; readonly letGo: Trail }
  /** When a key was last said to be there: what was looked up before proves nothing any more. */
  private readonly present = new Map<string, Mark>()
  /** The same for all keys, in the place of what has found no room in the table. */
  private presentAt: Mark = 0

  /** `origin`: the name of the chain's origin, if it has one. */
  constructor(
    floors: Floors,
    confirmations: Confirmations,
    lifetime: Duration.Duration,
    limit: number,
    origin: string | undefined
  ) {
    const remembered: Step = { tier: "absences", outcome: { _tag: "Hit" }, millis: 0 }
    const letGo: Step = { tier: origin ?? "origin", outcome: { _tag: "LetGo" }, millis: 0 }
    this.trails = {
      absent: { steps: [remembered], joined: false },
      letGo: { steps: [remembered, letGo], joined: false }
    }
    this.floors = floors
    this.confirmations = confirmations
    this.millis = Duration.toMillis(lifetime)
    this.entries = new BoundedMap(this.millis > 0 ? limit : 0)
  }

  /** The trail of a key that is known to be nowhere; `now` by the monotonic clock, in nanoseconds. */
  find(key: Key, now: bigint): Trail | undefined {
    const absence = this.entries.get(key.text)
    if (absence === undefined) return undefined
    if (now < absence.until && !this.confirmations.isSuspect(key, absence.since)) return absence.trail
    this.entries.delete(key.text)
    return undefined
  }

  /**
   * Remembers what a lookup that began at `since` has proven, for its lifetime less up to a fifth of it; `isLetGo`: the
   * origin had the key once.
   */
  readonly remember = (key: Key, since: Mark, isLetGo = false): Effect.Effect<void> =>
    this.millis <= 0
      ? Effect.void
      : Effect.clockWith((clock) =>
          Effect.map(Random.next, (random) => {
            if (since < Math.max(this.presentAt, this.present.get(key.text) ?? 0)) return
            const nanos = BigInt(Math.round(this.millis * (1 - random / 5) * 1e6))
            const until = clock.monotonicTimeNanosUnsafe() + nanos
            const trail = isLetGo ? this.trails.letGo : this.trails.absent
            this.entries.set(key.text, { group: key.group, since, until, trail })
          })
        )

  /** The key is there. */
  delete(key: Key): void {
    this.entries.delete(key.text)
    const mark = this.floors.mark()
    if (this.present.size >= maxPresent) {
      this.present.clear()
      this.presentAt = mark
    }
    this.present.set(key.text, mark)
  }

  deleteGroup(group: string): void {
    this.entries.deleteWhere((absence) => absence.group === group)
  }

  /** What other nodes have written may have been missed. */
  forgetAll(): void {
    this.presentAt = this.floors.mark()
    this.present.clear()
    this.entries.clear()
  }
}
