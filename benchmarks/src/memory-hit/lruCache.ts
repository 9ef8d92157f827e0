/**
 * lru-cache: a map with an order of use, and nothing else. Yielded in a program, it is the least that an API of effects
 * can cost.
 */
import * as Effect from "effect/Effect"
import { LRUCache } from "lru-cache"
import { type Contender, itself, plain, yielded } from "./Contender.ts"
import { indices, keyCount, text, type Workload } from "./workload.ts"

const filled = (workload: Workload): LRUCache<string, Uint8Array> => {
  const cache = new LRUCache<string, Uint8Array>({ max: 2 * keyCount })
  for (const index of indices) cache.set(text(index), workload.value(index))
  return cache
}

export const lruCache: ReadonlyArray<Contender> = [
  {
    name: "lru-cache `get` in `Effect.sync`, in a program",
    open: (workload) => {
      const cache = filled(workload)
      return yielded(workload, { key: text, get: (key) => Effect.sync(() => cache.get(key)), bytes: itself })
    }
  },
  {
    name: "lru-cache `get`",
    open: (workload) => {
      const cache = filled(workload)
      return plain(workload, { key: text, get: (key) => cache.get(key), bytes: itself })
    }
  }
]
