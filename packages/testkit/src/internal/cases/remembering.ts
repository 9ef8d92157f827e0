/** What a tier remembers of keys that are no longer there: nothing. */
import { assert } from "@effect/vitest"
import type { Blob } from "@terrace/core/Blob"
import * as Key from "@terrace/core/Key"
import type { Tier } from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"
import * as Fixtures from "../../Fixtures.ts"
import * as Case from "../Case.ts"
import { collector, reachable } from "../heap.ts"

/** Samples of the heap per round, evenly apart. Those of the first third see the code get warm and are not used. */
const samples = 9
const third = samples / 3

/** Keys of one group. */
const groupSize = 8

const bodyBytes = 100

/** A leak grows in every round; what happens once, such as a table that doubles or code that is compiled, does not. */
const rounds = 3
/** So many times the bound is a leak, whatever happens once. */
const clearly = 4
/** Keys that are asked for to find out which calls leak. */
const probes = 20_000
/** A million keys take a slow tier its time. */
const limitMillis = 180_000

const isInProcess = ({ capabilities }: Tier): boolean => !capabilities.persistent && !capabilities.shared

/** How a tier is asked: every how many keys one is put, and how many bytes the heap may grow per key. */
const measure = (tier: Tier) =>
  isInProcess(tier)
    ? // Over a million keys what grows once does not show, and a pointer to an object, for every second key, does.
      { putEvery: 2, bound: 4, concurrency: 1 }
    : // A put costs a write. A leak keeps at least a small object and its place in a table: some 50 bytes.
      { putEvery: 5, bound: 32, concurrency: 8 }

/** What each kind of call leaves behind, in bytes per key. */
const named = Effect.fnUntraced(function* (tier: Tier, { blob }: Plan, keyOf: (number: number) => Key.Key) {
  const collect = yield* collector
  let next = 0
  const growth = Effect.fnUntraced(function* (call: (key: Key.Key) => Effect.Effect<unknown, TierError>) {
    const before = reachable(collect)
    for (let probe = 0; probe < probes; probe++) yield* call(keyOf(next++))
    return ((reachable(collect) - before) / probes).toFixed(0)
  })
  const asked = yield* growth((key) => tier.get(key))
  const put = yield* growth((key) =>
    Effect.andThen(tier.put({ header: { ...blob.header, key }, body: blob.body }), tier.remove(key, 1))
  )
  return `${asked} for each that is only asked for, ${put} for each that is put and removed`
})

interface Plan {
  /** A blob of any key. */
  readonly blob: Blob
  readonly putEvery: number
  /** The tier's budget is so small that it has pushed out what it was left with long before the samples count. */
  readonly evicts: boolean
}

/** Reads a key that is not there; every so often puts it, and removes it or leaves it to be pushed out. */
const touch = Effect.fnUntraced(function* (tier: Tier, { blob, evicts, putEvery }: Plan, key: Key.Key, number: number) {
  yield* tier.get(key)
  if (number % putEvery > 0) return
  yield* tier.put({ header: { ...blob.header, key }, body: blob.body })
  if (!evicts || number % (2 * putEvery) === 0) yield* tier.remove(key, 1)
})

export const remembering: ReadonlyArray<Case.Case> = [
  Case.make(
    "memory of the process - does not grow with the number of keys that were ever asked for",
    { manyKeys: true },
    Effect.gen(function* () {
      const { tier, group, distinctKeys } = yield* Case.Subject
      const collect = yield* collector
      const perSample = Math.ceil(distinctKeys / samples)
      const { limit } = yield* tier.usage
      const { bound, concurrency, putEvery } = measure(tier)
      const leftBehind = (third * perSample * bodyBytes) / putEvery / 2
      const blob = Fixtures.blob({ group: group("g"), size: bodyBytes })
      const plan: Plan = { blob, putEvery, evicts: limit !== undefined && limit < leftBehind }
      let next = 0
      const keyOf = (number: number) =>
        Key.makeUnsafe(group(`g${Math.floor(number / groupSize)}`), `n${number % groupSize}`)
      const visit = Effect.suspend(() => {
        const number = next++
        return touch(tier, plan, keyOf(number), number)
      })
      const visits = Effect.forEach(Array.from({ length: perSample }), () => visit, { concurrency, discard: true })

      const growth: Array<number> = []
      while (growth.length < rounds) {
        const sizes: Array<number> = []
        for (let sample = 0; sample < samples; sample++) {
          yield* visits
          sizes.push(reachable(collect))
        }
        const early = Math.min(...sizes.slice(third, 2 * third))
        const late = Math.min(...sizes.slice(2 * third))
        growth.push((late - early) / (third * perSample))
        if (Math.min(...growth) < bound) return
        if (Math.min(...growth) > clearly * bound) break
      }
      const leaks = yield* named(tier, plan, (number) => keyOf(next + number))
      const bytes = growth.map((some) => some.toFixed(0)).join(", then ")
      assert.fail(`the heap grows by ${bytes} bytes per key: ${leaks}`)
    }),
    limitMillis
  )
]
