/**
 * The contenders, in the order of the table. Set up as for hits in memory.
 */
import { BentoCache, bentostore } from "bentocache"
import { memoryDriver } from "bentocache/drivers/memory"
import { Cacheable, createKeyv } from "cacheable"
import * as Cache from "effect/Cache"
import * as Effect from "effect/Effect"
import { LRUCache } from "lru-cache"
import type { Contender } from "./Contender.ts"
import { terrace } from "./terrace.ts"

const capacity = 1_000

const effectCache: Contender = {
  name: "Effect `Cache.get`",
  open: (produce) => {
    const cache = Effect.runSync(
      Cache.make<string, Uint8Array>({ capacity, lookup: () => Effect.promise(() => produce()) })
    )
    return { read: (key) => Effect.runPromise(Cache.get(cache, key)) }
  }
}

const bentocache: Contender = {
  name: "bentocache `getOrSet`",
  open: (produce) => {
    const cache = new BentoCache({
      default: "memory",
      prefix: "",
      stores: { memory: bentostore({ ttl: null }).useL1Layer(memoryDriver({ maxItems: capacity, serialize: false })) }
    }).use()
    return { read: (key) => cache.getOrSet<Uint8Array>({ key, factory: produce }) }
  }
}

const cacheable = (): Cacheable =>
  new Cacheable({ primary: createKeyv({ lruSize: capacity, storeHashSize: 1, useClone: false }) })

const getOrSet: Contender = {
  name: "cacheable `Cacheable.getOrSet`",
  open: (produce) => {
    const cache = cacheable()
    return { read: (key) => cache.getOrSet<Uint8Array>(key, produce) }
  }
}

const wrap: Contender = {
  name: "cacheable `Cacheable.wrap`",
  open: (produce) => {
    const wrapped = cacheable().wrap((_key: string) => produce(), { keyPrefix: "images" })
    return { read: (key) => wrapped(key) }
  }
}

const lruCache: Contender = {
  name: "lru-cache `fetch`",
  open: (produce) => {
    const cache = new LRUCache<string, Uint8Array>({ max: capacity, fetchMethod: produce })
    return { read: (key) => cache.fetch(key) }
  }
}

export const contenders: ReadonlyArray<Contender> = [...terrace, effectCache, bentocache, getOrSet, wrap, lruCache]
