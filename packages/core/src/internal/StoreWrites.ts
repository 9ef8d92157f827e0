/**
 * What is being written to the store beside, or against, one another.
 *
 * Idea. A store keeps no memory of what was removed from it. So a write that lands after a newer put or remove was
 * acknowledged (it was given up at its deadline and came through later; or it is what a producer made while a caller
 * removed the key) would bring back what is gone. Such a write is known here from its beginning to its end, as
 * tentative: it waits for the callers' writes under way, looks whether one has overtaken it, and undoes itself. A
 * tentative blob below a floor counts as absent when it is met in the store meanwhile.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { Generation } from "../Generation.ts"
import type { Key } from "../Key.ts"

interface Running {
  count: number
  readonly ended: Deferred.Deferred<void>
}

export class StoreWrites {
  /** Callers' writes under way, by key text or group. */
  private readonly running = new Map<string, Running>()
  /** How many tentative writes of a generation there are, by key text. */
  private readonly tentative = new Map<string, Map<Generation, number>>()

  /** Runs a caller's write of `subject`, a key's text or a group. */
  readonly during = <A, E>(subject: string, write: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      const entry = this.running.get(subject) ?? { count: 0, ended: Deferred.makeUnsafe<void>() }
      entry.count += 1
      this.running.set(subject, entry)
      return Effect.ensuring(
        write,
        Effect.sync(() => {
          entry.count -= 1
          if (entry.count > 0) return
          this.running.delete(subject)
          Deferred.doneUnsafe(entry.ended, Effect.void)
        })
      )
    })

  /** Waits until no caller's write of the key, or of its group, is under way. */
  readonly settled = (key: Key): Effect.Effect<void> =>
    Effect.suspend(() => {
      const entry = this.running.get(key.text) ?? this.running.get(key.group)
      return entry === undefined ? Effect.void : Effect.andThen(Deferred.await(entry.ended), this.settled(key))
    })

  isTentative(key: Key, generation: Generation): boolean {
    return this.tentative.size > 0 && this.tentative.get(key.text)?.has(generation) === true
  }

  begin(key: Key, generation: Generation): void {
    const generations = this.tentative.get(key.text) ?? new Map<Generation, number>()
    this.tentative.set(key.text, generations)
    generations.set(generation, (generations.get(generation) ?? 0) + 1)
  }

  end(key: Key, generation: Generation): void {
    const generations = this.tentative.get(key.text)
    const count = generations?.get(generation)
    if (generations === undefined || count === undefined) return
    if (count > 1) generations.set(generation, count - 1)
    else generations.delete(generation)
    if (generations.size === 0) this.tentative.delete(key.text)
  }
}
