import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as Bus from "../src/Bus.ts"
import type * as Chain from "../src/Chain.ts"
import * as Key from "../src/Key.ts"
import { NoSpace } from "../src/TierError.ts"
import { cachesOnly, draft, key, local, outcomes, text } from "./support/chains.ts"
import { blobAt, down, fork, node, sharedStore } from "./support/shared.ts"

const other = Key.makeUnsafe("hero", "original")

/** Lets whoever listens to a bus hear what was sent. */
const delivered = Effect.replicateEffect(Effect.yieldNow, 10)

/** Two nodes over one store, and what is sent between them. */
const twoNodes = Effect.gen(function* () {
  const bus = Bus.makeLocal()
  const sent: Array<Bus.Invalidation> = []
  const noting: Bus.Bus = {
    ...bus,
    publish: (invalidation) => {
      sent.push(invalidation)
      return bus.publish(invalidation)
    }
  }
  const store = yield* sharedStore()
  const here = yield* node({ of: store, bus: noting })
  const there = yield* node({ of: store, bus })
  return { here, there, store, sent }
})

/** A node that hears what the test tells it. */
const listener = (options: Partial<Chain.Options> = {}) =>
  Effect.gen(function* () {
    const events = yield* Queue.unbounded<Bus.Event>()
    const bus: Bus.Bus = { publish: () => Effect.void, events: Stream.fromQueue(events) }
    const made = yield* node({ bus, ...options })
    const hear = (...heard: ReadonlyArray<Bus.Event>) => Effect.andThen(Queue.offerAll(events, heard), delivered)
    return { ...made, hear, end: Effect.andThen(Queue.shutdown(events), delivered) }
  })

const invalidation = (more: Partial<Bus.Invalidation>): Bus.Invalidation => ({
  _tag: "Invalidation",
  chain: "test",
  group: "hero",
  name: "master",
  generation: 9_000_000_000_000,
  ...more
})

describe("a write on one node", () => {
  it.effect("makes the other drop the copies that it replaces, and serve the new blob", () =>
    Effect.gen(function* () {
      const { here, there } = yield* twoNodes
      yield* here.chain.put(key, draft("old"))
      yield* there.chain.get(key)
      yield* there.chain.head(key)
      yield* there.chain.idle
      yield* here.chain.put(key, draft("newer"))
      yield* delivered

      for (const { tier } of [there.memory, there.disk]) assert.strictEqual((yield* tier.get(key))._tag, "Miss")
      const head = yield* there.chain.head(key)
      assert.strictEqual(head._tag === "Found" && head.header.size, 5)
      assert.strictEqual(text(yield* there.chain.get(key)), "newer")
    })
  )

  it.effect("as a remove makes the other answer NotFound", () =>
    Effect.gen(function* () {
      const { here, there } = yield* twoNodes
      yield* here.chain.put(key, draft("x"))
      yield* there.chain.get(key)
      yield* there.chain.idle
      yield* here.chain.remove(key)
      yield* delivered

      assert.strictEqual((yield* there.chain.get(key))._tag, "NotFound")
      assert.strictEqual((yield* there.chain.head(key))._tag, "NotFound")
      for (const { tier } of [there.memory, there.disk]) assert.strictEqual((yield* tier.get(key))._tag, "Miss")
    })
  )

  it.effect("as a remove makes the other drop what it has put in the same millisecond", () =>
    Effect.gen(function* () {
      const { here, there } = yield* twoNodes
      yield* there.chain.put(key, draft("x"))
      yield* here.chain.remove(key)
      yield* delivered
      assert.strictEqual((yield* there.chain.get(key))._tag, "NotFound")

      yield* there.chain.put(other, draft("y"))
      yield* here.chain.removeGroup("hero")
      yield* delivered
      assert.strictEqual((yield* there.chain.get(other))._tag, "NotFound")
    })
  )

  it.effect("as a removal of a group makes the other drop all of it, and nothing else", () =>
    Effect.gen(function* () {
      const { here, there } = yield* twoNodes
      const villain = Key.makeUnsafe("villain", "master")
      for (const each of [key, other, villain]) yield* here.chain.put(each, draft("x"))
      for (const each of [key, other, villain]) yield* there.chain.get(each)
      yield* there.chain.idle
      yield* here.chain.removeGroup("hero")
      yield* delivered

      assert.strictEqual((yield* there.chain.get(key))._tag, "NotFound")
      assert.strictEqual((yield* there.chain.get(other))._tag, "NotFound")
      assert.deepStrictEqual(outcomes(yield* there.chain.get(villain)), ["memory Hit"])
    })
  )

  it.effect("is not undone by a copy that the other is just making of the old blob", () =>
    Effect.gen(function* () {
      const { here, store, there } = yield* twoNodes
      yield* store.tier.put(blobAt("old", 1))
      const gate = store.after("get")
      const early = yield* fork(there.chain.get(key))
      yield* gate.reached
      yield* here.chain.put(key, draft("new"))
      yield* delivered
      const late = yield* fork(there.chain.get(key))
      yield* gate.open
      yield* Fiber.join(early)

      assert.strictEqual(text(yield* Fiber.join(late)), "new")
      yield* there.chain.idle
      for (const { tier } of [there.memory, there.disk]) {
        const read = yield* tier.get(key)
        assert.isFalse(read._tag === "Hit" && read.blob.header.generation === 1)
      }
      assert.strictEqual(text(yield* there.chain.get(key)), "new")
    })
  )

  it.effect("is beaten by what the other writes after it has heard of it, whatever the clocks say", () =>
    Effect.gen(function* () {
      const { chain, hear } = yield* listener()
      yield* hear(invalidation({ generation: 7_000_000_000_000 }))
      const receipt = yield* chain.put(key, draft("x"))

      assert.isAbove(receipt.header.generation, 7_000_000_000_000)
    })
  )

  it.effect("is told by name and generation, after it has taken effect in the store", () =>
    Effect.gen(function* () {
      const { here, sent, store } = yield* twoNodes
      const gate = store.before("put")
      const writer = yield* fork(here.chain.put(key, draft("x")))
      yield* gate.reached
      assert.isEmpty(sent)
      yield* gate.open
      const put = yield* Fiber.join(writer)
      const removed = yield* here.chain.remove(key)
      const second = yield* here.chain.put(key, draft("y"))
      yield* here.chain.remove(key, { expected: second.header.generation })
      const group = yield* here.chain.removeGroup("hero")
      yield* here.chain.removeGroup("hero", { upTo: 5 })

      const told = (generation: number, name: string | undefined) => invalidation({ generation, name })
      assert.deepStrictEqual(sent, [
        told(put.header.generation, "master"),
        told(removed.generation + 1, "master"),
        told(second.header.generation, "master"),
        told(second.header.generation + 1, "master"),
        told(group.generation + 1, undefined),
        told(6, undefined)
      ])
      for (const receipt of [put, removed, group]) assert.strictEqual(receipt.announced, "sent")
    })
  )

  it.effect("is not told if it has failed", () =>
    Effect.gen(function* () {
      const { here, sent, store } = yield* twoNodes
      store.fail("put", new NoSpace({ detail: "full" }))
      yield* Effect.flip(here.chain.put(key, draft("x")))

      assert.isEmpty(sent)
    })
  )

  it.effect("reaches the caches of a chain without a store too", () =>
    Effect.gen(function* () {
      const bus = Bus.makeLocal()
      const here = yield* cachesOnly({ bus })
      const there = yield* cachesOnly({ bus })
      yield* there.chain.getOrMake(key, Effect.succeed(draft("made")))
      yield* there.chain.idle
      const receipt = yield* here.chain.remove(key)
      yield* delivered

      assert.strictEqual(receipt.announced, "sent")
      assert.strictEqual((yield* there.chain.get(key))._tag, "NotFound")
    })
  )
})

describe("a bus", () => {
  const silent: Bus.Bus = { publish: () => Effect.void, events: Stream.never }

  it.effect("that there is none of is not spoken of in receipts", () =>
    Effect.gen(function* () {
      const { chain } = yield* node()

      assert.notProperty(yield* chain.put(key, draft("x")), "announced")
      assert.notProperty(yield* chain.remove(key), "announced")
      assert.notProperty(yield* chain.removeGroup("hero"), "announced")
    })
  )

  for (const [how, publish] of [
    ["fails", () => Effect.fail(new Bus.BusError({ cause: down }))],
    ["dies", () => Effect.die("bug")],
    [
      "throws",
      () => {
        throw new Error("bug")
      }
    ],
    ["interrupts itself", () => Effect.interrupt]
  ] as const satisfies ReadonlyArray<readonly [string, Bus.Bus["publish"]]>) {
    it.effect(`that ${how} fails no write: the receipt says so`, () =>
      Effect.gen(function* () {
        const { chain, store } = yield* node({ bus: { ...silent, publish } })
        const put = yield* chain.put(key, draft("x"))
        assert.strictEqual(put.announced, "failed")
        assert.strictEqual((yield* store.tier.get(key))._tag, "Hit")
        assert.strictEqual(text(yield* chain.get(key)), "x")

        assert.strictEqual((yield* chain.remove(key)).announced, "failed")
        assert.strictEqual((yield* chain.removeGroup("hero")).announced, "failed")
        yield* chain.idle
      })
    )
  }

  for (const [how, masked] of [
    ["hangs", Effect.interruptible],
    ["hangs and cannot be interrupted", Effect.uninterruptible]
  ] as const) {
    it.effect(`that ${how} delays a write by one second and no more`, () =>
      Effect.gen(function* () {
        const gate = Deferred.makeUnsafe<void>()
        const { chain } = yield* node({ bus: { ...silent, publish: () => masked(Deferred.await(gate)) } })
        const writer = yield* fork(chain.put(key, draft("x")))
        yield* TestClock.adjust("999 millis")
        assert.isUndefined(writer.pollUnsafe())
        assert.strictEqual(text(yield* chain.get(key)), "x", "readers need not wait for it")
        yield* TestClock.adjust("1 millis")

        assert.strictEqual((yield* Fiber.join(writer)).announced, "failed")
        yield* Deferred.succeed(gate, undefined)
      })
    )
  }

  it.effect("whose events end or die leaves every copy to be compared, and the chain at work", () =>
    Effect.gen(function* () {
      for (const events of [Stream.empty, Stream.die("bug"), Stream.fromEffect(Effect.interrupt)] as ReadonlyArray<
        Bus.Bus["events"]
      >) {
        const start = yield* Queue.unbounded<void>()
        const { chain, store } = yield* node({
          bus: { ...silent, events: Stream.unwrap(Effect.as(Queue.take(start), events)) }
        })
        yield* chain.put(key, draft("x"))
        assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit"])
        yield* Queue.offer(start, undefined)
        yield* delivered

        assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit", "store Confirmed"])
        assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit"])
        assert.strictEqual(store.calls.head, 1)
      }
    })
  )
})

describe("a message", () => {
  for (const [which, message] of [
    ["of another chain", invalidation({ chain: "variants" })],
    ["with a generation that is no number", invalidation({ generation: Number.NaN })],
    ["with a generation past the safe integers", invalidation({ generation: 2 ** 53 })],
    ["with an infinite generation", invalidation({ generation: Number.POSITIVE_INFINITY })],
    ["with a broken generation", invalidation({ generation: 9_000_000_000_000.5 })],
    ["with a bad name", invalidation({ name: "../master" })],
    ["with a bad group", invalidation({ group: "he/ro", name: undefined })],
    ["about another key", invalidation({ name: "thumb" })],
    ["about a group whose name only begins alike", invalidation({ group: "her", name: undefined })]
  ] as const) {
    it.effect(`${which} changes nothing, and the next one is heard`, () =>
      Effect.gen(function* () {
        const { chain, hear, store } = yield* listener()
        yield* chain.put(key, draft("x"))
        yield* hear(message)
        assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit"])
        assert.deepStrictEqual(outcomes(yield* chain.head(key)), ["headers Hit"])
        const next = yield* chain.put(other, draft("y"))
        assert.isTrue(Number.isSafeInteger(next.header.generation))
        yield* store.tier.put(blobAt("new", 9_000_000_000_000))
        yield* hear(invalidation({}))

        assert.strictEqual(text(yield* chain.get(key)), "new")
      })
    )
  }

  it.effect("that comes late, or twice, leaves the newer copy alone", () =>
    Effect.gen(function* () {
      const { chain, hear } = yield* listener()
      const old = yield* chain.put(key, draft("old"))
      const receipt = yield* chain.put(key, draft("new"))
      for (const { header } of [old, receipt, receipt]) yield* hear(invalidation({ generation: header.generation }))

      const found = yield* chain.get(key)
      assert.strictEqual(text(found), "new")
      assert.deepStrictEqual(outcomes(found), ["memory Hit"])
    })
  )

  it.effect("that comes late undoes nothing that was made anew since", () =>
    Effect.gen(function* () {
      const { chain, hear, store } = yield* listener()
      const { header } = yield* chain.put(key, draft("stale", { freshUntil: 1_000 }))
      yield* TestClock.adjust("1 second")
      const storing = store.after("put")
      yield* chain.getOrMake(key, Effect.succeed(draft("anew")))
      yield* storing.reached
      yield* hear(invalidation({ generation: header.generation }))
      yield* storing.open
      yield* chain.idle

      assert.strictEqual(text(yield* chain.get(key)), "anew")
      assert.strictEqual((yield* store.tier.get(key))._tag, "Hit")
    })
  )

  it.effect("leaves room for the generations that must follow it, or changes nothing", () =>
    Effect.gen(function* () {
      const { chain, hear } = yield* listener()
      yield* hear(invalidation({ generation: Number.MAX_SAFE_INTEGER }))
      const { header } = yield* chain.put(key, draft("x"))

      assert.isTrue(Number.isSafeInteger(header.generation))
      assert.strictEqual(text(yield* chain.get(key)), "x")
      yield* chain.remove(key)
      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
    })
  )

  it.effect("of one's own leaves one's own copies alone", () =>
    Effect.gen(function* () {
      const { here, store } = yield* twoNodes
      yield* here.chain.put(key, draft("x"))
      yield* delivered

      assert.deepStrictEqual(outcomes(yield* here.chain.get(key)), ["memory Hit"])
      assert.deepStrictEqual([store.calls.get, store.calls.head], [0, 0])
    })
  )

  it.effect("takes effect at once, though a cache is slow to drop what an earlier one was about", () =>
    Effect.gen(function* () {
      const { chain, disk, hear, store } = yield* listener()
      for (const each of [key, other]) yield* chain.put(each, draft("old"))
      const gate = disk.before("remove")
      yield* hear(invalidation({}))
      yield* gate.reached
      yield* store.tier.put(blobAt("new", 9_000_000_000_000, other))
      yield* hear(invalidation({ name: "original" }))

      const reader = yield* fork(chain.get(other))
      yield* gate.open
      assert.strictEqual(text(yield* Fiber.join(reader)), "new")
    })
  )

  it.effect("about copies that a cache cannot drop keeps them from serving until it can", () =>
    Effect.gen(function* () {
      const { chain, disk, hear, memory, store } = yield* listener()
      yield* chain.put(key, draft("old"))
      disk.fail("remove", new NoSpace({ detail: "full" }), 2)
      yield* store.tier.remove(key, Number.MAX_SAFE_INTEGER)
      yield* hear(invalidation({}))
      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Miss", "disk Outdated", "store Miss"])
      yield* TestClock.adjust("10 seconds")

      for (const { tier } of [memory, disk]) assert.strictEqual((yield* tier.get(key))._tag, "Miss")
    })
  )
})

describe("a gap", () => {
  it.effect("makes every copy be compared before it is served again, and every header", () =>
    Effect.gen(function* () {
      const { chain, hear, store } = yield* listener()
      for (const each of [key, other]) yield* chain.put(each, draft("x"))
      yield* store.tier.put(blobAt("missed", 9_000_000_000_000))
      yield* hear({ _tag: "Gap" })

      assert.strictEqual(text(yield* chain.get(key)), "missed")
      assert.deepStrictEqual(outcomes(yield* chain.head(other)), ["memory Hit", "store Confirmed"])
      assert.deepStrictEqual(outcomes(yield* chain.get(other)), ["memory Hit"])
    })
  )

  it.effect("makes a copy be compared whose comparison began before it", () =>
    Effect.gen(function* () {
      const { chain, hear, memory, store } = yield* listener()
      yield* memory.tier.put(blobAt("old", 1))
      yield* store.tier.put(blobAt("old", 1))
      const gate = store.after("head")
      const reader = yield* fork(chain.get(key))
      yield* gate.reached
      yield* store.tier.put(blobAt("missed", 2))
      yield* hear({ _tag: "Gap" })
      yield* gate.open
      assert.strictEqual(text(yield* Fiber.join(reader)), "old")

      assert.strictEqual(text(yield* chain.get(key)), "missed")
    })
  )

  it.effect("is what a slow listener of a local bus is told: no write stays unnoticed", () =>
    Effect.gen(function* () {
      const bus = Bus.makeLocal()
      const store = yield* sharedStore()
      const near = yield* local()
      const there = yield* node({ of: store, bus, caches: [{ tier: near.tier }] })
      yield* there.chain.put(key, draft("old"))
      // In one step of the scheduler: more than the listener can be behind.
      for (let index = 0; index < 1_000; index++) {
        yield* bus.publish(invalidation({ group: `other${index}` }))
      }
      yield* store.tier.put(blobAt("new", 9_000_000_000_000))
      yield* bus.publish(invalidation({}))
      yield* Effect.replicateEffect(Effect.yieldNow, 100)

      assert.strictEqual(text(yield* there.chain.get(key)), "new")
    })
  )
})
