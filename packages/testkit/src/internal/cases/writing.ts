/** What `put` stores, and what it refuses. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fixtures from "../../Fixtures.ts"
import * as Case from "../Case.ts"
import * as expect from "../expect.ts"

export const writing: ReadonlyArray<Case.Case> = [
  Case.make(
    "put - replaces a blob by one of a higher generation",
    { bodyBytes: 5_000 },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const older = Fixtures.blob({ group: group("g"), generation: 7, size: 5_000, attributes: { title: "older" } })
      const newer = Fixtures.blob({ group: group("g"), generation: 8, size: 100, contentType: "image/png" })
      yield* expect.stores(tier, older)

      yield* expect.stores(tier, newer)

      yield* expect.holds(tier, newer)
    })
  ),

  Case.make(
    "put - takes a higher generation of the same bytes",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const older = Fixtures.blob({ group: group("g"), generation: 7, seed: 1, attributes: { title: "older" } })
      const newer = Fixtures.blob({ group: group("g"), generation: 8, seed: 1, attributes: { title: "newer" } })
      yield* expect.stores(tier, older)

      yield* expect.stores(tier, newer)

      yield* expect.holds(tier, newer)
    })
  ),

  Case.make(
    "put - compares generations as numbers, up to the largest safe integer",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const generations = [9, 10, 1_700_000_000_000_000, Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER]
      for (const generation of generations) {
        const blob = Fixtures.blob({ group: group("g"), generation, seed: generation % 1_000 })

        yield* expect.stores(tier, blob)

        yield* expect.holds(tier, blob)
      }
    })
  ),

  Case.make(
    "put - answers Superseded to an older generation and changes nothing",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const current = Fixtures.blob({ group: group("g"), generation: 8 })
      yield* expect.stores(tier, current)

      const write = yield* tier.put(Fixtures.blob({ group: group("g"), generation: 7 }))

      assert.deepStrictEqual(write, { _tag: "Superseded", current: 8 })
      yield* expect.holds(tier, current)
    })
  ),

  Case.make(
    "put - answers Stored to a retry: the same generation with the same digest",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const blob = Fixtures.blob({ group: group("g"), generation: 8 })
      yield* expect.stores(tier, blob, { expected: "absent" })

      yield* expect.stores(tier, blob)
      yield* expect.stores(tier, blob, { expected: "absent" })

      yield* expect.holds(tier, blob)
    })
  ),

  Case.make(
    "put - answers Superseded to the same generation with another digest and changes nothing",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const current = Fixtures.blob({ group: group("g"), generation: 8, seed: 1 })
      yield* expect.stores(tier, current)

      const write = yield* tier.put(Fixtures.blob({ group: group("g"), generation: 8, seed: 2 }))

      assert.deepStrictEqual(write, { _tag: "Superseded", current: 8 })
      yield* expect.holds(tier, current)
    })
  ),

  Case.make(
    "put - refuses a header above 1,800 encoded bytes and keeps what it had",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const current = Fixtures.blob({ group: group("g"), generation: 7 })
      yield* expect.stores(tier, current)

      yield* expect.refuses(
        tier,
        Fixtures.blob({ group: group("g"), generation: 8, attributes: { title: "x".repeat(1_900) } })
      )

      yield* expect.holds(tier, current)
    })
  ),

  Case.make(
    "put - with expected `absent`, stores if nothing is there, else answers Conflict and changes nothing",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const first = Fixtures.blob({ group: group("g"), generation: 7 })

      yield* expect.stores(tier, first, { expected: "absent" })
      const write = yield* tier.put(Fixtures.blob({ group: group("g"), generation: 8 }), { expected: "absent" })

      assert.deepStrictEqual(write, { _tag: "Conflict", current: 7 })
      yield* expect.holds(tier, first)
    })
  ),

  Case.make(
    "put - with an expected generation, stores if it is there, else answers Conflict and changes nothing",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const first = Fixtures.blob({ group: group("g"), generation: 7 })
      const second = Fixtures.blob({ group: group("g"), generation: 9 })
      const third = Fixtures.blob({ group: group("g"), generation: 10 })

      assert.deepStrictEqual(yield* tier.put(first, { expected: 6 }), { _tag: "Conflict", current: "absent" })
      yield* expect.misses(tier, first.header.key)

      yield* expect.stores(tier, first)
      yield* expect.stores(tier, second, { expected: 7 })
      assert.deepStrictEqual(yield* tier.put(third, { expected: 7 }), { _tag: "Conflict", current: 9 })
      yield* expect.holds(tier, second)
    })
  ),

  Case.make(
    "put - with the expected generation there, an older one is Superseded all the same",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const current = Fixtures.blob({ group: group("g"), generation: 9 })
      yield* expect.stores(tier, current)

      const write = yield* tier.put(Fixtures.blob({ group: group("g"), generation: 8 }), { expected: 9 })

      assert.deepStrictEqual(write, { _tag: "Superseded", current: 9 })
      yield* expect.holds(tier, current)
    })
  )
]
