import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Semaphore from "effect/Semaphore"
import { TestClock } from "effect/testing"
import * as Chain from "../src/Chain.ts"
import * as Key from "../src/Key.ts"
import { TierError, Unavailable } from "../src/TierError.ts"
import { content, fibers, nothing, reader, remains, settled, steps, test } from "./support/streaming.ts"
import * as StreamingTier from "./support/StreamingTier.ts"

const keys = [Key.makeUnsafe("hero", "one"), Key.makeUnsafe("hero", "two")]
const down = new TierError({ tier: "broken", operation: "put", reason: new Unavailable({ cause: "down" }) })
const seeds = Array.from({ length: 150 }, (_, index) => index + 1)

/** Numbers from 0 to below `limit`, the same for the same seed (a linear congruential generator). */
const dice = (seed: number) => {
  let state = seed
  return (limit: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 4_294_967_296) * limit)
  }
}

/** near → middle → far, all streaming, each of which lets others run at every chunk, and now and then fails. */
const world = (roll: (limit: number) => number) =>
  Effect.gen(function* () {
    const hesitate = Effect.suspend(() => steps(roll(4)))
    const stumble = Effect.suspend(() => (roll(60) === 0 ? Effect.fail(down) : hesitate))
    const made = yield* Effect.forEach(["near", "middle", "far"], (name) =>
      Effect.map(StreamingTier.make({ name, chunkBytes: 1_000 }), (tier) => {
        tier.onDeliver = () => stumble
        tier.onTake = () => (name === "far" ? hesitate : stumble)
        tier.onCommit = name === "far" ? hesitate : stumble
        return tier
      })
    )
    const [near, middle, far] = made
    if (near === undefined || middle === undefined || far === undefined) return assert.fail("no tiers")
    const policy = { breaker: false } as const
    const chain = yield* Chain.make<string>({
      name: "test",
      caches: [near, middle].map(({ tier }) => ({ tier, policy })),
      store: { tier: far.tier, policy }
    })
    return { caches: [near, middle], chain, far, tiers: made }
  })

/** What readers and writers do to one another, by `roll`; answers what must not be. */
const play = (roll: (limit: number) => number) =>
  Effect.gen(function* () {
    const { caches, chain, far, tiers } = yield* world(roll)
    const before = yield* fibers
    const broken: Array<string> = []
    const bytesOf = new Map<string, Buffer>()
    /** By key: no generation below it may be answered any more. */
    const acknowledged = new Map<Key.Key, number>(keys.map((key) => [key, 0]))
    const oneOf = <A>(all: ReadonlyArray<A>): A => all[roll(all.length)] ?? assert.fail("nothing to choose from")

    // One after the other: of writes that overlap, the last to reach the store wins, whatever their generations.
    const turn = Semaphore.makeUnsafe(1)
    const write = Effect.gen(function* () {
      const key = oneOf(keys)
      const what = roll(6)
      if (what < 4) {
        const bytes = content(roll(250), 1_000 + roll(6_000))
        const { header } = yield* chain.put(key, { bytes, contentType: "image/webp" })
        acknowledged.set(key, Math.max(acknowledged.get(key) ?? 0, header.generation))
        bytesOf.set(header.digest, bytes)
        return
      }
      const { generation } = yield* what === 4 ? chain.remove(key) : chain.removeGroup("hero")
      for (const gone of what === 4 ? [key] : keys) {
        acknowledged.set(gone, Math.max(acknowledged.get(gone) ?? 0, generation))
      }
    }).pipe((effect) => turn.withPermit(effect))

    const read = Effect.gen(function* () {
      const key = oneOf(keys)
      const least = acknowledged.get(key) ?? 0
      const found = yield* chain.get(key)
      if (found._tag === "NotFound") return
      const { digest, generation, size } = found.blob.header
      if (generation < least) broken.push(`generation ${generation} of ${key.text} was answered after ${least}`)
      yield* steps(roll(20))
      const one = yield* reader(found.blob)
      const got: Array<Uint8Array> = []
      const most = roll(3) === 0 ? roll(6) : Number.POSITIVE_INFINITY
      for (let pulls = 0; pulls < most; pulls++) {
        const chunk = yield* one.next
        if (chunk === undefined) break
        got.push(chunk)
        yield* steps(roll(6))
      }
      yield* one.leave
      const all = Buffer.concat(got)
      const expected = bytesOf.get(digest)
      if (most === Number.POSITIVE_INFINITY && all.byteLength !== size) broken.push("a reader got too little")
      if (expected !== undefined && !expected.subarray(0, all.byteLength).equals(all)) broken.push("other bytes")
    }).pipe(Effect.scoped, Effect.ignore)

    /** A cache may forget at any time. */
    const forget = Effect.forEach(caches, ({ tier }) =>
      roll(2) === 0 ? tier.removeGroup("hero", Number.MAX_SAFE_INTEGER) : Effect.void
    )
    const actor = (index: number) => (index % 5 === 0 ? write : index % 5 === 1 ? forget : read)

    yield* Effect.forEach(keys, (key) => chain.put(key, { bytes: content(7, 5_000), contentType: "image/webp" }))
    const actors = yield* Effect.forEach(Array.from({ length: 20 }), (_, index) =>
      Effect.forkChild(Effect.andThen(steps(roll(150)), actor(index)))
    )
    for (const actor of actors) {
      if (roll(6) === 0) actor.interruptUnsafe()
      yield* steps(roll(10))
    }
    for (const actor of actors) yield* Fiber.await(actor)

    for (const tier of tiers) {
      tier.onDeliver = () => Effect.void
      tier.onTake = () => Effect.void
      tier.onCommit = Effect.void
    }
    yield* TestClock.adjust("2 minutes")
    yield* chain.idle
    yield* settled
    for (const key of keys) {
      const stored = yield* far.tier.head(key)
      const current = stored._tag === "Hit" ? stored.header.generation : undefined
      for (const { tier } of caches) {
        const cached = yield* tier.head(key)
        if (cached._tag === "Hit" && cached.header.generation !== current) {
          broken.push(`${tier.name} has generation ${cached.header.generation}, the store ${current ?? "none"}`)
        }
      }
    }
    for (const { counts } of tiers) if (counts.opened !== counts.closed) broken.push("a body was not closed")
    const copies = (yield* chain.status).reduce((sum, { counters }) => sum + counters.promoted, 0)
    return { broken, remains: yield* remains, fibers: (yield* fibers) - before, copies }
  })

describe("readers, writers and failing tiers", () => {
  test("in any order leave no old copy, nothing held, nothing running, and every reader had the bytes he was promised", () =>
    Effect.gen(function* () {
      let copies = 0
      for (const seed of seeds) {
        const result = yield* Effect.scoped(play(dice(seed)))
        assert.deepStrictEqual(result.broken, [], `seed ${seed}`)
        assert.deepStrictEqual(result.remains, nothing, `seed ${seed}`)
        assert.strictEqual(result.fibers, 0, `seed ${seed}`)
        copies += result.copies
      }
      assert.isAbove(copies, seeds.length)
    }).pipe(Effect.provide(Logger.layer([]))))
})
