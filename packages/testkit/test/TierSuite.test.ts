import { assert, describe, it } from "@effect/vitest"
import type * as Key from "@terrace/core/Key"
import * as Tier from "@terrace/core/Tier"
import { TierSuite } from "@terrace/testkit"
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import * as MapTier from "../examples/MapTier.ts"
import { onStorage } from "../src/internal/Openings.ts"
import { withLiveClock } from "../src/internal/liveClock.ts"
import { bounded } from "../src/internal/running.ts"
import { mutants } from "./mutants.ts"
import { memory, type Mutant, storage, streaming, type Subject } from "./mutants/Mutant.ts"
import * as DamageableTier from "./mutants/DamageableTier.ts"
import * as StorageTier from "./mutants/StorageTier.ts"

/** Enough for a leak to show; the suites of the tiers ask for more. */
const distinctKeys = 36_000

/** What the case fails with against the tier, run with a tier and a clock of its own; undefined: it passes. */
const problem = (self: TierSuite.Case, make: Effect.Effect<Subject>, clock?: "live") =>
  Effect.flatMap(make, ({ tier, options }) => TierSuite.run(self, tier, { ...options, distinctKeys })).pipe(
    clock === "live" ? withLiveClock : Effect.provide(TestClock.layer()),
    Effect.scoped,
    Effect.exit,
    Effect.map((exit) => (exit._tag === "Failure" ? String(Cause.squash(exit.cause)) : undefined))
  )

/** Names of the cases that fail. */
const failures = (make: Effect.Effect<Subject>, among: (requires: TierSuite.Requires) => boolean = () => true) =>
  Effect.gen(function* () {
    const { options, tier } = yield* make
    const applying = TierSuite.applicable(tier.capabilities, { ...options, distinctKeys: 0 })
    const chosen = applying.filter(({ requires }) => among(requires))
    assert.isAbove(chosen.length, 0)
    const failing = yield* Effect.filter(chosen, (self) =>
      Effect.map(problem(self, make), (text) => text !== undefined)
    )
    return failing.map((self) => self.name)
  })

const caseNamed = (name: string): TierSuite.Case =>
  TierSuite.cases.find((self) => self.name === name) ?? assert.fail(`there is no case "${name}"`)

/** A tier that sweeps what has expired before it counts. */
const sweeping = Effect.map(memory, (tier): Tier.Tier => {
  const keys = new Set<Key.Key>()
  return {
    ...tier,
    capabilities: { ...tier.capabilities, nativeExpiry: true },
    put: (blob, options) => {
      keys.add(blob.header.key)
      return tier.put(blob, options)
    },
    usage: Effect.andThen(Effect.forEach(keys, tier.head), tier.usage)
  }
})

/** A tier that never knows exactly. */
const inexact = (tier: Tier.Tier): Tier.Tier => ({
  ...tier,
  usage: Effect.map(tier.usage, (usage) => ({ ...usage, entries: 0, bytes: 0, exact: false }))
})

TierSuite.suite("a map by the machine's clock", {
  tier: MapTier.MapTier,
  layer: MapTier.layer,
  clock: "live",
  distinctKeys: 0
})

TierSuite.suite("a tier that estimates", {
  tier: MapTier.MapTier,
  layer: Layer.effect(MapTier.MapTier, Effect.map(memory, inexact)),
  usage: "approximate",
  distinctKeys: 0
})

describe("TierSuite", () => {
  it.effect.each<{
    tier: string
    make: Effect.Effect<Subject>
    among?: (requires: TierSuite.Requires) => boolean
  }>([
    { tier: "a map", make: Effect.sync(() => ({ tier: MapTier.make() })) },
    { tier: "the memory tier", make: Effect.map(memory, (tier) => ({ tier })) },
    { tier: "a tier that streams", make: Effect.map(streaming, (tier) => ({ tier })) },
    { tier: "storage that is opened several times", make: Effect.flatMap(storage, StorageTier.subject) },
    {
      tier: "a tier that sweeps",
      make: Effect.map(sweeping, (tier) => ({ tier })),
      among: ({ nativeExpiry }) => nativeExpiry === true
    },
    {
      tier: "storage that is damaged",
      make: Effect.map(DamageableTier.memory, (tier) => DamageableTier.make(tier)),
      among: ({ damage }) => damage === true
    }
  ])("passes $tier", ({ among, make }) =>
    Effect.map(failures(make, among), (names) => assert.deepStrictEqual(names, []))
  )

  it.effect("finds no leak in a tier that forgets, with as many keys as show the leaks below", () =>
    Effect.gen(function* () {
      const self = caseNamed("memory of the process - does not grow with the number of keys that were ever asked for")

      assert.isUndefined(
        yield* problem(
          self,
          Effect.map(memory, (tier) => ({ tier }))
        )
      )
    })
  )

  it.effect("passes a tier of small bodies, with the cases that have no larger ones", () =>
    Effect.gen(function* () {
      const small = MemoryTier.make({ maxBytes: 1_048_576, maxEntryBytes: 4_096 })

      const stored = Effect.flatMap(small, (tier) => StorageTier.subject(StorageTier.make(tier)))

      assert.deepStrictEqual(yield* failures(Effect.map(small, (tier) => ({ tier }))), [])
      assert.deepStrictEqual(yield* failures(stored), [])
    })
  )

  it.effect("passes a view within a namespace, which has room for fewer characters", () =>
    Effect.gen(function* () {
      const view = Effect.sync((): Subject => ({ tier: Tier.within(MapTier.make(), "namespace") }))

      assert.deepStrictEqual(yield* failures(view), [
        "put - keeps a header of 1,800 encoded bytes, and refuses one of 1,801; the old blob stays",
        "keys - of the greatest lengths are told apart by their last character"
      ])
    })
  )

  const catches = ({ caughtBy, clock, make, saying }: Mutant) =>
    Effect.gen(function* () {
      const self = caseNamed(caughtBy)
      const { options, tier } = yield* make

      assert.include(TierSuite.applicable(tier.capabilities, { ...options, clock }), self)
      const text = yield* problem(self, make, clock)
      assert.isDefined(text, `caught by "${caughtBy}"`)
      assert.include(text ?? "", saying ?? "")
    })

  for (const mutant of mutants) {
    const { name, waits } = mutant
    if (waits !== true) it.effect(`catches a tier in which ${name}`, () => catches(mutant))
  }

  describe.concurrent("waits, and then", () => {
    for (const mutant of mutants) {
      if (mutant.waits === true) it.effect(`catches a tier in which ${mutant.name}`, () => catches(mutant))
    }
  })

  it.effect.each<{ title: string; requires: TierSuite.Requires }>([
    { title: "persistent", requires: { persistent: true } },
    { title: "shared", requires: { shared: true } }
  ])("fails a $title tier whose storage it cannot open again, and says what to give", ({ requires, title }) =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(onStorage(undefined, MapTier.MapTier, requires, () => Effect.void))

      const problem = exit._tag === "Failure" ? Cause.squash(exit.cause) : assert.fail("expected a failure")
      assert.include(String(problem), "give `storage`")
      assert.include(String(problem), `declares \`${title}\``)
    })
  )

  it.effect("opens the storage of a case anew for each `reopen`, after closing the tier before", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const storage = Effect.sync(() => {
        log.push("storage")
        return Layer.effect(
          MapTier.MapTier,
          Effect.acquireRelease(
            Effect.sync(() => {
              log.push("open")
              return MapTier.make()
            }),
            () => Effect.sync(() => log.push("close"))
          )
        )
      })

      yield* Effect.scoped(
        onStorage(storage, MapTier.MapTier, { persistent: true }, ({ reopen }) => Effect.asVoid(reopen))
      )

      assert.deepStrictEqual(log, ["storage", "open", "close", "open", "close"])
    })
  )

  it.effect("says of a case that never ends, and cannot be interrupted, that it does not", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(bounded({ limitMillis: 20, run: Effect.uninterruptible(Effect.never) }))

      const problem = exit._tag === "Failure" ? Cause.squash(exit.cause) : assert.fail("expected a failure")
      assert.include(String(problem), "did not end within 0.02 s: a call of the tier never answers")
    })
  )

  it.effect("names the seed when a case that draws at random fails", () =>
    Effect.gen(function* () {
      const self = caseNamed("put - keeps random bytes of random lengths")
      const forgetful = { ...MapTier.make(), put: () => Effect.succeed(Tier.stored) }

      const exit = yield* Effect.exit(Effect.scoped(TierSuite.run(self, forgetful, { seed: 4_711 })))

      const problem = exit._tag === "Failure" ? Cause.squash(exit.cause) : assert.fail("expected a failure")
      assert.include(String(problem), "with the seed 4711")
    })
  )

  it("names every case and every bug once", () => {
    for (const list of [TierSuite.cases, mutants]) {
      const names = list.map(({ name }) => name)
      assert.deepStrictEqual(names, [...new Set(names)])
    }
  })

  it("selects cases by capability", () => {
    const { capabilities } = MapTier.make()
    const names = (changes: Partial<Tier.Capabilities>, options?: Parameters<typeof TierSuite.applicable>[1]) =>
      TierSuite.applicable({ ...capabilities, ...changes }, options).map((self) => self.name)
    const large = "put - declines a body above the declared maxBytes as too large, and keeps what it had"
    const reopening = "reopening - knows which generation is there"
    const shared = "two tiers of one storage - each sees at once what the other has put, replaced and removed"
    const heap = "memory of the process - does not grow with the number of keys that were ever asked for"

    assert.include(names({}), "scan - lists every key with the size of its body")
    assert.notInclude(names({ list: false }), "scan - lists every key with the size of its body")
    assert.include(names({ list: false }), "scan - answers Unsupported where list is not declared")
    assert.notInclude(names({ maxBytes: 65_535 }), "put - keeps 64 KiB")
    assert.include(names({ maxBytes: 65_536 }), "put - keeps 64 KiB")
    assert.include(names({ maxBytes: 65_536 }), large)
    for (const maxBytes of [undefined, 1_000_000_000]) assert.notInclude(names({ maxBytes }), large)
    assert.notInclude(names({}), reopening)
    assert.include(names({ persistent: true }), reopening)
    assert.notInclude(names({ persistent: true }), shared)
    assert.include(names({ shared: true }), shared)
    assert.include(names({}), heap)
    assert.notInclude(names({}, { distinctKeys: 0 }), heap)
    assert.isAbove(names({}).length, names({}, { clock: "live" }).length)
  })
})
