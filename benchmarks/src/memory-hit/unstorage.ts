/**
 * unstorage: the memory driver, which has no limit and evicts nothing.
 *
 * `setItem` takes no bytes. What `setItemRaw` stored, `getItemRaw` answers as it is; `getItem` would look at it once more.
 * Keys are written as unstorage writes them, with `:`, so that it has nothing to replace.
 */
import { createStorage } from "unstorage"
import memoryDriver from "unstorage/drivers/memory"
import { awaited, type Contender, itself } from "./Contender.ts"
import { indices, text } from "./workload.ts"

const colonText = (index: number): string => text(index).replace("/", ":")

export const unstorage: ReadonlyArray<Contender> = [
  {
    name: "unstorage `getItemRaw`",
    open: async (workload) => {
      const storage = createStorage<Uint8Array>({ driver: memoryDriver() })
      for (const index of indices) await storage.setItemRaw(colonText(index), workload.value(index))
      return awaited(workload, { key: colonText, get: (key) => storage.getItemRaw(key), bytes: itself })
    }
  }
]
