/**
 * What is seen of a chain beside its counters: how long reads take, spans, damage, and chains of one name.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import { TestClock } from "effect/testing"
import * as Tracer from "effect/Tracer"
import * as Chain from "../src/Chain.ts"
import * as Key from "../src/Key.ts"
import { draft, key, local, remote } from "./support/chains.ts"
import { blobAt, down, fork, node } from "./support/shared.ts"
import { metric, test } from "./support/streaming.ts"

/** Reads by outcome: how many, and how long together, in seconds. */
const reads = Effect.map(Metric.snapshot, (all) =>
  Object.fromEntries(
    all.flatMap((series) =>
      series.id === "terrace_read_seconds" && series.type === "Histogram"
        ? [[series.attributes?.["outcome"], [series.state.count, series.state.sum]]]
        : []
    )
  )
)

describe("the time of reads", () => {
  test("is told by outcome, for each reader who was not answered by process memory", () =>
    Effect.gen(function* () {
      const store = yield* remote("store")
      const chain = yield* Chain.make<string>({ name: "test", caches: [], store: { tier: store.tier }, maxHeaders: 0 })
      yield* store.tier.put(blobAt("x", 5))
      const gate = store.before("get")
      const readers = yield* Effect.replicateEffect(fork(chain.get(key)), 3)
      yield* gate.reached
      yield* TestClock.adjust("1 second")
      for (const reader of readers.slice(2)) yield* Fiber.interrupt(reader)
      yield* TestClock.adjust("1 second")
      yield* gate.open
      for (const reader of readers.slice(0, 2)) yield* Fiber.join(reader)
      assert.deepStrictEqual(yield* reads, { hit: [2, 4], left: [1, 1] })

      const making = yield* fork(
        chain.getOrMake(Key.makeUnsafe("hero", "made"), Effect.delay(Effect.succeed(draft("made")), "3 seconds"))
      )
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(making)
      yield* chain.head(key)
      yield* chain.head(Key.makeUnsafe("hero", "absent"))
      store.fail("get", down)
      yield* Effect.exit(chain.get(Key.makeUnsafe("hero", "other")))

      assert.deepStrictEqual(yield* reads, {
        hit: [3, 4],
        left: [1, 1],
        made: [1, 3],
        "not-found": [1, 0],
        failed: [1, 0]
      })
    }))

  test("is not told of what is remembered, and of what a flight still holds", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* node()
      yield* chain.put(key, draft("x"))
      yield* chain.head(key)
      const gate = store.before("put")
      const at = Key.makeUnsafe("hero", "made")
      yield* chain.getOrMake(at, Effect.succeed(draft("made")))
      yield* chain.get(at)
      yield* gate.open

      assert.deepStrictEqual(yield* reads, { made: [1, 0] })
    }))
})

describe("damage", () => {
  test("is the number that the tier has counted", () =>
    Effect.gen(function* () {
      const store = yield* remote("store")
      yield* Chain.make({ name: "test", caches: [], store: { tier: { ...store.tier, corrupted: () => 3 } } })

      assert.strictEqual(yield* metric("terrace_corrupt"), 3)
    }))
})

describe("spans", () => {
  it.effect("are one per flight, of get, getOrMake and head", () =>
    Effect.gen(function* () {
      const names: Array<string> = []
      const tracer = Tracer.make({
        span: (options) => {
          names.push(options.name)
          return new Tracer.NativeSpan(options)
        }
      })
      yield* Effect.gen(function* () {
        const store = yield* remote("store")
        const chain = yield* Chain.make<string>({ name: "test", caches: [], store: { tier: store.tier } })
        const gate = store.before("head")
        const heads = yield* Effect.replicateEffect(fork(chain.head(key)), 2)
        yield* gate.open
        for (const head of heads) yield* Fiber.join(head)
        yield* chain.getOrMake(key, Effect.succeed(draft("x")))
        yield* chain.idle
        yield* chain.get(key)
        // Remembered: no flight.
        yield* chain.head(key)
      }).pipe(Effect.withTracer(tracer))

      assert.deepStrictEqual(
        names.filter((name) => name.startsWith("Chain.")),
        ["Chain.head", "Chain.getOrMake", "Chain.get"]
      )
    })
  )
})

describe("chains of one name", () => {
  /** What is logged while two chains are made. */
  const logged = (first: string, second: string) =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => void lines.push(`${logLevel} ${String(message)}`))
      yield* Effect.gen(function* () {
        const memory = yield* local()
        yield* Effect.scoped(Chain.make({ name: second, caches: [{ tier: memory.tier }] }))
        yield* Chain.make({ name: first, caches: [{ tier: memory.tier }] })
        yield* Chain.make({ name: second, caches: [{ tier: memory.tier }] })
      }).pipe(Effect.provide(Logger.layer([logger])))
      return lines
    })

  test("are warned of, as long as both are there", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* logged("masters", "variants"), [])
      const [line, ...others] = yield* logged("images", "images")

      assert.include(line, "Warn two chains are named images")
      assert.deepStrictEqual(others, [])
    }))
})
