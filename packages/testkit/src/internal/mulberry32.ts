/**
 * A generator of 32-bit words: small, fast, the same on every machine (mulberry32 by Tommy Ettinger). Not for secrets.
 */

/** Gives the next word with every call, the same ones for the same seed. */
export const mulberry32 = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let word = Math.imul(state ^ (state >>> 15), state | 1)
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61)
    return (word ^ (word >>> 14)) >>> 0
  }
}
