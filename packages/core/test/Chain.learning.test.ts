/**
 * What another node has written, and what is still on its way from this one.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type * as Bus from "../src/Bus.ts"
import { draft, key, text } from "./support/chains.ts"
import { overLate, stored } from "./support/late.ts"
import { fork, node } from "./support/shared.ts"

/** Lets whoever listens to a bus hear what was sent. */
const delivered = Effect.replicateEffect(Effect.yieldNow, 10)

/** A bus on which only the test speaks. */
const heard = Effect.map(Queue.unbounded<Bus.Event>(), (events) => {
  const bus: Bus.Bus = { publish: () => Effect.void, events: Stream.fromQueue(events) }
  const hear = (generation: number, name?: string) =>
    Effect.andThen(
      Queue.offer(events, { _tag: "Invalidation", chain: "test", group: key.group, name, generation }),
      delivered
    )
  return { bus, hear }
})

describe("a put that was given up and lands after a message", () => {
  for (const [of, name] of [
    ["its key", key.name],
    ["its group", undefined]
  ] as const) {
    it.effect(`of a newer write of ${of} is undone, and counts as absent until then`, () =>
      Effect.gen(function* () {
        const { bus, hear } = yield* heard
        const { chain, giveUp, late, store } = yield* overLate({}, { bus })
        yield* giveUp(chain.put(key, draft("late")))
        yield* hear(9_000_000_000_000, name)
        const gate = store.before("remove")
        yield* late.land
        yield* gate.reached
        assert.strictEqual(yield* stored(store), "late")
        assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
        yield* gate.open
        yield* chain.idle

        assert.strictEqual(yield* stored(store), "Miss")
      })
    )

    it.effect(`of an older write of ${of} stays`, () =>
      Effect.gen(function* () {
        const { bus, hear } = yield* heard
        const { chain, giveUp, late, store } = yield* overLate({}, { bus })
        const { header } = yield* chain.put(key, draft("first"))
        yield* giveUp(chain.put(key, draft("late")))
        yield* hear(header.generation, name)
        yield* late.land
        yield* chain.idle

        assert.strictEqual(yield* stored(store), "late")
        assert.strictEqual(text(yield* chain.get(key)), "late")
      })
    )
  }
})

describe("what is being made when a message comes", () => {
  for (const [of, name] of [
    ["its key", key.name],
    ["its group", undefined]
  ] as const) {
    it.effect(`of a newer write of ${of} is answered, and kept in no cache`, () =>
      Effect.gen(function* () {
        const { bus, hear } = yield* heard
        const { chain, disk, memory, store } = yield* node({ bus })
        const gate = Deferred.makeUnsafe<void>()
        const begun = Deferred.makeUnsafe<void>()
        const making = yield* fork(
          chain.getOrMake(
            key,
            Effect.andThen(Deferred.succeed(begun, undefined), Effect.as(Deferred.await(gate), draft("made")))
          )
        )
        yield* Deferred.await(begun)
        yield* hear(9_000_000_000_000, name)
        yield* Deferred.succeed(gate, undefined)
        assert.strictEqual(text(yield* Fiber.join(making)), "made")
        yield* chain.idle

        for (const { tier } of [memory, disk, store]) assert.strictEqual((yield* tier.head(key))._tag, "Miss")
      })
    )
  }
})
