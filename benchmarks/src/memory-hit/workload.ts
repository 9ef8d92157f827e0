/**
 * What every contender reads: the same keys, the same values, in the same order.
 *
 * 10,000 keys with values of 100 KB. The values are 64 buffers that the keys share, each told from the others by its
 * bytes: no contender copies a value, so that the memory of 10,000 of them would only slow the run down. The orders of
 * access are computed beforehand from a seed.
 */

export const keyCount = 10_000
export const valueBytes = 100_000
export const seed = 20_261_124

/** Reads in one order of access. */
export const orderLength = 131_072
/** Reads of the sample that allocations are counted over: few enough that nothing is collected meanwhile. */
export const sampleLength = 16_384

/** How the keys are chosen: all alike; or the n-th most popular one with a probability proportional to n^-0.99. */
export const patterns = ["uniform", "zipf"] as const
export type Pattern = (typeof patterns)[number]

/** `sample` is the beginning of `uniform`. */
export type Order = Pattern | "sample"

export interface Workload {
  /** The value of a key, given by its index. */
  readonly value: (index: number) => Uint8Array
  /** The orders of access, with a key made of each index. Equal indices get one and the same key. */
  readonly orders: <K>(key: (index: number) => K) => Readonly<Record<Order, ReadonlyArray<K>>>
}

/** The text of a key: `group/name`. */
export const text = (index: number): string => `image-${String(index).padStart(5, "0")}/master`

/** All indices of keys, ascending. */
export const indices: ReadonlyArray<number> = Array.from({ length: keyCount }, (_, index) => index)

const exponent = 0.99
const bufferCount = 64

export const make = (): Workload => {
  const buffers = Array.from({ length: bufferCount }, (_, content) => new Uint8Array(valueBytes).fill(content))
  const random = randomNumbers(seed)
  const uniform = Array.from({ length: orderLength }, () => Math.floor(random() * keyCount))
  const zipf = zipfian(random)
  return {
    value: (index) => buffers[index % bufferCount] ?? new Uint8Array(),
    orders: (key) => {
      const keys = indices.map(key)
      const of = (order: ReadonlyArray<number>) => order.flatMap((index) => keys.slice(index, index + 1))
      return { uniform: of(uniform), zipf: of(zipf), sample: of(uniform.slice(0, sampleLength)) }
    }
  }
}

/** Fails unless these are the bytes of the key. */
export const verify = (index: number, bytes: unknown): void => {
  if (!(bytes instanceof Uint8Array) || bytes.byteLength !== valueBytes) throw new Error(`${text(index)}: no value`)
  const content = index % bufferCount
  if (bytes[0] !== content || bytes[valueBytes - 1] !== content) throw new Error(`${text(index)}: not its value`)
}

/** Which key is how popular is shuffled, so that popular keys were not stored together. */
const zipfian = (random: () => number): ReadonlyArray<number> => {
  const popular = indices.map((index) => [random(), index] as const).toSorted(([a], [b]) => a - b)
  const cumulative: Array<number> = []
  let total = 0
  for (const rank of indices) cumulative.push((total += (rank + 1) ** -exponent))
  return Array.from({ length: orderLength }, () => popular[firstAtLeast(cumulative, random() * total)]?.[1] ?? 0)
}

const firstAtLeast = (ascending: ReadonlyArray<number>, bound: number): number => {
  let low = 0
  let high = ascending.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if ((ascending[middle] ?? 0) < bound) low = middle + 1
    else high = middle
  }
  return low
}

/** Numbers from 0 to 1, the same ones for the same seed (mulberry32). */
const randomNumbers = (seed: number) => (): number => {
  seed = (seed + 0x6d2b79f5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
}
