import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import { TestClock } from "effect/testing"
import type * as Chain from "../src/Chain.ts"
import * as Key from "../src/Key.ts"
import * as Tier from "../src/Tier.ts"
import { TierError } from "../src/TierError.ts"
import { draft, key, outcomes, remote, text } from "./support/chains.ts"
import { over, overLate, stored } from "./support/late.ts"
import { down, fork, landingLate } from "./support/shared.ts"

describe("a put that was given up and lands after", () => {
  for (const [name, overtake] of [
    ["a remove", (chain: Chain.Chain<string>) => chain.remove(key)],
    ["a removal of its group", (chain: Chain.Chain<string>) => chain.removeGroup("hero")]
  ] as const) {
    it.effect(`${name} was acknowledged is undone, and is never read in between`, () =>
      Effect.gen(function* () {
        const { chain, giveUp, late, store } = yield* overLate({}, { negativeTtl: 0 })
        yield* giveUp(chain.put(key, draft("too late")))
        yield* TestClock.adjust("1 millis")
        yield* overtake(chain)
        const undoing = store.before("head")
        yield* late.land
        yield* undoing.reached
        assert.strictEqual(yield* stored(store), "too late")
        const found = yield* chain.get(key)
        assert.strictEqual(found._tag, "NotFound")
        assert.deepStrictEqual(outcomes(found), ["memory Miss", "store Outdated"])
        yield* undoing.open
        yield* chain.idle

        assert.strictEqual(yield* stored(store), "Miss")
        assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
        assert.strictEqual((yield* chain.head(key))._tag, "NotFound")
      })
    )

    for (const call of ["head", "remove"] as const) {
      it.effect(`${name} was acknowledged is undone later if ${call} fails at first, and is not read until then`, () =>
        Effect.gen(function* () {
          const { chain, giveUp, late, store } = yield* overLate({}, { negativeTtl: 0 })
          yield* giveUp(chain.put(key, draft("too late")))
          yield* TestClock.adjust("1 millis")
          yield* overtake(chain)
          store.fail(call, down, 2)
          yield* late.land
          yield* Effect.replicateEffect(Effect.yieldNow, 20)
          assert.strictEqual(yield* stored(store), "too late")
          assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
          yield* TestClock.adjust("10 seconds")
          yield* chain.idle

          assert.strictEqual(yield* stored(store), "Miss")
          assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
        })
      )
    }
  }

  it.effect("a remove was acknowledged is undone later if the store was skipped at first", () =>
    Effect.gen(function* () {
      const disk = yield* remote("store")
      const late = landingLate(disk.tier)
      let isBusy = false
      const { chain } = yield* over({
        ...late.tier,
        head: (at) => (isBusy ? Effect.succeed(Tier.skipped("busy")) : late.tier.head(at))
      })
      late.begin()
      const writer = yield* fork(Effect.flip(chain.put(key, draft("too late"))))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(writer)
      late.end()
      yield* chain.remove(key)
      isBusy = true
      yield* late.land
      yield* Effect.replicateEffect(Effect.yieldNow, 20)
      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
      isBusy = false
      yield* TestClock.adjust("10 seconds")

      assert.strictEqual(yield* stored(disk), "Miss")
      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
    })
  )

  it.effect("a remove has taken effect, but not been acknowledged yet, waits for that and is undone", () =>
    Effect.gen(function* () {
      const { chain, giveUp, late, store } = yield* overLate()
      yield* giveUp(chain.put(key, draft("too late")))
      yield* TestClock.adjust("1 millis")
      const removing = store.after("remove")
      const remover = yield* fork(chain.remove(key))
      yield* removing.reached
      yield* late.land
      yield* Effect.replicateEffect(Effect.yieldNow, 20)
      yield* removing.open
      yield* Fiber.join(remover)
      yield* chain.idle

      assert.strictEqual(yield* stored(store), "Miss")
      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
    })
  )

  it.effect("a newer put was acknowledged gives way to it", () =>
    Effect.gen(function* () {
      const { chain, giveUp, late, store } = yield* overLate()
      yield* giveUp(chain.put(key, draft("too late")))
      yield* TestClock.adjust("1 millis")
      yield* chain.put(key, draft("newer"))
      yield* late.land
      yield* chain.idle

      assert.strictEqual(yield* stored(store), "newer")
      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit"])
      assert.strictEqual(text(yield* chain.get(key)), "newer")
    })
  )

  it.effect("a remove and a newer put were acknowledged gives way to that put", () =>
    Effect.gen(function* () {
      const { chain, giveUp, late, store } = yield* overLate()
      yield* giveUp(chain.put(key, draft("too late")))
      yield* TestClock.adjust("1 millis")
      yield* chain.remove(key)
      yield* chain.put(key, draft("newer"))
      yield* late.land
      yield* chain.idle

      assert.strictEqual(yield* stored(store), "newer")
    })
  )

  it.effect("nothing else stays, and is read", () =>
    Effect.gen(function* () {
      const { chain, giveUp, late, store } = yield* overLate()
      yield* chain.put(key, draft("old"))
      yield* giveUp(chain.put(key, draft("late")))
      yield* late.land
      yield* chain.idle

      assert.strictEqual(yield* stored(store), "late")
      assert.strictEqual(text(yield* chain.get(key)), "late")
    })
  )

  it.effect("a write was refused stays: what failed has taken nobody's place", () =>
    Effect.gen(function* () {
      const { chain, giveUp, late, store } = yield* overLate()
      yield* chain.put(key, draft("old"))
      yield* giveUp(chain.put(key, draft("late")))
      yield* TestClock.adjust("1 millis")
      yield* Effect.flip(chain.put(key, draft("refused"), { expected: "absent" }))
      yield* Effect.flip(chain.put(key, draft("refused"), { expected: 77 }))
      yield* late.land
      yield* chain.idle

      assert.strictEqual(yield* stored(store), "late")
      assert.strictEqual(text(yield* chain.get(key)), "late")
    })
  )

  it.effect("many writes of other keys stays: it is known which keys were removed, however many they are", () =>
    Effect.gen(function* () {
      const { chain, giveUp, late, store } = yield* overLate({}, { maxFloors: 3 })
      yield* chain.put(key, draft("old"))
      yield* giveUp(chain.put(key, draft("late")))
      yield* TestClock.adjust("1 millis")
      for (let index = 0; index < 10; index++) yield* chain.put(Key.makeUnsafe(`k${index}`, "master"), draft("x"))
      yield* late.land
      yield* chain.idle

      assert.strictEqual(yield* stored(store), "late")
      assert.strictEqual(text(yield* chain.get(key)), "late")
    })
  )

  it.effect("a remove and many writes of other keys is undone all the same", () =>
    Effect.gen(function* () {
      const { chain, giveUp, late, store } = yield* overLate({}, { maxFloors: 3 })
      yield* giveUp(chain.put(key, draft("late")))
      yield* TestClock.adjust("1 millis")
      yield* chain.remove(key)
      for (let index = 0; index < 10; index++) yield* chain.put(Key.makeUnsafe(`k${index}`, "master"), draft("x"))
      yield* late.land
      yield* chain.idle

      assert.strictEqual(yield* stored(store), "Miss")
      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
    })
  )
})

describe("what was made", () => {
  for (const [name, overtake] of [
    ["a remove", (chain: Chain.Chain<string>) => chain.remove(key)],
    ["a removal of its group", (chain: Chain.Chain<string>) => chain.removeGroup("hero")]
  ] as const) {
    it.effect(`and reaches the store after ${name} was acknowledged is undone, and not read in between`, () =>
      Effect.gen(function* () {
        const store = yield* remote("store")
        const { chain } = yield* over(store.tier, {}, { negativeTtl: 0 })
        const storing = store.before("put")
        yield* chain.getOrMake(key, Effect.succeed(draft("made")))
        yield* storing.reached
        yield* overtake(chain)
        const undoing = store.before("head")
        yield* storing.open
        yield* undoing.reached
        const meanwhile = [yield* stored(store), text(yield* chain.get(key))]
        yield* undoing.open
        yield* chain.idle

        assert.deepStrictEqual(meanwhile, ["made", "NotFound"])
        assert.strictEqual(yield* stored(store), "Miss")
        assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
      })
    )
  }

  it.effect("and reaches the store at a second try, after a remove was acknowledged, is undone", () =>
    Effect.gen(function* () {
      const store = yield* remote("store")
      const { chain } = yield* over(store.tier, { retry: Schedule.spaced("1 second") })
      store.fail("put", down, 1)
      yield* chain.getOrMake(key, Effect.succeed(draft("made")))
      yield* chain.remove(key)
      yield* TestClock.adjust("1 second")
      yield* chain.idle

      assert.strictEqual(store.calls.put, 2)
      assert.strictEqual(yield* stored(store), "Miss")
      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
    })
  )

  it.effect("and reaches the store after a remove that began before it is not read from anywhere", () =>
    Effect.gen(function* () {
      const store = yield* remote("store")
      const { chain, memory } = yield* over(store.tier, {}, { negativeTtl: 0 })
      const removing = store.before("remove")
      const remover = yield* fork(chain.remove(key))
      yield* removing.reached
      const storing = store.before("put")
      yield* TestClock.adjust("1 millis")
      yield* chain.getOrMake(key, Effect.succeed(draft("made")))
      yield* storing.reached
      yield* removing.open
      yield* Fiber.join(remover)
      const undoing = store.before("head")
      yield* storing.open
      yield* undoing.reached
      const meanwhile = [yield* stored(store), text(yield* chain.get(key))]
      yield* undoing.open
      yield* chain.idle

      assert.deepStrictEqual(meanwhile, ["made", "NotFound"])
      assert.strictEqual(yield* stored(store), "Miss")
      assert.strictEqual((yield* memory.tier.get(key))._tag, "Miss")
      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
    })
  )

  it.effect("is found in the store as soon as it is there", () =>
    Effect.gen(function* () {
      const store = yield* remote("store")
      const { chain } = yield* over(store.tier)
      const storing = store.after("put")
      yield* chain.getOrMake(key, Effect.succeed(draft("made")))
      yield* storing.reached
      const head = yield* chain.head(key)
      yield* storing.open

      assert.strictEqual(head._tag, "Found")
    })
  )

  it.effect("but could not be stored takes no put along that was acknowledged meanwhile", () =>
    Effect.gen(function* () {
      const disk = yield* remote("store")
      const gate = Deferred.makeUnsafe<void>()
      const tier: Tier.Tier = {
        ...disk.tier,
        put: (blob, options) =>
          blob.header.size === 4
            ? Effect.fail(new TierError({ tier: "store", operation: "put", reason: down }))
            : Effect.andThen(Deferred.await(gate), disk.tier.put(blob, options))
      }
      const { chain } = yield* over(tier)
      const writer = yield* fork(chain.put(key, draft("uploaded")))
      yield* TestClock.adjust("1 millis")
      yield* chain.getOrMake(key, Effect.succeed(draft("made")))
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(writer)
      yield* chain.idle

      assert.strictEqual(yield* stored(disk), "uploaded")
      assert.strictEqual(text(yield* chain.get(key)), "uploaded")
    })
  )

  it.effect("anew of a stale blob stays if a conditional put was refused meanwhile", () =>
    Effect.gen(function* () {
      const store = yield* remote("store")
      const { chain } = yield* over(store.tier)
      yield* chain.put(key, draft("stale", { freshUntil: 1_000 }))
      yield* TestClock.adjust("1 second")
      const storing = store.after("put")
      yield* chain.getOrMake(key, Effect.succeed(draft("anew")))
      yield* storing.reached
      const refused = yield* fork(Effect.flip(chain.put(key, draft("refused"), { expected: "absent" })))
      yield* storing.open
      assert.strictEqual((yield* Fiber.join(refused))._tag, "Conflict")
      yield* chain.idle

      assert.strictEqual(yield* stored(store), "anew")
      assert.strictEqual(text(yield* chain.get(key)), "anew")
    })
  )

  it.effect("anew, and lands after its write was given up, is found by who reads then", () =>
    Effect.gen(function* () {
      const { chain, late, store } = yield* overLate()
      yield* chain.put(key, draft("stale", { freshUntil: 1_000 }))
      yield* TestClock.adjust("1 second")
      late.begin()
      yield* chain.getOrMake(key, Effect.succeed(draft("anew")))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(text(yield* chain.get(key)), "stale")
      yield* late.land
      yield* chain.idle
      assert.strictEqual(yield* stored(store), "anew")

      assert.strictEqual(text(yield* chain.get(key)), "anew")
    })
  )
})
