import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import * as Bus from "../src/Bus.ts"
import * as Chain from "../src/Chain.ts"
import * as Key from "../src/Key.ts"
import * as Origin from "../src/Origin.ts"
import type { Header } from "../src/Header.ts"
import type { Tier } from "../src/Tier.ts"
import { Denied, TierError } from "../src/TierError.ts"
import { draft, expected, key, local, outcomes, remote, text } from "./support/chains.ts"
import { durable, generationIn, once, setup, stored, textOrigin, unavailable } from "./support/origins.ts"
import { down, fork } from "./support/shared.ts"

describe("a chain with an origin", () => {
  it.effect("makes what no tier has of what the origin has, stores it, and has the origin let go", () =>
    Effect.gen(function* () {
      const { chain, memory, source, store } = yield* setup(once)

      const found = yield* chain.get(key)
      yield* chain.idle

      assert.strictEqual(text(found), "made of base64")
      assert.deepStrictEqual(outcomes(found), ["memory Miss", "store Miss", "origin Made"])
      assert.strictEqual(yield* stored(store.tier), "made of base64")
      assert.strictEqual(yield* stored(memory.tier), "made of base64")
      assert.strictEqual(yield* generationIn(store.tier), Origin.generation)
      assert.isFalse(source.contents.has(key.text))
      assert.strictEqual(source.open, 0)
      yield* chain.get(key)
      assert.deepStrictEqual(source.calls, { read: 1, make: 1, release: 1 })
    })
  )

  it.effect("answers before the store has it, and asks the origin once for everyone", () =>
    Effect.gen(function* () {
      const { chain, source, store } = yield* setup(once)
      const gate = store.before("put")

      const answers = yield* Effect.all([chain.get(key), chain.get(key), chain.head(key)], { concurrency: "unbounded" })
      yield* gate.reached

      assert.deepStrictEqual(
        answers.map(({ _tag }) => _tag),
        ["Found", "Found", "Found"]
      )
      assert.strictEqual(yield* stored(store.tier), "Miss")
      assert.isTrue(source.contents.has(key.text))
      yield* gate.open
      yield* chain.idle
      assert.deepStrictEqual(source.calls, { read: 1, make: 1, release: 1 })
    })
  )

  it.effect("asks no origin for what a tier has, nor where the store cannot say", () =>
    Effect.gen(function* () {
      const { chain, source, store } = yield* setup(once)
      store.fail("get", down)
      const error = yield* Effect.flip(chain.get(key))
      assert.isTrue(typeof error === "object" && error._tag === "ChainUnavailable")
      store.heal("get")
      yield* chain.put(key, draft("put"))
      assert.strictEqual(text(yield* chain.get(key)), "put")
      assert.strictEqual(source.calls.read, 0)
    })
  )

  it.effect("answers NotFound if the origin has nothing either, and remembers that for a moment", () =>
    Effect.gen(function* () {
      const { chain, source, store } = yield* setup()

      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Miss", "store Miss", "origin Miss"])
      assert.deepStrictEqual(outcomes(yield* chain.head(key)), ["absences Hit"])
      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["absences Hit"])
      assert.strictEqual(source.calls.read, 1)
      assert.strictEqual(store.calls.get, 1)
      yield* TestClock.adjust("2 seconds")
      source.contents.set(key.text, "new")
      assert.strictEqual(text(yield* chain.get(key)), "made of new")
    })
  )

  it.effect("is unavailable, and never NotFound, while the origin cannot say; nothing is remembered of it", () =>
    Effect.gen(function* () {
      const { chain, source } = yield* setup(once)
      source.failing = unavailable

      const error = yield* Effect.flip(chain.get(key))

      assert.isTrue(typeof error === "object" && error._tag === "ChainUnavailable")
      if (typeof error === "object" && error._tag === "ChainUnavailable") {
        assert.deepStrictEqual(error.tiers, [{ tier: "origin", why: "Unavailable" }])
      }
      source.failing = undefined
      assert.strictEqual(text(yield* chain.get(key)), "made of base64")
    })
  )

  it.effect("stops asking an origin that fails five times in a row, and says so", () =>
    Effect.gen(function* () {
      const { chain, source } = yield* setup()
      source.failing = unavailable
      for (let time = 0; time < 5; time++) yield* Effect.flip(chain.get(key))
      yield* Effect.flip(chain.get(key))

      assert.strictEqual(source.calls.read, 5)
      const status = (yield* chain.status).at(-1)
      assert.deepStrictEqual([status?.tier, status?.role, status?.breaker], ["origin", "origin", "open"])
      assert.deepStrictEqual([status?.counters.failed, status?.counters.skipped], [5, 1])
    })
  )

  it.effect("fails with what making the blob fails with, for everyone who waits; the origin keeps its copy", () =>
    Effect.gen(function* () {
      const { chain, source, store } = yield* setup(once)
      source.makes = () => Effect.fail("no image")

      const errors = yield* Effect.all([Effect.flip(chain.get(key)), Effect.flip(chain.head(key))], {
        concurrency: "unbounded"
      })
      yield* chain.idle

      assert.deepStrictEqual(errors, ["no image", "no image"])
      assert.strictEqual(yield* stored(store.tier), "Miss")
      assert.isTrue(source.contents.has(key.text))
      assert.deepStrictEqual([source.calls.release, source.open], [0, 0])
    })
  )

  it.effect("head - makes and stores what only the origin has, unless it is told not to ask", () =>
    Effect.gen(function* () {
      const { chain, source } = yield* setup(once)
      assert.strictEqual((yield* chain.head(key, { origin: false }))._tag, "NotFound")
      assert.strictEqual(source.calls.read, 0)

      const answer = yield* chain.head(key)

      assert.isTrue(answer._tag === "Found" && answer.header.generation === Origin.generation)
    })
  )

  it.effect("getOrMake - prefers what the origin has; what it has not is made by the producer", () =>
    Effect.gen(function* () {
      const { chain, source } = yield* setup(once)
      assert.strictEqual(text(yield* chain.getOrMake(key, Effect.succeed(draft("produced")))), "made of base64")
      yield* chain.idle
      yield* chain.remove(key)
      source.letGo.clear()
      assert.strictEqual(text(yield* chain.getOrMake(key, Effect.succeed(draft("produced")))), "produced")
    })
  )

  it.effect("explain - says that it would be made of what the origin has, and reads nothing", () =>
    Effect.gen(function* () {
      const { chain, source } = yield* setup(once)
      const explanation = yield* chain.explain(key)
      assert.deepStrictEqual(explanation.answer, { _tag: "Made", origin: "origin" })
      assert.deepStrictEqual(
        explanation.tiers.map(({ outcome, role }) => `${role} ${outcome._tag}`),
        ["cache Miss", "store Miss", "origin Hit"]
      )
      source.failing = unavailable
      assert.strictEqual(expected(yield* chain.explain(key)), "Unavailable")
      source.failing = undefined
      source.contents.clear()
      assert.strictEqual(expected(yield* chain.explain(key)), "NotFound")
      assert.strictEqual(source.calls.read, 0)
    })
  )
})

describe("an origin", () => {
  it.effect("keeps its copy where the store is not durable", () =>
    Effect.gen(function* () {
      const { chain, source } = yield* setup(once, { isDurable: false })
      yield* chain.get(key)
      yield* chain.idle
      assert.deepStrictEqual([source.calls.release, source.open], [0, 0])
      assert.isTrue(source.contents.has(key.text))
    })
  )

  it.effect("keeps its copy while the store has not taken the blob, or cannot show it", () =>
    Effect.gen(function* () {
      const { chain, source, store } = yield* setup(once)
      store.fail("put", down)
      yield* chain.get(key)
      yield* chain.idle
      assert.deepStrictEqual([source.calls.release, store.calls.get], [0, 1])
      store.heal("put")
      yield* TestClock.adjust("1 minute")
      const reading = store.after("put")
      const reader = yield* fork(chain.get(key))
      yield* reading.reached
      store.fail("get", down)
      yield* reading.open
      yield* Fiber.join(reader)
      yield* chain.idle
      assert.strictEqual(source.calls.release, 0, "stored, but not shown")
      assert.isTrue(source.contents.has(key.text))
      assert.strictEqual(source.open, 0)
    })
  )

  it.effect("keeps its copy where the store shows other bytes than it was given", () =>
    Effect.gen(function* () {
      const memory = yield* local("store")
      const other = Buffer.from("made of BASE64")
      const store: Tier = {
        ...memory.tier,
        ...durable(memory.tier),
        get: (at) =>
          Effect.map(memory.tier.get(at), (read) =>
            read._tag === "Hit"
              ? { _tag: "Hit", blob: { header: read.blob.header, body: { _tag: "Inline", bytes: other } } }
              : read
          )
      }
      const source = textOrigin(once)
      const chain = yield* Chain.make<string, string>({
        name: "test",
        caches: [],
        store: { tier: store },
        origin: source.origin
      })
      yield* chain.get(key)
      yield* chain.idle
      assert.strictEqual(source.calls.release, 0)
    })
  )

  it.effect("that fails to let go keeps its copy, which is counted; the blob is served all the same", () =>
    Effect.gen(function* () {
      const { chain, source } = yield* setup(once)
      source.beforeRelease = Effect.sync(() => (source.failing = undefined))
      source.beforeMake = Effect.sync(
        () =>
          (source.failing = new TierError({ tier: "origin", operation: "remove", reason: new Denied({ cause: "no" }) }))
      )
      assert.strictEqual(text(yield* chain.get(key)), "made of base64")
      yield* chain.idle
      assert.isTrue(source.contents.has(key.text))
      assert.strictEqual((yield* chain.status).at(-1)?.counters.writeFailed, 1)
      assert.strictEqual(text(yield* chain.get(key)), "made of base64")
    })
  )

  for (const [what, isGone] of [
    ["lets go once it answers again", false],
    ["takes what was stored along once it answers again, if the key was removed meanwhile", true]
  ] as const) {
    it.effect(`that did not answer ${what}`, () =>
      Effect.gen(function* () {
        const { chain, source, store } = yield* setup(once)
        source.beforeMake = Effect.sync(() => (source.failing = unavailable))
        assert.strictEqual(text(yield* chain.get(key)), "made of base64")
        yield* chain.idle
        yield* TestClock.adjust("1 hour")
        assert.isAtMost(source.calls.release, 70)
        assert.isTrue(source.contents.has(key.text))
        if (isGone) source.contents.delete(key.text)

        source.failing = undefined
        yield* TestClock.adjust("2 minutes")
        yield* chain.idle

        assert.deepStrictEqual([source.contents.size, source.open], [0, 0])
        assert.strictEqual(yield* stored(store.tier), isGone ? "Miss" : "made of base64")
        const { release } = source.calls
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(source.calls.release, release)
      })
    )
  }

  for (const isGone of [false, true]) {
    it.effect(
      `that has changed, and did not answer then, ${isGone ? "takes its new content along if the key was removed meanwhile" : "lets go of its new content once it answers again"}`,
      () =>
        Effect.gen(function* () {
          const { chain, source, store } = yield* setup(once)
          source.beforeMake = Effect.sync(() => {
            // The second content is being made: what was made of the first is stored.
            if (source.calls.make === 2) source.failing = unavailable
            else source.contents.set(key.text, "another")
          })
          yield* chain.get(key)
          yield* chain.idle
          assert.strictEqual(yield* stored(store.tier), "made of another")
          assert.isTrue(source.contents.has(key.text))
          if (isGone) source.contents.delete(key.text)

          source.failing = undefined
          yield* TestClock.adjust("2 minutes")
          yield* chain.idle

          assert.isFalse(source.contents.has(key.text))
          assert.strictEqual(yield* stored(store.tier), isGone ? "Miss" : "made of another")
        })
    )
  }

  it.effect("that has changed lets go of its new content also if the store's answer to that was lost", () =>
    Effect.gen(function* () {
      const { chain, source, store } = yield* setup(once)
      source.beforeMake = Effect.sync(() => {
        // The second content is made while what was made of the first is stored.
        if (source.calls.make === 2) store.lose("put", down, 1)
        else source.contents.set(key.text, "another")
      })
      yield* chain.get(key)
      yield* chain.idle
      assert.strictEqual(yield* stored(store.tier), "made of another")
      assert.isTrue(source.contents.has(key.text))

      yield* TestClock.adjust("2 minutes")
      yield* chain.idle

      assert.isFalse(source.contents.has(key.text))
      assert.isTrue(source.letGo.has(key.text))
      assert.strictEqual(yield* stored(store.tier), "made of another")
      assert.strictEqual(source.calls.make, 2)
    })
  )

  it.effect("that is owed too much at once is asked again for what is found later", () =>
    Effect.gen(function* () {
      const keys = Array.from({ length: 1_001 }, (_, index) => Key.makeUnsafe(`image-${index}`, "master"))
      const { chain, memory, source } = yield* setup(Object.fromEntries(keys.map(({ text }) => [text, "base64"])))
      for (const each of keys) {
        source.beforeMake = Effect.sync(() => (source.failing = unavailable))
        yield* chain.get(each)
        yield* chain.idle
        source.failing = undefined
      }
      yield* TestClock.adjust("2 minutes")
      yield* chain.idle
      assert.strictEqual(source.contents.size, 1)

      source.beforeMake = Effect.void
      for (const each of keys) yield* memory.tier.remove(each, Number.MAX_SAFE_INTEGER)
      yield* chain.get(keys[1_000] ?? key)
      yield* chain.idle

      assert.strictEqual(source.contents.size, 0)
    }).pipe(Effect.provide(Logger.layer([])))
  )

  it.effect("that has changed meanwhile has its new content stored in the place of the old, and lets go of that", () =>
    Effect.gen(function* () {
      const { chain, source, store } = yield* setup(once)
      source.beforeMake = Effect.sync(() => {
        source.beforeMake = Effect.void
        source.contents.set(key.text, "rewritten")
      })

      assert.strictEqual(text(yield* chain.get(key)), "made of base64")
      yield* chain.idle

      assert.strictEqual(text(yield* chain.get(key)), "made of rewritten")
      assert.strictEqual(yield* stored(store.tier), "made of rewritten")
      assert.isFalse(source.contents.has(key.text))
      assert.deepStrictEqual(source.calls, { read: 1, make: 2, release: 2 })
    })
  )

  it.effect("that changes every time keeps its copy after three tries; what is stored is the content before", () =>
    Effect.gen(function* () {
      const { chain, source, store } = yield* setup(once)
      let version = 0
      source.beforeRelease = Effect.sync(() => source.contents.set(key.text, `version ${++version}`))
      yield* chain.get(key)
      yield* chain.idle
      assert.strictEqual(yield* stored(store.tier), "made of version 2")
      assert.strictEqual(source.contents.get(key.text), "version 3")
    })
  )

  it.effect("whose key was removed meanwhile takes what was stored along: it stays removed", () =>
    Effect.gen(function* () {
      const { chain, memory, source, store } = yield* setup(once)
      source.beforeMake = Effect.sync(() => source.contents.clear())

      yield* chain.get(key)
      yield* chain.idle

      assert.strictEqual(yield* stored(store.tier), "Miss")
      assert.strictEqual(yield* stored(memory.tier), "Miss")
      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
    })
  )

  it.effect("never wins over a put, or a remove, that came while the blob was made", () =>
    Effect.gen(function* () {
      for (const write of ["put", "remove"] as const) {
        const { chain, source, store } = yield* setup(once)
        const gate = Deferred.makeUnsafe<void>()
        const reached = Deferred.makeUnsafe<void>()
        source.beforeMake = Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(gate))
        const reader = yield* fork(chain.get(key))
        yield* Deferred.await(reached)
        yield* write === "put" ? chain.put(key, draft("put")) : chain.remove(key)
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(reader)
        yield* chain.idle

        assert.strictEqual(source.calls.release, 0, write)
        assert.strictEqual(yield* stored(store.tier), write === "put" ? "put" : "Miss")
        assert.strictEqual(source.open, 0)
      }
    })
  )

  it.effect(
    "keeps its copy where the same bytes were put meanwhile: what it has is no longer the chain's to judge",
    () =>
      Effect.gen(function* () {
        const { chain, source, store } = yield* setup(once)
        const gate = store.after("put")
        const reader = yield* fork(chain.get(key))
        yield* gate.reached
        const inner = yield* Chain.make({ name: "another node", caches: [], store: { tier: store.tier } })
        const put = yield* fork(inner.put(key, draft("made of base64")))
        yield* gate.open
        yield* Fiber.join(put)
        yield* Fiber.join(reader)
        yield* chain.idle
        assert.isAbove((yield* generationIn(store.tier)) ?? 0, Origin.generation)
        assert.deepStrictEqual([source.calls.release, source.contents.has(key.text)], [0, true])
      })
  )

  it.effect("that is slow to let go holds nobody up: who comes meanwhile finds the blob in the store", () =>
    Effect.gen(function* () {
      const { chain, memory, source } = yield* setup(once)
      const gate = Deferred.makeUnsafe<void>()
      const reached = Deferred.makeUnsafe<void>()
      source.beforeRelease = Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(gate))
      yield* chain.get(key)
      yield* Deferred.await(reached)
      yield* memory.tier.remove(key, Origin.generation)
      const found = yield* chain.get(key)
      assert.deepStrictEqual(outcomes(found), ["memory Miss", "store Hit"])
      assert.strictEqual(source.open, 1)
      yield* Deferred.succeed(gate, undefined)
      yield* chain.idle
      assert.strictEqual(source.open, 0)
    })
  )

  it.effect(
    "that has let go of a key is believed: the tiers are asked again, since another node may just have stored it",
    () =>
      Effect.gen(function* () {
        const { chain, source, store } = yield* setup()
        const gate = store.after("get")
        const reader = yield* fork(chain.get(key))
        yield* gate.reached
        // Another node converts it between the two questions.
        const other = yield* Chain.make({ name: "other", caches: [], store: { tier: store.tier } })
        yield* other.put(key, draft("by another node"))
        source.letGo.add(key.text)
        yield* gate.open

        const found = yield* Fiber.join(reader)

        assert.strictEqual(text(found), "by another node")
        assert.deepStrictEqual(outcomes(found), [
          "memory Miss",
          "store Miss",
          "origin LetGo",
          "memory Miss",
          "store Hit"
        ])
      })
  )

  it.effect("that has let go of what no tier has any more says so, also while the absence is remembered", () =>
    Effect.gen(function* () {
      const { chain, source } = yield* setup()
      source.letGo.add(key.text)
      const first = yield* chain.get(key)
      const second = yield* chain.get(key)
      assert.deepStrictEqual([first._tag, second._tag], ["NotFound", "NotFound"])
      assert.include(outcomes(first), "origin LetGo")
      assert.deepStrictEqual(outcomes(second), ["absences Hit", "origin LetGo"])
      assert.strictEqual(source.calls.read, 1)
    })
  )

  it.effect("is no longer read when everyone has left; what it has begun to make is made", () =>
    Effect.gen(function* () {
      const { chain, source, store } = yield* setup(once)
      const gate = Deferred.makeUnsafe<void>()
      const reached = Deferred.makeUnsafe<void>()
      source.beforeMake = Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(gate))
      const reader = yield* fork(chain.get(key))
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(reader)
      yield* Deferred.succeed(gate, undefined)
      yield* chain.idle
      assert.strictEqual(yield* stored(store.tier), "made of base64")
      assert.strictEqual(source.open, 0)
    })
  )

  it.effect("is told to let go before the chain closes", () =>
    Effect.gen(function* () {
      const store = yield* remote("store")
      const source = textOrigin(once)
      const gate = store.before("put")
      const closing = yield* fork(
        Effect.scoped(
          Effect.gen(function* () {
            const chain = yield* Chain.make<string, string>({
              name: "test",
              caches: [],
              store: { tier: { ...store.tier, ...durable(store.tier) } },
              origin: source.origin
            })
            yield* chain.get(key)
          })
        )
      )
      yield* gate.reached
      yield* gate.open
      yield* Fiber.join(closing)
      assert.isFalse(source.contents.has(key.text))
    })
  )

  it.effect("that removes what was stored tells the other nodes", () =>
    Effect.gen(function* () {
      const bus = Bus.makeLocal()
      const sent: Array<Bus.Invalidation> = []
      const { chain, source } = yield* setup(once, {
        bus: {
          ...bus,
          publish: (message) =>
            Effect.andThen(
              Effect.sync(() => sent.push(message)),
              bus.publish(message)
            )
        }
      })
      source.beforeMake = Effect.sync(() => source.contents.clear())
      yield* chain.get(key)
      yield* chain.idle
      assert.strictEqual(sent.length, 1)
      assert.isTrue((sent[0]?.generation ?? 0) > Origin.generation)
    })
  )

  it.effect("passes the header of what was stored to who lets go", () =>
    Effect.gen(function* () {
      const seen: Array<Header> = []
      const store = yield* remote("store")
      const origin: Origin.Origin = {
        name: "origin",
        has: () => Effect.succeed(true),
        read: () =>
          Effect.succeed({
            _tag: "Holding",
            make: Effect.succeed(draft("made", { attributes: { title: "A dot" } })),
            release: (header) => Effect.sync(() => (seen.push(header), { _tag: "Released" }))
          })
      }
      const chain = yield* Chain.make({
        name: "test",
        caches: [],
        store: { tier: { ...store.tier, ...durable(store.tier) } },
        origin
      })
      yield* chain.get(key)
      yield* chain.idle
      assert.deepStrictEqual(seen[0]?.attributes, { title: "A dot" })
      assert.strictEqual(seen[0]?.generation, Origin.generation)
    })
  )
})

describe("an upload that comes while the origin lets go", () => {
  for (const [what, now] of [
    ["of a key that is gone from it", undefined],
    ["of what has changed in it", "changed"]
  ] as const) {
    it.effect(`${what} stays, and nothing is said to have gone wrong`, () =>
      Effect.gen(function* () {
        const { chain, source, store } = yield* setup(once)
        const upload = Effect.suspend(() => {
          source.beforeMake = Effect.void
          source.beforeRelease = Effect.void
          return Effect.orDie(chain.put(key, draft("upload")))
        })
        source.beforeRelease = Effect.suspend(() => {
          if (now === undefined) {
            source.contents.delete(key.text)
            return upload
          }
          source.contents.set(key.text, now)
          source.beforeMake = upload
          return Effect.void
        })
        yield* chain.get(key)
        yield* chain.idle

        assert.strictEqual(yield* stored(store.tier), "upload")
        assert.strictEqual(text(yield* chain.get(key)), "upload")
        const status = (yield* chain.status).find(({ role }) => role === "origin")
        assert.deepStrictEqual([status?.counters.removed, status?.counters.writeFailed], [0, 0])
      })
    )
  }
})
