import { assert, describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import * as Chain from "../src/Chain.ts"
import { Corrupt, Gone, type Reason, TierError, Unavailable } from "../src/TierError.ts"
import { draft, key, outcomes, remote } from "./support/chains.ts"
import {
  blobAt,
  chunks,
  content,
  fibers,
  find,
  fork,
  nearAndFar,
  nothing,
  readAll,
  reader,
  remains,
  settled,
  test
} from "./support/streaming.ts"
import * as StreamingTier from "./support/StreamingTier.ts"

const broken = (reason: Reason) => new TierError({ tier: "broken", operation: "open", reason })
const down = broken(new Unavailable({ cause: "down" }))

/** What a stream fails with. */
const failureOf = <A>(effect: Effect.Effect<A, TierError>) =>
  Effect.map(Effect.flip(effect), ({ reason }) => reason._tag)

/** near → far, and what the chain has found in near, where the blob was put like in far. */
const foundNear = (setup: Parameters<typeof nearAndFar>[0] = {}) =>
  Effect.gen(function* () {
    const made = yield* nearAndFar(setup)
    yield* made.near.tier.put(made.blob)
    const found = yield* find(made.chain)
    assert.strictEqual(outcomes(found)[0], "near Hit")
    return { ...made, found }
  })

describe("a streamed body", () => {
  test("is a stream of its own for each reader, who gets exactly the bytes", () =>
    Effect.gen(function* () {
      const { bytes, chain, far } = yield* nearAndFar()
      const found = yield* find(chain)
      const readers = yield* Effect.all([reader(found.blob), reader(found.blob), reader(found.blob)])
      const [first, second, third] = readers
      yield* second.next
      yield* first.next
      yield* second.next
      const all = yield* Effect.forEach([third, first, second], ({ rest }) => rest)

      assert.strictEqual(far.counts.opened, 3)
      assert.strictEqual(far.counts.closed, 3)
      assert.deepStrictEqual(
        all.map((got) => bytes.subarray(bytes.byteLength - got.byteLength).equals(got)),
        [true, true, true]
      )
      assert.deepStrictEqual(
        all.map((got) => bytes.byteLength - got.byteLength),
        [0, 1_000, 2_000]
      )
    }))

  test("of a tier in process memory is held to its length like any other", () =>
    Effect.gen(function* () {
      const { blob, chain, near } = yield* foundNear({ capabilities: { persistent: false, shared: false } })
      near.alter = (chunk, index) => (index === 2 ? [chunk, chunk] : [chunk])

      const found = yield* find(chain)
      const failure = yield* failureOf(readAll(found.blob))

      assert.deepStrictEqual(outcomes(found), ["near Hit"])
      assert.strictEqual(found.blob.header.generation, blob.header.generation)
      assert.strictEqual(failure, "Unknown")
    }))

  test("is not read ahead of its reader", () =>
    Effect.gen(function* () {
      const { chain, far } = yield* nearAndFar()
      const slow = yield* reader((yield* find(chain)).blob)
      for (let taken = 1; taken <= chunks; taken++) {
        yield* slow.next
        yield* settled
        assert.isAtMost(far.counts.delivered - taken, 1)
      }
    }))

  for (const [what, range, touched] of [
    ["in the middle of a chunk", { start: 2_100, end: 2_200 }, 1],
    ["over a boundary", { start: 2_999, end: 3_001 }, 2],
    ["at the end", { start: 7_500, end: 7_990 }, 1],
    ["of all but the first byte", { start: 1, end: 7_990 }, 8]
  ] as const) {
    test(`is read by a range ${what} no further than the range's chunks, and not copied`, () =>
      Effect.gen(function* () {
        const { bytes, chain, far, near } = yield* nearAndFar()
        const got = yield* (yield* reader((yield* find(chain)).blob, range)).rest
        yield* chain.idle

        assert.isTrue(bytes.subarray(range.start, range.end).equals(got))
        assert.strictEqual(far.counts.delivered, touched)
        assert.strictEqual(near.counts.puts, 0)
      }))
  }

  test("of no bytes is not opened", () =>
    Effect.gen(function* () {
      const { chain, far } = yield* nearAndFar()
      const got = yield* (yield* reader((yield* find(chain)).blob, { start: 500, end: 500 })).rest

      assert.strictEqual(got.byteLength, 0)
      assert.strictEqual(far.counts.opened, 0)
    }))

  test("is what getOrMake answers, who then makes nothing", () =>
    Effect.gen(function* () {
      const { bytes, chain } = yield* nearAndFar()
      const found = yield* chain.getOrMake(key, Effect.die("made"))

      assert.isTrue((yield* readAll(found.blob)).equals(bytes))
    }))

  test("is not opened by head", () =>
    Effect.gen(function* () {
      const { blob, chain, far, near } = yield* nearAndFar()
      const answer = yield* chain.head(key)
      yield* chain.idle

      assert.strictEqual(answer._tag === "Found" && answer.header.digest, blob.header.digest)
      assert.deepStrictEqual([far.counts.opened, near.counts.puts], [0, 0])
    }))

  test("is refused once the chain is closed, and goes on if it was open", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { bytes, chain, far } = yield* Scope.provide(nearAndFar(), scope)
      const { blob } = yield* find(chain)
      const early = yield* reader(blob)
      const first = yield* early.next
      const closing = yield* fork(Scope.close(scope, Exit.void))
      yield* settled

      assert.isDefined(closing.pollUnsafe())
      assert.isTrue(Buffer.concat([first ?? Buffer.alloc(0), yield* early.rest]).equals(bytes))
      assert.strictEqual(yield* failureOf(readAll(blob)), "Unavailable")
      assert.strictEqual(far.counts.closed, 1)
    }))
})

describe("a tier that fails before its first byte", () => {
  for (const [what, breakIt] of [
    ["has lost the blob", ({ near }) => near.tier.remove(key, 1)],
    ["has another blob now", ({ near }) => near.tier.put(blobAt(2))],
    ["is down", ({ near }) => Effect.sync(() => (near.onDeliver = () => Effect.fail(down)))],
    ["finds the blob damaged", ({ near }) => fails(near, new Corrupt({ detail: "damaged" }))],
    ["dies", ({ near }) => Effect.sync(() => (near.onDeliver = () => Effect.die("bug")))],
    ["is interrupted", ({ near }) => Effect.sync(() => (near.onDeliver = () => Effect.interrupt))],
    ["delivers nothing", ({ near }) => Effect.sync(() => (near.alter = () => []))],
    ["delivers too much at once", ({ near }) => Effect.sync(() => (near.alter = () => [Buffer.alloc(7_991)]))],
    [
      "delivers empty chunks and fails",
      ({ near }) =>
        Effect.sync(() => {
          near.alter = () => [Buffer.alloc(0)]
          near.onDeliver = (index) => (index === 2 ? Effect.fail(down) : Effect.void)
        })
    ],
    ["hangs", ({ near }) => Effect.sync(() => (near.onDeliver = () => Effect.never))]
  ] satisfies ReadonlyArray<readonly [string, (made: Awaited<Made>) => Effect.Effect<unknown, TierError>]>) {
    for (const range of [undefined, { start: 1_500, end: 3_500 }]) {
      test(`and ${what} is passed over for one with the same bytes (${range === undefined ? "whole" : "range"})`, () =>
        Effect.gen(function* () {
          const made = yield* foundNear()
          const { bytes, far, found, near } = made
          yield* breakIt(made)
          const reading = yield* fork(Effect.scoped(Effect.flatMap(reader(found.blob, range), ({ rest }) => rest)))
          yield* TestClock.adjust("5 seconds")
          const got = yield* Fiber.join(reading)

          assert.isTrue(bytes.subarray(range?.start ?? 0, range?.end ?? bytes.byteLength).equals(got))
          assert.strictEqual(far.counts.opened, 1)
          assert.strictEqual(near.counts.closed, near.counts.opened)
        }))
    }
  }

  test("and hangs, and cannot be interrupted, is passed over, and closed when it lets go", () =>
    Effect.gen(function* () {
      const { bytes, chain, found, near } = yield* foundNear()
      const gate = Deferred.makeUnsafe<void>()
      near.onDeliver = () => Effect.uninterruptible(Deferred.await(gate))
      const reading = yield* fork(readAll(found.blob))
      yield* TestClock.adjust("5 seconds")

      assert.isTrue((yield* Fiber.join(reading)).equals(bytes))
      assert.deepStrictEqual([near.counts.opened, near.counts.closed], [1, 0])
      yield* Deferred.succeed(gate, undefined)
      yield* chain.idle
      assert.strictEqual(near.counts.closed, 1)
    }))

  test("is passed over for one that has the bytes in memory", () =>
    Effect.gen(function* () {
      const near = yield* StreamingTier.make({ name: "near", chunkBytes: 1_000 })
      const far = yield* remote("far")
      const blob = blobAt(1)
      yield* Effect.all([near.tier.put(blob), far.tier.put(blob)])
      const chain = yield* Chain.make<string>({
        name: "test",
        caches: [{ tier: near.tier }],
        store: { tier: far.tier }
      })
      const found = yield* find(chain)
      yield* near.tier.remove(key, 1)

      const got = yield* (yield* reader(found.blob, { start: 10, end: 4_000 })).rest
      assert.isTrue(content(1, 7_990).subarray(10, 4_000).equals(got))
    }))

  test("is passed over together with a cache that has other bytes", () =>
    Effect.gen(function* () {
      const [near, middle] = yield* Effect.all(
        ["near", "middle"].map((name) =>
          StreamingTier.make({ name, chunkBytes: 1_000, capabilities: { persistent: false } })
        )
      )
      const far = yield* StreamingTier.make({ name: "far", chunkBytes: 1_000 })
      if (near === undefined || middle === undefined) return assert.fail("no tiers")
      const chain = yield* Chain.make<string>({
        name: "test",
        caches: [{ tier: (yield* StreamingTier.make({ name: "front", chunkBytes: 1_000 })).tier }, near, middle],
        store: far
      })
      yield* Effect.all([near.tier.put(blobAt(2)), middle.tier.put(blobAt(1)), far.tier.put(blobAt(2))])
      const found = yield* find(chain)
      yield* near.tier.remove(key, 2)

      assert.isTrue((yield* readAll(found.blob)).equals(content(2, 7_990)))
      assert.strictEqual(middle.counts.opened, 0)
    }))

  test("leaves its reader with Gone if the store has other bytes by now, or none", () =>
    Effect.gen(function* () {
      for (const change of ["put", "remove"] as const) {
        const { far, found, near } = yield* foundNear()
        near.onDeliver = () => Effect.fail(down)
        yield* change === "put" ? far.tier.put(blobAt(2)) : far.tier.remove(key, 1)

        assert.strictEqual(yield* failureOf(readAll(found.blob)), "Gone")
      }
    }))

  test("leaves its reader with its error if it is the store, or the store cannot say", () =>
    Effect.gen(function* () {
      const last = yield* nearAndFar()
      last.far.onDeliver = () => Effect.fail(down)
      assert.strictEqual(yield* failureOf(readAll((yield* find(last.chain)).blob)), "Unavailable")

      const near = yield* StreamingTier.make({ name: "near", chunkBytes: 1_000 })
      const far = yield* remote("far")
      yield* Effect.all([near.tier.put(blobAt(1)), far.tier.put(blobAt(1))])
      const chain = yield* Chain.make<string>({ name: "test", caches: [near], store: far })
      const found = yield* find(chain)
      far.fail("get", new Unavailable({ cause: "down" }))
      near.onDeliver = () => Effect.fail(broken(new Corrupt({ detail: "damaged" })))
      assert.strictEqual(yield* failureOf(readAll(found.blob)), "Corrupt")
    }))

  test("leaves its reader with its own error if there is no store and the others have nothing", () =>
    Effect.gen(function* () {
      for (const reason of [new Unavailable({ cause: "down" }), new Gone({ key: key.text })]) {
        const near = yield* StreamingTier.make({ name: "near", chunkBytes: 1_000 })
        const other = yield* remote("other")
        const chain = yield* Chain.make<string>({ name: "test", caches: [near, other] })
        yield* near.tier.put(blobAt(1))
        const found = yield* find(chain)
        near.onDeliver = () => Effect.fail(broken(reason))

        assert.strictEqual(yield* failureOf(readAll(found.blob)), reason._tag)
      }
    }))

  test("is tried again as its policy says", () =>
    Effect.gen(function* () {
      const { bytes, chain, far } = yield* nearAndFar({ far: { retry: Schedule.recurs(2) } })
      const found = yield* find(chain)
      far.onDeliver = () => (far.counts.opened < 3 ? Effect.fail(down) : Effect.void)

      assert.isTrue((yield* readAll(found.blob)).equals(bytes))
      assert.deepStrictEqual([far.counts.opened, far.counts.closed], [3, 3])
    }))

  test("opens its breaker, and is not opened while that is open", () =>
    Effect.gen(function* () {
      const { chain, far } = yield* nearAndFar({ far: { breaker: { failures: 2 } } })
      const found = yield* find(chain)
      far.onDeliver = () => Effect.fail(down)

      assert.deepStrictEqual(
        [
          yield* failureOf(readAll(found.blob)),
          yield* failureOf(readAll(found.blob)),
          yield* failureOf(readAll(found.blob))
        ],
        ["Unavailable", "Unavailable", "BreakerOpen"]
      )
      assert.strictEqual(far.counts.opened, 2)
    }))
})

describe("a tier that fails after its first byte", () => {
  for (const [what, breakIt, reason] of [
    ["is down", (near) => (near.onDeliver = atThird(Effect.fail(down))), "Unavailable"],
    ["dies", (near) => (near.onDeliver = atThird(Effect.die("bug"))), "Unknown"],
    ["is interrupted", (near) => (near.onDeliver = atThird(Effect.interrupt)), "Unavailable"],
    ["hangs", (near) => (near.onDeliver = atThird(Effect.never)), "TimedOut"],
    ["ends early", (near) => (near.alter = (chunk, index) => (index < 3 ? [chunk] : [])), "Unknown"],
    [
      "delivers more than there is",
      (near) => (near.alter = (chunk, index) => (index < 3 ? [chunk] : [Buffer.alloc(5_000)])),
      "Unknown"
    ]
  ] satisfies ReadonlyArray<readonly [string, (near: StreamingTier.StreamingTier) => void, Reason["_tag"]]>) {
    test(`and ${what} fails its reader, who gets nothing from elsewhere and no clean end`, () =>
      Effect.gen(function* () {
        const { bytes, chain, far, found, near } = yield* foundNear()
        breakIt(near)
        const one = yield* reader(found.blob)
        const got = Buffer.concat(
          [yield* one.next, yield* one.next, yield* one.next].map((chunk) => chunk ?? Buffer.alloc(0))
        )
        const failing = yield* fork(failureOf(one.next))
        yield* TestClock.adjust("5 seconds")

        assert.strictEqual(yield* Fiber.join(failing), reason)
        assert.isTrue(bytes.subarray(0, 3_000).equals(got))
        yield* one.leave
        yield* chain.idle
        assert.deepStrictEqual([near.counts.closed, far.counts.opened], [1, 0])
      }))
  }

  test("fails nobody if all bytes were delivered", () =>
    Effect.gen(function* () {
      const { bytes, found, near } = yield* foundNear()
      near.alter = (chunk, index) => (index === chunks - 1 ? [chunk, Buffer.alloc(1)] : [chunk])

      assert.isTrue((yield* readAll(found.blob)).equals(bytes))
    }))
})

describe("the deadline of a tier", () => {
  test("is for each chunk, however slow the reader is himself", () =>
    Effect.gen(function* () {
      const { bytes, chain } = yield* nearAndFar()
      const slow = yield* reader((yield* find(chain)).blob)
      const got: Array<Uint8Array> = []
      for (let chunk = yield* slow.next; chunk !== undefined; chunk = yield* slow.next) {
        got.push(chunk)
        yield* TestClock.adjust("1 hour")
      }

      assert.isTrue(Buffer.concat(got).equals(bytes))
    }))

  test("comes no earlier for a source that is slow itself", () =>
    Effect.gen(function* () {
      const { bytes, chain, far } = yield* nearAndFar()
      far.onDeliver = () => Effect.sleep("4999 millis")
      const reading = yield* fork(readAll((yield* find(chain)).blob))
      yield* TestClock.adjust(chunks * 4_999)

      assert.isTrue((yield* Fiber.join(reading)).equals(bytes))
    }))

  test("is that of reads for each chunk, where the policy names one", () =>
    Effect.gen(function* () {
      const { chain, far } = yield* nearAndFar({ far: { deadline: "1 hour", readDeadline: "2 seconds" } })
      far.onDeliver = atThird(Effect.never)
      const reading = yield* fork(failureOf(readAll((yield* find(chain)).blob)))
      yield* TestClock.adjust("1999 millis")
      assert.isUndefined(reading.pollUnsafe())
      yield* TestClock.adjust("1 millis")

      assert.strictEqual(reading.pollUnsafe()?._tag, "Success")
    }))

  test("passes without waiting for a source that cannot be interrupted, which is closed when it lets go", () =>
    Effect.gen(function* () {
      const { chain, far } = yield* nearAndFar()
      const before = yield* fibers
      const gate = Deferred.makeUnsafe<void>()
      far.onDeliver = atThird(Effect.uninterruptible(Deferred.await(gate)))
      const reading = yield* fork(failureOf(readAll((yield* find(chain)).blob)))
      yield* TestClock.adjust("5 seconds")

      assert.strictEqual(reading.pollUnsafe()?._tag, "Success")
      assert.strictEqual(far.counts.closed, 0)
      yield* Deferred.succeed(gate, undefined)
      yield* settled
      yield* chain.idle
      assert.strictEqual(far.counts.closed, 1)
      assert.strictEqual(yield* fibers, before)
    }))

  test("is time for a source to let go when its reader leaves", () =>
    Effect.gen(function* () {
      const { chain, far } = yield* nearAndFar()
      const gate = Deferred.makeUnsafe<void>()
      far.onDeliver = atThird(Effect.uninterruptible(Deferred.await(gate)))
      const reading = yield* fork(readAll((yield* find(chain)).blob))
      yield* settled
      reading.interruptUnsafe()
      yield* settled
      assert.isUndefined(reading.pollUnsafe())
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.await(reading)

      assert.strictEqual(far.counts.closed, 1)
    }))

  test("bounds how long a reader who leaves waits for a source that cannot be interrupted", () =>
    Effect.gen(function* () {
      const { chain, far } = yield* nearAndFar()
      const gate = Deferred.makeUnsafe<void>()
      far.onDeliver = atThird(Effect.uninterruptible(Deferred.await(gate)))
      const reading = yield* fork(readAll((yield* find(chain)).blob))
      yield* settled
      reading.interruptUnsafe()
      yield* TestClock.adjust("5 seconds")

      assert.isDefined(reading.pollUnsafe())
      assert.strictEqual(far.counts.closed, 0)
      yield* Deferred.succeed(gate, undefined)
      yield* settled
      assert.strictEqual(far.counts.closed, 1)
    }))
})

describe("a slow reader", () => {
  test("holds no floor back", () =>
    Effect.gen(function* () {
      const { bytes, chain, far } = yield* nearAndFar()
      const other = blobAt(1, { at: { ...key, name: "other", text: "hero/other" } })
      yield* far.tier.put(other)
      const slow = yield* reader((yield* find(chain)).blob)
      const first = yield* slow.next
      yield* chain.put(key, draft("new"))
      yield* chain.idle

      assert.deepStrictEqual(yield* remains, nothing)
      assert.isTrue(Buffer.concat([first ?? Buffer.alloc(0), yield* slow.rest]).equals(bytes))
    }))
})

const atThird = (what: Effect.Effect<void, TierError>) => (index: number) => (index === 3 ? what : Effect.void)

const fails = (tier: StreamingTier.StreamingTier, reason: Reason) =>
  Effect.sync(() => (tier.onDeliver = () => Effect.fail(broken(reason))))

type Made = Promise<Effect.Success<ReturnType<typeof foundNear>>>
