/**
 * What the blobs take, and what writes under way will take.
 *
 * `bytes` and `entries` change with every file that comes and goes; a walk over all directories replaces them by what it
 * saw. For that to be exact while writes go on, every change happens under the lock of its outer directory, and so does
 * every look of the walk: a change behind the walk counts for both, one ahead of it the walk will see.
 */
import type { Shard } from "./Layout.ts"

interface Walk {
  outer: string
  /** Inner directories of `outer` that the walk has still to see. */
  readonly ahead: Set<string>
  bytes: number
  entries: number
}

export interface Reservation {
  /** Bytes of the new file. */
  readonly fileBytes: number
  /** By how much the sum may grow. */
  readonly growth: number
}

export class Ledger {
  bytes = 0
  entries = 0
  /** Whether `bytes` is a count, or at least a late estimate, rather than nothing. */
  isKnown = false
  isExact = false
  /** Growth of the sum by writes under way. */
  private reserved = 0
  /** Bytes of the files under way, which the device must hold beside those they replace. */
  private writing = 0
  private walk: Walk | undefined
  private readonly onChange: () => void

  constructor(onChange: () => void) {
    this.onChange = onChange
  }

  /** Whether the sum stays within `limit` with `growth` more. */
  fits(growth: number, limit: number): boolean {
    return growth <= 0 || this.bytes + this.reserved + growth <= limit
  }

  /** Bytes promised to writes under way. */
  get promised(): { readonly growth: number; readonly fileBytes: number } {
    return { growth: this.reserved, fileBytes: this.writing }
  }

  reserve(reservation: Reservation): void {
    this.reserved += reservation.growth
    this.writing += reservation.fileBytes
  }

  release(reservation: Reservation): void {
    this.reserved -= reservation.growth
    this.writing -= reservation.fileBytes
  }

  /** Records a file that came (positive), went (negative) or was replaced. */
  change(shard: Shard, bytes: number, entries: number): void {
    this.bytes = Math.max(0, this.bytes + bytes)
    this.entries = Math.max(0, this.entries + entries)
    this.onChange()
    const { walk } = this
    if (walk === undefined) return
    if (shard.outer < walk.outer || (shard.outer === walk.outer && !walk.ahead.has(shard.inner))) {
      walk.bytes += bytes
      walk.entries += entries
    }
  }

  beginWalk(): void {
    this.walk = { outer: "", ahead: new Set(), bytes: 0, entries: 0 }
  }

  /** The walk enters an outer directory, whose inner ones are these. */
  enter(outer: string, inner: ReadonlyArray<string>): void {
    if (this.walk === undefined) return
    this.walk.outer = outer
    this.walk.ahead.clear()
    for (const name of inner) this.walk.ahead.add(name)
  }

  /** The walk has seen an inner directory: these files are in it. */
  saw(inner: string, bytes: number, entries: number): void {
    if (this.walk === undefined) return
    this.walk.ahead.delete(inner)
    this.walk.bytes += bytes
    this.walk.entries += entries
  }

  /** The walk is over: what it saw is the count, exact if it could see everything. */
  endWalk(isComplete: boolean): void {
    if (this.walk === undefined) return
    this.bytes = this.walk.bytes
    this.entries = this.walk.entries
    this.isKnown = true
    this.isExact = isComplete
    this.walk = undefined
  }

  abandonWalk(): void {
    this.walk = undefined
  }
}
