/** What `usage` counts. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fixtures from "../../Fixtures.ts"
import * as Case from "../Case.ts"
import * as expect from "../expect.ts"
import { fill } from "../pressure.ts"

const requires: Case.Requires = { exactUsage: true }

export const counting: ReadonlyArray<Case.Case> = [
  Case.make(
    "usage - comes to be exact when nothing is running",
    requires,
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      yield* expect.countsExactly(tier)

      yield* expect.stores(tier, Fixtures.blob({ group: group("g") }))

      yield* expect.countsExactly(tier)
    })
  ),

  Case.make(
    "usage - counts bytes and entries up and down, where it is exact",
    { ...requires, bodyBytes: 90_000 },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const put = (name: string, generation: number, size: number) =>
        expect.stores(tier, Fixtures.blob({ group: group("g"), name, generation, size }))
      yield* expect.countsExactly(tier)
      const before = yield* tier.usage
      const evictions = tier.evictions?.()
      yield* put("a", 1, 20_000)
      const one = yield* tier.usage
      assert.strictEqual(one.entries, before.entries + 1, "entries after the first put")
      assert.isAtLeast(one.bytes, before.bytes + 20_000, "bytes after the first put")

      yield* put("b", 1, 30_000)
      const two = yield* tier.usage
      assert.strictEqual(two.entries, before.entries + 2, "entries after the second put")
      assert.isAtLeast(two.bytes, one.bytes + 30_000, "bytes after the second put")

      yield* put("a", 2, 60_000)
      const grown = yield* tier.usage
      assert.strictEqual(grown.entries, two.entries, "entries after an overwrite")
      assert.isAtLeast(grown.bytes, two.bytes + 30_000, "bytes after growing by 40,000")

      yield* put("a", 3, 20_000)
      assert.deepInclude(yield* tier.usage, { entries: two.entries, bytes: two.bytes }, "after shrinking again")

      yield* put("a", 2, 90_000).pipe(Effect.exit)
      assert.deepInclude(yield* tier.usage, { entries: two.entries, bytes: two.bytes }, "after a superseded put")

      yield* tier.remove(Fixtures.blob({ group: group("g"), name: "b" }).header.key, 9)
      assert.deepInclude(yield* tier.usage, { entries: one.entries, bytes: one.bytes }, "after a removal")

      yield* put("b", 1, 30_000)
      yield* tier.removeGroup(group("g"), 9)
      assert.deepInclude(
        yield* tier.usage,
        { entries: before.entries, bytes: before.bytes },
        "after removing the group"
      )
      assert.strictEqual(tier.evictions?.(), evictions, "evictions, where all has room")
    })
  ),

  Case.make(
    "usage - is as before after puts that were not stored and removals that found nothing",
    { ...requires, bodyBytes: 20_000 },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const current = Fixtures.blob({ group: group("g"), generation: 5, size: 9_000 })
      const newer = Fixtures.blob({ group: group("g"), generation: 6, size: 20_000 })
      const older = Fixtures.blob({ group: group("g"), generation: 4, size: 20_000 })
      const fresh = Fixtures.blob({ group: group("g"), name: "fresh", size: 20_000 })
      yield* expect.stores(tier, current)
      const before = yield* expect.counted(tier)

      yield* expect.stores(tier, current)
      yield* tier.put(older)
      yield* tier.put(newer, { expected: "absent" })
      yield* tier.put(fresh, { expected: 3 })
      yield* tier.put({ ...fresh, header: { ...fresh.header, expiresAt: -1 } })
      yield* expect.refuses(tier, Fixtures.withBytes(newer, new Uint8Array(20_000)))
      yield* expect.refuses(tier, Fixtures.withBytes(fresh, new Uint8Array(20_000)))
      yield* expect.refuses(tier, { ...fresh, header: { ...fresh.header, attributes: { long: "x".repeat(2_000) } } })
      yield* tier.remove(current.header.key, 4)
      yield* tier.remove(fresh.header.key, 9)
      yield* tier.removeGroup(group("g"), 4)
      yield* tier.removeGroup(group("none"), 9)

      assert.deepStrictEqual(yield* expect.counted(tier), before)
    })
  ),

  Case.make(
    "usage - is as before once all is removed, whatever was pushed out meanwhile",
    { ...requires, bodyBytes: 20_000 },
    Effect.gen(function* () {
      const { tier, group, groupPrefix } = yield* Case.Subject
      // What other cases left may be pushed out too: with nothing of theirs there, the count goes back to this.
      yield* fill(tier, groupPrefix)
      const before = yield* expect.counted(tier)
      for (let index = 0; index < 5; index++)
        yield* expect.stores(tier, Fixtures.blob({ group: group(`a${index}`), size: 20_000 }))

      yield* fill(tier, groupPrefix)

      for (let index = 0; index < 5; index++) yield* tier.removeGroup(group(`a${index}`), 1)
      assert.deepStrictEqual(yield* expect.counted(tier), before)
    })
  ),

  Case.make(
    "usage - stays below its limit, if it names one",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      for (let index = 0; index < 20; index++) {
        yield* expect.stores(tier, Fixtures.blob({ group: group(`g${index}`), size: 1_000 }))

        const usage = yield* tier.usage
        assert.isAtMost(usage.bytes, usage.limit ?? Number.POSITIVE_INFINITY)
      }
    })
  )
]
