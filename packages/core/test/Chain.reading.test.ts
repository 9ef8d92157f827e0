import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import { TestClock } from "effect/testing"
import * as Blob from "../src/Blob.ts"
import * as Chain from "../src/Chain.ts"
import { Unavailable } from "../src/TierError.ts"
import * as Trail from "../src/Trail.ts"
import { cachesOnly, draft, key, local, outcomes, remote, text, threeTiers } from "./support/chains.ts"

const down = new Unavailable({ cause: new Error("connection refused") })

const stored = (content: string, more: Partial<Blob.Blob["header"]> = {}) =>
  Blob.make(key, Buffer.from(content), { contentType: "text/plain", generation: 1, createdAt: 0, ...more })

describe("Chain.get", () => {
  it.effect("answers the first tier that has the blob, and says what each one said", () =>
    Effect.gen(function* () {
      const { chain, disk, memory } = yield* threeTiers()
      yield* chain.put(key, draft("on disk"))
      memory.fail("get", down)

      const found = yield* chain.get(key)

      assert.strictEqual(text(found), "on disk")
      assert.deepStrictEqual(outcomes(found), ["memory Failed", "disk Hit"])
      assert.strictEqual(disk.calls.get, 1)
    })
  )

  it.effect("copies a hit into every faster tier, and into no slower one", () =>
    Effect.gen(function* () {
      const { chain, disk, memory, store } = yield* threeTiers()
      yield* store.tier.put(stored("from store"))
      const puts = store.calls.put

      yield* chain.get(key)
      yield* chain.idle

      assert.strictEqual((yield* memory.tier.get(key))._tag, "Hit")
      assert.strictEqual((yield* disk.tier.get(key))._tag, "Hit")
      assert.strictEqual(store.calls.put, puts)
      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit"])
    })
  )

  it.effect("keeps time and attributes of the original in every copy", () =>
    Effect.gen(function* () {
      const { chain, memory, store } = yield* threeTiers()
      const blob = stored("x", { freshUntil: 5_000, expiresAt: 9_000, attributes: { title: "Bottle" } })
      yield* store.tier.put(blob)

      yield* chain.get(key)
      yield* chain.idle

      const copy = yield* memory.tier.head(key)
      assert.deepStrictEqual(copy, { _tag: "Hit", header: blob.header })
    })
  )

  it.effect("answers before the copies are written", () =>
    Effect.gen(function* () {
      const { chain, disk, store } = yield* threeTiers()
      yield* store.tier.put(stored("x"))
      const gate = disk.before("put")

      assert.strictEqual(text(yield* chain.get(key)), "x")
      yield* gate.reached
      yield* gate.open
    })
  )

  it.effect("passes a cache that fails", () =>
    Effect.gen(function* () {
      const { chain, disk, store } = yield* threeTiers()
      yield* store.tier.put(stored("x"))
      disk.fail("get", down)

      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Miss", "disk Failed", "store Hit"])
    })
  )

  it.effect("passes a cache that does not answer within its deadline", () =>
    Effect.gen(function* () {
      const disk = yield* remote("disk")
      const store = yield* remote("store")
      const chain = yield* Chain.make({
        name: "test",
        caches: [{ tier: disk.tier, policy: { deadline: "200 millis" } }],
        store: { tier: store.tier }
      })
      yield* store.tier.put(stored("x"))
      const gate = disk.before("get")

      const reader = yield* Effect.forkChild(chain.get(key))
      yield* gate.reached
      yield* TestClock.adjust("200 millis")

      const found = yield* Fiber.join(reader)
      assert.deepStrictEqual(outcomes(found), ["disk Failed", "store Hit"])
      assert.deepStrictEqual(found.trail.steps[0]?.outcome, { _tag: "Failed", reason: "TimedOut" })
      yield* gate.interrupted
    })
  )

  it.effect("asks a tier again as its policy says", () =>
    Effect.gen(function* () {
      const store = yield* remote("store")
      const chain = yield* Chain.make({
        name: "test",
        caches: [],
        store: { tier: store.tier, policy: { retry: Schedule.recurs(2) } }
      })
      yield* store.tier.put(stored("x"))
      store.fail("get", down, 2)

      assert.strictEqual(text(yield* chain.get(key)), "x")
      assert.strictEqual(store.calls.get, 3)
    })
  )

  it.effect("answers NotFound if the store has nothing, even if a cache could not say", () =>
    Effect.gen(function* () {
      const { chain, disk } = yield* threeTiers()
      disk.fail("get", down)

      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
    })
  )

  it.effect("never answers NotFound while the store could not say", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* threeTiers()
      store.fail("get", down)

      const error = yield* Effect.flip(chain.get(key))

      assert.strictEqual(error._tag, "ChainUnavailable")
      assert.deepStrictEqual(error.tiers, [{ tier: "store", why: "Unavailable" }])
    })
  )

  it.effect("without a store, needs every tier to prove absence", () =>
    Effect.gen(function* () {
      const { chain, disk } = yield* cachesOnly({ negativeTtl: 0 })
      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")

      disk.fail("get", down)

      assert.strictEqual((yield* Effect.flip(chain.get(key)))._tag, "ChainUnavailable")
    })
  )

  it.effect("serves a blob as stale between freshUntil and expiresAt, and never after", () =>
    Effect.gen(function* () {
      const { chain } = yield* threeTiers()
      yield* chain.put(key, draft("x", { freshUntil: 1_000, expiresAt: 2_000 }))
      const staleness = Effect.map(chain.get(key), (found) => (found._tag === "Found" ? found.stale : found._tag))

      assert.strictEqual(yield* staleness, false)
      yield* TestClock.adjust(1_000)
      assert.strictEqual(yield* staleness, true)
      yield* TestClock.adjust(999)
      assert.strictEqual(yield* staleness, true)
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* staleness, "NotFound")
    })
  )

  it.effect("counts hits and misses by tier", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* threeTiers()
      yield* store.tier.put(stored("x"))
      yield* chain.get(key)
      yield* chain.idle
      yield* chain.get(key)
      yield* chain.get(key)

      const status = yield* chain.status

      assert.deepStrictEqual(
        status.map(({ counters, tier }) => [tier, counters.hits, counters.misses]),
        [
          ["memory", 2, 1],
          ["disk", 0, 1],
          ["store", 1, 0]
        ]
      )
      assert.deepStrictEqual(
        status.map(({ role, usage }) => [role, usage?.entries]),
        [
          ["cache", 1],
          ["cache", 1],
          ["store", 1]
        ]
      )
    })
  )
})

describe("Chain.head", () => {
  it.effect("reads no body, and asks no tier twice", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* threeTiers()
      yield* store.tier.put(stored("x"))

      const first = yield* chain.head(key)
      const second = yield* chain.head(key)

      assert.strictEqual(first._tag === "Found" && first.header.size, 1)
      assert.deepStrictEqual(outcomes(second), ["headers Hit"])
      assert.deepStrictEqual([store.calls.get, store.calls.head], [0, 1])
    })
  )

  it.effect("knows the header of what was put, and forgets it when it is removed", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* threeTiers()
      yield* chain.put(key, draft("one"))
      yield* chain.put(key, draft("three"))
      const head = yield* chain.head(key)
      assert.strictEqual(head._tag === "Found" && head.header.size, 5)
      assert.strictEqual(store.calls.head, 0)

      yield* chain.removeGroup("hero")

      assert.strictEqual((yield* chain.head(key))._tag, "NotFound")
    })
  )

  it.effect("does not remember a header that was replaced while it was being read", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* threeTiers()
      yield* chain.put(key, draft("old"))
      yield* chain.remove(key)
      yield* store.tier.put(stored("older", { generation: 1 }))
      const gate = store.after("head")
      const reader = yield* Effect.forkChild(chain.head(key))
      yield* gate.reached

      yield* chain.remove(key)
      yield* gate.open
      yield* Fiber.join(reader)

      assert.strictEqual((yield* chain.head(key))._tag, "NotFound")
    })
  )
})

describe("a chain whose scope has closed", () => {
  it.effect("finished its write-backs and answers nothing more", () =>
    Effect.gen(function* () {
      const memory = yield* local()
      const disk = yield* remote("disk")
      const gate = disk.before("put")
      const chain = yield* Effect.scoped(
        Effect.gen(function* () {
          const chain = yield* Chain.make<string>({
            name: "test",
            caches: [{ tier: memory.tier }, { tier: disk.tier }]
          })
          yield* chain.getOrMake(key, Effect.succeed(draft("made")))
          yield* gate.reached
          yield* Effect.forkDetach(Effect.andThen(Effect.yieldNow, gate.open))
          return chain
        })
      )

      assert.strictEqual((yield* disk.tier.get(key))._tag, "Hit")
      yield* memory.tier.removeGroup("hero", Number.MAX_SAFE_INTEGER)
      assert.strictEqual((yield* Effect.flip(chain.get(key)))._tag, "ChainUnavailable")
      assert.strictEqual((yield* Effect.flip(chain.put(key, draft("x"))))._tag, "TierError")
    })
  )

  it.effect("copies what could not be compared with the store into no faster cache", () =>
    Effect.gen(function* () {
      const { chain, disk, store } = yield* threeTiers()
      yield* disk.tier.put(stored("inherited"))
      for (const call of ["head", "get"] as const) store.fail(call, down)
      yield* chain.get(key)
      yield* chain.idle

      assert.isTrue(Trail.isUnconfirmed((yield* chain.get(key)).trail))
    })
  )

  it.effect("waits five seconds for what a tier holds, whatever its deadline, and tells the rest", () =>
    Effect.gen(function* () {
      const memory = yield* local()
      const { tier } = yield* remote("store")
      const chain = yield* Chain.make({
        name: "test",
        caches: [{ tier: memory.tier }],
        store: { tier: { ...tier, usage: Effect.never }, policy: { deadline: "1 hour" } }
      })
      const asked = yield* Effect.forkChild(chain.status, { startImmediately: true })
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(asked.pollUnsafe())
      yield* TestClock.adjust("1 millis")

      const status = yield* Fiber.join(asked)

      assert.deepStrictEqual(
        status.map(({ breaker, tier, usage }) => [tier, usage?.entries, breaker]),
        [
          ["memory", 0, "closed"],
          ["store", undefined, "closed"]
        ]
      )
    })
  )
})
