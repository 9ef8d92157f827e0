/** What `usage` counts. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fixtures from "../../Fixtures.ts"
import * as Case from "../Case.ts"
import * as expect from "../expect.ts"

export const counting: ReadonlyArray<Case.Case> = [
  Case.make(
    "usage - counts bytes and entries up and down, where it is exact",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const put = (name: string, generation: number, size: number) =>
        expect.stores(tier, Fixtures.blob({ group: group("g"), name, generation, size }))
      const before = yield* tier.usage
      if (!before.exact) return

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
