import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import * as Chain from "../src/Chain.ts"
import * as Key from "../src/Key.ts"
import * as Tier from "../src/Tier.ts"
import { Denied } from "../src/TierError.ts"
import { cachesOnly, draft, expected, key, outcomes, remote, threeTiers } from "./support/chains.ts"
import * as Controlled from "./support/Controlled.ts"
import { blobAt, down, fork, landingLate, node } from "./support/shared.ts"

const newer = blobAt("newer", 9_000_000_000_000)

/** What each tier said, in short. */
const said = ({ tiers }: Chain.Explanation) =>
  tiers.map(({ outcome, standing, tier }) =>
    [tier, outcome._tag, standing].filter((part) => part !== undefined).join(" ")
  )

describe("Chain.explain", () => {
  it.effect("asks every tier for its header once, and for nothing else", () =>
    Effect.gen(function* () {
      const { chain, disk, memory, store } = yield* node()
      yield* chain.put(key, draft("x"))
      const before = [memory, disk, store].map(({ calls }) => ({ ...calls }))
      yield* chain.explain(key)

      assert.deepStrictEqual(
        [memory, disk, store].map(({ calls }) => calls),
        before.map((calls) => ({ ...calls, head: calls.head + 1 }))
      )
    })
  )

  it.effect("says what each tier has, in their order, with role, breaker and time", () =>
    Effect.gen(function* () {
      const { chain, disk } = yield* node()
      const { header } = yield* chain.put(key, draft("x"))
      yield* disk.tier.remove(key, header.generation)
      const gate = disk.before("head")
      const asking = yield* fork(chain.explain(key))
      yield* gate.reached
      yield* TestClock.adjust("250 millis")
      yield* gate.open
      const explanation = yield* Fiber.join(asking)

      assert.deepStrictEqual(explanation, {
        key: "hero/master",
        answer: { _tag: "Found", tier: "memory", header },
        floor: explanation.floor,
        tiers: [
          {
            tier: "memory",
            role: "cache",
            breaker: "closed",
            outcome: { _tag: "Hit" },
            millis: 0,
            header,
            standing: "confirmed"
          },
          {
            tier: "disk",
            role: "cache",
            breaker: "closed",
            outcome: { _tag: "Miss" },
            millis: 250,
            header: undefined,
            standing: undefined
          },
          {
            tier: "store",
            role: "store",
            breaker: "closed",
            outcome: { _tag: "Hit" },
            millis: 0,
            header,
            standing: undefined
          }
        ]
      })
    })
  )

  it.effect("changes nothing: nothing is copied, touched, dropped, confirmed or remembered", () =>
    Effect.gen(function* () {
      const disk = yield* remote("disk")
      const store = yield* remote("store")
      const chain = yield* Chain.make({
        name: "test",
        caches: [{ tier: disk.tier, policy: { secondTouch: true } }],
        store: { tier: store.tier }
      })
      yield* chain.explain(key)
      yield* store.tier.put(newer)
      yield* chain.explain(key)
      yield* chain.explain(key)
      assert.strictEqual(disk.calls.put, 0)
      assert.deepStrictEqual(outcomes(yield* chain.head(key)), ["disk Miss", "store Hit"])
      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["disk Miss", "store Hit"])
      yield* chain.idle
      assert.strictEqual(disk.calls.put, 0, "explaining is no touch")

      yield* disk.tier.put(blobAt("old", 1))
      assert.deepStrictEqual(said(yield* chain.explain(key)), ["disk Hit unconfirmed", "store Hit"])
      assert.deepStrictEqual(said(yield* chain.explain(key)), ["disk Hit unconfirmed", "store Hit"])
      assert.strictEqual((yield* disk.tier.get(key))._tag, "Hit")
      assert.deepStrictEqual(yield* chain.status, yield* chain.status)
    })
  )

  it.effect("names the first tier that would answer", () =>
    Effect.gen(function* () {
      const { chain, memory, store } = yield* threeTiers()
      yield* chain.put(key, draft("x"))
      assert.strictEqual(expected(yield* chain.explain(key)), "memory")
      memory.fail("head", down)
      assert.strictEqual(expected(yield* chain.explain(key)), "disk")
      store.fail("head", down)
      assert.strictEqual(expected(yield* chain.explain(key)), "disk")
    })
  )

  it.effect("says not-found only if the store has nothing, else unavailable", () =>
    Effect.gen(function* () {
      const { chain, disk, store } = yield* threeTiers()
      assert.strictEqual(expected(yield* chain.explain(key)), "NotFound")
      disk.fail("head", down)
      assert.strictEqual(expected(yield* chain.explain(key)), "NotFound")
      store.fail("head", new Denied({ cause: "no" }))
      const explanation = yield* chain.explain(key)

      assert.strictEqual(expected(explanation), "Unavailable")
      assert.deepStrictEqual(explanation.tiers[2]?.outcome, { _tag: "Failed", reason: "Denied" })
    })
  )

  it.effect("says unavailable without a store if any cache could not say", () =>
    Effect.gen(function* () {
      const { chain, disk, memory } = yield* cachesOnly()
      assert.strictEqual(expected(yield* chain.explain(key)), "NotFound")
      for (const { fail, heal } of [memory, disk]) {
        fail("head", down)
        assert.strictEqual(expected(yield* chain.explain(key)), "Unavailable")
        heal("head")
      }
    })
  )

  it.effect("passes on why a tier could not say", () =>
    Effect.gen(function* () {
      const inner = yield* remote("store")
      const chain = yield* Chain.make({
        name: "test",
        caches: [],
        store: { tier: { ...inner.tier, head: () => Effect.succeed(Tier.skipped("busy")) } }
      })
      const explanation = yield* chain.explain(key)

      assert.strictEqual(expected(explanation), "Unavailable")
      assert.deepStrictEqual(explanation.tiers[0]?.outcome, { _tag: "Skipped", why: "busy" })
    })
  )

  it.effect("does not ask a tier behind an open breaker, and says so", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* node({ storePolicy: { breaker: { failures: 1 } } })
      store.fail("get", down)
      yield* Effect.flip(chain.get(key))
      const explanation = yield* chain.explain(key)

      assert.strictEqual(expected(explanation), "Unavailable")
      assert.strictEqual(explanation.tiers[2]?.breaker, "open")
      assert.deepStrictEqual(explanation.tiers[2]?.outcome, { _tag: "Skipped", why: "breaker-open" })
      assert.strictEqual(store.calls.head, 0)
    })
  )

  it.effect("says that an absence is remembered, and which tier has the blob all the same", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* node()
      yield* chain.get(key)
      yield* store.tier.put(newer)
      const explanation = yield* chain.explain(key)

      assert.deepStrictEqual(explanation.answer, { _tag: "NotFound", isRemembered: true })
      assert.deepStrictEqual(said(explanation), ["memory Miss", "disk Miss", "store Hit"])
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(expected(yield* chain.explain(key)), "store")
    })
  )

  it.effect("says the floor, and that a copy below it counts as absent", () =>
    Effect.gen(function* () {
      const { chain, disk } = yield* threeTiers()
      assert.strictEqual((yield* chain.explain(key)).floor, 0)
      yield* chain.put(key, draft("x"))
      disk.fail("remove", new Denied({ cause: "read-only" }))
      const receipt = yield* chain.remove(key)
      const explanation = yield* chain.explain(key)

      assert.strictEqual(explanation.floor, receipt.generation + 1)
      assert.strictEqual(expected(explanation), "NotFound")
      assert.deepStrictEqual(said(explanation), ["memory Miss", "disk Outdated confirmed", "store Miss"])
      assert.isDefined(explanation.tiers[1]?.header)
    })
  )

  it.effect("says how a copy stands as time passes, and does not compare it", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* node()
      yield* chain.put(key, draft("x"))
      const standings = Effect.map(chain.explain(key), ({ tiers }) => tiers.map(({ standing }) => standing))
      assert.deepStrictEqual(yield* standings, ["confirmed", "confirmed", undefined])
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* standings, ["due", "due", undefined])
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* standings, ["unconfirmed", "unconfirmed", undefined])
      assert.deepStrictEqual(yield* standings, ["unconfirmed", "unconfirmed", undefined])
      store.fail("head", down)

      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit", "store Unconfirmed"])
    })
  )

  it.effect("names who would answer once an unconfirmed copy was compared, as a read does", () =>
    Effect.gen(function* () {
      const { chain, disk, store } = yield* node()
      yield* disk.tier.put(blobAt("old", 1))
      assert.strictEqual(expected(yield* chain.explain(key)), "NotFound", "the store has none")
      store.fail("head", down)
      assert.strictEqual(expected(yield* chain.explain(key)), "disk", "the store cannot say")
      store.heal("head")
      yield* store.tier.put(blobAt("old", 1))
      assert.strictEqual(expected(yield* chain.explain(key)), "disk", "the store has the same")
      yield* store.tier.put(newer)
      assert.strictEqual(expected(yield* chain.explain(key)), "store", "the store has another one")
      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Miss", "disk Outdated", "store Hit"])
    })
  )

  it.effect("says that a copy has expired", () =>
    Effect.gen(function* () {
      const inner = yield* remote("disk")
      const { header } = blobAt("old", 1)
      const disk = Controlled.make(inner.tier, {
        head: () => Effect.succeed(Tier.hitHeader({ ...header, expiresAt: 1_000 }))
      })
      const chain = yield* Chain.make({ name: "test", caches: [{ tier: disk.tier }] })
      assert.strictEqual(expected(yield* chain.explain(key)), "disk")
      yield* TestClock.adjust("1 second")
      const explanation = yield* chain.explain(key)

      assert.strictEqual(expected(explanation), "NotFound")
      assert.deepStrictEqual(said(explanation), ["disk Expired"])
    })
  )

  it.effect("does not take for an answer what has reached the store too late, and is being undone", () =>
    Effect.gen(function* () {
      const inner = yield* remote("store")
      const late = landingLate(inner.tier)
      const store = Controlled.make(late.tier)
      const chain = yield* Chain.make({ name: "test", caches: [], store: { tier: store.tier } })
      late.begin()
      const writer = yield* fork(Effect.flip(chain.put(key, draft("too late"))))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(writer)
      late.end()
      yield* chain.remove(key)
      store.fail("remove", new Denied({ cause: "no" }))
      yield* late.land
      yield* Effect.replicateEffect(Effect.yieldNow, 20)
      assert.strictEqual((yield* inner.tier.get(key))._tag, "Hit")

      const explanation = yield* chain.explain(key)
      assert.strictEqual(expected(explanation), "NotFound")
      assert.deepStrictEqual(said(explanation), ["store Outdated"])
      store.heal("remove")
      yield* TestClock.adjust("1 minute")
    })
  )

  it.effect("explains one key, whatever others there are", () =>
    Effect.gen(function* () {
      const { chain } = yield* threeTiers()
      yield* chain.put(Key.makeUnsafe("hero", "original"), draft("x"))

      assert.deepStrictEqual(said(yield* chain.explain(key)), ["memory Miss", "disk Miss", "store Miss"])
    })
  )

  it.effect("asks nobody once the chain is closed, and ends", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { chain, disk, memory, store } = yield* Scope.provide(threeTiers(), scope)
      yield* chain.put(key, draft("x"))
      yield* Scope.close(scope, Exit.void)
      const before = [memory, disk, store].map(({ calls }) => calls.head)
      const explanation = yield* chain.explain(key)

      assert.strictEqual(expected(explanation), "Unavailable")
      assert.deepStrictEqual(explanation.tiers[2]?.outcome, { _tag: "Skipped", why: "closed" })
      assert.deepStrictEqual(
        [memory, disk, store].map(({ calls }) => calls.head),
        before
      )
    })
  )
})
