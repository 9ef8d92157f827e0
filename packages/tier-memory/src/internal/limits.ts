/** What bounds a memory tier, checked and with its defaults. */
import type { Options } from "../MemoryTier.ts"

/**
 * What an entry counts against the budget besides its payload, in bytes: header, key, bookkeeping and the objects around
 * the bytes.
 *
 * Measured on 64-bit Node 24, per entry: 1.2 KiB without attributes, 2.0 KiB with five short ones and a group of its own.
 * A header near its limit of 1,800 encoded bytes takes up to 1.8 KiB more, which is not counted.
 */
export const entryCharge = 2_048

export interface Limits {
  readonly maxBytes: number
  readonly maxEntries: number
  readonly maxEntryBytes: number
  readonly entryCharge: number
}

/** Throws a `RangeError` that names the option, the expected form and an example. */
export const limitsOf = (options: Options): Limits => {
  const maxBytes = atLeast("maxBytes", options.maxBytes, 2 * entryCharge, 268_435_456)
  const maxEntries = atLeast("maxEntries", options.maxEntries ?? Number.MAX_SAFE_INTEGER, 1, 100_000)
  const maxEntryBytes = atLeast("maxEntryBytes", options.maxEntryBytes ?? Math.floor(maxBytes / 8), 0, 4_194_304)
  return { maxBytes, maxEntries, maxEntryBytes: Math.min(maxEntryBytes, maxBytes - entryCharge), entryCharge }
}

const atLeast = (option: string, value: number, minimum: number, example: number): number => {
  if (Number.isSafeInteger(value) && value >= minimum) return value
  throw new RangeError(`${option} is ${value}: expected an integer of at least ${minimum}, for example ${example}`)
}
