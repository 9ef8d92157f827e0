/**
 * Stale blobs: what is made anew behind the answer, and what becomes of the copies of the stale one.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import * as Blob from "../src/Blob.ts"
import * as Key from "../src/Key.ts"
import * as Tier from "../src/Tier.ts"
import { draft, key, remote, text, threeTiers } from "./support/chains.ts"
import { fork, storeOnly } from "./support/shared.ts"
import { content, find, has, nearAndFar, readAll, reader, test } from "./support/streaming.ts"

/** Stale from ten milliseconds after the epoch on. */
const stale = (at: Key.Key, generation = 1) =>
  Blob.make(at, Buffer.from("stale"), { contentType: "text/plain", generation, createdAt: 0, freshUntil: 10 })

describe("a stale blob", () => {
  it.effect("whose generation lies ahead of the clock is made anew all the same", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* threeTiers()
      yield* TestClock.adjust("1 second")
      yield* store.tier.put(stale(key, 4_000_000_000_000_000))
      assert.strictEqual(text(yield* chain.getOrMake(key, Effect.succeed(draft("new")))), "stale")
      yield* chain.idle

      assert.strictEqual(text(yield* chain.get(key)), "new")
    })
  )

  it.effect("that was removed since it was asked for is not made anew", () =>
    Effect.gen(function* () {
      const store = yield* remote("store")
      const { chain } = yield* storeOnly({ of: store })
      yield* TestClock.adjust("1 second")
      yield* store.tier.put(stale(key))
      const gate = store.after("get")
      let made = 0
      const reading = yield* fork(
        chain.getOrMake(
          key,
          Effect.sync(() => {
            made += 1
            return draft("new")
          })
        )
      )
      yield* gate.reached
      yield* chain.remove(key)
      yield* gate.open

      assert.strictEqual(text(yield* Fiber.join(reading)), "stale")
      yield* chain.idle
      assert.strictEqual(made, 0)
    })
  )

  it.effect("is made anew by a later reader while a hundred others are", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* threeTiers()
      yield* TestClock.adjust("1 second")
      const keys = Array.from({ length: 101 }, (_, index) => Key.makeUnsafe("hero", `v${index}`))
      for (const each of keys) yield* store.tier.put(stale(each))
      const opened = Deferred.makeUnsafe<void>()
      const made: Array<Key.Key> = []
      const make = (at: Key.Key) =>
        Effect.suspend(() => {
          made.push(at)
          return Effect.as(Deferred.await(opened), draft("new"))
        })
      for (const each of keys) yield* chain.getOrMake(each, make(each))
      assert.deepStrictEqual(made, keys.slice(0, 100))
      yield* Deferred.succeed(opened, undefined)
      yield* chain.idle
      const last = keys.slice(100)
      for (const each of last) {
        assert.strictEqual(text(yield* chain.getOrMake(each, make(each))), "stale")
        yield* chain.idle

        assert.strictEqual(text(yield* chain.get(each)), "new")
      }
    })
  )

  test("that someone still reads leaves no copy behind, though the cache does not take what was made anew", () =>
    Effect.gen(function* () {
      const { chain, far, near } = yield* nearAndFar()
      yield* TestClock.adjust("1 second")
      const old = Blob.make(key, content(3, 7_990), {
        contentType: "image/webp",
        generation: 2,
        createdAt: 0,
        freshUntil: 10
      })
      yield* far.tier.put(old)
      const reading = yield* reader((yield* find(chain)).blob)
      yield* reading.next
      near.answer = Tier.declined("admission")
      yield* chain.getOrMake(key, Effect.succeed(draft("new")))
      yield* Effect.exit(reading.rest)
      yield* chain.idle

      assert.isFalse(yield* has(near.tier))
      near.answer = undefined
      assert.strictEqual((yield* readAll((yield* find(chain)).blob)).toString(), "new")
    }))
})
