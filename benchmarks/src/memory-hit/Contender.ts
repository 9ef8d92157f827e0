/**
 * A cache and one way to read it, and the loops that read.
 *
 * The loops are those of one who uses the cache: plain code, code that awaits, or one running Effect program. They count
 * the values that came back whole, which proves that what was timed were hits. They go by index, because `for…of` around
 * an `await` or a `yield*` allocates an object per turn that is not the cache's.
 */
import * as Effect from "effect/Effect"
import { type Order, valueBytes, type Workload } from "./workload.ts"

export interface Contender {
  /** What is called for one read; names the contender in the table. */
  readonly name: string
  /** Fills the cache with the workload; `directory` is there for files, and is empty. */
  readonly open: (workload: Workload, directory: string) => Opened | Promise<Opened>
}

export interface Opened {
  /** Reads every key of the order, one after the other; answers how many values came back. This is what is timed. */
  readonly read: (order: Order) => number | Promise<number>
  /** Reads one key in the same way. */
  readonly value: (index: number) => unknown
  /** Fails if a read since the cache was filled was no hit. */
  readonly end?: () => Promise<void>
}

/** How a cache is read: `answer` is what it gives back, from which `bytes` takes the value. */
interface Way<K, A, R> {
  /** Makes the key of an index; done beforehand. */
  readonly key: (index: number) => K
  readonly get: (key: K) => R
  readonly bytes: (answer: A) => Uint8Array | null | undefined
}

export const itself = (bytes: Uint8Array | null | undefined): Uint8Array | null | undefined => bytes

/** A call that answers at once. */
export const plain = <K, A>(workload: Workload, { bytes, get, key }: Way<K, A, A>): Opened => {
  const orders = workload.orders(key)
  return {
    read: (order) => {
      const keys = orders[order]
      let whole = 0
      for (let i = 0; i < keys.length; i++) {
        const key = keys[i]
        if (key !== undefined && bytes(get(key))?.byteLength === valueBytes) whole += 1
      }
      return whole
    },
    value: (index) => bytes(get(key(index)))
  }
}

/** A call that answers with a promise, awaited before the next call. */
export const awaited = <K, A>(workload: Workload, { bytes, get, key }: Way<K, A, Promise<A>>): Opened => {
  const orders = workload.orders(key)
  return {
    read: async (order) => {
      const keys = orders[order]
      let whole = 0
      for (let i = 0; i < keys.length; i++) {
        const key = keys[i]
        if (key !== undefined && bytes(await get(key))?.byteLength === valueBytes) whole += 1
      }
      return whole
    },
    value: async (index) => bytes(await get(key(index)))
  }
}

/** An effect, yielded in one program that runs all the while. */
export const yielded = <K, A, E>(workload: Workload, { bytes, get, key }: Way<K, A, Effect.Effect<A, E>>): Opened => {
  const orders = workload.orders(key)
  return {
    read: (order) =>
      Effect.runPromise(
        Effect.gen(function* () {
          const keys = orders[order]
          let whole = 0
          for (let i = 0; i < keys.length; i++) {
            const key = keys[i]
            if (key !== undefined && bytes(yield* get(key))?.byteLength === valueBytes) whole += 1
          }
          return whole
        })
      ),
    value: async (index) => bytes(await Effect.runPromise(get(key(index))))
  }
}

/** What a way to read that makes what is missing is given: a hit needs nothing made. */
export const notAHit = (): never => {
  throw new Error("not a hit")
}
