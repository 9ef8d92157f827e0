/**
 * Which cached copies are known to be what the store has.
 *
 * Idea. A copy may be out of date without this process having heard of it. Another node wrote, and its message was lost:
 * where others write to the store too, a copy is confirmed for `revalidateAfter`, counted from when the store was asked.
 * A write of this node ended without an answer, and may have taken effect: copies of that key or group are suspect, and
 * older ones are compared with the store before they are served. A cache has outlived a process that did not get to drop
 * what it should: its copies are compared once.
 *
 * Invariants. A suspicion ends for a copy with a comparison that began after the write had really ended; until then it is
 * compared each time. What is forgotten because a table is full is unconfirmed, which costs a comparison and no
 * correctness. Nothing here says that a copy is right: who cannot ask the store may still serve what is unconfirmed, and
 * says so.
 */
import type { Mark } from "../Floor.ts"
import type { Generation } from "../Generation.ts"
import type { Header } from "../Header.ts"
import type { Key } from "../Key.ts"
import { BoundedMap } from "./BoundedMap.ts"

/** `due`: may be served, and should be compared meanwhile. */
export type Standing = "confirmed" | "due" | "unconfirmed"

interface Confirmed {
  readonly generation: Generation
  /** When the store was asked, in milliseconds by the monotonic clock: one that is set back must not make it last longer. */
  readonly at: number
  readonly mark: Mark
}

interface Suspicion {
  /** Copies below this generation may be out of date. */
  below: Generation
  since: Mark
  /** Calls that have not ended. */
  pending: number
}

export class Confirmations {
  private readonly confirmed: BoundedMap<string, Confirmed>
  /** By key text or group. */
  private readonly suspicions = new Map<string, Suspicion>()
  private everything: Suspicion | undefined
  /** What the store was asked before this proves nothing. */
  private forgottenAt: Mark = 0
  private readonly revalidateAfter: number
  /** Some cache outlives the process. */
  private readonly hasInherited: boolean
  private readonly maxSuspicions: number

  /** `revalidateAfter` in milliseconds; infinite: time makes no copy unconfirmed. */
  constructor(
    revalidateAfter: number,
    hasInherited: boolean,
    limits: { readonly confirmed: number; readonly suspicions: number }
  ) {
    this.revalidateAfter = revalidateAfter
    this.hasInherited = hasInherited
    this.maxSuspicions = limits.suspicions
    this.confirmed = new BoundedMap(limits.confirmed)
  }

  /** Whether a copy in process memory can be other than confirmed; looked at on every hit. */
  get isActive(): boolean {
    return this.revalidateAfter !== Number.POSITIVE_INFINITY || this.isSuspicious
  }

  /** Whether time makes copies unconfirmed. */
  get revalidates(): boolean {
    return this.revalidateAfter !== Number.POSITIVE_INFINITY
  }

  /** `now` in milliseconds by the monotonic clock; `isInherited`: the copy is of a cache that outlives the process. */
  standing(header: Header, now: number, isInherited: boolean): Standing {
    if (!this.isActive && !isInherited) return "confirmed"
    const known = this.confirmed.get(header.key.text)
    const own = known?.generation === header.generation ? known : undefined
    if (this.isSuspicious) {
      for (const { below, pending, since } of this.over(header.key)) {
        if (header.generation < below && (own === undefined || pending > 0 || own.mark < since)) return "unconfirmed"
      }
    }
    if (isInherited && own === undefined) return "unconfirmed"
    if (!this.revalidates) return "confirmed"
    const age = own === undefined ? -1 : now - own.at
    // One below zero tells nothing: it is of another clock.
    return age < 0 || age >= this.revalidateAfter
      ? "unconfirmed"
      : age * 2 >= this.revalidateAfter
        ? "due"
        : "confirmed"
  }

  /** The store has this blob, or had it when it was asked: at `at` (milliseconds by the monotonic clock), `mark` of the sequence of floors. */
  confirm(header: Header, at: number, mark: Mark): void {
    if ((!this.isActive && !this.hasInherited) || mark < this.forgottenAt) return
    this.confirmed.set(header.key.text, { generation: header.generation, at, mark })
  }

  /** A write of `subject` at `generation` was acknowledged: no older copy is served any more, suspect or not. */
  settle(subject: string, generation: Generation): void {
    const suspicion = this.suspicions.get(subject)
    if (suspicion?.pending === 0 && suspicion.below <= generation) this.suspicions.delete(subject)
  }

  /** The store has something else. */
  forget({ generation, key }: Header): void {
    if (this.confirmed.get(key.text)?.generation === generation) this.confirmed.delete(key.text)
  }

  /** Whether a write to the key, or its group, that ended without an answer may have landed after `since`. */
  isSuspect(key: Key, since: Mark): boolean {
    if (!this.isSuspicious) return false
    for (const suspicion of this.over(key)) if (suspicion.pending > 0 || suspicion.since > since) return true
    return false
  }

  /**
   * A write of `subject` (a key's text, or a group) at `generation` ended without an answer; `pending` of its calls have
   * not ended yet, and each says so with `landed` when it has.
   */
  suspect(subject: string, generation: Generation, pending: number, mark: Mark): void {
    const before = this.suspicions.get(subject)
    if (before === undefined && this.suspicions.size >= this.maxSuspicions) this.merge()
    this.suspicions.set(subject, {
      below: Math.max(generation, before?.below ?? 0),
      since: mark,
      pending: pending + (before?.pending ?? 0)
    })
  }

  /** A call has ended that a suspicion of `subject` waits for. */
  landed(subject: string, mark: Mark): void {
    const suspicion = this.suspicions.get(subject)
    if (suspicion === undefined) return
    suspicion.pending -= 1
    suspicion.since = mark
  }

  /**
   * What other nodes have written may have been missed: every copy is compared, from `mark` on, before it is served, also
   * where nobody is said to write to the store too. There is no telling when the last old copy is gone, so it stays so.
   */
  forgetAll(mark: Mark): void {
    this.confirmed.clear()
    this.forgottenAt = mark
    this.everything = { below: Number.POSITIVE_INFINITY, since: mark, pending: 0 }
  }

  private get isSuspicious(): boolean {
    return this.suspicions.size > 0 || this.everything !== undefined
  }

  private *over(key: Key): Generator<Suspicion> {
    const ofKey = this.suspicions.get(key.text)
    if (ofKey !== undefined) yield ofKey
    const ofGroup = this.suspicions.get(key.group)
    if (ofGroup !== undefined) yield ofGroup
    if (this.everything !== undefined) yield this.everything
  }

  /**
   * One suspicion of everything takes the place of all whose calls have ended. The others stay beyond the limit: they are
   * no more than the calls that run, and each must be found again when its call ends.
   */
  private merge(): void {
    let { below, since } = this.everything ?? { below: 0, since: 0 }
    for (const [subject, suspicion] of this.suspicions) {
      if (suspicion.pending > 0) continue
      below = Math.max(below, suspicion.below)
      since = Math.max(since, suspicion.since)
      this.suspicions.delete(subject)
    }
    if (below > 0) this.everything = { below, since, pending: 0 }
  }
}
