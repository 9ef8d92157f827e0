import { assert, describe, it } from "@effect/vitest"
import * as Tier from "@terrace/core/Tier"
import { TierSuite } from "@terrace/testkit"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import * as MapTier from "../examples/MapTier.ts"
import { mutants } from "./mutants.ts"

/** Names of the cases that fail against the tier, each run with a tier and a clock of its own. */
const failures = (mutate: (tier: Tier.Tier) => Tier.Tier) =>
  Effect.gen(function* () {
    const failed: Array<string> = []
    const { capabilities } = mutate(MapTier.make())
    for (const self of TierSuite.applicable(capabilities)) {
      const exit = yield* TierSuite.run(self, mutate(MapTier.make())).pipe(
        Effect.provide(TestClock.layer()),
        Effect.exit
      )
      if (exit._tag === "Failure") failed.push(self.name)
    }
    return failed
  })

describe("TierSuite", () => {
  it.effect("passes a tier that honours the contract", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* failures((tier) => tier), [])
    })
  )

  it.effect("passes a view within a namespace, which has room for groups of fewer characters", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* failures(Tier.within("namespace")), [
        "keys - of the greatest lengths are told apart by their last character"
      ])
    })
  )

  it.effect.each(mutants)("catches a tier in which $name", ({ mutate, caughtBy }) =>
    Effect.gen(function* () {
      assert.include(yield* failures(mutate), caughtBy)
    })
  )

  it("names every case once", () => {
    const names = TierSuite.cases.map((self) => self.name)
    assert.deepStrictEqual(names, [...new Set(names)])
  })

  it.effect("selects cases by capability", () =>
    Effect.gen(function* () {
      const { capabilities } = MapTier.make()
      const names = (changes: Partial<Tier.Capabilities>, clock?: "live") =>
        TierSuite.applicable({ ...capabilities, ...changes }, clock).map((self) => self.name)

      assert.include(names({}), "scan - lists every key with the size of its body")
      assert.notInclude(names({ list: false }), "scan - lists every key with the size of its body")
      assert.include(names({ list: false }), "scan - answers Unsupported where list is not declared")
      assert.notInclude(names({ maxBytes: 65_535 }), "put - keeps 64 KiB")
      assert.include(names({ maxBytes: 65_536 }), "put - keeps 64 KiB")
      assert.isAbove(names({}).length, names({}, "live").length)
    })
  )
})
