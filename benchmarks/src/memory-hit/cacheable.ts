/**
 * cacheable: its cache in memory, and `Cacheable` with that cache as the primary one.
 *
 * At its fastest: values are not cloned, do not expire, and lie in one map (else each read hashes its key). It has a
 * limit and an order of use, as the other caches have.
 */
import { Cacheable, CacheableMemory, createKeyv } from "cacheable"
import { awaited, type Contender, itself, notAHit, plain } from "./Contender.ts"
import { indices, keyCount, text, type Workload } from "./workload.ts"

const options = { lruSize: 2 * keyCount, storeHashSize: 1, useClone: false }

const filled = async (workload: Workload): Promise<Cacheable> => {
  const cache = new Cacheable({ primary: createKeyv(options) })
  for (const index of indices) await cache.set(text(index), workload.value(index))
  return cache
}

export const cacheable: ReadonlyArray<Contender> = [
  {
    name: "cacheable `CacheableMemory.get`",
    open: (workload) => {
      const cache = new CacheableMemory(options)
      for (const index of indices) cache.set(text(index), workload.value(index))
      return plain(workload, { key: text, get: (key) => cache.get<Uint8Array>(key), bytes: itself })
    }
  },
  {
    name: "cacheable `Cacheable.get`",
    open: async (workload) => {
      const cache = await filled(workload)
      return awaited(workload, { key: text, get: (key) => cache.get<Uint8Array>(key), bytes: itself })
    }
  },
  {
    name: "cacheable `Cacheable.getOrSet`",
    open: async (workload) => {
      const cache = await filled(workload)
      return awaited(workload, { key: text, get: (key) => cache.getOrSet<Uint8Array>(key, notAHit), bytes: itself })
    }
  }
]
