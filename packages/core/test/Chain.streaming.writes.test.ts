import { assert, describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import * as Body from "../src/Body.ts"
import * as Chain from "../src/Chain.ts"
import * as State from "../src/internal/state.ts"
import * as Tee from "../src/internal/tee.ts"
import type { Tier } from "../src/Tier.ts"
import * as Key from "../src/Key.ts"
import { Unavailable } from "../src/TierError.ts"
import * as Controlled from "./support/Controlled.ts"
import { draft, key, outcomes } from "./support/chains.ts"
import {
  atEachStep,
  blobAt,
  chunks,
  content,
  find,
  fork,
  generationOf,
  granularities,
  has,
  isOldIn,
  metric,
  nearAndFar,
  nothing,
  readAll,
  reader,
  remains,
  settled,
  test,
  tierOf
} from "./support/streaming.ts"
import * as StreamingTier from "./support/StreamingTier.ts"

describe("a write", () => {
  const other = Key.makeUnsafe("hero", "other")
  for (const [name, write, isKept] of [
    ["put", (chain) => chain.put(key, draft("new")), false],
    ["remove", (chain) => chain.remove(key), false],
    ["removeGroup", (chain) => chain.removeGroup("hero"), false],
    ["put of another key", (chain) => chain.put(other, draft("new")), true],
    ["removal of another group", (chain) => chain.removeGroup("her"), true]
  ] satisfies ReadonlyArray<
    readonly [string, (chain: Chain.Chain<string>) => Effect.Effect<unknown, unknown>, boolean]
  >) {
    for (let taken = 0; taken < chunks; taken++) {
      test(`(${name}) after chunk ${taken} ${isKept ? "leaves the copy alone" : "ends the copy"}`, () =>
        Effect.gen(function* () {
          const { bytes, chain, near } = yield* nearAndFar()
          const one = yield* reader((yield* find(chain)).blob)
          const got: Array<Uint8Array> = []
          for (let index = 0; index < Math.max(1, taken); index++) got.push((yield* one.next) ?? Buffer.alloc(0))
          yield* write(chain)
          // The floor has gone when the last chunk comes.
          assert.strictEqual(yield* metric("terrace_floors"), 0)
          got.push(yield* one.rest)
          yield* chain.idle

          assert.isTrue(Buffer.concat(got).equals(bytes))
          assert.strictEqual(yield* isOldIn(near.tier), isKept)
          assert.strictEqual((yield* generationOf(chain)) === 1, isKept)
          assert.deepStrictEqual(yield* remains, nothing)
        }))
    }

    test(`(${name}) while the source is being opened ${isKept ? "leaves the copy alone" : "ends the copy"}`, () =>
      Effect.gen(function* () {
        const { bytes, chain, far, near } = yield* nearAndFar()
        const gate = Deferred.makeUnsafe<void>()
        far.onDeliver = (index) => (index === 0 ? Deferred.await(gate) : Effect.void)
        const reading = yield* fork(readAll((yield* find(chain)).blob))
        yield* write(chain)
        yield* Deferred.succeed(gate, undefined)

        assert.isTrue((yield* Fiber.join(reading)).equals(bytes))
        yield* chain.idle
        assert.strictEqual(yield* isOldIn(near.tier), isKept)
      }))

    test(`(${name}) after the last chunk ${isKept ? "leaves the copy alone" : "has the copy dropped, which is never read"}`, () =>
      Effect.gen(function* () {
        const { cache, chain, near, reached, gate } = yield* committing()
        yield* readAll((yield* find(chain)).blob)
        yield* Deferred.await(reached)
        yield* write(chain)
        const dropping = cache.before("remove")
        yield* Deferred.succeed(gate, undefined)
        if (isKept) {
          yield* chain.idle
          assert.isTrue(yield* isOldIn(near.tier))
          return
        }
        yield* dropping.reached
        // Here the copy is in the cache.
        if (name !== "put") assert.isTrue(yield* isOldIn(near.tier))
        assert.notStrictEqual(yield* generationOf(chain), 1)
        yield* dropping.open
        yield* chain.idle

        assert.isFalse(yield* isOldIn(near.tier))
        assert.notStrictEqual(yield* generationOf(chain), 1)
        assert.deepStrictEqual(yield* remains, nothing)
      }))
  }

  for (const [what, opsBeforeYield, stride] of granularities) {
    for (const [name, write] of [
      ["put", (chain) => chain.put(key, draft("new"))],
      ["removal", (chain) => chain.remove(key)]
    ] satisfies ReadonlyArray<readonly [string, (chain: Chain.Chain<string>) => Effect.Effect<unknown, unknown>]>) {
      test(`(${name}) after any number of ${what} leaves nothing of the old blob to be read`, () =>
        Effect.gen(function* () {
          yield* atEachStep(opsBeforeYield, stride, ({ made, reading }) =>
            Effect.gen(function* () {
              yield* write(made.chain)
              do {
                assert.notStrictEqual(yield* generationOf(made.chain), 1)
                yield* Effect.yieldNow
              } while (reading.pollUnsafe() === undefined)
              yield* made.chain.idle

              // A reader who had not opened its stream yet finds the blob gone.
              const read = yield* Fiber.await(reading)
              if (Exit.isSuccess(read)) assert.isTrue(read.value.equals(made.bytes))
              assert.isFalse(yield* isOldIn(made.near.tier))
              assert.notStrictEqual(yield* generationOf(made.chain), 1)
              assert.deepStrictEqual(yield* remains, nothing)
            })
          )
        }))
    }
  }

  test("after the last chunk has the copy dropped later if that fails at first, and it is never read", () =>
    Effect.gen(function* () {
      const { cache, chain, near, reached, gate } = yield* committing()
      yield* readAll((yield* find(chain)).blob)
      yield* Deferred.await(reached)
      yield* chain.remove(key)
      cache.fail("remove", new Unavailable({ cause: "down" }), 1)
      yield* Deferred.succeed(gate, undefined)
      yield* chain.idle
      assert.isTrue(yield* isOldIn(near.tier))
      assert.isUndefined(yield* generationOf(chain))
      yield* TestClock.adjust("2 seconds")

      assert.isFalse(yield* isOldIn(near.tier))
      yield* chain.idle
      assert.deepStrictEqual(yield* remains, nothing)
    }))

  test("that comes while the caches are being asked ends the copy before they get anything", () =>
    Effect.gen(function* () {
      const near = yield* tierOf("near")
      const { body, header } = blobAt(1)
      const state = yield* State.make({ name: "test", caches: [near] })
      const { put } = near.tier
      const asked: Tier["put"] = (blob) =>
        Effect.suspend(() => {
          state.tees.abort(key)
          return put(blob)
        })
      Object.assign(near.tier, { put: asked })
      const copy = yield* Tee.begin(state, header, state.caches)
      if (copy === undefined) return assert.fail("no copy has begun")
      yield* copy.feed(yield* Body.toBytes(body))
      yield* settled

      assert.deepStrictEqual([near.counts.puts, near.counts.taken], [1, 0])
      assert.isTrue(state.tees.allows(key))
      assert.deepStrictEqual(yield* remains, nothing)
    }))

  test("of the same bytes is not undone by a reader who was promised the old blob", () =>
    Effect.gen(function* () {
      const [near, middle, far] = yield* Effect.all([tierOf("near"), tierOf("middle"), tierOf("far")])
      const old = blobAt(1)
      yield* Effect.all([middle.tier.put(old), far.tier.put(old)])
      const chain = yield* Chain.make<string>({ name: "test", caches: [near, middle], store: far })
      const found = yield* find(chain)
      assert.strictEqual(outcomes(found)[1], "middle Hit")
      const { header } = yield* chain.put(key, { bytes: content(1, 7_990), contentType: "image/avif" })
      yield* Effect.all([near.tier.remove(key, header.generation), middle.tier.remove(key, header.generation)])

      assert.isTrue((yield* readAll(found.blob)).equals(content(1, 7_990)))
      yield* chain.idle
      assert.isFalse(yield* has(near.tier))
      assert.strictEqual((yield* find(chain)).blob.header.contentType, "image/avif")
    }))
})

describe("a comparison with the store", () => {
  test("that finds another blob ends the copy, or has it dropped again", () =>
    Effect.gen(function* () {
      for (const isHandedOver of [false, true]) {
        const [near, middle] = yield* Effect.all([tierOf("near"), tierOf("middle")])
        const far = yield* StreamingTier.make({ name: "far", chunkBytes: 1_000, capabilities: { shared: true } })
        yield* Effect.all([middle.tier.put(blobAt(1)), far.tier.put(blobAt(1))])
        const chain = yield* Chain.make<string>({
          name: "test",
          caches: [near, middle],
          store: far,
          revalidateAfter: "10 seconds"
        })
        const gate = Deferred.makeUnsafe<void>()
        near.onCommit = Deferred.await(gate)
        const one = yield* reader((yield* find(chain)).blob)
        yield* one.next
        if (isHandedOver) yield* one.rest
        // Another node writes; when half of the time is over, the copy is compared.
        yield* far.tier.put(blobAt(2))
        yield* TestClock.adjust("6 seconds")
        yield* chain.get(key)
        yield* Deferred.succeed(gate, undefined)
        if (!isHandedOver) yield* one.rest
        yield* chain.idle

        assert.isFalse(yield* has(near.tier))
        assert.strictEqual((yield* find(chain)).blob.header.generation, 2)
      }
    }))
})

/** A cache whose first commit waits for `gate`. */
const committing = () =>
  Effect.gen(function* () {
    const near = yield* tierOf("near")
    const far = yield* tierOf("far")
    yield* far.tier.put(blobAt(1))
    const cache = Controlled.make(near.tier)
    const chain = yield* Chain.make<string>({ name: "test", caches: [cache], store: far })
    const reached = Deferred.makeUnsafe<void>()
    const gate = Deferred.makeUnsafe<void>()
    near.onCommit = Effect.suspend(() => {
      near.onCommit = Effect.void
      return Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(gate))
    })
    return { cache, chain, near, reached, gate }
  })
