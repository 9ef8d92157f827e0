/**
 * A cache that is only read, beside a store that is written.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Chain from "../src/Chain.ts"
import * as Key from "../src/Key.ts"
import * as Tier from "../src/Tier.ts"
import { draft, key, outcomes, remote, text } from "./support/chains.ts"
import { blobAt } from "./support/shared.ts"
import { metric, test } from "./support/streaming.ts"

/** A cache that is only read and has one blob, before a store that has the same. */
const withSeed = Effect.gen(function* () {
  const disk = yield* remote("disk")
  const store = yield* remote("store")
  yield* disk.tier.put(blobAt("seed", 5))
  yield* store.tier.put(blobAt("seed", 5))
  const chain = yield* Chain.make<string>({
    name: "test",
    caches: [{ tier: Tier.readOnly(disk.tier) }],
    store: { tier: store.tier }
  })
  return { chain, disk, store }
})

describe("a cache that is only read", () => {
  test("needs no repair for keys and groups that it does not have, and stays in use", () =>
    Effect.gen(function* () {
      const { chain } = yield* withSeed
      for (let index = 0; index < 1_001; index++) yield* chain.put(Key.makeUnsafe("hero", `v${index}`), draft("x"))
      yield* chain.remove(Key.makeUnsafe("hero", "v1"))
      const { tiers } = yield* chain.removeGroup("her")
      assert.strictEqual(yield* metric("terrace_repairs"), 0)
      assert.deepStrictEqual(tiers.at(-1), { tier: "disk", outcome: "absent" })

      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["disk Hit", "store Confirmed"])
    }))

  test("never answers with what was replaced", () =>
    Effect.gen(function* () {
      const { chain } = yield* withSeed
      const { tiers } = yield* chain.put(key, draft("new"))
      assert.deepStrictEqual(tiers.at(-1), { tier: "disk", outcome: "repairing" })
      yield* chain.idle

      const found = yield* chain.get(key)
      assert.strictEqual(text(found), "new")
      assert.deepStrictEqual(outcomes(found), ["disk Outdated", "store Hit"])
    }))

  for (const [name, remove] of [
    ["was removed", (chain: Chain.Chain<string>) => chain.remove(key)],
    ["was removed with its group", (chain: Chain.Chain<string>) => chain.removeGroup(key.group)]
  ] as const) {
    it.effect(`never answers with what ${name}`, () =>
      Effect.gen(function* () {
        const { chain } = yield* withSeed
        yield* remove(chain)
        yield* chain.idle

        assert.strictEqual(text(yield* chain.get(key)), "NotFound")
      })
    )
  }

  it.effect("that cannot say whether it has a blob is taken to have it", () =>
    Effect.gen(function* () {
      const { disk, store } = yield* withSeed
      const silent = { ...Tier.readOnly(disk.tier), head: () => Effect.succeed(Tier.skipped("busy")) }
      const chain = yield* Chain.make<string>({ name: "test", caches: [{ tier: silent }], store: { tier: store.tier } })
      const { tiers } = yield* chain.put(Key.makeUnsafe("hero", "v"), draft("x"))

      assert.strictEqual(tiers.at(-1)?.outcome, "repairing")
    })
  )
})
