/** The answers of a tier as a chain counts them. */
import { assert } from "@effect/vitest"
import * as Chain from "@terrace/core/Chain"
import * as Key from "@terrace/core/Key"
import type { Tier } from "@terrace/core/Tier"
import * as Effect from "effect/Effect"
import * as Case from "../Case.ts"
import * as expect from "../expect.ts"
import * as Fixtures from "../../Fixtures.ts"

const draft = (seed: number, size: number): Chain.Draft => ({
  bytes: Fixtures.bytes(seed, size),
  contentType: "application/octet-stream"
})

const alone = (title: string, optionsOf: (tier: Tier) => Pick<Chain.Options, "caches" | "store">) =>
  Case.make(
    title,
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const chain = yield* Chain.make({ name: "alone", ...optionsOf(tier) })
      const key = (name: string) => Key.makeUnsafe(group("g"), name)
      const counters = Effect.map(chain.status, ([status]) => status?.counters ?? assert.fail("the chain has one tier"))
      let reads = 0
      const get = Effect.fnUntraced(function* (name: string) {
        reads++
        return yield* Effect.orDie(chain.get(key(name)))
      })
      for (const [index, name] of ["a", "b", "c"].entries()) {
        const receipt = yield* Effect.orDie(chain.put(key(name), draft(index, 1_000 * index)))
        assert.deepStrictEqual(receipt.tiers, [{ tier: tier.name, outcome: "stored" }])
      }

      for (let round = 0; round < 5; round++) {
        for (const [index, name] of ["a", "b", "c"].entries()) {
          const found = yield* get(name)
          if (found._tag !== "Found") assert.fail(`${name}: expected Found, got ${found._tag}`)
          const read = yield* expect.reads(tier, found.blob.header.key)
          expect.sameBytes(read?.bytes ?? new Uint8Array(0), Fixtures.bytes(index, 1_000 * index))
        }
        // Another key each time: a chain may remember that a key is absent, and not ask the tier again.
        assert.strictEqual((yield* get(`absent${round}`))._tag, "NotFound")
        yield* chain.idle
      }

      const { failed, hits, misses, skipped, stored } = yield* counters
      assert.strictEqual(hits + misses + skipped + failed, reads, "all that was read")
      assert.deepStrictEqual(
        { hits, misses, skipped, failed, stored },
        { hits: 15, misses: 5, skipped: 0, failed: 0, stored: 3 }
      )
      const receipt = yield* Effect.orDie(chain.remove(key("a")))
      assert.deepStrictEqual(receipt.tiers, [{ tier: tier.name, outcome: "removed" }])
      assert.strictEqual((yield* Effect.orDie(chain.get(key("a"))))._tag, "NotFound")
    })
  )

export const accounting: ReadonlyArray<Case.Case> = [
  alone("a chain of this tier alone as a cache - counts a hit or a miss for every read", (tier) => ({
    caches: [{ tier }]
  })),
  alone("a chain of this tier alone as its store - counts a hit or a miss for every read", (tier) => ({
    caches: [],
    store: { tier }
  }))
]
