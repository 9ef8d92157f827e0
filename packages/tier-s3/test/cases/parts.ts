/** The contract's cases of streamed bodies, where every stream goes up in parts and comes down in several chunks. */
import { assert } from "@effect/vitest"
import type * as Tier from "@terrace/core/Tier"
import * as TierSuite from "@terrace/testkit/TierSuite"
import * as Effect from "effect/Effect"
import * as Requests from "../support/Requests.ts"
import { fixture, uploadsIn } from "../support/Servers.ts"
import type { It } from "../support/Suite.ts"

const cases = (tier: Tier.Tier) =>
  TierSuite.applicable(tier.capabilities, { clock: "live", distinctKeys: 0 }).filter(
    ({ requires }) => requires.streaming === true && requires.persistent !== true && requires.shared !== true
  )

export const parts = (it: It): void => {
  it.effect(
    "every case of streamed bodies holds",
    () =>
      Effect.gen(function* () {
        const { bucket, client, open } = yield* fixture
        const tier = yield* open({ inlineBelow: 65_536, multipartFrom: 1 })
        const leaks = Effect.promise(async () => Requests.inFlight() + (await uploadsIn(client, bucket)))

        const held = yield* Effect.forEach(cases(tier), (self) =>
          Effect.mapError(TierSuite.run(self, tier, { leaks }), (error) => new Error(self.name, { cause: error }))
        )

        assert.isAbove(held.length, 25)
      }),
    120_000
  )
}
