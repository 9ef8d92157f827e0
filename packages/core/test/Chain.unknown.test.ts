import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Chain from "../src/Chain.ts"
import * as Key from "../src/Key.ts"
import { Denied, NoSpace, TierError } from "../src/TierError.ts"
import * as Trail from "../src/Trail.ts"
import { draft, key, outcomes, remote, text } from "./support/chains.ts"
import { over, overLate } from "./support/late.ts"
import { blobAt, down } from "./support/shared.ts"

const sibling = Key.makeUnsafe("hero", "original")

const writes = [
  ["put", (chain: Chain.Chain<string>) => chain.put(key, draft("newer")), "newer"],
  ["remove", (chain: Chain.Chain<string>) => chain.remove(key), "NotFound"],
  ["removeGroup", (chain: Chain.Chain<string>) => chain.removeGroup("hero"), "NotFound"]
] as const satisfies ReadonlyArray<
  readonly [string, (chain: Chain.Chain<string>) => Effect.Effect<unknown, unknown>, string]
>

for (const [call, write, after] of writes) {
  describe(`a ${call} of which the store gives no answer`, () => {
    it.effect("leaves the copy to be compared once, and served, if it has not taken effect", () =>
      Effect.gen(function* () {
        const store = yield* remote("store")
        const { chain } = yield* over(store.tier)
        yield* chain.put(key, draft("old"))
        store.fail(call, down, 1)
        yield* Effect.flip<unknown, unknown, never>(write(chain))

        const found = yield* chain.get(key)
        assert.strictEqual(text(found), "old")
        assert.deepStrictEqual(outcomes(found), ["memory Hit", "store Confirmed"])
        assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit"])
        assert.deepStrictEqual(outcomes(yield* chain.head(key)), ["headers Hit"])
      })
    )

    it.effect("leaves the copy to be found out of date if it has taken effect", () =>
      Effect.gen(function* () {
        const store = yield* remote("store")
        const { chain, memory } = yield* over(store.tier)
        yield* chain.put(key, draft("old"))
        store.lose(call, down, 1)
        yield* Effect.flip<unknown, unknown, never>(write(chain))
        const before = store.calls.head

        const head = yield* chain.head(key)
        assert.strictEqual(head._tag === "Found" ? head.header.size : head._tag, after === "newer" ? 5 : after)
        assert.strictEqual(text(yield* chain.get(key)), after)
        yield* chain.idle
        assert.isAbove(store.calls.head, before)
        const copy = yield* memory.tier.get(key)
        assert.isFalse(copy._tag === "Hit" && copy.blob.header.size === 3, "the old copy is gone")
      })
    )

    it.effect("leaves the copy to be compared every time until its call has ended, and then once", () =>
      Effect.gen(function* () {
        const { chain, giveUp, late, store } = yield* overLate()
        yield* chain.put(key, draft("old"))
        yield* giveUp<unknown, unknown>(write(chain))
        for (const heads of [1, 2, 3]) {
          assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit", "store Confirmed"])
          assert.strictEqual(store.calls.head, heads)
        }
        yield* late.land
        yield* chain.idle

        assert.strictEqual(text(yield* chain.get(key)), after)
        yield* chain.idle
        const before = store.calls.head
        assert.strictEqual(text(yield* chain.get(key)), after)
        assert.strictEqual(store.calls.head, before)
      })
    )

    it.effect("leaves the copy served while the store is down, marked unconfirmed", () =>
      Effect.gen(function* () {
        const store = yield* remote("store")
        const { chain } = yield* over(store.tier)
        yield* chain.put(key, draft("old"))
        store.lose(call, down, 1)
        for (const read of ["get", "head"] as const) store.fail(read, down)
        yield* Effect.flip<unknown, unknown, never>(write(chain))
        for (const read of [chain.get, chain.head, chain.get]) {
          const answer = yield* read(key)
          assert.strictEqual(answer._tag, "Found")
          assert.isTrue(Trail.isUnconfirmed(answer.trail))
        }
        for (const read of ["get", "head"] as const) store.heal(read)

        assert.strictEqual(text(yield* chain.get(key)), after)
      })
    )

    it.effect("is still of unknown outcome if a second try was refused", () =>
      Effect.gen(function* () {
        const store = yield* remote("store")
        const refuse = Effect.sync(() => store.fail(call, new Denied({ cause: "no" }), 1))
        const { chain } = yield* over(store.tier, { retry: Schedule.tap(Schedule.recurs(1), () => refuse) })
        yield* chain.put(key, draft("old"))
        store.lose(call, down, 1)
        const error = yield* Effect.flip<unknown, unknown, never>(write(chain))
        assert.isTrue(error instanceof TierError && error.reason._tag === "Denied")

        assert.strictEqual(text(yield* chain.get(key)), after)
      })
    )

    it.effect("leaves other keys alone", () =>
      Effect.gen(function* () {
        const store = yield* remote("store")
        const { chain } = yield* over(store.tier)
        const villain = Key.makeUnsafe("villain", "master")
        yield* chain.put(villain, draft("x"))
        store.fail(call, down, 1)
        yield* Effect.flip<unknown, unknown, never>(write(chain))

        assert.deepStrictEqual(outcomes(yield* chain.get(villain)), ["memory Hit"])
        assert.deepStrictEqual(outcomes(yield* chain.head(villain)), ["headers Hit"])
      })
    )
  })
}

describe("a write of which the store gives no answer", () => {
  it.effect("to a group leaves the copies of each of its keys to be compared", () =>
    Effect.gen(function* () {
      const store = yield* remote("store")
      const { chain } = yield* over(store.tier)
      for (const each of [key, sibling]) yield* chain.put(each, draft("x"))
      store.fail("removeGroup", down, 1)
      yield* Effect.flip(chain.removeGroup("hero"))

      for (const each of [key, sibling]) {
        assert.deepStrictEqual(outcomes(yield* chain.get(each)), ["memory Hit", "store Confirmed"])
        assert.deepStrictEqual(outcomes(yield* chain.get(each)), ["memory Hit"])
      }
    })
  )

  it.effect("that is conditional leaves the copy to be compared as well", () =>
    Effect.gen(function* () {
      const store = yield* remote("store")
      const { chain } = yield* over(store.tier)
      const { header } = yield* chain.put(key, draft("old"))
      store.lose("put", down, 1)
      yield* Effect.flip(chain.put(key, draft("newer"), { expected: header.generation }))
      const found = yield* chain.get(key)
      assert.strictEqual(text(found), "newer")
      yield* chain.idle
      store.lose("remove", down, 1)
      const expected = found._tag === "Found" ? found.blob.header.generation : 0
      yield* Effect.flip(chain.remove(key, { expected }))

      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
    })
  )

  it.effect("is over with the next one that is acknowledged", () =>
    Effect.gen(function* () {
      const store = yield* remote("store")
      const { chain } = yield* over(store.tier)
      store.lose("put", down, 1)
      yield* Effect.flip(chain.put(key, draft("lost")))
      yield* chain.put(key, draft("x"))

      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit"])
      assert.deepStrictEqual(outcomes(yield* chain.head(key)), ["headers Hit"])
    })
  )

  it.effect("that answers what it is leaves the copy confirmed", () =>
    Effect.gen(function* () {
      const store = yield* remote("store")
      const { chain } = yield* over(store.tier)
      yield* chain.put(key, draft("old"))
      for (const reason of [new NoSpace({ detail: "full" }), new Denied({ cause: "no" })]) {
        store.fail("put", reason, 1)
        yield* Effect.flip(chain.put(key, draft("new")))
        assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit"])
      }
    })
  )

  it.effect("is noticed in a cache that could not be asked when its outcome was learned", () =>
    Effect.gen(function* () {
      const near = yield* remote("near")
      const far = yield* remote("far")
      const store = yield* remote("store")
      const chain = yield* Chain.make({
        name: "test",
        caches: [{ tier: near.tier }, { tier: far.tier }],
        store: { tier: store.tier }
      })
      yield* chain.put(key, draft("old"))
      store.lose("put", down, 1)
      yield* Effect.flip(chain.put(key, draft("newer")))
      yield* near.tier.remove(key, Number.MAX_SAFE_INTEGER)
      for (const call of ["get", "put"] as const) far.fail(call, new Denied({ cause: "no" }), 1)
      assert.strictEqual(text(yield* chain.get(key)), "newer")
      yield* chain.idle
      yield* near.tier.remove(key, Number.MAX_SAFE_INTEGER)

      assert.strictEqual(text(yield* chain.get(key)), "newer")
    })
  )

  it.effect("ends the joining of a lookup that holds what it may have replaced", () =>
    Effect.gen(function* () {
      const near = yield* remote("near")
      const store = yield* remote("store")
      const chain = yield* Chain.make({ name: "test", caches: [{ tier: near.tier }], store: { tier: store.tier } })
      yield* store.tier.put(blobAt("old", 1))
      const copying = near.before("put")
      assert.strictEqual(text(yield* chain.get(key)), "old")
      yield* copying.reached
      store.lose("put", down, 1)
      yield* Effect.flip(chain.put(key, draft("newer")))

      const found = yield* chain.get(key)
      yield* copying.open
      assert.strictEqual(text(found), "newer")
    })
  )

  it.effect("because the tier throws is over when it has thrown", () =>
    Effect.gen(function* () {
      const store = yield* remote("store")
      let isBroken = false
      const { chain } = yield* over({
        ...store.tier,
        put: (blob, options) => {
          if (isBroken) throw new Error("bug")
          return store.tier.put(blob, options)
        }
      })
      yield* chain.put(key, draft("old"))
      isBroken = true
      yield* Effect.flip(chain.put(key, draft("new")))

      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit", "store Confirmed"])
      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit"])
    })
  )
})
