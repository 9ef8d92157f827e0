/**
 * What is being written to the store beside, or against, one another.
 *
 * Idea. A store keeps no memory of what was removed from it. So a write that lands after a newer put or remove was
 * acknowledged (it was given up at its deadline and came through later; or it is what a producer made while a caller
 * removed the key) would bring back what is gone. So every blob that is sent is tentative until its call has ended, and
 * whoever is acknowledged meanwhile overtakes it. One that was overtaken, and lands all the same, counts as absent when
 * it is met in the store, and undoes itself.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { Generation } from "../Generation.ts"
import type { Key } from "../Key.ts"

interface Running {
  count: number
  readonly ended: Deferred.Deferred<void>
}

/** What runs, by key text or group, for others to wait for. */
class UnderWay {
  private readonly running = new Map<string, Running>()

  /** Runs an effect that others can wait for. */
  readonly during = <A, E>(subject: string, effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      const entry = this.running.get(subject) ?? { count: 0, ended: Deferred.makeUnsafe<void>() }
      entry.count += 1
      this.running.set(subject, entry)
      return Effect.ensuring(
        effect,
        Effect.sync(() => {
          entry.count -= 1
          if (entry.count > 0) return
          this.running.delete(subject)
          Deferred.doneUnsafe(entry.ended, Effect.void)
        })
      )
    })

  /** Waits until nothing of these subjects runs. */
  readonly ended = (...subjects: ReadonlyArray<string>): Effect.Effect<void> =>
    Effect.suspend(() => {
      for (const subject of subjects) {
        const entry = this.running.get(subject)
        if (entry !== undefined) return Effect.andThen(Deferred.await(entry.ended), this.ended(...subjects))
      }
      return Effect.void
    })
}

/** A blob on its way to the store. */
export interface Tentative {
  readonly key: Key
  readonly generation: Generation
  /** Of a producer: any put or remove that is acknowledged overtakes it. Else only one of a newer generation does. */
  readonly isMade: boolean
  isOvertaken: boolean
  /** Who has begun it, or holds on to it, and has not ended. */
  holds: number
}

export class StoreWrites {
  private readonly writes = new UnderWay()
  private readonly undos = new UnderWay()
  /** By key text. */
  private readonly tentative = new Map<string, Set<Tentative>>()

  /** Runs a caller's write of `subject`, a key's text or a group. */
  readonly during = <A, E>(subject: string, write: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.andThen(this.undos.ended(subject), this.writes.during(subject, write))

  /** Runs an undo, which the writes that come now wait for, once those under way have ended. */
  readonly undoing = <A, E>(key: Key, undo: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    this.undos.during(key.text, Effect.andThen(this.settled(key), undo))

  /** Waits until no caller's write of the key, or of its group, is under way. */
  readonly settled = (key: Key): Effect.Effect<void> => this.writes.ended(key.text, key.group)

  begin(key: Key, generation: Generation, isMade: boolean): Tentative {
    const write: Tentative = { key, generation, isMade, isOvertaken: false, holds: 1 }
    const writes = this.tentative.get(key.text) ?? new Set()
    this.tentative.set(key.text, writes)
    writes.add(write)
    return write
  }

  /** It is tentative until one more has ended it. */
  hold(write: Tentative): Tentative {
    write.holds += 1
    return write
  }

  end(write: Tentative): void {
    write.holds -= 1
    if (write.holds > 0) return
    const writes = this.tentative.get(write.key.text)
    if (writes?.delete(write) === true && writes.size === 0) this.tentative.delete(write.key.text)
  }

  /**
   * The store has taken a write, which ends. If nothing was acknowledged since it was sent, its blob is there to stay:
   * what has overtaken other tries of the same blob, which may land yet, reached the store before it.
   */
  taken(write: Tentative): void {
    if (!write.isOvertaken) {
      for (const other of this.tentative.get(write.key.text) ?? []) {
        if (other.generation === write.generation) other.isOvertaken = false
      }
    }
    this.end(write)
  }

  /** A put or remove of the key at `generation` was acknowledged; `isElsewhere`: by another node, who knows when. */
  overtake(key: Key, generation: Generation, isElsewhere: boolean): void {
    for (const write of this.tentative.get(key.text) ?? []) overtake(write, generation, isElsewhere)
  }

  /** As `overtake`, of a group. Linear in what is on its way. */
  overtakeGroup(group: string, generation: Generation, isElsewhere: boolean): void {
    for (const writes of this.tentative.values()) {
      for (const write of writes) if (write.key.group === group) overtake(write, generation, isElsewhere)
    }
  }

  /** Whether a blob that is met in the store should not have reached it any more. */
  isOvertaken(key: Key, generation: Generation): boolean {
    if (this.tentative.size === 0) return false
    let isKnown = false
    for (const write of this.tentative.get(key.text) ?? []) {
      if (write.generation !== generation) continue
      if (!write.isOvertaken) return false
      isKnown = true
    }
    return isKnown
  }
}

const overtake = (write: Tentative, generation: Generation, isElsewhere: boolean): void => {
  if (write.generation < generation || (write.isMade && !isElsewhere)) write.isOvertaken = true
}
