/** What `remove` and `removeGroup` take away, and what they leave. */
import { assert } from "@effect/vitest"
import * as Key from "@terrace/core/Key"
import * as Effect from "effect/Effect"
import * as Fixtures from "../../Fixtures.ts"
import * as Case from "../Case.ts"
import * as expect from "../expect.ts"

export const removing: ReadonlyArray<Case.Case> = [
  Case.make(
    "remove - removes a blob of at most the given generation and nothing else",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const equal = Fixtures.blob({ group: group("g"), name: "equal", generation: 8 })
      const older = Fixtures.blob({ group: group("g"), name: "older", generation: 7 })
      const other = Fixtures.blob({ group: group("g"), name: "other", generation: 7 })
      for (const blob of [equal, older, other]) yield* expect.stores(tier, blob)

      assert.deepStrictEqual(yield* tier.remove(equal.header.key, 8), { _tag: "Removed" })
      assert.deepStrictEqual(yield* tier.remove(older.header.key, 8), { _tag: "Removed" })

      yield* expect.misses(tier, equal.header.key)
      yield* expect.misses(tier, older.header.key)
      yield* expect.holds(tier, other)
    })
  ),

  Case.make(
    "remove - answers Absent if there is nothing, before and after",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const blob = Fixtures.blob({ group: group("g"), generation: 7 })

      assert.deepStrictEqual(yield* tier.remove(blob.header.key, 8), { _tag: "Absent" })
      yield* expect.stores(tier, blob)
      assert.deepStrictEqual(yield* tier.remove(blob.header.key, 8), { _tag: "Removed" })
      assert.deepStrictEqual(yield* tier.remove(blob.header.key, 8), { _tag: "Absent" })
      assert.deepStrictEqual(yield* tier.remove(Key.makeUnsafe(group("g"), "other"), 8), { _tag: "Absent" })
    })
  ),

  Case.make(
    "remove - answers Superseded to a generation older than what is there, which stays",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const blob = Fixtures.blob({ group: group("g"), generation: 8 })
      yield* expect.stores(tier, blob)

      const removal = yield* tier.remove(blob.header.key, 7)

      assert.deepStrictEqual(removal, { _tag: "Superseded", current: 8 })
      yield* expect.holds(tier, blob)
    })
  ),

  Case.make(
    "remove - leaves a key that can be put again, of any generation",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const first = Fixtures.blob({ group: group("g"), generation: 8 })
      const second = Fixtures.blob({ group: group("g"), generation: 7 })
      yield* expect.stores(tier, first)
      yield* tier.remove(first.header.key, 8)

      yield* expect.stores(tier, second, { expected: "absent" })

      yield* expect.holds(tier, second)
    })
  ),

  Case.make(
    "removeGroup - removes every blob of the group",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const names = ["master", "original", "0123456789abcdef~fedcba9876543210", "a", "..", "x.y_z-~"]
      const blobs = names.map((name, index) => Fixtures.blob({ group: group("g"), name, generation: index + 1 }))
      for (const blob of blobs) yield* expect.stores(tier, blob)

      const removal = yield* tier.removeGroup(group("g"), blobs.length)

      assert.deepInclude(removal, { _tag: "Removed", removed: blobs.length, superseded: 0 })
      assert.isUndefined(removal.current)
      for (const blob of blobs) yield* expect.misses(tier, blob.header.key)
    })
  ),

  Case.make(
    "removeGroup - leaves groups whose names only begin alike",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const removed = Fixtures.blob({ group: group("cat") })
      const alike = ["cat-", "cat-2", "cats", "cat.jpg", "cat_", "ca", "Cat"].map((suffix, index) =>
        Fixtures.blob({ group: group(suffix), seed: index })
      )
      for (const blob of [removed, ...alike]) yield* expect.stores(tier, blob)

      yield* tier.removeGroup(group("cat"), 10)

      yield* expect.misses(tier, removed.header.key)
      for (const blob of alike) yield* expect.holds(tier, blob)
    })
  ),

  Case.make(
    "removeGroup - keeps members newer than the generation and says how new they are",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const members = [5, 6, 7, 8].map((generation) =>
        Fixtures.blob({ group: group("g"), name: `n${generation}`, generation })
      )
      for (const blob of members) yield* expect.stores(tier, blob)

      const removal = yield* tier.removeGroup(group("g"), 6)

      assert.deepStrictEqual({ ...removal }, { _tag: "Removed", removed: 2, superseded: 2, current: 8 })
      for (const blob of members.slice(0, 2)) yield* expect.misses(tier, blob.header.key)
      for (const blob of members.slice(2)) yield* expect.holds(tier, blob)
    })
  ),

  Case.make(
    "removeGroup - of a group that holds nothing removes nothing",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject

      const removal = yield* tier.removeGroup(group("g"), 6)

      assert.deepInclude(removal, { _tag: "Removed", removed: 0, superseded: 0 })
    })
  ),

  Case.make(
    "removeGroup - leaves a group that can be put again",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const blob = Fixtures.blob({ group: group("g"), generation: 5 })
      yield* expect.stores(tier, blob)
      yield* tier.removeGroup(group("g"), 5)

      yield* expect.stores(tier, blob, { expected: "absent" })

      yield* expect.holds(tier, blob)
    })
  )
]
