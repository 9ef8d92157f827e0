/**
 * bentocache: the memory driver alone.
 *
 * At its fastest: values are not serialised, do not expire (else each read asks the clock once more), and keys have no
 * prefix (else each read builds a string).
 */
import { BentoCache, bentostore } from "bentocache"
import { memoryDriver } from "bentocache/drivers/memory"
import { awaited, type Contender, itself, notAHit } from "./Contender.ts"
import { indices, keyCount, text, type Workload } from "./workload.ts"

const filled = async (workload: Workload) => {
  const cache = new BentoCache({
    default: "memory",
    prefix: "",
    stores: { memory: bentostore().useL1Layer(memoryDriver({ maxItems: 2 * keyCount, serialize: false })) }
  }).use()
  for (const index of indices) await cache.setForever({ key: text(index), value: workload.value(index) })
  return cache
}

export const bentocache: ReadonlyArray<Contender> = [
  {
    name: "bentocache `get`",
    open: async (workload) => {
      const cache = await filled(workload)
      return awaited(workload, { key: text, get: (key) => cache.get<Uint8Array>({ key }), bytes: itself })
    }
  },
  {
    name: "bentocache `getOrSet`",
    open: async (workload) => {
      const cache = await filled(workload)
      return awaited(workload, {
        key: text,
        get: (key) => cache.getOrSet<Uint8Array>({ key, factory: notAHit }),
        bytes: itself
      })
    }
  }
]
