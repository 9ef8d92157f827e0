/**
 * How a filesystem tier is set up.
 */
import type * as Duration from "effect/Duration"

export interface Options {
  /** Name of the tier, unique in its chain. Default: "filesystem". */
  readonly name?: string | undefined
  /** Directory of the blobs; made if missing, with its parents. A store needs one of its own. */
  readonly root: string
  /** `store`: the truth, never forgets. `cache`: evicts, and may share its directory with other processes. */
  readonly role: "store" | "cache"
  /** Budget for the sum of the file sizes (payload and trailer), in bytes. Default: none. */
  readonly maxBytes?: number | undefined
  /** Free space that writes leave on the device, in bytes; 0: all may be used. Default: 67,108,864 (64 MiB). */
  readonly minFreeBytes?: number | undefined
  /**
   * What is flushed before a write is acknowledged. `none`: nothing, a power failure may lose or damage late writes
   * (damage is found). `file`: the bytes. `file+directory`: the bytes and their name. Default: `file+directory` for a
   * store, `none` for a cache.
   */
  readonly durability?: "none" | "file" | "file+directory" | undefined
  /** Cache: share of `maxBytes` above which eviction starts in the background, 0 to 1. Default: 0.95. */
  readonly softMark?: number | undefined
  /** Cache: share of `maxBytes` at which eviction stops, 0 to `softMark`. Default: 0.85. */
  readonly lowMark?: number | undefined
  /** Cache: blobs that nobody has read for so long are swept. Default: never. */
  readonly maxAge?: Duration.Input | undefined
  /** Cache: how often a read renews the file's time, at most; eviction knows no finer. Default: 10 minutes. */
  readonly touchEvery?: Duration.Input | undefined
  /** Time between sweeps. Default: 6 hours; the first comes one minute after the start. */
  readonly sweepEvery?: Duration.Input | undefined
  /** Bodies of this many bytes and more are streamed, smaller ones held in memory. Default: 1,048,576 (1 MiB). */
  readonly inlineBelow?: number | undefined
}
