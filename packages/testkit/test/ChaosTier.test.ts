import { assert, describe, it } from "@effect/vitest"
import * as Body from "@terrace/core/Body"
import * as Chain from "@terrace/core/Chain"
import * as Header from "@terrace/core/Header"
import type * as Tier from "@terrace/core/Tier"
import { Gone, TierError } from "@terrace/core/TierError"
import { ChaosTier, Fixtures, TierSuite } from "@terrace/testkit"
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as MapTier from "../examples/MapTier.ts"
import * as StreamedMapTier from "./StreamedMapTier.ts"

const mebibyte = 1_048_576

const small = Fixtures.blob({ group: "g", generation: 1 })
const large = Fixtures.blob({ group: "g", generation: 1, size: 5 * mebibyte })
const { key } = small.header

/** A streaming tier within a chaos tier. */
const wrapped = (faults: ChaosTier.Plan, options: Partial<ChaosTier.Options> = {}) => {
  const inner = StreamedMapTier.make()
  return { inner, chaos: ChaosTier.make(inner, { seed: 1, faults, ...options }) }
}

/** Every call of a tier, once. */
const calls = (tier: Tier.Tier): Readonly<Record<string, Effect.Effect<unknown, TierError>>> => ({
  get: tier.get(key),
  head: tier.head(key),
  put: tier.put(small),
  remove: tier.remove(key, 9),
  removeGroup: tier.removeGroup(key.group, 9),
  usage: tier.usage,
  scan: Stream.runCollect(tier.scan())
})

const reasonOf = <A>(effect: Effect.Effect<A, TierError>) =>
  Effect.map(Effect.flip(effect), (error) => error.reason._tag)

/** Reads a body to its end or its failure: the bytes that were delivered, and why no more were. */
const drain = Effect.fnUntraced(function* (stream: Stream.Stream<Uint8Array, TierError>) {
  const runs: Array<Uint8Array> = []
  const exit = yield* Effect.result(Stream.runForEach(stream, (run) => Effect.sync(() => runs.push(run))))
  return { bytes: Buffer.concat(runs), reason: exit._tag === "Failure" ? exit.failure.reason._tag : undefined }
})

/** The streamed body that the tier answers for `large`. */
const streamedBody = Effect.fnUntraced(function* (tier: Tier.Tier) {
  const read = yield* tier.get(large.header.key)
  if (read._tag !== "Hit" || read.blob.body._tag !== "Streamed") return assert.fail("expected a streamed hit")
  return read.blob.body
})

const isPrefix = (part: Uint8Array, whole: Uint8Array) => Buffer.compare(part, whole.subarray(0, part.byteLength)) === 0

TierSuite.suite("a chaos tier without faults", {
  tier: MapTier.MapTier,
  layer: Layer.sync(MapTier.MapTier, () => ChaosTier.make(MapTier.make(), { seed: 1, faults: {} }).tier),
  distinctKeys: 10_000
})

TierSuite.suite("a streaming chaos tier without faults", {
  tier: StreamedMapTier.StreamedMapTier,
  layer: Layer.sync(StreamedMapTier.StreamedMapTier, () => wrapped({}).chaos.tier),
  distinctKeys: 10_000
})

describe("ChaosTier", () => {
  describe("faults that keep a call from the tier", () => {
    it.effect.each([
      { fault: "unavailable", reason: "Unavailable" },
      { fault: "throttled", reason: "Throttled" },
      { fault: "denied", reason: "Denied" },
      { fault: "unknown", reason: "Unknown" }
    ] as const)("$fault - every call fails with $reason, and the tier is not asked", ({ fault, reason }) =>
      Effect.gen(function* () {
        const { chaos, inner } = wrapped({ [fault]: 1 })
        yield* inner.put(Fixtures.blob({ group: "g", generation: 0, size: 10 }))
        const before = yield* inner.usage

        for (const [operation, call] of Object.entries(calls(chaos.tier))) {
          const error = yield* Effect.flip(call)
          assert.strictEqual(error.reason._tag, reason)
          assert.strictEqual(error.operation, operation)
          assert.strictEqual(error.tier, inner.name)
        }

        assert.deepStrictEqual(yield* inner.usage, before)
        assert.strictEqual(chaos.injected[fault], 7)
      })
    )

    it.effect("noSpace - puts fail with NoSpace, everything else is answered", () =>
      Effect.gen(function* () {
        const { chaos, inner } = wrapped({ noSpace: 1 })
        const { put, ...others } = calls(chaos.tier)

        assert.strictEqual(yield* reasonOf(put ?? Effect.void), "NoSpace")
        for (const call of Object.values(others)) yield* call

        assert.strictEqual((yield* inner.get(key))._tag, "Miss")
        assert.strictEqual(chaos.injected.noSpace, 1)
      })
    )

    it.effect("hang - no call answers, and each ends when it is interrupted", () =>
      Effect.gen(function* () {
        const { chaos } = wrapped({ hang: 1 })
        for (const call of Object.values(calls(chaos.tier))) {
          const fiber = yield* Effect.forkChild(call, { startImmediately: true })
          yield* TestClock.adjust("365 days")
          assert.isUndefined(fiber.pollUnsafe())

          yield* Fiber.interrupt(fiber)
        }
        assert.strictEqual(chaos.injected.hang, 7)
      })
    )

    it.effect("gone - a body fails with Gone before its first byte", () =>
      Effect.gen(function* () {
        const { chaos } = wrapped({ gone: 1 })
        yield* chaos.tier.put(large)

        const { bytes, reason } = yield* drain((yield* streamedBody(chaos.tier)).open())

        assert.deepStrictEqual([bytes.byteLength, reason], [0, "Gone"])
        assert.strictEqual(chaos.injected.gone, 1)
      })
    )
  })

  describe("a look without an effect", () => {
    const withPeek = (faults: ChaosTier.Plan) =>
      Effect.gen(function* () {
        const inner = yield* MemoryTier.make({ maxBytes: mebibyte })
        yield* inner.put(small)
        const { tier, ...chaos } = ChaosTier.make(inner, { seed: 1, faults })
        const peek = tier.peek ?? assert.fail("a tier in memory offers `peek`")
        return { chaos, inner, look: () => peek(key), tier }
      })

    it.effect("answers as the tier within where no fault strikes; a chain answers by it", () =>
      Effect.gen(function* () {
        const { inner, look, tier } = yield* withPeek({})
        assert.strictEqual(look(), inner.peek?.(key))

        let asked = 0
        const get: Tier.Tier["get"] = (some) => {
          asked++
          return tier.get(some)
        }
        const chain = yield* Chain.make({ name: "looked", caches: [{ tier: { ...tier, get } }] })
        assert.strictEqual((yield* chain.get(key))._tag, "Found")
        assert.strictEqual(asked, 0)
      })
    )

    it.effect.each(["unavailable", "throttled", "denied", "unknown", "hang", "lostAnswer", "delay"] as const)(
      "%s - answers Skipped",
      (fault) =>
        Effect.gen(function* () {
          const { chaos, look } = yield* withPeek({ get: { [fault]: 1 } })

          assert.deepStrictEqual(look(), { _tag: "Skipped", why: "busy" })

          assert.strictEqual(chaos.injected[fault], 1)
        })
    )

    it.effect("corrupt - answers Miss; while it is down, Skipped", () =>
      Effect.gen(function* () {
        const { chaos, look } = yield* withPeek({ corrupt: 1 })
        assert.strictEqual(look()._tag, "Miss")
        assert.strictEqual(chaos.injected.corrupt, 1)

        yield* chaos.down
        assert.strictEqual(look()._tag, "Skipped")
        yield* Effect.andThen(chaos.up, chaos.set({}))
        assert.strictEqual(look()._tag, "Hit")
      })
    )

    it.effect("is not offered where the tier within does not offer it", () =>
      Effect.sync(() => assert.isUndefined(wrapped({}).chaos.tier.peek))
    )
  })

  describe("damage that reads as Miss", () => {
    it.effect("get answers Miss from then on, and counts it, until the blob is put again", () =>
      Effect.gen(function* () {
        const { chaos, inner } = wrapped({ get: { corrupt: 1 } }, { corrupt: "miss" })
        yield* chaos.tier.put(small)

        assert.strictEqual((yield* chaos.tier.get(key))._tag, "Miss")

        yield* chaos.set({})
        assert.strictEqual((yield* chaos.tier.get(key))._tag, "Miss")
        assert.strictEqual((yield* inner.get(key))._tag, "Miss")
        assert.deepStrictEqual([chaos.injected.corrupt, chaos.tier.corrupted?.()], [1, 1])
        assert.deepStrictEqual(yield* chaos.tier.put(small), { _tag: "Stored" })
        assert.strictEqual((yield* chaos.tier.get(key))._tag, "Hit")
      })
    )

    it.effect("open fails with Gone before its first byte", () =>
      Effect.gen(function* () {
        const { chaos } = wrapped({ open: { corrupt: 1 } }, { corrupt: "miss" })
        yield* chaos.tier.put(large)

        const { bytes, reason } = yield* drain((yield* streamedBody(chaos.tier)).open())

        assert.deepStrictEqual([bytes.byteLength, reason], [0, "Gone"])
        assert.strictEqual((yield* chaos.tier.get(large.header.key))._tag, "Miss")
      })
    )
  })

  describe("droppedWrite", () => {
    it.effect("answers Stored, and what was there stays", () =>
      Effect.gen(function* () {
        const { chaos, inner } = wrapped({ droppedWrite: 1 })
        yield* inner.put(small)

        assert.deepStrictEqual(yield* chaos.tier.put(Fixtures.blob({ group: "g", generation: 2 })), { _tag: "Stored" })

        const read = yield* inner.get(key)
        assert.isTrue(read._tag === "Hit" && read.blob.header.generation === 1)
        assert.strictEqual(chaos.injected.droppedWrite, 1)
      })
    )

    it.effect("answers what the tier would where that would not store, and fails with the source of a stream", () =>
      Effect.gen(function* () {
        const { chaos, inner } = wrapped({ droppedWrite: 1 })
        yield* inner.put(Fixtures.blob({ group: "g", generation: 5 }))
        const failing = Body.streamed(10, () =>
          Stream.fail(new TierError({ tier: "source", operation: "open", reason: new Gone({ key: "g/master" }) }))
        )

        assert.deepStrictEqual(yield* chaos.tier.put(small), { _tag: "Superseded", current: 5 })
        assert.strictEqual(
          yield* reasonOf(chaos.tier.put({ header: { ...small.header, generation: 6 }, body: failing })),
          "Gone"
        )
        assert.strictEqual(chaos.injected.droppedWrite, 0)
      })
    )

    it.effect("is noticed by the suite", () =>
      Effect.gen(function* () {
        const self = TierSuite.cases[1] ?? assert.fail("no cases")

        const exit = yield* Effect.exit(Effect.scoped(TierSuite.run(self, wrapped({ droppedWrite: 1 }).chaos.tier)))

        assert.strictEqual(exit._tag, "Failure")
      })
    )
  })

  describe("faults of time", () => {
    it.effect("lostAnswer - the tier has done it, the caller is told of an unknown outcome", () =>
      Effect.gen(function* () {
        const { chaos, inner } = wrapped({ lostAnswer: 1 })

        const put = yield* Effect.flip(chaos.tier.put(small))
        assert.strictEqual(put.reason._tag, "Unavailable")
        assert.isTrue(put.isUnknownOutcome)
        assert.strictEqual((yield* inner.get(key))._tag, "Hit")

        assert.strictEqual(yield* reasonOf(chaos.tier.remove(key, 1)), "Unavailable")
        assert.strictEqual((yield* inner.get(key))._tag, "Miss")
        assert.strictEqual(chaos.injected.lostAnswer, 2)
      })
    )

    it.effect("lateWrite - lands after `lateBy` though its caller has left; not before", () =>
      Effect.gen(function* () {
        const { chaos, inner } = wrapped({ lateWrite: 1 }, { lateBy: "10 seconds" })
        const put = yield* Effect.forkChild(chaos.tier.put(small), { startImmediately: true })
        put.interruptUnsafe()

        yield* TestClock.adjust("9999 millis")
        assert.strictEqual((yield* inner.get(key))._tag, "Miss")
        yield* TestClock.adjust("1 millis")

        assert.strictEqual((yield* inner.get(key))._tag, "Hit")
        assert.strictEqual((yield* Fiber.await(put))._tag, "Failure")
        assert.strictEqual(chaos.injected.lateWrite, 1)
      })
    )

    it.effect("lateWrite - whoever waits is answered; a newer write that came first stays", () =>
      Effect.gen(function* () {
        const { chaos, inner } = wrapped({ lateWrite: 1 }, { lateBy: "10 seconds" })
        const newer = Fixtures.blob({ group: "g", generation: 2 })
        const put = yield* Effect.forkChild(chaos.tier.put(small), { startImmediately: true })
        yield* inner.put(newer)

        yield* TestClock.adjust("10 seconds")

        assert.deepStrictEqual(yield* Fiber.join(put), { _tag: "Superseded", current: 2 })
      })
    )

    it.effect("delay - a call is answered after at most `maxDelay`, and not at once", () =>
      Effect.gen(function* () {
        const { chaos } = wrapped({ delay: 1 }, { maxDelay: "10 seconds" })
        for (const call of Object.values(calls(chaos.tier))) {
          const fiber = yield* Effect.forkChild(call, { startImmediately: true })
          assert.isUndefined(fiber.pollUnsafe())

          yield* TestClock.adjust("10 seconds")

          assert.strictEqual(fiber.pollUnsafe()?._tag, "Success")
        }
        assert.strictEqual(chaos.injected.delay, 7)
      })
    )

    it.effect("delay - another fault may follow it", () =>
      Effect.gen(function* () {
        const { chaos } = wrapped({ delay: 1, denied: 1 }, { maxDelay: "10 seconds" })
        const fiber = yield* Effect.forkChild(reasonOf(chaos.tier.get(key)), { startImmediately: true })

        yield* TestClock.adjust("10 seconds")

        assert.strictEqual(yield* Fiber.join(fiber), "Denied")
      })
    )
  })

  describe("faults of bytes", () => {
    it.effect.each([
      { body: "in memory", blob: small },
      { body: "that is empty", blob: Fixtures.blob({ group: "g", size: 0 }) },
      { body: "that is streamed", blob: large },
      { body: "that is streamed and empty", blob: Fixtures.blob({ group: "g", size: 0 }) }
    ])("corrupt - a put of a body $body reaches the tier damaged, which refuses it", ({ blob, body }) =>
      Effect.gen(function* () {
        const { chaos, inner } = wrapped({ corrupt: 1 })
        const bytes = yield* Body.toBytes(blob.body)
        const pieces = [bytes.subarray(0, 70_000), bytes.subarray(70_000)]
        const sent = body.includes("streamed")
          ? { header: blob.header, body: Body.streamed(blob.header.size, () => Stream.fromIterable(pieces)) }
          : blob

        assert.strictEqual(yield* reasonOf(chaos.tier.put(sent)), "Corrupt")

        assert.strictEqual((yield* inner.get(blob.header.key))._tag, "Miss")
        assert.isTrue(Header.verifies(blob.header, bytes), "the sender's bytes were changed")
        assert.strictEqual(chaos.injected.corrupt, 1)
      })
    )

    it.effect("corrupt - a get fails with Corrupt instead of a hit; a miss stays a miss", () =>
      Effect.gen(function* () {
        const { chaos, inner } = wrapped({ corrupt: 1 })
        assert.strictEqual((yield* chaos.tier.get(key))._tag, "Miss")
        assert.strictEqual(chaos.injected.corrupt, 0)
        yield* inner.put(small)

        assert.strictEqual(yield* reasonOf(chaos.tier.get(key)), "Corrupt")

        assert.strictEqual((yield* chaos.tier.head(key))._tag, "Hit")
        assert.strictEqual(chaos.injected.corrupt, 1)
      })
    )

    it.effect("corrupt - a stream delivers whole chunks of right bytes, then fails with Corrupt", () =>
      Effect.gen(function* () {
        const whole = yield* Body.toBytes(large.body)
        const lengths = new Set<number>()
        for (let seed = 0; seed < 40; seed++) {
          const { chaos, inner } = wrapped({ open: { corrupt: 1 } }, { seed })
          yield* inner.put(large)
          const body = yield* streamedBody(chaos.tier)

          const { bytes, reason } = yield* drain(body.open())
          assert.strictEqual(reason, "Corrupt")
          assert.strictEqual(bytes.byteLength % mebibyte, 0)
          assert.isTrue(isPrefix(bytes, whole))
          lengths.add(bytes.byteLength / mebibyte)

          const range = { start: mebibyte + 500, end: 3 * mebibyte }
          const part = yield* drain(body.open(range))
          assert.deepStrictEqual([part.bytes.byteLength, part.reason], [mebibyte - 500, "Corrupt"])
          assert.isTrue(isPrefix(part.bytes, whole.subarray(range.start)))

          const within = yield* drain(body.open({ start: 10, end: 20 }))
          assert.deepStrictEqual([within.bytes.byteLength, within.reason], [0, "Corrupt"])
        }
        assert.deepStrictEqual(
          [...lengths].sort((left, right) => left - right),
          [1, 2, 3, 4]
        )
      })
    )

    it.effect("breakStream - a stream delivers some of its bytes, then fails with Unavailable", () =>
      Effect.gen(function* () {
        const whole = yield* Body.toBytes(large.body)
        for (let seed = 0; seed < 20; seed++) {
          const { chaos, inner } = wrapped({ breakStream: 1 }, { seed })
          yield* inner.put(large)
          const body = yield* streamedBody(chaos.tier)

          for (const range of [undefined, { start: 100, end: 102 }, { start: 70_000, end: 3_000_000 }]) {
            const { bytes, reason } = yield* drain(body.open(range))
            assert.strictEqual(reason, "Unavailable")
            assert.isAtLeast(bytes.byteLength, 1)
            assert.isBelow(bytes.byteLength, range === undefined ? large.header.size : range.end - range.start)
            assert.isTrue(isPrefix(bytes, whole.subarray(range?.start ?? 0)))
          }
          assert.strictEqual(chaos.injected.breakStream, 3)
        }
      })
    )

    it.effect("breakStream - a scan lists some entries, then fails; it can be resumed", () =>
      Effect.gen(function* () {
        const { chaos, inner } = wrapped({ breakStream: 1 })
        const keys = Array.from({ length: 60 }, (_, index) => `g${index + 10}/master`)
        for (const text of keys) yield* inner.put(Fixtures.blob({ group: text.slice(0, 3) }))

        const listed: Array<Tier.Entry> = []
        const reasons = new Set<string>()
        for (let after: string | undefined; listed.length < 60; after = listed.at(-1)?.cursor) {
          const scan = Stream.runForEach(chaos.tier.scan({ after }), (entry) => Effect.sync(() => listed.push(entry)))
          reasons.add(yield* reasonOf(scan))
        }

        assert.deepStrictEqual(
          listed.map((entry) => entry.key.text),
          keys
        )
        assert.deepStrictEqual([...reasons], ["Unavailable"])
      })
    )
  })

  describe("forget", () => {
    it.effect("a put is Stored, and then absent", () =>
      Effect.gen(function* () {
        const { chaos, inner } = wrapped({ forget: 1 })

        assert.deepStrictEqual(yield* chaos.tier.put(small), { _tag: "Stored" })

        assert.strictEqual((yield* inner.get(key))._tag, "Miss")
        assert.strictEqual(chaos.injected.forget, 1)
      })
    )

    it.effect("a put that is not stored takes nothing away", () =>
      Effect.gen(function* () {
        const { chaos, inner } = wrapped({ forget: 1 })
        yield* inner.put(Fixtures.blob({ group: "g", generation: 5 }))

        assert.deepStrictEqual(yield* chaos.tier.put(small), { _tag: "Superseded", current: 5 })

        assert.strictEqual((yield* inner.get(key))._tag, "Hit")
        assert.strictEqual(chaos.injected.forget, 0)
      })
    )
  })

  describe("the plan", () => {
    it.effect("rates of an operation take the place of the general ones there, and nowhere else", () =>
      Effect.gen(function* () {
        const { chaos } = wrapped({ unavailable: 1, get: { unavailable: 0, denied: 1 }, usage: { unavailable: 0 } })

        assert.strictEqual(yield* reasonOf(chaos.tier.get(key)), "Denied")
        assert.strictEqual(yield* reasonOf(chaos.tier.head(key)), "Unavailable")
        assert.strictEqual((yield* chaos.tier.usage).entries, 0)
      })
    )

    it.effect("a rate is the share of calls that its fault strikes", () =>
      Effect.gen(function* () {
        const { chaos } = wrapped({ unavailable: 0.2, denied: 0.1, corrupt: 0.05, delay: 0 })

        for (let call = 0; call < 10_000; call++) yield* Effect.exit(chaos.tier.head(key))

        assert.approximately(chaos.injected.unavailable, 2_000, 150)
        assert.approximately(chaos.injected.denied, 1_000, 150)
        assert.strictEqual(chaos.injected.corrupt, 0)
      })
    )

    it.effect("a seed replays: the same calls meet the same faults, and another seed others", () =>
      Effect.gen(function* () {
        const outcomes = Effect.fnUntraced(function* (seed: number) {
          const { chaos } = wrapped(
            { unavailable: 0.3, lostAnswer: 0.2, put: { noSpace: 0.2, corrupt: 0.1 } },
            { seed }
          )
          const seen: Array<string> = []
          for (let round = 0; round < 30; round++) {
            for (const call of Object.values(calls(chaos.tier))) {
              const result = yield* Effect.result(call)
              seen.push(result._tag === "Success" ? "" : result.failure.message)
            }
          }
          return { seen, injected: chaos.injected }
        })

        assert.deepStrictEqual(yield* outcomes(7), yield* outcomes(7))
        assert.notDeepEqual((yield* outcomes(7)).seen, (yield* outcomes(8)).seen)
      })
    )

    it.effect("what other calls do, and other rates, leave the fate of a call as it is", () =>
      Effect.gen(function* () {
        const struck = Effect.fnUntraced(function* (plan: ChaosTier.Plan) {
          const { chaos } = wrapped(plan, { seed: 3, maxDelay: 0 })
          const results: Array<boolean> = []
          for (let round = 0; round < 50; round++) {
            yield* Effect.exit(chaos.tier.get(key))
            results.push((yield* Effect.exit(chaos.tier.head(key)))._tag === "Failure")
          }
          return results
        })

        const alone = yield* struck({ head: { unavailable: 0.5 } })

        assert.deepStrictEqual(yield* struck({ head: { unavailable: 0.5 }, get: { denied: 0.5, delay: 0.5 } }), alone)
        assert.includeMembers(alone, [true, false])
      })
    )

    it.effect("set - replaces the faults; an empty plan heals", () =>
      Effect.gen(function* () {
        const { chaos } = wrapped({ unavailable: 1 })
        assert.strictEqual(yield* reasonOf(chaos.tier.get(key)), "Unavailable")

        yield* chaos.set({ denied: 1 })
        assert.strictEqual(yield* reasonOf(chaos.tier.get(key)), "Denied")
        yield* chaos.set({})

        assert.strictEqual((yield* chaos.tier.get(key))._tag, "Miss")
        assert.deepInclude(chaos.injected, { unavailable: 1, denied: 1 })
      })
    )

    it.effect("down, up - every call fails with Unavailable in between, and the plan goes on after", () =>
      Effect.gen(function* () {
        const { chaos } = wrapped({ get: { denied: 1 } })

        yield* chaos.down
        for (const call of Object.values(calls(chaos.tier))) assert.strictEqual(yield* reasonOf(call), "Unavailable")
        yield* chaos.up

        assert.strictEqual(yield* reasonOf(chaos.tier.get(key)), "Denied")
        assert.strictEqual((yield* chaos.tier.head(key))._tag, "Miss")
        assert.deepInclude(chaos.injected, { unavailable: 7, denied: 1 })
      })
    )

    it.effect("a rate out of range is refused by its name", () =>
      Effect.gen(function* () {
        assert.throws(() => wrapped({ denied: 1.5 }), RangeError, /^denied is 1\.5/)
        assert.throws(() => wrapped({ put: { noSpace: -1 } }), RangeError, /^put\.noSpace is -1/)
        assert.throws(() => wrapped({ hang: Number.NaN }), RangeError, /^hang is NaN/)
        const exit = yield* Effect.exit(wrapped({}).chaos.set({ denied: 2 }))
        assert.strictEqual(exit._tag, "Failure")
      })
    )
  })

  it.effect("keeps the contract under all faults at once: right bytes, or an error; nothing goes back in time", () =>
    Effect.gen(function* () {
      const rates = { unavailable: 0.05, throttled: 0.05, denied: 0.05, noSpace: 0.05, lostAnswer: 0.1, corrupt: 0.1 }
      const sizes = [0, 300, mebibyte, 2 * mebibyte + 5]
      const blobs = sizes.map((size, index) => Fixtures.blob({ group: "g", generation: index + 1, size }))
      for (let seed = 0; seed < 25; seed++) {
        const { chaos } = wrapped({ ...rates, breakStream: 0.2, gone: 0.1 }, { seed })
        let acknowledged = 0
        let seen = 0
        for (const blob of blobs) {
          const write = yield* Effect.result(chaos.tier.put(blob))
          if (write._tag === "Success" && write.success._tag === "Stored") acknowledged = blob.header.generation
          for (let round = 0; round < 4; round++) {
            const read = yield* Effect.result(chaos.tier.get(key))
            if (read._tag === "Failure") continue
            if (read.success._tag !== "Hit") {
              assert.deepStrictEqual([read.success._tag, acknowledged], ["Miss", 0])
              continue
            }
            const { body, header } = read.success.blob
            assert.isAtLeast(header.generation, Math.max(acknowledged, seen))
            seen = header.generation
            const { bytes, reason } = yield* drain(Body.toStream(body))
            if (reason === undefined) assert.isTrue(Header.verifies(header, bytes), `seed ${seed}`)
          }
        }
        assert.isAbove(
          Object.values(chaos.injected).reduce((sum, count) => sum + count, 0),
          0
        )
      }
    })
  )
})
