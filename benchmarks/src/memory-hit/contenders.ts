/**
 * The contenders, in the order of the table.
 */
import { bentocache } from "./bentocache.ts"
import { cacheable } from "./cacheable.ts"
import type { Contender } from "./Contender.ts"
import { effectCache } from "./effectCache.ts"
import { lruCache } from "./lruCache.ts"
import { terrace } from "./terrace.ts"
import { unstorage } from "./unstorage.ts"

export const contenders: ReadonlyArray<Contender> = [
  ...terrace,
  ...effectCache,
  ...bentocache,
  ...cacheable,
  ...unstorage,
  ...lruCache
]
