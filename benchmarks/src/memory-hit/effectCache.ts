/**
 * Effect's own `Cache`, without a time to live.
 */
import * as Cache from "effect/Cache"
import * as Effect from "effect/Effect"
import { type Contender, itself, notAHit, plain, yielded } from "./Contender.ts"
import { indices, keyCount, text, type Workload } from "./workload.ts"

const filled = (workload: Workload): Cache.Cache<string, Uint8Array> =>
  Effect.runSync(
    Effect.gen(function* () {
      const cache = yield* Cache.make<string, Uint8Array>({ capacity: 2 * keyCount, lookup: notAHit })
      for (const index of indices) yield* Cache.set(cache, text(index), workload.value(index))
      return cache
    })
  )

export const effectCache: ReadonlyArray<Contender> = [
  {
    name: "Effect `Cache.get`, in a program",
    open: (workload) => {
      const cache = filled(workload)
      return yielded(workload, { key: text, get: (key) => Cache.get(cache, key), bytes: itself })
    }
  },
  {
    name: "Effect `Cache.get`, `runSync` each",
    open: (workload) => {
      const cache = filled(workload)
      return plain(workload, { key: text, get: (key) => Effect.runSync(Cache.get(cache, key)), bytes: itself })
    }
  }
]
