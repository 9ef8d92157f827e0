/** Bugs of counting: what is there, what was dropped, what was read, and what is kept for ever. */
import * as Tier from "@terrace/core/Tier"
import * as Effect from "effect/Effect"
import { afterStored, type Mutant, ofMemory, waiting } from "./Mutant.ts"

const charge = 2_048

/** Adds bytes that are not there to the count. */
const countingMore = (tier: Tier.Tier, more: () => number): Tier.Tier => ({
  ...tier,
  usage: Effect.map(tier.usage, (usage) => ({ ...usage, bytes: usage.bytes + more() }))
})

export const counting: ReadonlyArray<Mutant> = [
  ofMemory(
    "eviction forgets to subtract the bytes",
    (tier) => {
      let evicted = 0
      const put: Tier.Tier["put"] = Effect.fnUntraced(function* (blob, options) {
        const before = yield* tier.usage
        const head = yield* tier.head(blob.header.key)
        const write = yield* tier.put(blob, options)
        const after = yield* tier.usage
        const replaced = head._tag === "Hit" ? head.header.size + charge : 0
        if (write._tag === "Stored" && after.bytes !== before.bytes) {
          evicted += before.bytes - replaced + blob.header.size + charge - after.bytes
        }
        return write
      })
      return countingMore({ ...tier, put }, () => evicted)
    },
    "usage - is as before once all is removed, whatever was pushed out meanwhile"
  ),

  ofMemory(
    "evictions are not counted",
    (tier) => ({ ...tier, evictions: undefined }),
    "usage - is as before once all is removed, whatever was pushed out meanwhile"
  ),

  waiting(
    ofMemory(
      "usage is never exact",
      (tier) => ({ ...tier, usage: Effect.map(tier.usage, (usage) => ({ ...usage, exact: false })) }),
      "usage - comes to be exact when nothing is running",
      'given to the suite with `usage: "approximate"`'
    )
  ),

  waiting(
    ofMemory(
      "native expiry is declared, and what has expired waits to be asked for",
      (tier) => ({ ...tier, capabilities: { ...tier.capabilities, nativeExpiry: true } }),
      "usage - counts nothing of what has expired, soon, where nativeExpiry is declared (test clock)"
    )
  ),

  ofMemory(
    "removals are counted as evictions",
    (tier) => {
      let removals = 0
      const remove: Tier.Tier["remove"] = (key, generation) => {
        removals++
        return tier.remove(key, generation)
      }
      return { ...tier, remove, evictions: () => (tier.evictions?.() ?? 0) + removals }
    },
    "usage - counts bytes and entries up and down, where it is exact"
  ),

  ofMemory(
    "a refused put keeps its bytes reserved",
    (tier) => {
      let reserved = 0
      const put: Tier.Tier["put"] = (blob, options) => {
        reserved += blob.header.size
        return Effect.tap(tier.put(blob, options), () => Effect.sync(() => (reserved -= blob.header.size)))
      }
      return countingMore({ ...tier, put }, () => reserved)
    },
    "usage - is as before after puts that were not stored and removals that found nothing"
  ),

  ofMemory(
    "an interrupted put keeps its bytes reserved",
    (tier) => {
      let reserved = 0
      const put: Tier.Tier["put"] = (blob, options) =>
        Effect.gen(function* () {
          reserved += blob.header.size
          const exit = yield* Effect.exit(tier.put(blob, options))
          reserved -= blob.header.size
          return yield* exit
        })
      return countingMore({ ...tier, put }, () => reserved)
    },
    "put - over an old blob, interrupted after any number of steps, leaves the old blob or the new; a later put works"
  ),

  ofMemory(
    "one read in seven is Skipped",
    (tier) => {
      let reads = 0
      return { ...tier, get: (key) => (++reads % 7 === 0 ? Effect.succeed(Tier.skipped("busy")) : tier.get(key)) }
    },
    "a chain of this tier alone as a cache - counts a hit or a miss for every read"
  ),

  ofMemory(
    "a record of each key that was put stays",
    (tier) => {
      const seen = new Map<string, number>()
      return afterStored(tier, ({ header }) => Effect.sync(() => seen.set(header.key.text, header.generation)))
    },
    "memory of the process - does not grow with the number of keys that were ever asked for",
    "bytes per key: "
  ),

  ofMemory(
    "a record of each key that was asked for in vain stays",
    (tier) => {
      const seen = new Set<string>()
      return {
        ...tier,
        get: (key) =>
          Effect.tap(tier.get(key), (read) => Effect.sync(() => (read._tag === "Miss" ? seen.add(key.text) : seen)))
      }
    },
    "memory of the process - does not grow with the number of keys that were ever asked for"
  )
]
