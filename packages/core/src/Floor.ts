/**
 * Floors: what makes a put or remove take effect on every cached copy at once.
 *
 * Idea. A put or remove cannot reach all caches, running lookups and write-backs in the same instant. So as soon as the
 * store has answered, the chain raises a floor for the key (or group): from then on every copy of a lower generation
 * counts as absent, wherever it turns up. The caches are then brought up to date at leisure.
 *
 * Invariants. A copy below a floor is never served from a cache and never written to one. A floor stays while anything
 * still runs that began before the caches were brought up to date (a lookup that may have read the old blob, a write-back
 * that may be storing it): who has raised it says so once more, by `learn`, when they are. A pin holds a floor longer,
 * because a cache could not be brought up to date. The table is bounded: past `limit`, one floor for the whole chain takes
 * the place of all, which costs cache hits and no correctness; who pins bounds the pins.
 *
 * Costs. One check is four map look-ups, none while the table is empty; raising and ending are O(1) amortised, because
 * both floors and activities are kept in the order of one sequence.
 */
import type { Generation } from "./Generation.ts"
import type { Header } from "./Header.ts"
import { OrderedMap } from "./internal/OrderedMap.ts"
import type { Key } from "./Key.ts"

/** A point of the sequence in which floors are raised and activities begin. */
export type Mark = number

/** Something that began at a mark and has not ended. */
export type Activity = Mark

interface Floor {
  readonly generation: Generation
  /** When it took its place in the table, whose order it keeps. */
  readonly raisedAt: Mark
  /** When a put or remove was last acknowledged: what began before that is discarded. 0: it only goes on. */
  readonly changedAt: Mark
}

export class Floors {
  private sequence = 0
  /** By key text or group, in order of `raisedAt`. Groups have no slash, so the two never meet. */
  private readonly floors = new OrderedMap<string, Floor>()
  /** Floors that stay until they are released, by subject. */
  private readonly pinned = new Map<string, Floor>()
  private everything: Floor | undefined
  /** In the order of their beginning. */
  private readonly activities = new OrderedMap<Activity, undefined>()
  private readonly limit: number

  constructor(limit: number) {
    this.limit = limit
  }

  /** Begins an activity: floors raised from now on stay until it has ended. */
  begin(): Activity {
    const activity = this.mark()
    this.activities.set(activity, undefined)
    return activity
  }

  end(activity: Activity): void {
    this.activities.delete(activity)
    this.prune()
  }

  /** This moment. */
  mark(): Mark {
    return ++this.sequence
  }

  /** Discards copies of `subject` (a key's text, or a group) below `generation`, and what began before now. */
  raise(subject: string, generation: Generation): void {
    const now = this.mark()
    this.insert(subject, { generation, raisedAt: now, changedAt: now })
  }

  /**
   * Discards copies of `subject` below `generation`, which someone else has said to be out of date. When that was is not
   * known, so the generation alone decides about what has begun.
   */
  learn(subject: string, generation: Generation): void {
    this.insert(subject, { generation, raisedAt: this.mark(), changedAt: 0 })
  }

  /** Keeps discarding copies of `subject` below `generation` until `release`; what has begun is not affected by that. */
  pin(subject: string, generation: Generation): void {
    const before = this.pinned.get(subject)
    this.pinned.set(subject, {
      generation: Math.max(generation, before?.generation ?? 0),
      raisedAt: before?.raisedAt ?? this.mark(),
      changedAt: 0
    })
  }

  /** Ends a pin. What began before that is still held to its generation. */
  release(subject: string): void {
    const floor = this.pinned.get(subject)
    if (floor === undefined) return
    this.pinned.delete(subject)
    this.insert(subject, { generation: floor.generation, raisedAt: this.mark(), changedAt: 0 })
    this.prune()
  }

  /** The generation below which copies of `key` are discarded; 0 if there is no floor. */
  of(key: Key): Generation {
    let generation = 0
    for (const floor of this.over(key)) generation = Math.max(generation, floor.generation)
    return generation
  }

  /**
   * Whether a copy with this header must not be served from a cache, or written to one: it is below a floor, or it stems
   * from something that began at `since`, before a floor was raised.
   */
  discards(header: Header, since: Mark = Number.POSITIVE_INFINITY): boolean {
    if (this.floors.size === 0 && this.pinned.size === 0 && this.everything === undefined) return false
    const { generation, key } = header
    return (
      isDiscardedBy(this.floors.get(key.text), generation, since) ||
      isDiscardedBy(this.floors.get(key.group), generation, since) ||
      isDiscardedBy(this.pinned.get(key.text), generation, since) ||
      isDiscardedBy(this.pinned.get(key.group), generation, since) ||
      isDiscardedBy(this.everything, generation, since)
    )
  }

  /** Whether a put or remove of `key`, or of its group, was acknowledged after `since`. */
  isChanged(key: Key, since: Mark): boolean {
    for (const floor of this.over(key)) if (floor.changedAt > since) return true
    return false
  }

  /** Floors in the table. */
  get size(): number {
    return this.floors.size + this.pinned.size + (this.everything === undefined ? 0 : 1)
  }

  /** Activities that have not ended. */
  get running(): number {
    return this.activities.size
  }

  private insert(subject: string, floor: Floor): void {
    const before = this.floors.get(subject)
    this.floors.set(subject, {
      generation: Math.max(floor.generation, before?.generation ?? 0),
      raisedAt: floor.raisedAt,
      changedAt: Math.max(floor.changedAt, before?.changedAt ?? 0)
    })
    if (this.floors.size > this.limit) this.merge()
  }

  private *over(key: Key): Generator<Floor> {
    for (const subject of [key.text, key.group]) {
      const floor = this.floors.get(subject)
      if (floor !== undefined) yield floor
      const pinned = this.pinned.get(subject)
      if (pinned !== undefined) yield pinned
    }
    if (this.everything !== undefined) yield this.everything
  }

  /** Drops the floors that everything running began after. */
  private prune(): void {
    const oldest = this.activities.oldest()?.key ?? Number.POSITIVE_INFINITY
    for (let floor = this.floors.oldest(); floor !== undefined; floor = this.floors.oldest()) {
      if (floor.value.raisedAt > oldest) break
      this.floors.delete(floor.key)
    }
    if (this.everything !== undefined && this.everything.raisedAt < oldest) this.everything = undefined
  }

  private merge(): void {
    let { changedAt, generation } = this.everything ?? { changedAt: 0, generation: 0 }
    for (const { value: floor } of this.floors) {
      generation = Math.max(generation, floor.generation)
      changedAt = Math.max(changedAt, floor.changedAt)
    }
    this.floors.clear()
    this.everything = { generation, raisedAt: this.mark(), changedAt }
  }
}

const isDiscardedBy = (floor: Floor | undefined, generation: Generation, since: Mark): boolean =>
  floor !== undefined && (generation < floor.generation || floor.changedAt > since)
