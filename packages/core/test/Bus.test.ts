import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as Bus from "../src/Bus.ts"
import { fork } from "./support/shared.ts"

const message = (generation: number): Bus.Invalidation => ({
  _tag: "Invalidation",
  chain: "test",
  group: "hero",
  name: "master",
  generation
})

const labels = (events: ReadonlyArray<Bus.Event>) =>
  events.map((event) => (event._tag === "Gap" ? "gap" : event.generation))

/** The first `count` events of a new subscriber. */
const first = (bus: Bus.Bus, count: number) => fork(Stream.runCollect(Stream.take(bus.events, count)))

/** A subscriber that takes `count` events, the first of them only when `release` is done. */
const slow = (bus: Bus.Bus, count: number) =>
  Effect.gen(function* () {
    const reached = Deferred.makeUnsafe<void>()
    const release = Deferred.makeUnsafe<void>()
    const fiber = yield* bus.events.pipe(
      Stream.tap(() => Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(release))),
      Stream.take(count),
      Stream.runCollect,
      fork
    )
    return { fiber, reached: Deferred.await(reached), release: Deferred.succeed(release, undefined) }
  })

describe("Bus.makeLocal", () => {
  it.effect("gives every subscriber what is published from then on, in order", () =>
    Effect.gen(function* () {
      const bus = Bus.makeLocal()
      yield* bus.publish(message(1))
      const early = yield* first(bus, 3)
      yield* bus.publish(message(2))
      const late = yield* first(bus, 2)
      for (const generation of [3, 4]) yield* bus.publish(message(generation))

      assert.deepStrictEqual(labels(yield* Fiber.join(early)), [2, 3, 4])
      assert.deepStrictEqual(labels(yield* Fiber.join(late)), [3, 4])
    })
  )

  it.effect("never waits for a subscriber, and tells one that is far behind of a gap, once", () =>
    Effect.gen(function* () {
      const bus = Bus.makeLocal()
      const behind = yield* slow(bus, 1_004)
      yield* bus.publish(message(0))
      yield* behind.reached
      for (let generation = 1; generation <= 1_005; generation++) yield* bus.publish(message(generation))
      yield* behind.release
      yield* Effect.replicateEffect(Effect.yieldNow, 10)
      for (const generation of [2_000, 2_001, 2_002]) yield* bus.publish(message(generation))
      const events = labels(yield* Fiber.join(behind.fiber))

      assert.strictEqual(events[0], 0)
      assert.strictEqual(events[1], "gap", "before anything that came after what was lost")
      assert.strictEqual(events.filter((event) => event === "gap").length, 1)
      assert.deepStrictEqual(events.slice(2, 4), [2, 3])
      assert.deepStrictEqual(events.slice(-3), [2_000, 2_001, 2_002])
    })
  )

  it.effect("tells a subscriber of no gap that has left as many unread as it may", () =>
    Effect.gen(function* () {
      const bus = Bus.makeLocal()
      const behind = yield* slow(bus, 1_001)
      yield* bus.publish(message(0))
      yield* behind.reached
      for (let generation = 1; generation <= 1_000; generation++) yield* bus.publish(message(generation))
      yield* behind.release

      assert.deepStrictEqual(
        labels(yield* Fiber.join(behind.fiber)),
        Array.from({ length: 1_001 }, (_, generation) => generation)
      )
    })
  )

  it.effect("gives two buses nothing of one another", () =>
    Effect.gen(function* () {
      const one = Bus.makeLocal()
      const other = Bus.makeLocal()
      const subscriber = yield* first(other, 1)
      yield* one.publish(message(1))
      yield* other.publish(message(2))

      assert.deepStrictEqual(labels(yield* Fiber.join(subscriber)), [2])
    })
  )
})

describe("BusError", () => {
  it("says what has happened", () => {
    const text = (cause: unknown) => new Bus.BusError({ cause }).message

    assert.strictEqual(text(new Error("connection reset")), "the invalidation was not sent: connection reset")
    assert.strictEqual(text("closed"), "the invalidation was not sent: closed")
  })
})
