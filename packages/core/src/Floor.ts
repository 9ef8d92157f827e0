/**
 * Floors: what makes a put or remove take effect on every cached copy at once.
 *
 * Idea. A put or remove cannot reach all caches, running lookups and write-backs in the same instant. So as soon as the
 * store has answered, the chain raises a floor for the key (or group): from then on every copy of a lower generation
 * counts as absent, wherever it turns up. The caches are then brought up to date at leisure.
 *
 * Invariants. A copy below a floor is never served from a cache and never written to one. A floor stays while anything
 * that began before it still runs (a lookup that may have read the old blob, a write-back that may be storing it), or
 * while it is pinned because a cache could not be brought up to date. The table is bounded: past `limit`, one floor for
 * the whole chain takes the place of all, which costs cache hits and no correctness.
 *
 * Costs. One check is two map look-ups, none while the table is empty; raising and ending are O(1) amortised, because
 * both floors and activities are kept in the order of one sequence.
 */
import type { Generation } from "./Generation.ts"
import type { Header } from "./Header.ts"
import type { Key } from "./Key.ts"

/** Marks something that began at a point of the sequence and has not ended. */
export type Activity = number

interface Floor {
  generation: Generation
  raisedAt: number
  /** One token per pin; a set may be shared by no two floors. */
  pins: Set<symbol>
}

export class Floors {
  private sequence = 0
  /** By key text or group, in order of `raisedAt`. Groups have no slash, so the two never meet. */
  private readonly floors = new Map<string, Floor>()
  private everything: Floor | undefined
  /** In the order of their beginning. */
  private readonly activities = new Set<Activity>()
  private readonly limit: number

  constructor(limit: number) {
    this.limit = limit
  }

  /** Begins an activity: floors raised from now on stay until it has ended. */
  begin(): Activity {
    const activity = ++this.sequence
    this.activities.add(activity)
    return activity
  }

  end(activity: Activity): void {
    this.activities.delete(activity)
    this.prune()
  }

  /** Discards copies of `subject` (a key's text, or a group) below `generation`. */
  raise(subject: string, generation: Generation): void {
    const before = this.floors.get(subject)
    this.floors.delete(subject)
    this.floors.set(subject, {
      generation: Math.max(generation, before?.generation ?? 0),
      raisedAt: ++this.sequence,
      pins: before?.pins ?? new Set()
    })
    if (this.floors.size > this.limit) this.merge()
  }

  /** Keeps the floor of `subject` until the returned function is called. */
  pin(subject: string): () => void {
    const pin = Symbol(subject)
    ;(this.floors.get(subject) ?? this.everything)?.pins.add(pin)
    return () => {
      this.floors.get(subject)?.pins.delete(pin)
      this.everything?.pins.delete(pin)
      this.prune()
    }
  }

  /** The generation below which copies of `key` are discarded; 0 if there is no floor. */
  of(key: Key): Generation {
    if (this.floors.size === 0 && this.everything === undefined) return 0
    return Math.max(
      this.floors.get(key.text)?.generation ?? 0,
      this.floors.get(key.group)?.generation ?? 0,
      this.everything?.generation ?? 0
    )
  }

  /** Whether a copy with this header must not be served from a cache, or written to one. */
  discards(header: Header): boolean {
    return header.generation < this.of(header.key)
  }

  /** Floors in the table. */
  get size(): number {
    return this.floors.size + (this.everything === undefined ? 0 : 1)
  }

  /** Activities that have not ended. */
  get running(): number {
    return this.activities.size
  }

  /** Drops the floors that everything running began after. */
  private prune(): void {
    const oldest = this.activities.values().next().value ?? Number.POSITIVE_INFINITY
    for (const [subject, floor] of this.floors) {
      if (floor.raisedAt > oldest) break
      if (floor.pins.size === 0) this.floors.delete(subject)
    }
    if (this.everything !== undefined && this.everything.raisedAt < oldest && this.everything.pins.size === 0) {
      this.everything = undefined
    }
  }

  private merge(): void {
    let generation = this.everything?.generation ?? 0
    const pins = new Set(this.everything?.pins)
    for (const floor of this.floors.values()) {
      generation = Math.max(generation, floor.generation)
      for (const pin of floor.pins) pins.add(pin)
    }
    this.floors.clear()
    this.everything = { generation, raisedAt: ++this.sequence, pins }
  }
}
