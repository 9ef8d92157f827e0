/** The answers of a tier as a chain counts them. */
import { assert } from "@effect/vitest"
import * as Chain from "@terrace/core/Chain"
import * as Key from "@terrace/core/Key"
import type { Tier } from "@terrace/core/Tier"
import * as Effect from "effect/Effect"
import * as ChaosTier from "../../ChaosTier.ts"
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

/** Reads through a chain while the tier now and then fails, and while its breaker is open. */
const unwell = (title: string, linksOf: (link: Chain.Link) => Pick<Chain.Options, "caches" | "store">) =>
  Case.make(
    title,
    {},
    Effect.gen(function* () {
      const { group, seed, tier } = yield* Case.Subject
      const chaos = ChaosTier.make(tier, { seed, faults: {} })
      // Real time passes in some suites: an open breaker stays so.
      const policy = { breaker: { failures: 3, openFor: "1 hour" } } as const
      const chain = yield* Chain.make({ name: "unwell", ...linksOf({ tier: chaos.tier, policy }) })
      const counters = Effect.map(chain.status, ([status]) => status?.counters ?? assert.fail("the chain has one tier"))
      const key = (name: string) => Key.makeUnsafe(group("g"), name)
      yield* Effect.orDie(chain.put(key("a"), draft(1, 1_000)))
      let reads = 0
      let unavailable = 0
      const read = Effect.fnUntraced(function* (names: ReadonlyArray<string>) {
        for (const name of names) {
          reads++
          const result = yield* Effect.result(chain.get(key(name)))
          if (result._tag === "Failure") unavailable++
          yield* chain.idle
        }
      })
      const some = Array.from({ length: 12 }, (_, index) => (index % 3 === 0 ? `absent${index}` : "a"))

      yield* read(some)
      // A look that fails is followed by a read, whose answer is the one that counts.
      yield* chaos.set({ get: { denied: 0.4 } })
      yield* read(some.map((name, index) => (name === "a" ? name : `other${index}`)))
      yield* chaos.down
      yield* read(some.map((name, index) => (name === "a" ? name : `third${index}`)))

      const { failed, hits, misses, skipped } = yield* counters
      assert.strictEqual(hits + misses + skipped + failed, reads, "all that was read")
      assert.strictEqual(skipped + failed, unavailable, "reads that were answered with an error")
      assert.isAtLeast(skipped, 1, "reads that the open breaker skipped")
      assert.isAtLeast(failed, 3, "reads that failed")
      assert.isAtLeast(hits, 8, "hits")
    })
  )

export const accounting: ReadonlyArray<Case.Case> = [
  alone("a chain of this tier alone as a cache - counts a hit or a miss for every read", (tier) => ({
    caches: [{ tier }]
  })),
  alone("a chain of this tier alone as its store - counts a hit or a miss for every read", (tier) => ({
    caches: [],
    store: { tier }
  })),
  unwell(
    "a chain of this tier alone as a cache, which is unwell - counts every read once: skipped, failed, hit or missed",
    (link) => ({
      caches: [link]
    })
  ),
  unwell(
    "a chain of this tier alone as its store, which is unwell - counts every read once: skipped, failed, hit or missed",
    (link) => ({
      caches: [],
      store: link
    })
  )
]
