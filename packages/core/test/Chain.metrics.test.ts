import { assert, describe, it } from "@effect/vitest"
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import * as Chain from "../src/Chain.ts"
import * as Key from "../src/Key.ts"
import { Denied } from "../src/TierError.ts"
import { draft, key, local, remote } from "./support/chains.ts"
import { blobAt, down, fork, node, sharedStore } from "./support/shared.ts"

/** Runs a test with a registry of its own. */
const withRegistry = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => Effect.provideService(effect, Metric.MetricRegistry, new Map()))

const labelOf = ({ attributes, id }: Metric.Metric.Snapshot): string => {
  const pairs = Object.entries(attributes ?? {}).map(([name, value]) => `${name}=${value}`)
  return [id, ...pairs.sort()].join(" ")
}

/** What a scrape shows: the value by name and attributes. A histogram shows its count. */
const scrape = Effect.map(
  Metric.snapshot,
  (snapshots) =>
    new Map(
      snapshots.map((snapshot) => [
        labelOf(snapshot),
        snapshot.type === "Counter"
          ? Number(snapshot.state.count)
          : snapshot.type === "Gauge"
            ? Number(snapshot.state.value)
            : snapshot.type === "Histogram"
              ? snapshot.state.count
              : Number.NaN
      ])
    )
)

/** What has changed between two scrapes. */
const changes = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const before = yield* scrape
    yield* effect
    const after = yield* scrape
    const changed: Record<string, number> = {}
    for (const [label, value] of after) {
      const difference = value - (before.get(label) ?? 0)
      if (difference !== 0) changed[label.replace("terrace_", "").replace(" chain=test", "")] = difference
    }
    return changed
  })

/** The changes without the durations. */
const counts = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(changes(effect), (changed) =>
    Object.fromEntries(Object.entries(changed).filter(([label]) => !label.includes("_seconds")))
  )

const read = (chain: Chain.Chain<string>, of = key) => Effect.andThen(chain.get(of), chain.idle)

describe("the series of a chain", () => {
  it.effect("are these: names, kinds and attributes are stable", () =>
    withRegistry(
      Effect.gen(function* () {
        const memory = yield* local()
        const store = yield* sharedStore()
        const chain = yield* Chain.make({
          name: "masters",
          caches: [{ tier: { ...memory.tier, evictions: () => 3 } }],
          store: { tier: { ...store.tier, evictions: undefined } }
        })
        yield* chain.put(key, draft("x"))
        const snapshots = yield* Metric.snapshot
        const series = snapshots.map((snapshot) => `${snapshot.type} ${labelOf(snapshot)}`).sort()

        assert.deepStrictEqual(series, [
          "Counter terrace_absences chain=masters",
          "Counter terrace_comparisons chain=masters outcome=other",
          "Counter terrace_comparisons chain=masters outcome=same",
          "Counter terrace_comparisons chain=masters outcome=unknown",
          "Counter terrace_declines chain=masters reason=admission tier=memory",
          "Counter terrace_declines chain=masters reason=admission tier=store",
          "Counter terrace_declines chain=masters reason=expired tier=memory",
          "Counter terrace_declines chain=masters reason=expired tier=store",
          "Counter terrace_declines chain=masters reason=read-only tier=memory",
          "Counter terrace_declines chain=masters reason=read-only tier=store",
          "Counter terrace_declines chain=masters reason=too-large tier=memory",
          "Counter terrace_declines chain=masters reason=too-large tier=store",
          "Counter terrace_evictions chain=masters tier=memory",
          "Counter terrace_flights chain=masters",
          "Counter terrace_flights_joined chain=masters",
          "Counter terrace_producers chain=masters outcome=failed",
          "Counter terrace_producers chain=masters outcome=made",
          "Counter terrace_promotions chain=masters tier=memory",
          "Counter terrace_promotions chain=masters tier=store",
          "Counter terrace_reads chain=masters outcome=failed tier=memory",
          "Counter terrace_reads chain=masters outcome=failed tier=store",
          "Counter terrace_reads chain=masters outcome=hit tier=memory",
          "Counter terrace_reads chain=masters outcome=hit tier=store",
          "Counter terrace_reads chain=masters outcome=miss tier=memory",
          "Counter terrace_reads chain=masters outcome=miss tier=store",
          "Counter terrace_reads chain=masters outcome=skipped tier=memory",
          "Counter terrace_reads chain=masters outcome=skipped tier=store",
          "Counter terrace_unkept chain=masters",
          "Counter terrace_writes chain=masters outcome=failed tier=memory",
          "Counter terrace_writes chain=masters outcome=failed tier=store",
          "Counter terrace_writes chain=masters outcome=removed tier=memory",
          "Counter terrace_writes chain=masters outcome=removed tier=store",
          "Counter terrace_writes chain=masters outcome=stored tier=memory",
          "Counter terrace_writes chain=masters outcome=stored tier=store",
          "Gauge terrace_breaker_state chain=masters tier=memory",
          "Gauge terrace_breaker_state chain=masters tier=store",
          "Gauge terrace_floors chain=masters",
          "Gauge terrace_held_bytes chain=masters",
          "Gauge terrace_repairs chain=masters tier=memory",
          "Gauge terrace_repairs chain=masters tier=store",
          "Gauge terrace_running chain=masters",
          "Histogram terrace_call_seconds chain=masters operation=put tier=store"
        ])
        for (const snapshot of snapshots) assert.isDefined(snapshot.description, snapshot.id)
      })
    )
  )

  it.effect("are shown from the beginning, with zeroes, for all but the durations", () =>
    withRegistry(
      Effect.gen(function* () {
        yield* node()
        const shown = yield* scrape

        assert.isAbove(shown.size, 40)
        assert.isTrue([...shown.values()].every((value) => value === 0))
      })
    )
  )

  it.effect("are read when they are scraped: a hit in memory touches no metric", () =>
    withRegistry(
      Effect.gen(function* () {
        let reads = 0
        const memory = yield* MemoryTier.make({ maxBytes: 1_000_000 })
        const evictions = () => ++reads
        const store = yield* remote("store")
        const chain = yield* Chain.make<string>({
          name: "test",
          caches: [{ tier: { ...memory, evictions } }],
          store: { tier: store.tier }
        })
        yield* chain.put(key, draft("x"))
        const registry = yield* Metric.MetricRegistry
        const before = new Map(registry)
        for (let hit = 0; hit < 1_000; hit++) yield* chain.get(key)
        assert.strictEqual(reads, 0)
        assert.deepStrictEqual([...registry.keys()], [...before.keys()])
        for (const [id, series] of registry) assert.strictEqual(series, before.get(id))

        assert.strictEqual((yield* scrape).get("terrace_reads chain=test outcome=hit tier=memory"), 1_000)
        assert.strictEqual(reads, 1)
        const sums = yield* Metric.snapshot
        assert.isFalse(
          sums.some(({ attributes, id }) => id === "terrace_call_seconds" && attributes?.["tier"] === "memory")
        )
      })
    )
  )

  it.effect("are gone when the chain's scope has closed, durations included", () =>
    withRegistry(
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const { chain } = yield* Scope.provide(node(), scope)
        yield* chain.put(key, draft("x"))
        yield* chain.remove(key)
        assert.isAbove((yield* scrape).size, 40)
        yield* Scope.close(scope, Exit.void)

        assert.deepStrictEqual([...(yield* scrape).keys()], [])
      })
    )
  )

  it.effect("do not come back with a call that ends after that", () =>
    withRegistry(
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const { chain, store } = yield* Scope.provide(node({ storePolicy: { deadline: "Infinity" } }), scope)
        const gate = store.before("put")
        const writer = yield* fork(chain.put(key, draft("x")))
        yield* gate.reached
        const closing = yield* fork(Scope.close(scope, Exit.void))
        yield* Effect.yieldNow
        yield* gate.open
        yield* Fiber.join(writer)
        yield* Fiber.join(closing)

        assert.deepStrictEqual([...(yield* scrape).keys()], [])
      })
    )
  )

  it.effect("are those of one chain: two in one registry do not mix, and the end of one leaves the other", () =>
    withRegistry(
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const masters = yield* Scope.provide(node({ name: "masters" }), scope)
        const variants = yield* node({ name: "variants" })
        yield* masters.chain.put(key, draft("x"))
        yield* Effect.replicateEffect(masters.chain.get(key), 2)
        yield* variants.chain.get(key)
        const shown = yield* scrape
        const value = (series: string, chain: string) => shown.get(series.replace("@", `chain=${chain}`))

        assert.strictEqual(value("terrace_reads @ outcome=hit tier=memory", "masters"), 2)
        assert.strictEqual(value("terrace_reads @ outcome=hit tier=memory", "variants"), 0)
        assert.strictEqual(value("terrace_reads @ outcome=miss tier=store", "masters"), 0)
        assert.strictEqual(value("terrace_reads @ outcome=miss tier=store", "variants"), 1)
        assert.strictEqual(value("terrace_call_seconds @ operation=put tier=store", "masters"), 1)
        assert.isUndefined(value("terrace_call_seconds @ operation=put tier=store", "variants"))
        yield* Scope.close(scope, Exit.void)

        const left = [...(yield* scrape).keys()]
        assert.isAbove(left.length, 40)
        assert.isTrue(left.every((label) => label.includes("chain=variants")))
      })
    )
  )
})

describe("the values of the series", () => {
  it.effect("tell reads, flights, promotions and absences", () =>
    withRegistry(
      Effect.gen(function* () {
        const { chain, disk, store } = yield* node()
        yield* store.tier.put(blobAt("x", 1))
        assert.deepStrictEqual(yield* counts(read(chain)), {
          "reads outcome=miss tier=memory": 1,
          "reads outcome=miss tier=disk": 1,
          "reads outcome=hit tier=store": 1,
          "writes outcome=stored tier=memory": 1,
          "writes outcome=stored tier=disk": 1,
          "promotions tier=memory": 1,
          "promotions tier=disk": 1,
          flights: 1
        })
        // One that offers `peek` is looked into before a flight.
        assert.deepStrictEqual(yield* counts(read(chain)), { "reads outcome=hit tier=memory": 1 })

        const absent = Key.makeUnsafe("absent", "master")
        disk.fail("get", new Denied({ cause: "no" }))
        assert.deepStrictEqual(yield* counts(read(chain, absent)), {
          "reads outcome=miss tier=memory": 1,
          "reads outcome=failed tier=disk": 1,
          "reads outcome=miss tier=store": 1,
          flights: 1
        })
        assert.deepStrictEqual(yield* counts(Effect.andThen(chain.get(absent), chain.head(absent))), { absences: 2 })
      })
    )
  )

  it.effect("tell who has shared a lookup", () =>
    withRegistry(
      Effect.gen(function* () {
        const { chain, store } = yield* node()
        yield* store.tier.put(blobAt("x", 1))
        const gate = store.before("get")
        const changed = yield* counts(
          Effect.gen(function* () {
            const readers = yield* Effect.all(Array.from({ length: 10 }, () => fork(chain.get(key))))
            yield* gate.reached
            yield* gate.open
            yield* Effect.forEach(readers, Fiber.join)
            yield* chain.idle
          })
        )

        assert.strictEqual(changed["flights"], 1)
        assert.strictEqual(changed["flights_joined"], 9)
        assert.strictEqual(changed["reads outcome=hit tier=store"], 1)
      })
    )
  )

  it.effect("tell producers that have made something and that have failed", () =>
    withRegistry(
      Effect.gen(function* () {
        const { chain } = yield* node()
        const made = yield* counts(Effect.andThen(chain.getOrMake(key, Effect.succeed(draft("made"))), chain.idle))
        assert.strictEqual(made["producers outcome=made"], 1)
        assert.strictEqual(made["writes outcome=stored tier=store"], 1)
        const failed = yield* counts(
          Effect.exit(chain.getOrMake(Key.makeUnsafe("other", "master"), Effect.fail("no such record")))
        )
        assert.strictEqual(failed["producers outcome=failed"], 1)
        assert.notProperty(failed, "producers outcome=made")
      })
    )
  )

  it.effect("tell writes that were stored, removed and failed, and blobs that were declined", () =>
    withRegistry(
      Effect.gen(function* () {
        const disk = yield* remote("disk")
        const store = yield* remote("store")
        const chain = yield* Chain.make<string>({
          name: "test",
          caches: [{ tier: disk.tier, policy: { maxBytes: 5, secondTouch: true } }],
          store: { tier: store.tier }
        })
        assert.deepStrictEqual(yield* counts(chain.put(key, draft("x"))), {
          "writes outcome=stored tier=disk": 1,
          "writes outcome=stored tier=store": 1
        })
        assert.deepStrictEqual(yield* counts(chain.put(key, draft("larger"))), {
          "declines reason=too-large tier=disk": 1,
          "writes outcome=removed tier=disk": 1,
          "writes outcome=stored tier=store": 1
        })
        assert.strictEqual((yield* counts(read(chain)))["declines reason=admission tier=disk"], 1)
        assert.deepStrictEqual(yield* counts(chain.removeGroup("hero")), { "writes outcome=removed tier=store": 1 })
        store.fail("put", new Denied({ cause: "no" }), 1)
        assert.deepStrictEqual(yield* counts(Effect.exit(chain.put(key, draft("x")))), {
          "writes outcome=failed tier=store": 1
        })
        disk.fail("put", new Denied({ cause: "no" }), 1)
        assert.deepStrictEqual(yield* counts(chain.put(key, draft("x"))), {
          "writes outcome=failed tier=disk": 1,
          "writes outcome=stored tier=store": 1
        })
      })
    )
  )

  it.effect("tell comparisons: the same, another, and not known", () =>
    withRegistry(
      Effect.gen(function* () {
        const { chain, store } = yield* node()
        yield* chain.put(key, draft("x"))
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* counts(read(chain)))["comparisons outcome=same"], 1)
        yield* TestClock.adjust("1 minute")
        store.fail("head", down, 1)
        assert.strictEqual((yield* counts(read(chain)))["comparisons outcome=unknown"], 1)
        yield* store.tier.put(blobAt("newer", 9_000_000_000_000))
        const changed = yield* counts(read(chain))

        assert.strictEqual(changed["comparisons outcome=other"], 1)
        assert.strictEqual(changed["reads outcome=miss tier=memory"], 1, "an outdated copy is no hit")
      })
    )
  )

  it.effect("tell the breaker, and reads that it has refused", () =>
    withRegistry(
      Effect.gen(function* () {
        const { chain, store } = yield* node({ storePolicy: { breaker: { failures: 1 } } })
        const state = Effect.map(scrape, (shown) => shown.get("terrace_breaker_state chain=test tier=store"))
        assert.strictEqual(yield* state, 0)
        store.fail("get", down, 1)
        yield* Effect.exit(chain.get(key))
        assert.strictEqual(yield* state, 2)
        assert.strictEqual((yield* counts(Effect.exit(chain.get(key))))["reads outcome=skipped tier=store"], 1)
        yield* TestClock.adjust("1 second")
        const gate = store.before("get")
        const probe = yield* fork(chain.get(key))
        yield* gate.reached
        assert.strictEqual(yield* state, 1)
        yield* gate.open
        yield* Fiber.join(probe)

        assert.strictEqual(yield* state, 0)
      })
    )
  )

  it.effect("tell what runs, which floors are in force, and what is held for copies", () =>
    withRegistry(
      Effect.gen(function* () {
        const { chain, disk, store } = yield* node()
        yield* store.tier.put(blobAt("x", 1))
        const value = (series: string) => Effect.map(scrape, (shown) => shown.get(`terrace_${series} chain=test`))
        const copying = disk.before("put")
        yield* chain.get(key)
        yield* copying.reached
        assert.isAbove((yield* value("running")) ?? 0, 0)
        assert.isAtLeast((yield* value("held_bytes")) ?? 0, 1)
        yield* chain.remove(Key.makeUnsafe("other", "master"))
        assert.strictEqual(yield* value("floors"), 1)
        yield* copying.open
        yield* chain.idle

        for (const series of ["running", "held_bytes", "floors"]) assert.strictEqual(yield* value(series), 0, series)
      })
    )
  )

  it.effect("tell copies that could not be dropped yet", () =>
    withRegistry(
      Effect.gen(function* () {
        const { chain, disk } = yield* node()
        const pending = Effect.map(scrape, (shown) => shown.get("terrace_repairs chain=test tier=disk"))
        yield* chain.put(key, draft("x"))
        disk.fail("remove", new Denied({ cause: "no" }))
        yield* chain.remove(key)
        assert.strictEqual(yield* pending, 1)
        disk.heal("remove")
        yield* TestClock.adjust("1 minute")

        assert.strictEqual(yield* pending, 0)
      })
    )
  )

  it.effect("tell what a tier has dropped to make room, if it counts that", () =>
    withRegistry(
      Effect.gen(function* () {
        let evictions = 0
        const disk = yield* remote("disk")
        yield* Chain.make({
          name: "test",
          caches: [
            { tier: { ...disk.tier, evictions: () => evictions } },
            { tier: { ...disk.tier, name: "other", evictions: undefined } }
          ]
        })
        evictions = 7
        const shown = yield* scrape

        assert.strictEqual(shown.get("terrace_evictions chain=test tier=disk"), 7)
        assert.isFalse(shown.has("terrace_evictions chain=test tier=other"))
      })
    )
  )
})

describe("terrace_call_seconds", () => {
  const durations = Effect.map(Metric.snapshot, (snapshots) =>
    Object.fromEntries(
      snapshots.flatMap((snapshot) =>
        snapshot.type === "Histogram" && snapshot.id === "terrace_call_seconds"
          ? [[labelOf(snapshot).replace("terrace_call_seconds chain=test ", ""), snapshot.state]]
          : []
      )
    )
  )
  const totals = Effect.map(durations, (all) =>
    Object.fromEntries(Object.entries(all).map(([label, { count, sum }]) => [label, [count, sum]]))
  )

  it.effect("tells how long calls out of the process took, by tier and operation", () =>
    withRegistry(
      Effect.gen(function* () {
        const { chain, store } = yield* node()
        const gate = store.before("put")
        const writer = yield* fork(chain.put(key, draft("x")))
        yield* gate.reached
        yield* TestClock.adjust("250 millis")
        yield* gate.open
        yield* Fiber.join(writer)
        yield* chain.get(key)
        yield* chain.remove(key)

        assert.deepStrictEqual(yield* totals, {
          "operation=put tier=store": [1, 0.25],
          "operation=put tier=disk": [1, 0],
          "operation=remove tier=store": [1, 0],
          "operation=remove tier=disk": [1, 0]
        })
        const put = (yield* durations)["operation=put tier=store"]
        const reached = put?.buckets.find(([, count]) => count > 0)
        assert.strictEqual(reached?.[0], 0.25)
      })
    )
  )

  it.effect("counts a call that is given up, with the time until then", () =>
    withRegistry(
      Effect.gen(function* () {
        const { chain, store } = yield* node({ storePolicy: { deadline: "2 seconds" } })
        store.before("get")
        const reader = yield* fork(Effect.flip(chain.get(key)))
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(reader)

        assert.deepStrictEqual((yield* totals)["operation=get tier=store"], [1, 2])
      })
    )
  )

  it.effect("counts no call that an open breaker has refused: it was not made", () =>
    withRegistry(
      Effect.gen(function* () {
        const { chain, store } = yield* node({ storePolicy: { breaker: { failures: 1 } } })
        store.fail("get", down)
        yield* Effect.replicateEffect(Effect.flip(chain.get(key)), 10)

        assert.deepStrictEqual((yield* totals)["operation=get tier=store"], [1, 0])
      })
    )
  )

  it.effect("counts no call into process memory, whatever its policy", () =>
    withRegistry(
      Effect.gen(function* () {
        const memory = yield* local()
        const chain = yield* Chain.make({
          name: "test",
          caches: [{ tier: memory.tier, policy: { deadline: "1 second", breaker: false } }]
        })
        yield* chain.put(key, draft("x"))
        yield* chain.get(key)
        yield* chain.get(Key.makeUnsafe("other", "master"))

        assert.deepStrictEqual(yield* totals, {})
      })
    )
  )
})
