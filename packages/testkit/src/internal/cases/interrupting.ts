/** Calls that are interrupted at any point: they have happened whole, or not at all. */
import { assert } from "@effect/vitest"
import type { Blob } from "@terrace/core/Blob"
import type * as Tier from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"
import * as Fixtures from "../../Fixtures.ts"
import * as Case from "../Case.ts"
import * as expect from "../expect.ts"
import { interruptAfter, untilDone } from "../stepping.ts"

/** Steps up to here are tried one by one. */
const fine = 24

const size = 20_000

interface Interruption {
  /** What is interrupted. */
  readonly what: string
  /** What is there before each round. */
  readonly before: (generation: number) => Blob | undefined
  /** What may be there after it, beside that. */
  readonly after: (generation: number) => Blob | undefined
  readonly act: (tier: Tier.Tier, generation: number) => Effect.Effect<unknown, TierError>
}

/** Interrupts `act` after 0, 1, 2, … steps. Each round has three generations: before, during, and after it. */
const rounds = Effect.fnUntraced(function* ({ act, after, before, what }: Interruption) {
  const { tier, group, leaks } = yield* Case.Subject
  // Of as many digits as those that follow: a tier may count the bytes of the header.
  let generation = 1_000
  const one = Fixtures.blob({ group: group("g"), generation, size })
  yield* expect.stores(tier, one)
  const initially = { leaks: yield* leaks, usage: yield* expect.counted(tier) }
  yield* untilDone(fine, (steps) =>
    Effect.gen(function* () {
      generation += 3
      const old = before(generation - 2)
      const next = after(generation - 1)
      if (old === undefined) yield* tier.remove(one.header.key, generation)
      else yield* expect.stores(tier, old)

      const exit = yield* interruptAfter(steps, act(tier, generation - 1), what)

      const isDone = exit._tag === "Success"
      const found = yield* expect.holdsOneOf(tier, one.header.key, isDone ? [next] : [old, next])
      yield* expect.leaksNothing(`after ${steps} steps`, leaks, initially.leaks)
      const later = Fixtures.blob({ group: group("g"), generation, size })
      yield* expect.stores(tier, later, { expected: found?.header.generation ?? "absent" })
      yield* expect.holds(tier, later)
      assert.deepStrictEqual(yield* expect.counted(tier), initially.usage, `usage after ${steps} steps`)
      return isDone
    })
  )
})

/** Interrupts a call that changes nothing. */
const harmless = Effect.fnUntraced(function* (act: (tier: Tier.Tier, blob: Blob) => Effect.Effect<unknown, TierError>) {
  const { tier, group, leaks } = yield* Case.Subject
  const blob = Fixtures.blob({ group: group("g"), size })
  yield* expect.stores(tier, blob)
  const initially = { leaks: yield* leaks, usage: yield* expect.counted(tier) }
  yield* untilDone(fine, (steps) =>
    Effect.gen(function* () {
      const exit = yield* interruptAfter(steps, act(tier, blob), "get and head")

      yield* expect.holds(tier, blob)
      yield* expect.leaksNothing(`after ${steps} steps`, leaks, initially.leaks)
      return exit._tag === "Success"
    })
  )
  assert.deepStrictEqual(yield* expect.counted(tier), initially.usage)
})

export const interrupting: ReadonlyArray<Case.Case> = [
  Case.make(
    "put - over an old blob, interrupted after any number of steps, leaves the old blob or the new; a later put works",
    { bodyBytes: size },
    Effect.gen(function* () {
      const { group } = yield* Case.Subject
      const blob = (generation: number) => Fixtures.blob({ group: group("g"), generation, size })

      yield* rounds({ what: "put", before: blob, after: blob, act: (tier, generation) => tier.put(blob(generation)) })
    })
  ),

  Case.make(
    "put - of a new key, interrupted after any number of steps, leaves nothing or the blob; a later put works",
    { bodyBytes: size },
    Effect.gen(function* () {
      const { group } = yield* Case.Subject
      const blob = (generation: number) => Fixtures.blob({ group: group("g"), generation, size })

      yield* rounds({
        what: "put",
        before: () => undefined,
        after: blob,
        act: (tier, generation) => tier.put(blob(generation))
      })
    })
  ),

  Case.make(
    "remove - interrupted after any number of steps leaves the blob or nothing; a later put works",
    { bodyBytes: size },
    Effect.gen(function* () {
      const { group } = yield* Case.Subject
      const blob = (generation: number) => Fixtures.blob({ group: group("g"), generation, size })
      const { key } = blob(1).header

      yield* rounds({
        what: "remove",
        before: blob,
        after: () => undefined,
        act: (tier, generation) => tier.remove(key, generation)
      })
    })
  ),

  Case.make(
    "removeGroup - interrupted after any number of steps leaves the blob or nothing; a later put works",
    { bodyBytes: size },
    Effect.gen(function* () {
      const { group } = yield* Case.Subject
      const blob = (generation: number) => Fixtures.blob({ group: group("g"), generation, size })

      yield* rounds({
        what: "removeGroup",
        before: blob,
        after: () => undefined,
        act: (tier, generation) => tier.removeGroup(group("g"), generation)
      })
    })
  ),

  Case.make(
    "get and head - interrupted after any number of steps leave everything as it was",
    { bodyBytes: size },
    harmless((tier, { header }) => Effect.andThen(tier.get(header.key), tier.head(header.key)))
  )
]
