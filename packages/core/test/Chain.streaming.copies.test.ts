import { assert, describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as Body from "../src/Body.ts"
import * as Chain from "../src/Chain.ts"
import * as Key from "../src/Key.ts"
import * as Tier from "../src/Tier.ts"
import { type TierError, Unavailable } from "../src/TierError.ts"
import * as Controlled from "./support/Controlled.ts"
import { draft, key, local, outcomes } from "./support/chains.ts"
import {
  blobAt,
  chunks,
  fibers,
  find,
  fork,
  has,
  nearAndFar,
  nothing,
  readAll,
  reader,
  remains,
  settled,
  test,
  tierOf
} from "./support/streaming.ts"

describe("a copy", () => {
  test("is made while one reader reads, and answers the next one without a second read of the source", () =>
    Effect.gen(function* () {
      const { bytes, chain, far, near } = yield* nearAndFar()
      const first = yield* readAll((yield* find(chain)).blob)
      yield* chain.idle
      const found = yield* find(chain)
      const second = yield* readAll(found.blob)

      assert.deepStrictEqual([first.equals(bytes), second.equals(bytes)], [true, true])
      assert.deepStrictEqual(outcomes(found), ["near Hit"])
      assert.deepStrictEqual([far.counts.opened, far.counts.delivered], [1, chunks])
      assert.deepStrictEqual([near.counts.puts, near.counts.taken, near.counts.opened], [1, chunks, 1])
      assert.deepInclude((yield* chain.status)[0]?.counters, { stored: 1, promoted: 1, writeFailed: 0 })
      assert.deepStrictEqual(yield* remains, nothing)
    }))

  test("is made in every faster cache that streams", () =>
    Effect.gen(function* () {
      const memory = yield* local()
      const [one, two, far] = yield* Effect.all([tierOf("one"), tierOf("two"), tierOf("far")])
      yield* far.tier.put(blobAt(1))
      const chain = yield* Chain.make<string>({ name: "test", caches: [memory, one, two], store: far })
      yield* readAll((yield* find(chain)).blob)
      yield* chain.idle

      assert.deepStrictEqual([yield* has(one.tier), yield* has(two.tier)], [true, true])
      assert.deepStrictEqual([far.counts.opened, memory.calls.put], [1, 0])
      assert.strictEqual((yield* chain.status)[0]?.counters.declined["too-large"], 1)
    }))

  test("is one per key at a time, and made by the next reader if the first one leaves", () =>
    Effect.gen(function* () {
      const { chain, near } = yield* nearAndFar()
      const { blob } = yield* find(chain)
      const slow = yield* reader(blob)
      yield* slow.next
      yield* readAll(blob)
      yield* chain.idle
      assert.deepStrictEqual([near.counts.puts, yield* has(near.tier)], [1, false])
      yield* slow.leave
      yield* readAll(blob)
      yield* chain.idle

      assert.deepStrictEqual([near.counts.puts, yield* has(near.tier)], [2, true])
    }))

  for (const [name, pause, taken] of [
    ["stops", "1 hour", 1],
    ["goes on, but at a crawl", "8 seconds", 4]
  ] as const) {
    test(`is given up if its reader ${name}, so that the next one makes it`, () =>
      Effect.gen(function* () {
        const { blob, bytes, chain, near } = yield* nearAndFar()
        const found = yield* find(chain)
        const slow = yield* reader(found.blob)
        const parts: Array<Uint8Array | undefined> = []
        for (let index = 0; index < taken; index++) {
          parts.push(yield* slow.next)
          yield* TestClock.adjust(pause)
        }
        assert.deepStrictEqual(yield* remains, nothing)
        yield* readAll((yield* find(chain)).blob)
        yield* chain.idle
        assert.deepStrictEqual([near.counts.puts, yield* has(near.tier)], [2, true])

        // The slow one gets the rest of what it was promised.
        const rest = yield* slow.rest
        assert.isTrue(Buffer.concat([...parts.map((part) => part ?? Buffer.alloc(0)), rest]).equals(bytes))
        assert.strictEqual(blob.header.size, bytes.byteLength)
      }))
  }

  test("is given up by a hundred readers that stop, so that what others read is copied", () =>
    Effect.gen(function* () {
      const { chain, far, near } = yield* nearAndFar()
      for (let index = 0; index < 100; index++) {
        const at = Key.makeUnsafe("slow", `k${index}`)
        yield* far.tier.put(blobAt(1, { at }))
        const slow = yield* reader((yield* find(chain, at)).blob)
        yield* slow.next
      }
      yield* readAll((yield* find(chain)).blob)
      assert.isFalse(yield* has(near.tier))
      yield* TestClock.adjust("15 seconds")
      yield* readAll((yield* find(chain)).blob)
      yield* chain.idle

      assert.isTrue(yield* has(near.tier))
    }))

  test("is made of what a reader takes its time for, as long as it goes on", () =>
    Effect.gen(function* () {
      const { bytes, chain, near } = yield* nearAndFar({ chunkBytes: 400_000 })
      const slow = yield* reader((yield* find(chain)).blob)
      for (let index = 0; index < chunks; index++) {
        yield* slow.next
        yield* TestClock.adjust("6 seconds")
      }
      yield* slow.rest
      yield* chain.idle

      assert.isTrue(yield* has(near.tier))
      assert.isAbove(bytes.byteLength, 3_000_000)
    }))

  test("is not begun for a source that has nothing to deliver", () =>
    Effect.gen(function* () {
      const { chain, far, near } = yield* nearAndFar()
      const { blob } = yield* find(chain)
      yield* far.tier.remove(key, 1)
      yield* Effect.flip(readAll(blob))

      assert.strictEqual(near.counts.puts, 0)
    }))

  test("is made of at most a hundred blobs at the same time", () =>
    Effect.gen(function* () {
      const { chain, far, near } = yield* nearAndFar()
      for (let index = 0; index <= 100; index++) {
        const at = Key.makeUnsafe(`image-${index}`, "master")
        yield* far.tier.put(blobAt(1, { at }))
        yield* (yield* reader((yield* find(chain, at)).blob)).next
      }

      assert.strictEqual(near.counts.puts, 100)
    }))

  test("has a body that is read once and whole", () =>
    Effect.gen(function* () {
      for (const read of [
        ({ body }) => Effect.andThen(Body.toBytes(body), Body.toBytes(body)),
        ({ body }) =>
          body._tag === "Streamed" ? Stream.runDrain(body.open({ start: 0, end: 10 })) : Effect.die("not streamed")
      ] satisfies ReadonlyArray<(blob: Parameters<Tier.Tier["put"]>[0]) => Effect.Effect<unknown, TierError>>) {
        const far = yield* tierOf("far")
        yield* far.tier.put(blobAt(1))
        const near = Controlled.make((yield* tierOf("near")).tier, {
          put: (blob) => Effect.as(read(blob), Tier.stored)
        })
        const chain = yield* Chain.make<string>({ name: "test", caches: [near], store: far })
        assert.strictEqual((yield* readAll((yield* find(chain)).blob)).byteLength, 7_990)
        yield* chain.idle

        assert.deepInclude((yield* chain.status)[0]?.counters, { stored: 0, writeFailed: 1 })
        assert.deepStrictEqual(yield* remains, nothing)
      }
    }))
})

describe("who admits a copy", () => {
  test("is asked once per flight, however many readers it has", () =>
    Effect.gen(function* () {
      const near = yield* tierOf("near")
      const far = yield* tierOf("far")
      yield* far.tier.put(blobAt(1))
      const store = Controlled.make(far.tier)
      const chain = yield* Chain.make<string>({
        name: "test",
        caches: [{ tier: near.tier, policy: { secondTouch: true } }],
        store
      })
      const gate = store.before("get")
      const finding = yield* Effect.forEach(Array.from({ length: 5 }), () => fork(find(chain)))
      yield* gate.open
      for (const fiber of finding) yield* readAll((yield* Fiber.join(fiber)).blob)
      yield* chain.idle
      assert.strictEqual(near.counts.puts, 0)
      assert.strictEqual((yield* chain.status)[0]?.counters.declined.admission, 1)

      const again = yield* find(chain)
      yield* Effect.all([readAll(again.blob), readAll(again.blob)])
      yield* chain.idle
      assert.isTrue(yield* has(near.tier))
    }))

  test("is not asked for what is larger than it takes", () =>
    Effect.gen(function* () {
      const { chain, near } = yield* nearAndFar({ near: { maxBytes: 7_989 } })
      yield* readAll((yield* find(chain)).blob)

      assert.strictEqual(near.counts.puts, 0)
      assert.strictEqual((yield* chain.status)[0]?.counters.declined["too-large"], 1)
    }))

  test("is not asked while too many of its copies are out of date", () =>
    Effect.gen(function* () {
      const near = yield* tierOf("near")
      const far = yield* tierOf("far")
      yield* far.tier.put(blobAt(1))
      const cache = Controlled.make(near.tier)
      const chain = yield* Chain.make<string>({
        name: "test",
        caches: [{ tier: cache.tier, policy: { breaker: false } }],
        store: far
      })
      cache.fail("put", new Unavailable({ cause: "down" }))
      cache.fail("remove", new Unavailable({ cause: "down" }))
      for (let index = 0; index <= 1_000; index++) {
        yield* chain.put(Key.makeUnsafe(`image-${index}`, "master"), draft("new"))
      }
      cache.heal("put")
      yield* readAll((yield* find(chain)).blob)

      assert.strictEqual(near.counts.puts, 0)
    }).pipe(Effect.provide(Logger.layer([]))))

  test("is not asked while its breaker is open", () =>
    Effect.gen(function* () {
      const near = yield* tierOf("near")
      const far = yield* tierOf("far")
      yield* far.tier.put(blobAt(1))
      const cache = Controlled.make(near.tier)
      cache.fail("get", new Unavailable({ cause: "down" }), 1)
      const chain = yield* Chain.make<string>({
        name: "test",
        caches: [{ tier: cache.tier, policy: { breaker: { failures: 1 } } }],
        store: far
      })
      yield* readAll((yield* find(chain)).blob)

      assert.deepStrictEqual([cache.calls.get, near.counts.puts], [1, 0])
    }))
})

describe("closing the chain", () => {
  test("ends the copies, and the readers get their bytes", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { bytes, chain, far, near } = yield* Scope.provide(nearAndFar(), scope)
      const one = yield* reader((yield* find(chain)).blob)
      const first = (yield* one.next) ?? Buffer.alloc(0)
      const closing = yield* fork(Scope.close(scope, Exit.void))
      yield* settled
      assert.isDefined(closing.pollUnsafe())

      assert.isTrue(Buffer.concat([first, yield* one.rest]).equals(bytes))
      assert.deepStrictEqual([near.counts.puts, yield* has(near.tier)], [1, false])
      assert.strictEqual(far.counts.closed, 1)
      assert.strictEqual(yield* fibers, 0)
    }))

  test("waits for the copies that were handed over whole", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { chain, near } = yield* Scope.provide(nearAndFar(), scope)
      const gate = Deferred.makeUnsafe<void>()
      near.onCommit = Deferred.await(gate)
      yield* readAll((yield* find(chain)).blob)
      const closing = yield* fork(Scope.close(scope, Exit.void))
      yield* settled
      assert.isUndefined(closing.pollUnsafe())
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(closing)

      assert.isTrue(yield* has(near.tier))
    }))
})
