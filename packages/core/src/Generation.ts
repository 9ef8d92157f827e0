/**
 * A number that orders the writes of one key.
 *
 * It is a safe integer near `unixMillis × 1000`, so that generations of different processes compare by time, and always
 * larger than the last one this process gave, so that a clock that stands still or steps back never repeats one.
 */
export type Generation = number

/** The generation given to a blob that any upload must beat, for example a converted legacy record. */
export const first: Generation = 1

/** Whether `value` can be a generation: a positive safe integer. */
export const isGeneration = (value: number): boolean => Number.isSafeInteger(value) && value > 0

/**
 * Greatest generation that a clock follows: that of the year 2112. One beyond it is no time, and following it would leave
 * no room for those that must come after.
 */
export const greatest: Generation = 2 ** 52

/** Gives generations in strictly increasing order. One per chain. */
export class Clock {
  private last: Generation = 0

  /** The next generation at `unixMillis`. */
  next(unixMillis: number): Generation {
    this.last = Math.max(this.last + 1, Math.floor(unixMillis) * 1000)
    return this.last
  }

  /** Moves past a generation that another writer gave, unless it is beyond `greatest`. */
  witness(generation: Generation): void {
    if (generation > this.last && generation <= greatest) this.last = generation
  }
}
