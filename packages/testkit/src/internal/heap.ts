/**
 * What the process keeps in memory, measured.
 */
import * as Effect from "effect/Effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

/** Collects all garbage; works without a flag on the command line. */
export const collector: Effect.Effect<() => void> = Effect.sync(() => {
  setFlagsFromString("--expose-gc")
  const collect: unknown = runInNewContext("gc")
  if (typeof collect !== "function") throw new Error("this JavaScript engine offers no `gc`")
  return () => void collect()
})

/** Bytes that are reachable, on the heap and in buffers beside it. */
export const reachable = (collect: () => void): number => {
  collect()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
}
