import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import * as CpuSlots from "../src/CpuSlots.ts"
import * as ImageError from "../src/ImageError.ts"

const onError = (cause: unknown) => ImageError.of(new ImageError.Undecodable({ detail: String(cause) }))

/** A job whose promise the test settles, and what became of it. */
const controlled = (millis = 1_000) => {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const started = Deferred.makeUnsafe<AbortSignal>()
  const run = (signal: AbortSignal) => {
    Deferred.doneUnsafe(started, Effect.succeed(signal))
    return promise
  }
  return { job: { run, onError, millis }, started: Deferred.await(started), resolve, reject }
}

const instant = (value: string): CpuSlots.Job<string> => ({ run: async () => value, onError, millis: 1_000 })

const throws = (): Promise<never> => {
  throw new Error("at once")
}

/** The reason a run failed for. */
const reason = <A>(run: Effect.Effect<A, ImageError.ImageError>) =>
  Effect.map(Effect.flip(run), (error) => error.reason)

/** Lets every fiber and promise that can go on do so. */
const settle = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

describe("CpuSlots", () => {
  it.effect("run - answers with the result and frees the slot before the caller goes on", () =>
    Effect.gen(function* () {
      const slots = CpuSlots.make({ slots: 1 })
      assert.strictEqual(yield* slots.run(instant("done")), "done")
      assert.deepStrictEqual(yield* slots.usage, { slots: 1, running: 0, queued: 0 })
    })
  )

  it.effect("run - keeps the slot of an interrupted job until its promise has settled", () =>
    Effect.gen(function* () {
      const slots = CpuSlots.make({ slots: 1 })
      const first = controlled()
      const fiber = yield* Effect.forkChild(slots.run(first.job))
      const signal = yield* first.started

      yield* Fiber.interrupt(fiber)

      assert.isTrue(signal.aborted)
      assert.strictEqual((yield* slots.usage).running, 1)
      const second = yield* Effect.forkChild(slots.run(instant("second")))
      yield* settle
      assert.deepStrictEqual(yield* slots.usage, { slots: 1, running: 1, queued: 1 })

      first.resolve("nobody waits for this")

      assert.strictEqual(yield* Fiber.join(second), "second")
      assert.deepStrictEqual(yield* slots.usage, { slots: 1, running: 0, queued: 0 })
    })
  )

  it.effect("run - answers TimedOut at the deadline and keeps the slot until the promise has settled", () =>
    Effect.gen(function* () {
      const slots = CpuSlots.make({ slots: 1 })
      const job = controlled(10_000)
      const fiber = yield* Effect.forkChild(reason(slots.run(job.job)))
      const signal = yield* job.started

      yield* TestClock.adjust(9_999)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)

      const timedOut = yield* Fiber.join(fiber)
      assert.deepStrictEqual([timedOut._tag, timedOut.message.includes("10000 ms")], ["TimedOut", true])
      assert.isTrue(signal.aborted)
      assert.strictEqual((yield* slots.usage).running, 1)
      job.reject(new Error("late"))
      yield* settle
      assert.strictEqual((yield* slots.usage).running, 0)
    })
  )

  it.effect("run - fails with Busy at once when the queue is full", () =>
    Effect.gen(function* () {
      const slots = CpuSlots.make({ slots: 1, queue: 1 })
      const running = controlled()
      const first = yield* Effect.forkChild(slots.run(running.job))
      const waiting = yield* Effect.forkChild(slots.run(instant("waited")))
      yield* settle

      const busy = yield* reason(slots.run(instant("refused")))

      assert.strictEqual(busy._tag, "Busy")
      assert.isTrue(busy.isRetryable)
      running.resolve("ran")
      assert.deepStrictEqual([yield* Fiber.join(first), yield* Fiber.join(waiting)], ["ran", "waited"])
    })
  )

  it.effect("run - fails with Busy when no slot came free in time, and never starts the job", () =>
    Effect.gen(function* () {
      const slots = CpuSlots.make({ slots: 1, queueMillis: 500 })
      const running = controlled(60_000)
      const first = yield* Effect.forkChild(slots.run(running.job))
      let started = false
      const waiting = yield* Effect.forkChild(
        reason(slots.run({ ...instant("never"), run: async () => (started = true) }))
      )
      yield* settle

      yield* TestClock.adjust(500)

      assert.strictEqual((yield* Fiber.join(waiting))._tag, "Busy")
      assert.deepStrictEqual(yield* slots.usage, { slots: 1, running: 1, queued: 0 })
      running.resolve("ran")
      yield* Fiber.join(first)
      assert.isFalse(started)
    })
  )

  it.effect("run - the time in the queue does not count as work", () =>
    Effect.gen(function* () {
      const slots = CpuSlots.make({ slots: 1, queueMillis: 10_000 })
      const first = controlled(60_000)
      const second = controlled(1_000)
      const one = yield* Effect.forkChild(slots.run(first.job))
      const two = yield* Effect.forkChild(slots.run(second.job))
      yield* settle
      yield* TestClock.adjust(9_000)
      first.resolve("one")
      yield* Fiber.join(one)
      yield* second.started
      yield* TestClock.adjust(999)
      second.resolve("two")
      assert.strictEqual(yield* Fiber.join(two), "two")
    })
  )

  it.effect("run - starts waiters in order of arrival and skips those that left", () =>
    Effect.gen(function* () {
      const slots = CpuSlots.make({ slots: 1 })
      const blocking = controlled()
      const order: Array<string> = []
      const noted = (name: string): CpuSlots.Job<void> => ({
        run: async () => void order.push(name),
        onError,
        millis: 1_000
      })
      const first = yield* Effect.forkChild(slots.run(blocking.job))
      const wait = (name: string) => Effect.forkChild(slots.run(noted(name))).pipe(Effect.tap(() => settle))
      const a = yield* wait("a")
      const b = yield* wait("b")
      const c = yield* wait("c")
      const d = yield* wait("d")

      yield* Fiber.interrupt(b)
      assert.strictEqual((yield* slots.usage).queued, 3)
      blocking.resolve("go")

      yield* Fiber.join(first)
      yield* Effect.forEach([a, c, d], Fiber.join)
      assert.deepStrictEqual(order, ["a", "c", "d"])
    })
  )

  it.effect("run - never lets more jobs run than there are slots, and leaks none through failures", () =>
    Effect.gen(function* () {
      const slots = CpuSlots.make({ slots: 3, queue: 1_000 })
      let running = 0
      let most = 0
      const job = (index: number): CpuSlots.Job<number> => ({
        run: async () => {
          most = Math.max(most, ++running)
          await new Promise((resolve) => setImmediate(resolve))
          running--
          if (index % 3 === 0) throw new Error("failed")
          return index
        },
        onError,
        millis: 1_000
      })
      const outcomes = yield* Effect.forEach(
        Array.from({ length: 200 }, (_, index) => index),
        (index) =>
          index % 7 === 0
            ? Effect.forkChild(slots.run(job(index))).pipe(Effect.flatMap(Fiber.interrupt), Effect.as("interrupted"))
            : Effect.match(slots.run(job(index)), { onSuccess: () => "ok", onFailure: (e) => e.reason._tag }),
        { concurrency: "unbounded" }
      )
      yield* settle
      assert.strictEqual(most, 3)
      assert.deepStrictEqual(new Set(outcomes), new Set(["interrupted", "ok", "Undecodable"]))
      assert.deepStrictEqual(yield* slots.usage, { slots: 3, running: 0, queued: 0 })
    })
  )

  it.effect("run - a job that throws before it returns a promise fails and frees its slot", () =>
    Effect.gen(function* () {
      const slots = CpuSlots.make({ slots: 1 })
      assert.strictEqual((yield* reason(slots.run({ run: throws, onError, millis: 1_000 })))._tag, "Undecodable")
      assert.strictEqual(yield* slots.run(instant("next")), "next")
    })
  )

  it("defaultSlots - is the cores, but leaves two of libuv's threads, and is at least one", () => {
    assert.strictEqual(CpuSlots.defaultSlots(8, undefined), 2)
    assert.strictEqual(CpuSlots.defaultSlots(8, "12"), 8)
    assert.strictEqual(CpuSlots.defaultSlots(2, "64"), 2)
    assert.strictEqual(CpuSlots.defaultSlots(8, "1"), 1)
    assert.strictEqual(CpuSlots.defaultSlots(8, "many"), 2)
  })
})
