import { assert, describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import * as Chain from "../src/Chain.ts"
import * as Key from "../src/Key.ts"
import * as Tier from "../src/Tier.ts"
import { TierError, Unavailable } from "../src/TierError.ts"
import {
  atEachStep,
  blobAt,
  chunks,
  content,
  fibers,
  find,
  fork,
  granularities,
  has,
  leavesNothing,
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
import type * as StreamingTier from "./support/StreamingTier.ts"

const down = new TierError({ tier: "broken", operation: "put", reason: new Unavailable({ cause: "down" }) })
const mebibyte = 1_048_576

describe("nothing is kept of a copy", () => {
  for (let taken = 0; taken < chunks; taken++) {
    test(`whose reader leaves after ${taken} of ${chunks} chunks`, () =>
      Effect.gen(function* () {
        const made = yield* nearAndFar()
        const before = yield* fibers
        const one = yield* reader((yield* find(made.chain)).blob)
        for (let index = 0; index < taken; index++) yield* one.next
        yield* one.leave

        yield* leavesNothing(made, before)
      }))

    test(`whose source fails at chunk ${taken} of ${chunks}`, () =>
      Effect.gen(function* () {
        const made = yield* nearAndFar()
        const before = yield* fibers
        made.far.onDeliver = (index) => (index === taken ? Effect.fail(down) : Effect.void)
        yield* Effect.flip(readAll((yield* find(made.chain)).blob))

        yield* leavesNothing(made, before)
      }))
  }

  for (const [what, alter, isWhole] of [
    ["fewer", (chunk, index) => (index === 5 ? [] : [chunk]), false],
    ["more", (chunk, index) => (index === 5 ? [chunk, Buffer.alloc(10)] : [chunk]), false],
    ["other", (chunk, index) => (index === 5 ? [Buffer.alloc(chunk.byteLength)] : [chunk]), true]
  ] satisfies ReadonlyArray<readonly [string, StreamingTier.StreamingTier["alter"], boolean]>) {
    test(`whose source delivers ${what} bytes than the header says`, () =>
      Effect.gen(function* () {
        const made = yield* nearAndFar()
        const before = yield* fibers
        made.far.alter = alter
        const exit = yield* Effect.exit(readAll((yield* find(made.chain)).blob))

        assert.strictEqual(Exit.isSuccess(exit), isWhole)
        yield* leavesNothing(made, before)
      }))
  }

  for (const [what, breakIt] of [
    ["fails at the first chunk", (near) => (near.onTake = () => Effect.fail(down))],
    ["fails at a later chunk", (near) => (near.onTake = (index) => (index === 4 ? Effect.fail(down) : Effect.void))],
    ["fails at the last chunk", (near) => (near.onTake = (index) => (index === 7 ? Effect.fail(down) : Effect.void))],
    ["fails at the end", (near) => (near.onCommit = Effect.fail(down))],
    ["dies", (near) => (near.onTake = (index) => (index === 4 ? Effect.die("bug") : Effect.void))],
    ["is interrupted", (near) => (near.onTake = (index) => (index === 4 ? Effect.interrupt : Effect.void))],
    ["declines", (near) => (near.answer = Tier.declined("read-only"))],
    ["has a newer blob", (near) => (near.answer = { _tag: "Superseded", current: 9 })]
  ] satisfies ReadonlyArray<readonly [string, (near: StreamingTier.StreamingTier) => void]>) {
    test(`whose cache ${what}, and the reader gets all bytes`, () =>
      Effect.gen(function* () {
        const made = yield* nearAndFar()
        const before = yield* fibers
        breakIt(made.near)

        assert.isTrue((yield* readAll((yield* find(made.chain)).blob)).equals(made.bytes))
        yield* leavesNothing(made, before)
      }))
  }

  for (const [what, opsBeforeYield, stride] of granularities) {
    test(`whose reader is interrupted after any number of ${what}`, () =>
      Effect.gen(function* () {
        yield* atEachStep(opsBeforeYield, stride, ({ before, made, reading }) =>
          Effect.gen(function* () {
            yield* Fiber.interrupt(reading)
            yield* made.chain.idle
            yield* settled

            assert.deepStrictEqual(yield* remains, nothing)
            assert.strictEqual(yield* fibers, before)
            assert.strictEqual(made.far.counts.closed, made.far.counts.opened)
            if (!(yield* has(made.near.tier))) yield* leavesNothing(made, before)
          })
        )
      }))
  }
})

describe("a cache that is slower than the reader", () => {
  const large = { chunkBytes: mebibyte }

  test("holds it up for at most a second in all; then the copy is given up", () =>
    Effect.gen(function* () {
      const made = yield* nearAndFar(large)
      const before = yield* fibers
      made.near.onTake = () => Effect.sleep("300 millis")
      const reading = yield* fork(readAll((yield* find(made.chain)).blob))
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(reading.pollUnsafe())
      yield* TestClock.adjust("1 milli")

      assert.isTrue((yield* Fiber.join(reading)).equals(made.bytes))
      yield* leavesNothing(made, before)
    }))

  test("gets its copy if it holds the reader up for less", () =>
    Effect.gen(function* () {
      const { bytes, chain, near } = yield* nearAndFar(large)
      near.onTake = () => Effect.sleep("200 millis")
      const reading = yield* fork(readAll((yield* find(chain)).blob))
      yield* TestClock.adjust("2 seconds")
      yield* chain.idle

      assert.isTrue((yield* Fiber.join(reading)).equals(bytes))
      assert.isTrue(yield* has(near.tier))
      assert.deepStrictEqual(yield* remains, nothing)
    }))

  for (const index of [0, 1, 2, 3]) {
    test(`by hanging at chunk ${index} is given up after a second`, () =>
      Effect.gen(function* () {
        const made = yield* nearAndFar(large)
        const before = yield* fibers
        made.near.onTake = (taken) => (taken === index ? Effect.never : Effect.void)
        const reading = yield* fork(readAll((yield* find(made.chain)).blob))
        yield* TestClock.adjust("999 millis")
        assert.isUndefined(reading.pollUnsafe())
        yield* TestClock.adjust("1 milli")

        assert.isTrue((yield* Fiber.join(reading)).equals(made.bytes))
        assert.strictEqual((yield* made.chain.status)[0]?.counters.writeFailed, 1)
        yield* leavesNothing(made, before)
      }))
  }

  test("does not hold up the others for a second time", () =>
    Effect.gen(function* () {
      const [one, two, far] = yield* Effect.all(["one", "two", "far"].map((name) => tierOf(name, mebibyte)))
      if (one === undefined || two === undefined || far === undefined) return assert.fail("no tiers")
      yield* far.tier.put(blobAt(1, large))
      const chain = yield* Chain.make<string>({ name: "test", caches: [one, two], store: far })
      one.onTake = () => Effect.never
      two.onTake = () => Effect.never
      const reading = yield* fork(readAll((yield* find(chain)).blob))
      yield* TestClock.adjust("1 second")

      assert.isTrue((yield* Fiber.join(reading)).equals(content(1, chunks * mebibyte - 10)))
      assert.deepStrictEqual(yield* remains, nothing)
    }))

  test("and cannot be interrupted holds nothing but itself", () =>
    Effect.gen(function* () {
      const made = yield* nearAndFar(large)
      const before = yield* fibers
      const gate = Deferred.makeUnsafe<void>()
      made.near.onTake = () => Effect.uninterruptible(Deferred.await(gate))
      const reading = yield* fork(readAll((yield* find(made.chain)).blob))
      yield* TestClock.adjust("1 second")

      assert.isTrue((yield* Fiber.join(reading)).equals(made.bytes))
      assert.deepStrictEqual(yield* remains, nothing)
      yield* Deferred.succeed(gate, undefined)
      yield* leavesNothing(made, before)
    }))

  test("and hangs with everything in hand has thirty seconds, in which floors wait for it", () =>
    Effect.gen(function* () {
      const made = yield* nearAndFar()
      const before = yield* fibers
      made.near.onCommit = Effect.never
      assert.isTrue((yield* readAll((yield* find(made.chain)).blob)).equals(made.bytes))
      yield* TestClock.adjust("29999 millis")
      assert.deepInclude(yield* remains, { running: 1 })
      yield* TestClock.adjust("1 milli")

      yield* leavesNothing(made, before)
    }))

  test("and hangs with everything in hand, and cannot be interrupted, is an activity until it ends", () =>
    Effect.gen(function* () {
      const { chain, near } = yield* nearAndFar()
      const gate = Deferred.makeUnsafe<void>()
      near.onCommit = Effect.uninterruptible(Deferred.await(gate))
      yield* readAll((yield* find(chain)).blob)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* remains, { held: 0, floors: 0, running: 1 })
      yield* Deferred.succeed(gate, undefined)
      yield* chain.idle

      assert.deepStrictEqual(yield* remains, nothing)
    }))
})

describe("a reader who is held up", () => {
  test("may leave at once", () =>
    Effect.gen(function* () {
      const made = yield* nearAndFar({ chunkBytes: mebibyte })
      const before = yield* fibers
      made.near.onTake = () => Effect.never
      const reading = yield* fork(readAll((yield* find(made.chain)).blob))
      yield* settled
      assert.isUndefined(reading.pollUnsafe())
      yield* Fiber.interrupt(reading)

      yield* leavesNothing(made, before)
    }))
})

describe("a cache that cannot be interrupted", () => {
  test("sees the body of a copy that is given up fail, not end", () =>
    Effect.gen(function* () {
      for (const isWaiting of [true, false]) {
        const { chain, near } = yield* nearAndFar()
        const gate = Deferred.makeUnsafe<void>()
        const ended = Deferred.makeUnsafe<Exit.Exit<Tier.Write, TierError>>()
        near.onTake = (index) => (index === 2 && !isWaiting ? Deferred.await(gate) : Effect.void)
        const { put } = near.tier
        Object.assign(near.tier, {
          put: (blob) => Effect.uninterruptible(Effect.onExit(put(blob), (exit) => Deferred.succeed(ended, exit)))
        } satisfies Partial<Tier.Tier>)
        near.onCommit = Effect.die("it has seen an end")
        const one = yield* reader((yield* find(chain)).blob)
        for (let index = 0; index < 4; index++) yield* one.next
        yield* settled
        yield* one.leave
        yield* Deferred.succeed(gate, undefined)

        assert.isTrue(Exit.hasInterrupts(yield* Deferred.await(ended)))
      }
    }))
})

describe("what copies hold", () => {
  test("is what was handed over and not written yet, and is let go when the reader leaves", () =>
    Effect.gen(function* () {
      const { chain, near } = yield* nearAndFar()
      near.onTake = (index) => (index === 1 ? Effect.never : Effect.void)
      const one = yield* reader((yield* find(chain)).blob)
      for (const held of [0, 1_000, 2_000, 3_000]) {
        yield* one.next
        yield* settled
        assert.strictEqual(yield* metric("terrace_held_bytes"), held)
      }
      yield* one.leave

      assert.strictEqual(yield* metric("terrace_held_bytes"), 0)
    }))

  test("is never more than may be held, and readers get all their bytes", () =>
    Effect.gen(function* () {
      const most = 12_000
      const { bytes, chain, far, near } = yield* nearAndFar({ options: { maxHeldBytes: most } })
      near.onTake = () => Effect.never
      const readers = yield* Effect.forEach(Array.from({ length: 10 }), (_, index) =>
        Effect.gen(function* () {
          const at = Key.makeUnsafe(`image-${index}`, "master")
          yield* far.tier.put(blobAt(1, { at }))
          const one = yield* reader((yield* find(chain, at)).blob)
          yield* one.next
          assert.isAtMost(yield* metric("terrace_held_bytes"), most)
          return one
        })
      )
      assert.isAbove(near.counts.puts, 1)
      assert.isBelow(near.counts.puts, 10)
      const readings = yield* Effect.forEach(readers, ({ rest }) =>
        Effect.gen(function* () {
          const reading = yield* fork(rest)
          yield* settled
          assert.isAtMost(yield* metric("terrace_held_bytes"), most)
          return reading
        })
      )
      yield* TestClock.adjust("1 second")

      for (const reading of readings) assert.isTrue(bytes.subarray(1_000).equals(yield* Fiber.join(reading)))
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* remains, nothing)
    }))

  test("is nothing where too little may be held", () =>
    Effect.gen(function* () {
      const { bytes, chain, near } = yield* nearAndFar({ options: { maxHeldBytes: 999 } })

      assert.isTrue((yield* readAll((yield* find(chain)).blob)).equals(bytes))
      assert.isFalse(yield* has(near.tier))
    }))
})
