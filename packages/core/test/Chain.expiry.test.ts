/**
 * What expires, or grows stale, while it is on its way to whoever asked.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import * as Blob from "../src/Blob.ts"
import { draft, key, outcomes, text, threeTiers } from "./support/chains.ts"
import { fork, node } from "./support/shared.ts"

describe("what is made", () => {
  it.effect("and has expired when it is there is an error that says so, and is kept nowhere", () =>
    Effect.gen(function* () {
      const { chain, memory, store } = yield* threeTiers()
      const producer = Effect.delay(Effect.succeed(draft("made", { expiresAt: 1_000 })), "1 second")
      const readers = yield* Effect.replicateEffect(fork(Effect.flip(chain.getOrMake(key, producer))), 2)
      yield* TestClock.adjust("1 second")
      const errors = yield* Effect.forEach(readers, Fiber.join)
      yield* chain.idle

      for (const error of errors) {
        assert.strictEqual(typeof error === "string" ? error : error._tag, "DraftExpired")
        assert.include(String(error), "1970-01-01T00:00:01.000Z")
      }
      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
      assert.strictEqual(store.calls.put + memory.calls.put, 0)
    })
  )

  it.effect("and is stale when it is there is answered as that, and not made again behind the same answer", () =>
    Effect.gen(function* () {
      const { chain } = yield* threeTiers()
      let runs = 0
      const producer = Effect.suspend(() => {
        runs += 1
        return Effect.delay(Effect.succeed(draft("made", { freshUntil: 500, expiresAt: 9_000 })), "1 second")
      })
      const reader = yield* fork(chain.getOrMake(key, producer))
      yield* TestClock.adjust("1 second")
      const found = yield* Fiber.join(reader)
      yield* TestClock.adjust("1 second")
      yield* chain.idle

      assert.isTrue(found.stale)
      assert.strictEqual(runs, 1)
    })
  )
})

describe("a copy that expires while it is compared with the store", () => {
  const expiring = Blob.make(key, Buffer.from("x"), {
    contentType: "text/plain",
    generation: 5,
    createdAt: 0,
    expiresAt: 61_000
  })

  /** A node whose copy is due to be compared, and a store whose answer takes its time. */
  const comparing = Effect.gen(function* () {
    const made = yield* node()
    yield* made.store.tier.put(expiring)
    yield* made.chain.get(key)
    yield* made.chain.idle
    yield* TestClock.adjust("60 seconds")
    // It has answered, but the answer is on its way.
    return { ...made, gate: made.store.after("head") }
  })

  it.effect("is not answered when the store cannot say", () =>
    Effect.gen(function* () {
      const { chain, gate } = yield* comparing
      const reader = yield* fork(chain.get(key))
      yield* gate.reached
      yield* TestClock.adjust("5 seconds")
      const found = yield* Fiber.join(reader)

      assert.strictEqual(text(found), "NotFound")
      assert.deepStrictEqual(outcomes(found), ["memory Expired", "disk Miss", "store Miss"])
    })
  )

  it.effect("is not answered when the store has the same", () =>
    Effect.gen(function* () {
      const { chain, gate } = yield* comparing
      const reader = yield* fork(chain.get(key))
      yield* gate.reached
      yield* TestClock.adjust("2 seconds")
      yield* gate.open

      assert.strictEqual(text(yield* Fiber.join(reader)), "NotFound")
    })
  )

  it.effect("is not answered to who asks for its header", () =>
    Effect.gen(function* () {
      const { chain, gate } = yield* comparing
      const reader = yield* fork(chain.head(key))
      yield* gate.reached
      yield* TestClock.adjust("2 seconds")
      yield* gate.open

      assert.strictEqual((yield* Fiber.join(reader))._tag, "NotFound")
    })
  )
})
