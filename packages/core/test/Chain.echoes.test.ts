/**
 * What a bus tells a chain of itself, and what it may not have told it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as Bus from "../src/Bus.ts"
import * as Chain from "../src/Chain.ts"
import { draft, key, local, outcomes, remote, text } from "./support/chains.ts"
import { blobAt, fork, node } from "./support/shared.ts"

/** Lets whoever listens to a bus hear what was sent. */
const delivered = Effect.replicateEffect(Effect.yieldNow, 20)

describe("a chain that hears its own messages", () => {
  for (const [name, write] of [
    ["a put", (chain: Chain.Chain<string>) => chain.put(key, draft("x"))],
    ["a remove", (chain: Chain.Chain<string>) => chain.remove(key)],
    ["a removal of a group", (chain: Chain.Chain<string>) => chain.removeGroup(key.group)]
  ] as const) {
    it.effect(`has nothing more to do for ${name}`, () =>
      Effect.gen(function* () {
        const alone = yield* node()
        yield* write(alone.chain)
        const { chain, disk, memory } = yield* node({ bus: Bus.makeLocal() })
        yield* write(chain)
        yield* delivered
        yield* chain.idle

        assert.deepStrictEqual([memory.calls, disk.calls], [alone.memory.calls, alone.disk.calls])
      })
    )
  }

  it.effect("goes on with lookups that began after the write", () =>
    Effect.gen(function* () {
      const events = yield* Queue.unbounded<Bus.Event>()
      const sent: Array<Bus.Invalidation> = []
      const bus: Bus.Bus = {
        publish: (invalidation) => Effect.sync(() => void sent.push(invalidation)),
        events: Stream.fromQueue(events)
      }
      const { chain, disk, memory, store } = yield* node({ bus })
      yield* chain.put(key, draft("x"))
      for (const cache of [memory, disk]) yield* cache.tier.remove(key, Number.MAX_SAFE_INTEGER)
      const gate = store.before("get")
      const first = yield* fork(chain.get(key))
      yield* gate.reached
      yield* Queue.offerAll(events, sent)
      yield* delivered
      const second = yield* fork(chain.get(key))
      yield* gate.open

      assert.deepStrictEqual([text(yield* Fiber.join(first)), text(yield* Fiber.join(second))], ["x", "x"])
      assert.strictEqual(store.calls.get, 1)
    })
  )

  it.effect("still hears of a newer write of the same key", () =>
    Effect.gen(function* () {
      const bus = Bus.makeLocal()
      const here = yield* node({ bus })
      const there = yield* node({ bus, of: here.store })
      yield* here.chain.put(key, draft("one"))
      yield* there.chain.put(key, draft("two"))
      yield* delivered

      assert.strictEqual((yield* here.memory.tier.get(key))._tag, "Miss")
      assert.strictEqual(text(yield* here.chain.get(key)), "two")
    })
  )
})

describe("a gap in the messages", () => {
  /** A chain over a store that says nobody else writes to it, and another chain of the process that does. */
  const overOwnStore = Effect.gen(function* () {
    const events = yield* Queue.unbounded<Bus.Event>()
    const bus: Bus.Bus = { publish: () => Effect.void, events: Stream.fromQueue(events) }
    const memory = yield* local()
    const store = yield* remote("store")
    const chain = yield* Chain.make<string>({
      name: "test",
      caches: [{ tier: memory.tier }],
      store: { tier: store.tier },
      bus
    })
    yield* store.tier.put(blobAt("old", 5))
    yield* chain.get(key)
    yield* chain.idle
    return { chain, gap: Effect.andThen(Queue.offer(events, { _tag: "Gap" }), delivered), store }
  })

  it.effect("has every copy compared once, though the store is said to be nobody else's", () =>
    Effect.gen(function* () {
      const { chain, gap, store } = yield* overOwnStore
      yield* gap
      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit", "store Confirmed"])
      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit"])
      yield* chain.put(key, draft("own"))
      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit"])
      yield* store.tier.put(blobAt("other", 9_000_000_000_000_000))
      yield* gap

      assert.strictEqual(text(yield* chain.get(key)), "other")
      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit"])
    })
  )

  it.effect("leaves a chain without a store with what it has", () =>
    Effect.gen(function* () {
      const events = yield* Queue.unbounded<Bus.Event>()
      const bus: Bus.Bus = { publish: () => Effect.void, events: Stream.fromQueue(events) }
      const memory = yield* local()
      const chain = yield* Chain.make<string>({ name: "test", caches: [{ tier: memory.tier }], bus })
      yield* chain.put(key, draft("x"))
      yield* Queue.offer(events, { _tag: "Gap" })
      yield* delivered

      assert.strictEqual(text(yield* chain.get(key)), "x")
    })
  )
})
