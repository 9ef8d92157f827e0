/**
 * The last number of each publisher, to notice the numbers that are missing.
 */

/** Publishers that are remembered; what was heard of longest ago is forgotten first. */
const maxPublishers = 1_000

export class Sequences {
  private readonly last = new Map<string, number>()

  /**
   * Whether messages of this publisher have been missed before this one. `isNew`: it has a number of its own, else it
   * repeats that of the last. Nothing is known of what a publisher sent before it was first heard.
   */
  missed(publisher: string, sequence: number, isNew: boolean): boolean {
    const last = this.last.get(publisher)
    this.last.delete(publisher)
    if (this.last.size >= maxPublishers) this.forgetOldest()
    this.last.set(publisher, Math.max(sequence, last ?? 0))
    return last !== undefined && sequence > (isNew ? last + 1 : last)
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
