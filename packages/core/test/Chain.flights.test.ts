import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import { TestClock } from "effect/testing"
import * as Blob from "../src/Blob.ts"
import * as Chain from "../src/Chain.ts"
import * as Key from "../src/Key.ts"
import { Unavailable } from "../src/TierError.ts"
import { cachesOnly, draft, key, outcomes, remote, text, threeTiers } from "./support/chains.ts"

const stored = (content: string) =>
  Blob.make(key, Buffer.from(content), { contentType: "text/plain", generation: 1, createdAt: 0 })

const readers = <A, E>(count: number, effect: Effect.Effect<A, E>) =>
  Effect.all(Array.from({ length: count }, () => Effect.forkChild(effect, { startImmediately: true })))

describe("a lookup", () => {
  it.effect("is one for a thousand readers", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* threeTiers()
      yield* store.tier.put(stored("x"))
      const gate = store.before("get")

      const fibers = yield* readers(1_000, chain.get(key))
      yield* gate.reached
      yield* gate.open
      const answers = yield* Effect.forEach(fibers, Fiber.join)

      assert.strictEqual(store.calls.get, 1)
      assert.isTrue(answers.every((answer) => text(answer) === "x"))
      assert.strictEqual(answers.filter(({ trail }) => trail.joined).length, 999)
    })
  )

  for (const ops of [3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16]) {
    it.effect(`of a key that is nowhere gives way to whoever brings a producer, at any step of ${ops} operations`, () =>
      Effect.gen(function* () {
        const store = yield* remote("store")
        const chain = yield* Chain.make<string>({ name: "test", caches: [], store: { tier: store.tier } })
        for (let steps = 0; steps < 60; steps++) {
          const at = Key.makeUnsafe("hero", `k${steps}`)
          const reader = yield* Effect.forkChild(chain.get(at), { startImmediately: true })
          yield* Effect.replicateEffect(Effect.yieldNow, steps)
          assert.strictEqual(text(yield* chain.getOrMake(at, Effect.succeed(draft("made")))), "made")
          yield* Fiber.join(reader)
        }
      }).pipe(Effect.provideService(References.MaxOpsBeforeYield, ops))
    )
  }

  it.effect("survives readers that leave, and ends when the last one has", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* threeTiers()
      yield* store.tier.put(stored("x"))
      const gate = store.before("get")
      const fibers = yield* readers(10, chain.get(key))
      yield* gate.reached

      yield* Effect.forEach(fibers.slice(0, 9), Fiber.interrupt)
      assert.strictEqual(yield* Effect.timeoutOption(gate.interrupted, 0).pipe(adjusting), "None")
      yield* Effect.forEach(fibers.slice(9), Fiber.interrupt)

      yield* gate.interrupted
      yield* gate.open
      assert.strictEqual(text(yield* chain.get(key)), "x")
      assert.strictEqual(store.calls.get, 2)
    })
  )

  it.effect("answers those who stay when the one who began it leaves", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* threeTiers()
      yield* store.tier.put(stored("x"))
      const gate = store.before("get")
      const [first, second] = yield* Effect.all([
        Effect.forkChild(chain.get(key), { startImmediately: true }),
        Effect.forkChild(chain.get(key), { startImmediately: true })
      ])
      yield* gate.reached

      yield* Fiber.interrupt(first)
      yield* gate.open

      assert.strictEqual(text(yield* Fiber.join(second)), "x")
    })
  )

  it.effect("can be joined until its copies are written", () =>
    Effect.gen(function* () {
      const { chain, disk, memory, store } = yield* threeTiers()
      yield* store.tier.put(stored("x"))
      const inMemory = memory.before("put")
      const onDisk = disk.before("put")
      yield* chain.get(key)
      yield* Effect.all([inMemory.reached, onDisk.reached])

      const late = yield* chain.get(key)

      assert.strictEqual(text(late), "x")
      assert.isTrue(late.trail.joined)
      assert.strictEqual(store.calls.get, 1)
      yield* Effect.all([inMemory.open, onDisk.open])
      yield* chain.idle
      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit"])
    })
  )

  it.effect("shares its failure, and is begun anew by the next reader", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* threeTiers()
      yield* store.tier.put(stored("x"))
      store.fail("get", new Unavailable({ cause: "down" }), 1)
      const gate = store.before("get")
      const fibers = yield* readers(5, chain.get(key))
      yield* gate.reached
      yield* gate.open
      const exits = yield* Effect.forEach(fibers, Fiber.await)

      assert.isTrue(exits.every(Exit.isFailure))
      assert.strictEqual(store.calls.get, 1)
      assert.strictEqual(text(yield* chain.get(key)), "x")
    })
  )
})

describe("a producer", () => {
  it.effect(
    "runs once for ten thousand readers of a missing key, and 9,999 of them that leave do not disturb the last",
    () =>
      Effect.gen(function* () {
        const { chain, store } = yield* threeTiers()
        const started = Deferred.makeUnsafe<void>()
        const gate = Deferred.makeUnsafe<void>()
        let runs = 0
        const producer = Effect.gen(function* () {
          runs += 1
          yield* Deferred.succeed(started, undefined)
          yield* Deferred.await(gate)
          return draft("made")
        })

        const fibers = yield* readers(10_000, chain.getOrMake(key, producer))
        yield* Deferred.await(started)
        yield* Effect.forEach(fibers.slice(0, 9_999), Fiber.interrupt, { concurrency: "unbounded", discard: true })
        yield* Deferred.succeed(gate, undefined)
        const [last] = yield* Effect.forEach(fibers.slice(9_999), Fiber.join)

        assert.strictEqual(last === undefined ? last : text(last), "made")
        assert.strictEqual(runs, 1)
        yield* chain.idle
        assert.deepStrictEqual([store.calls.get, store.calls.put], [1, 1])
      })
  )

  it.effect("runs once for a thousand readers", () =>
    Effect.gen(function* () {
      const { chain } = yield* cachesOnly()
      const gate = Deferred.makeUnsafe<void>()
      let runs = 0
      const producer = Effect.gen(function* () {
        runs += 1
        yield* Deferred.await(gate)
        return draft("made")
      })
      const fibers = yield* readers(1_000, chain.getOrMake(key, producer))

      yield* Deferred.succeed(gate, undefined)
      const answers = yield* Effect.forEach(fibers, Fiber.join)

      assert.strictEqual(runs, 1)
      assert.isTrue(answers.every((answer) => text(answer) === "made"))
      assert.deepStrictEqual(answers[0] && outcomes(answers[0]), ["memory Miss", "disk Miss", "producer Made"])
    })
  )

  it.effect("runs for a reader that joins a plain lookup", () =>
    Effect.gen(function* () {
      const { chain, disk } = yield* cachesOnly()
      const gate = disk.before("get")
      const plain = yield* Effect.forkChild(chain.get(key), { startImmediately: true })
      const making = yield* Effect.forkChild(chain.getOrMake(key, Effect.succeed(draft("made"))), {
        startImmediately: true
      })
      yield* gate.reached
      yield* gate.open

      assert.strictEqual((yield* Fiber.join(plain))._tag, "NotFound")
      assert.strictEqual(text(yield* Fiber.join(making)), "made")
      assert.strictEqual(disk.calls.get, 1)
    })
  )

  it.effect("runs on when nobody waits any more, and what it makes is kept", () =>
    Effect.gen(function* () {
      const { chain, disk } = yield* cachesOnly()
      const begun = Deferred.makeUnsafe<void>()
      const gate = Deferred.makeUnsafe<void>()
      const producer = Effect.gen(function* () {
        yield* Deferred.succeed(begun, undefined)
        yield* Deferred.await(gate)
        return draft("made")
      })
      const fiber = yield* Effect.forkChild(chain.getOrMake(key, producer), { startImmediately: true })
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(fiber)

      yield* Deferred.succeed(gate, undefined)
      yield* chain.idle

      assert.strictEqual(text(yield* chain.get(key)), "made")
      assert.strictEqual((yield* disk.tier.get(key))._tag, "Hit")
    })
  )

  it.effect("ends at its time limit", () =>
    Effect.gen(function* () {
      const { chain } = yield* cachesOnly({ producerTimeout: "2 seconds" })
      const fiber = yield* Effect.forkChild(Effect.flip(chain.getOrMake(key, Effect.never)), {
        startImmediately: true
      })

      yield* TestClock.adjust("2 seconds")

      const error = yield* Fiber.join(fiber)
      assert.isTrue(typeof error === "object" && error._tag === "ProducerTimedOut")
      assert.strictEqual(text(yield* chain.getOrMake(key, Effect.succeed(draft("x")))), "x")
    })
  )

  it.effect("fails for all who wait, and runs again for the next", () =>
    Effect.gen(function* () {
      const { chain } = yield* cachesOnly()
      const gate = Deferred.makeUnsafe<void>()
      const failing = Effect.andThen(Deferred.await(gate), Effect.fail("no such source"))
      const fibers = yield* readers(3, Effect.flip(chain.getOrMake(key, failing)))
      yield* Deferred.succeed(gate, undefined)

      assert.deepStrictEqual(yield* Effect.forEach(fibers, Fiber.join), Array(3).fill("no such source"))
      assert.strictEqual(text(yield* chain.getOrMake(key, Effect.succeed(draft("x")))), "x")
    })
  )

  it.effect("that dies is not remembered", () =>
    Effect.gen(function* () {
      const { chain } = yield* cachesOnly()
      const exit = yield* Effect.exit(chain.getOrMake(key, Effect.die("bug")))

      assert.isTrue(Exit.hasDies(exit))
      assert.strictEqual(text(yield* chain.getOrMake(key, Effect.succeed(draft("x")))), "x")
    })
  )

  it.effect("is not needed by a reader while what it made is being kept", () =>
    Effect.gen(function* () {
      const { chain, disk, memory } = yield* cachesOnly()
      const inMemory = memory.before("put")
      const onDisk = disk.before("put")
      yield* chain.getOrMake(key, Effect.succeed(draft("made")))
      yield* Effect.all([inMemory.reached, onDisk.reached])

      assert.strictEqual(text(yield* chain.get(key)), "made")
      assert.strictEqual(text(yield* chain.getOrMake(key, Effect.die("ran twice"))), "made")
      yield* Effect.all([inMemory.open, onDisk.open])
    })
  )

  it.effect("serves without a store although every cache fails", () =>
    Effect.gen(function* () {
      const { chain, disk, memory } = yield* cachesOnly()
      for (const cache of [disk, memory]) {
        cache.fail("get", new Unavailable({ cause: "down" }))
        cache.fail("put", new Unavailable({ cause: "down" }))
      }

      assert.strictEqual(text(yield* chain.getOrMake(key, Effect.succeed(draft("made")))), "made")
    })
  )

  it.effect("with a store, waits until absence is proven, and what it makes is stored first", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* threeTiers()
      store.fail("get", new Unavailable({ cause: "down" }), 1)
      const error = yield* Effect.flip(chain.getOrMake(key, Effect.die("ran")))
      assert.isTrue(typeof error === "object" && error._tag === "ChainUnavailable")

      yield* chain.getOrMake(key, Effect.succeed(draft("made")))
      yield* chain.idle

      assert.strictEqual((yield* store.tier.get(key))._tag, "Hit")
    })
  )

  it.effect("that fails for a stale blob is run again after a second, then after twice as long each time", () =>
    Effect.gen(function* () {
      const { chain } = yield* cachesOnly()
      yield* chain.getOrMake(key, Effect.succeed(draft("old", { freshUntil: 1 })))
      yield* chain.idle
      yield* TestClock.adjust(1)
      let runs = 0
      const failing = Effect.suspend(() => {
        runs += 1
        return Effect.fail("source down")
      })
      const read = Effect.tap(chain.getOrMake(key, failing), () => chain.idle)

      const after: Array<readonly [seconds: number, runs: number]> = []
      for (let second = 0; second < 8; second++) {
        assert.strictEqual(text(yield* read), "old")
        after.push([second, runs])
        yield* TestClock.adjust("1 second")
      }

      // The jitter shortens each wait by at most a fifth, so whole seconds show the waits of 1, 2 and 4 seconds.
      assert.deepStrictEqual(after, [
        [0, 1],
        [1, 2],
        [2, 2],
        [3, 3],
        [4, 3],
        [5, 3],
        [6, 3],
        [7, 4]
      ])
    })
  )

  it.effect("makes a stale blob anew behind the answer, once, and a failure leaves the stale one", () =>
    Effect.gen(function* () {
      const { chain } = yield* cachesOnly()
      yield* chain.getOrMake(key, Effect.succeed(draft("old", { freshUntil: 1_000, expiresAt: 9_000 })))
      yield* chain.idle
      yield* TestClock.adjust(1_000)
      let runs = 0
      const renewing = Effect.sync(() => {
        runs += 1
        return draft("new", { freshUntil: 8_000 })
      })

      assert.strictEqual(text(yield* chain.getOrMake(key, Effect.fail("source down"))), "old")
      yield* chain.idle
      yield* TestClock.adjust("1 second")
      const stale = yield* Effect.replicateEffect(chain.getOrMake(key, renewing), 5)
      yield* chain.idle

      assert.include(stale.map(text), "old")
      assert.strictEqual(text(yield* chain.getOrMake(key, renewing)), "new")
      assert.strictEqual(runs, 1)
    })
  )
})

/** Lets a zero timeout pass under the test clock. */
const adjusting = <A, E>(effect: Effect.Effect<{ readonly _tag: A }, E>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    yield* TestClock.adjust(1)
    return (yield* Fiber.join(fiber))._tag
  })
