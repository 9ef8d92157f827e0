/**
 * Chains for tests: a memory cache before a store whose calls the test controls.
 */
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as Effect from "effect/Effect"
import * as Chain from "../../src/Chain.ts"
import * as Key from "../../src/Key.ts"
import * as Controlled from "./Controlled.ts"

export const key = Key.makeUnsafe("hero", "master")

export const text = (found: Chain.Found | Chain.NotFound): string =>
  found._tag === "Found" && found.blob.body._tag === "Inline"
    ? Buffer.from(found.blob.body.bytes).toString()
    : found._tag

export const draft = (content: string, more: Partial<Chain.Draft> = {}): Chain.Draft => ({
  bytes: Buffer.from(content),
  contentType: "text/plain",
  ...more
})

/** A tier of the test: in memory, but to the chain one that lies outside the process. */
export const remote = (name: string) =>
  Effect.map(MemoryTier.make({ name, maxBytes: 10_000_000 }), (tier) =>
    Controlled.make(tier, { capabilities: { ...tier.capabilities, persistent: true } })
  )

/** A tier in process memory. */
export const local = (name = "memory") =>
  Effect.map(MemoryTier.make({ name, maxBytes: 10_000_000 }), (tier) => Controlled.make(tier))

/** memory → disk (cache) → store. */
export const threeTiers = (options: Partial<Chain.Options> = {}) =>
  Effect.gen(function* () {
    const memory = yield* local()
    const disk = yield* remote("disk")
    const store = yield* remote("store")
    const chain = yield* Chain.make<string>({
      name: "test",
      caches: [{ tier: memory.tier }, { tier: disk.tier }],
      store: { tier: store.tier },
      ...options
    })
    return { chain, memory, disk, store }
  })

/** memory → disk, without a store. */
export const cachesOnly = (options: Partial<Chain.Options> = {}) =>
  Effect.gen(function* () {
    const memory = yield* local()
    const disk = yield* remote("disk")
    const chain = yield* Chain.make<string>({
      name: "test",
      caches: [{ tier: memory.tier }, { tier: disk.tier }],
      ...options
    })
    return { chain, memory, disk }
  })

export const outcomes = (found: { readonly trail: Chain.Found["trail"] }): ReadonlyArray<string> =>
  found.trail.steps.map(({ outcome, tier }) => `${tier} ${outcome._tag}`)

/** What a read would be answered, in short: the tier, or that there is nothing, or that nobody can say. */
export const expected = ({ answer }: Chain.Explanation): string =>
  answer._tag === "Found" ? answer.tier : answer._tag === "NotFound" && answer.isRemembered ? "remembered" : answer._tag
