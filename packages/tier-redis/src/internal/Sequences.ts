/**
 * The last number of each publisher, to notice the numbers that are missing.
 */

/** Publishers that are remembered; what was heard of longest ago is forgotten first. */
const maxPublishers = 1_000

interface Heard {
  /** Number of its last message. */
  readonly sequence: number
  /** Messages that it could not send, or that are missing: as far as that was told. */
  readonly failed: number
}

export class Sequences {
  private readonly last = new Map<string, Heard>()

  /**
   * Whether messages of this publisher have been missed before this one. `failed`: a sign of life, which has no number of its
   * own, says how many the publisher could not send so far. That is all that is told of what came before it was first heard:
   * what it did send then came before one listened.
   */
  missed(publisher: string, sequence: number, failed?: number): boolean {
    const known = this.last.get(publisher)
    const expected = known && known.sequence + (failed === undefined ? 1 : 0)
    const missing = expected === undefined ? 0 : Math.max(0, sequence - expected)
    const told = (known?.failed ?? 0) + missing
    this.last.delete(publisher)
    if (this.last.size >= maxPublishers) this.forgetOldest()
    this.last.set(publisher, {
      sequence: Math.max(sequence, known?.sequence ?? 0),
      failed: Math.max(told, failed ?? 0)
    })
    return missing > 0 || (failed ?? 0) > told
  }

  /** Messages of anyone may have been missed, which is known already. */
  forgetAll(): void {
    this.last.clear()
  }

  private forgetOldest(): void {
    for (const publisher of this.last.keys()) {
      this.last.delete(publisher)
      return
    }
  }
}
