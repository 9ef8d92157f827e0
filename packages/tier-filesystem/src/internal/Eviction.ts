/**
 * Makes room in a cache by dropping what was read longest ago.
 *
 * Sampled LRU: from a random directory on, rounds look at some files each, put what they saw into a pool, and drop the
 * coldest quarter of it (coldest: oldest modification time, which reads renew). Directories are named by hashes, so
 * neighbours are as good a sample as any. There is no index, and dropping a file costs about the same however large the
 * cache is; in a small one all files are looked at first, and the order is exact. The pool is the idea of Redis'
 * approximated LRU (redis.io/docs/latest/develop/reference/eviction).
 */
import * as Effect from "effect/Effect"
import type { PlatformError } from "effect/PlatformError"
import * as Random from "effect/Random"
import * as Disk from "./Disk.ts"
import * as Layout from "./Layout.ts"

interface Candidate {
  readonly shard: Layout.Shard
  readonly path: string
  readonly modifiedAt: number
}

const filesPerRound = 32
const filesPerDirectory = 64
const poolSize = 256

/** Evicts down to the low mark in the background if the soft mark is crossed, unless somebody evicts already. */
export const beyondSoftMark = (disk: Disk.Disk, maxBytes: number): Effect.Effect<void> => {
  const { ledger, settings } = disk
  const sum = ledger.bytes + ledger.promised.growth
  return sum <= maxBytes * settings.softMark
    ? Effect.void
    : disk.background(
        disk.evicting.withPermitsIfAvailable(1)(drain(disk, maxBytes * settings.lowMark - ledger.promised.growth))
      )
}

/** Drops blobs until the files take at most `targetBytes`, or nothing more can be dropped. One at a time evicts. */
export const evict = (disk: Disk.Disk, targetBytes: number): Effect.Effect<void> =>
  disk.evicting.withPermit(drain(disk, targetBytes))

const drain = (disk: Disk.Disk, targetBytes: number): Effect.Effect<void> =>
  Effect.gen(function* () {
    let before: number
    do {
      before = disk.stats.evicted
      yield* circle(disk, targetBytes)
    } while (disk.ledger.bytes > targetBytes && disk.stats.evicted > before)
  }).pipe(Effect.catch((failure) => Effect.logWarning(`${disk.settings.name}: eviction failed`, failure)))

/** Goes once through all directories, or until the target is met. */
const circle = (disk: Disk.Disk, targetBytes: number): Effect.Effect<void, PlatformError> =>
  Effect.gen(function* () {
    const { root } = disk.settings
    const outers = (yield* Disk.names(disk, root)).filter(Layout.isShardName)
    const start = Math.floor((yield* Random.next) * outers.length)
    let pool: Array<Candidate> = []
    let seen = 0
    for (const outer of [...outers.slice(start), ...outers.slice(0, start)]) {
      const inners = (yield* Disk.names(disk, Layout.outerPath(root, outer))).filter(Layout.isShardName)
      for (const inner of yield* Random.shuffle(inners)) {
        const found = yield* candidates(disk, { outer, inner })
        pool.push(...found)
        seen += found.length
        if (seen < filesPerRound) continue
        seen = 0
        pool = yield* dropColdest(disk, pool, 4, targetBytes)
        if (disk.ledger.bytes <= targetBytes) return
        yield* Effect.yieldNow
      }
    }
    yield* dropColdest(disk, pool, 1, targetBytes)
  })

/** Files of one directory, a random choice of them if they are many. */
const candidates = (disk: Disk.Disk, shard: Layout.Shard): Effect.Effect<ReadonlyArray<Candidate>, PlatformError> =>
  Effect.gen(function* () {
    const directory = Layout.shardPath(disk.settings.root, shard)
    const names = (yield* Disk.names(disk, directory)).filter((name) => Layout.keyOf(shard, name) !== undefined)
    const found: Array<Candidate> = []
    for (const name of (yield* Random.shuffle(names)).slice(0, filesPerDirectory)) {
      const path = `${directory}/${name}`
      const facts = yield* Disk.factsOf(disk, path)
      if (facts?.isFile === true) found.push({ shard, path, modifiedAt: facts.modifiedAt })
    }
    return found
  })

/** Drops the coldest of the pool, one in `share`, unless the target is met before; answers the rest, coldest first. */
const dropColdest = (
  disk: Disk.Disk,
  pool: ReadonlyArray<Candidate>,
  share: number,
  targetBytes: number
): Effect.Effect<Array<Candidate>, PlatformError> =>
  Effect.gen(function* () {
    const coldest = [...pool].sort((a, b) => a.modifiedAt - b.modifiedAt)
    const count = Math.ceil(coldest.length / share)
    for (const candidate of coldest.slice(0, count)) {
      if (disk.ledger.bytes <= targetBytes) break
      yield* drop(disk, candidate)
    }
    return coldest.slice(count, count + poolSize)
  })

/** Drops a file, unless it was read or replaced since it was sampled. */
const drop = (disk: Disk.Disk, candidate: Candidate): Effect.Effect<void, PlatformError> =>
  Effect.gen(function* () {
    const facts = yield* Disk.factsOf(disk, candidate.path)
    if (facts === undefined || facts.modifiedAt !== candidate.modifiedAt) return
    const wasThere = yield* Disk.unlink(disk, candidate.shard, candidate.path, facts.bytes)
    if (wasThere) disk.stats.evicted++
  }).pipe(Disk.locked(disk, candidate.shard))
