import { assert, it } from "@effect/vitest"
import * as Body from "@terrace/core/Body"
import * as Chain from "@terrace/core/Chain"
import * as Key from "@terrace/core/Key"
import { ChaosTier, Fixtures } from "@terrace/testkit"
import * as Effect from "effect/Effect"
import * as MapTier from "./MapTier.ts"
import * as SqliteTier from "./SqliteTier.ts"

it.effect("a cache that fails costs no request, and no reader gets old bytes", () =>
  Effect.gen(function* () {
    const cache = ChaosTier.make(MapTier.make(), {
      seed: 7,
      faults: { unavailable: 0.3, lostAnswer: 0.1, get: { corrupt: 0.3 } }
    })
    const store = yield* SqliteTier.make({ path: ":memory:" })
    const chain = yield* Chain.make({ name: "images", caches: [{ tier: cache.tier }], store: { tier: store } })
    const key = Key.makeUnsafe("hero", "master")

    for (let round = 0; round < 100; round++) {
      const bytes = Fixtures.bytes(round, 1_000)
      yield* chain.put(key, { bytes, contentType: "application/octet-stream" })

      const found = yield* chain.get(key)

      if (found._tag === "NotFound") assert.fail("the store has it")
      assert.deepStrictEqual(yield* Body.toBytes(found.blob.body), bytes)
    }
    assert.isAbove(cache.injected.unavailable, 0)
  })
)
