import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import * as Chain from "../src/Chain.ts"
import * as Leases from "../src/Leases.ts"
import type * as Origin from "../src/Origin.ts"
import { draft, key, local, outcomes, text } from "./support/chains.ts"
import { fork, sharedStore } from "./support/shared.ts"

/** Two nodes over one store; each has a memory of its own. */
const twoNodes = (leases: Leases.Leases | undefined, more: { readonly origin?: Origin.Origin<string> } = {}) =>
  Effect.gen(function* () {
    const store = yield* sharedStore()
    const node = Effect.gen(function* () {
      const memory = yield* local()
      const options: Chain.Options = {
        name: "test",
        caches: [{ tier: memory.tier }],
        store: { tier: store.tier },
        leases
      }
      return more.origin === undefined
        ? yield* Chain.make<string>(options)
        : yield* Chain.make<string, string>({ ...options, origin: more.origin })
    })
    return { here: yield* node, there: yield* node, store }
  })

/** A producer that counts its runs, and ends when it is told to. */
const held = () => {
  const open = Deferred.makeUnsafe<void>()
  const begun = Deferred.makeUnsafe<void>()
  let runs = 0
  const make: Effect.Effect<Chain.Draft> = Effect.suspend(() => {
    runs += 1
    return Effect.as(Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(open)), draft(`made ${runs}`))
  })
  return { make, runs: () => runs, open: Deferred.succeed(open, undefined), begun: Deferred.await(begun) }
}

describe("leases of a chain", () => {
  it.effect("let one node make what both would make; the other finds it in the store", () =>
    Effect.gen(function* () {
      const { here, there } = yield* twoNodes(Leases.makeLocal())
      const producer = held()
      const first = yield* fork(here.getOrMake(key, producer.make))
      yield* producer.begun
      const others = yield* Effect.forEach(Array.from({ length: 50 }), () => fork(there.getOrMake(key, producer.make)))
      yield* Effect.yieldNow
      yield* producer.open

      assert.strictEqual(text(yield* Fiber.join(first)), "made 1")
      for (const other of others) {
        const found = yield* Fiber.join(other)
        assert.strictEqual(text(found), "made 1")
        assert.deepStrictEqual(outcomes(found), ["memory Miss", "store Miss", "memory Miss", "store Hit"])
      }
      assert.strictEqual(producer.runs(), 1)
      yield* there.idle
      assert.deepStrictEqual(outcomes(yield* there.get(key)), ["memory Hit"])
    })
  )

  it.effect("are not needed for it to be right: without them both make it, and one of them is stored", () =>
    Effect.gen(function* () {
      const { here, there, store } = yield* twoNodes(Leases.none)
      const producer = held()
      const readers = [
        yield* fork(here.getOrMake(key, producer.make)),
        yield* fork(there.getOrMake(key, producer.make))
      ]
      yield* producer.begun
      yield* producer.open
      for (const reader of readers) yield* Fiber.join(reader)
      assert.strictEqual(producer.runs(), 2)
      yield* Effect.all([here.idle, there.idle])
      assert.strictEqual((yield* store.tier.usage).entries, 1)
    })
  )

  it.effect("let the next node make what the first one has failed to make; its error is not theirs", () =>
    Effect.gen(function* () {
      const { here, there } = yield* twoNodes(Leases.makeLocal())
      const gate = Deferred.makeUnsafe<void>()
      const failing = yield* fork(
        Effect.flip(here.getOrMake(key, Effect.andThen(Deferred.await(gate), Effect.fail("broken"))))
      )
      const waiting = yield* fork(there.getOrMake(key, Effect.succeed(draft("made there"))))
      yield* Deferred.succeed(gate, undefined)

      assert.strictEqual(yield* Fiber.join(failing), "broken")
      assert.strictEqual(text(yield* Fiber.join(waiting)), "made there")
    })
  )

  it.effect("let one node read and make what the origin has", () =>
    Effect.gen(function* () {
      const producer = held()
      let reads = 0
      const origin: Origin.Origin<string> = {
        name: "origin",
        has: () => Effect.succeed(true),
        read: () => Effect.sync(() => ((reads += 1), { _tag: "Holding", make: producer.make }))
      }
      const { here, there } = yield* twoNodes(Leases.makeLocal(), { origin })
      const readers = yield* Effect.forEach([here, there, here, there], (node) => fork(node.get(key)))
      yield* producer.begun
      yield* producer.open

      for (const reader of readers) assert.strictEqual(text(yield* Fiber.join(reader)), "made 1")
      assert.deepStrictEqual([reads, producer.runs()], [1, 1])
    })
  )

  it.effect("are given back by a lookup that everyone has left", () =>
    Effect.gen(function* () {
      const gate = Deferred.makeUnsafe<void>()
      const reached = Deferred.makeUnsafe<void>()
      let isFirst = true
      const origin: Origin.Origin<string> = {
        name: "origin",
        has: () => Effect.succeed(true),
        read: () =>
          Effect.suspend(() => {
            if (!isFirst) return Effect.succeed({ _tag: "Nothing" as const })
            isFirst = false
            return Effect.andThen(
              Deferred.succeed(reached, undefined),
              Effect.as(Deferred.await(gate), { _tag: "Nothing" as const })
            )
          })
      }
      const { here, there } = yield* twoNodes(Leases.makeLocal(), { origin })
      const leaving = yield* fork(here.get(key))
      yield* Deferred.await(reached)
      const waiting = yield* fork(there.get(key))
      yield* Fiber.interrupt(leaving)
      yield* TestClock.adjust("10 seconds")

      assert.strictEqual((yield* Fiber.join(waiting))._tag, "NotFound")
    })
  )

  it.effect("are not asked for what a tier has, nor where no other node sees what this one makes", () =>
    Effect.gen(function* () {
      let asked = 0
      const counting: Leases.Leases = {
        withLease: (_, { make }) => {
          asked += 1
          return make
        }
      }
      const { here } = yield* twoNodes(counting)
      yield* here.put(key, draft("there"))
      yield* here.getOrMake(key, Effect.succeed(draft("made")))
      assert.strictEqual(asked, 0)
      const memory = yield* local()
      const alone = yield* Chain.make({ name: "alone", caches: [{ tier: memory.tier }], leases: counting })
      yield* alone.getOrMake(key, Effect.succeed(draft("made")))
      assert.strictEqual(asked, 0)
      yield* here.remove(key)
      yield* here.getOrMake(key, Effect.succeed(draft("made")))
      assert.strictEqual(asked, 1)
    })
  )
})
