/**
 * The first look of a read: into process memory, with `peek` where the tier offers it, without where it does not.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import * as Blob from "../src/Blob.ts"
import * as Body from "../src/Body.ts"
import * as Chain from "../src/Chain.ts"
import * as Key from "../src/Key.ts"
import { hit, type Tier } from "../src/Tier.ts"
import { Unavailable } from "../src/TierError.ts"
import { draft, key, local, outcomes, remote, text } from "./support/chains.ts"
import type * as Controlled from "./support/Controlled.ts"
import { blobAt, down, fork } from "./support/shared.ts"

/** memory → store. `seen`: what a look into memory costs a tier. */
const overMemory = (peeks: boolean, change: (tier: Tier) => Partial<Tier> = () => ({})) =>
  Effect.gen(function* () {
    const memory = yield* local()
    const store = yield* remote("store")
    const tier: Tier = { ...memory.tier, ...(peeks ? {} : { peek: undefined }), ...change(memory.tier) }
    const chain = yield* Chain.make<string>({ name: "test", caches: [{ tier }], store: { tier: store.tier } })
    return { chain, memory, store }
  })

const other = Key.makeUnsafe("hero", "other")

const looksInto = ({ calls }: Controlled.Controlled) => ({ peek: calls.peek, get: calls.get })

for (const peeks of [true, false]) {
  describe(`a look into process memory ${peeks ? "with" : "without"} peek`, () => {
    it.effect("answers a hit by itself, and counts it", () =>
      Effect.gen(function* () {
        const { chain, memory, store } = yield* overMemory(peeks)
        yield* chain.put(key, draft("x"))
        const before = looksInto(memory)
        const found = yield* chain.get(key)

        assert.deepStrictEqual(outcomes(found), ["memory Hit"])
        assert.isFalse(found.trail.joined)
        const after = looksInto(memory)
        assert.deepStrictEqual([after.peek - before.peek, after.get - before.get], peeks ? [1, 0] : [0, 1])
        assert.strictEqual(store.calls.get, 0)
        const [status] = yield* chain.status
        assert.strictEqual(status?.counters.hits, 1)
      })
    )

    it.effect("sees what is stale as stale, and nothing that has expired", () =>
      Effect.gen(function* () {
        const { chain } = yield* overMemory(peeks)
        yield* chain.put(key, draft("x", { freshUntil: 100, expiresAt: 200 }))
        const fresh = yield* chain.get(key)
        yield* TestClock.adjust(100)
        const stale = yield* chain.get(key)
        yield* TestClock.adjust(100)

        assert.isTrue(fresh._tag === "Found" && !fresh.stale)
        assert.isTrue(stale._tag === "Found" && stale.stale)
        assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
      })
    )

    it.effect("sees nothing that has expired in a tier that answers it all the same", () =>
      Effect.gen(function* () {
        const blob = Blob.make(key, Buffer.from("x"), {
          contentType: "text/plain",
          generation: 1,
          createdAt: 0,
          expiresAt: 100
        })
        const forgetful = () => ({ get: () => Effect.succeed(hit(blob)), ...(peeks ? { peek: () => hit(blob) } : {}) })
        const { chain } = yield* overMemory(peeks, forgetful)
        assert.strictEqual(text(yield* chain.get(key)), "x")
        yield* TestClock.adjust(100)

        assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
      })
    )

    it.effect("leaves streams to a flight, which holds them to their length", () =>
      Effect.gen(function* () {
        const bytes = Buffer.from("x".repeat(10))
        const header = Blob.make(key, bytes, { contentType: "text/plain", generation: 1, createdAt: 0 }).header
        const streamed = hit({
          header,
          body: Body.streamed(10, () => Body.toStream(Body.inline(bytes.subarray(0, 5))))
        })
        const streaming = (tier: Tier) => ({
          capabilities: { ...tier.capabilities, streaming: true },
          get: () => Effect.succeed(streamed),
          ...(peeks ? { peek: () => streamed } : {})
        })
        const { chain } = yield* overMemory(peeks, streaming)
        const found = yield* chain.get(key)
        assert.strictEqual(found._tag, "Found")
        if (found._tag !== "Found") return
        const exit = yield* Effect.exit(Body.toBytes(found.blob.body))

        assert.isTrue(Exit.isFailure(exit), "five bytes of ten were taken for all of them")
      })
    )

    it.effect("that fails is met again, and recorded, by the lookup that follows", () =>
      Effect.gen(function* () {
        const { chain, memory } = yield* overMemory(peeks)
        yield* chain.put(key, draft("x"))
        memory.fail("get", new Unavailable({ cause: "down" }))

        assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Failed", "store Hit"])
      })
    )

    it.effect("answers nothing once the chain is closed", () =>
      Effect.gen(function* () {
        const memory = yield* local()
        const scope = yield* Scope.make()
        const tier: Tier = { ...memory.tier, ...(peeks ? {} : { peek: undefined }) }
        const chain = yield* Chain.make<string>({ name: "test", caches: [{ tier }] }).pipe(Scope.provide(scope))
        yield* chain.put(key, draft("x"))
        yield* Scope.close(scope, Exit.void)
        const error = yield* Effect.flip(chain.get(key))

        assert.include(error.message, "closed")
      })
    )

    it.effect("into a store answers at once, whatever floors and writes of unknown outcome say of copies", () =>
      Effect.gen(function* () {
        const store = yield* local("store")
        const tier: Tier = { ...store.tier, ...(peeks ? {} : { peek: undefined }) }
        const chain = yield* Chain.make<string>({ name: "test", caches: [], store: { tier } })
        const gate = Deferred.makeUnsafe<void>()
        // Something that runs keeps the floor of the remove.
        yield* fork(chain.getOrMake(other, Effect.as(Deferred.await(gate), draft("made"))))
        yield* chain.remove(key)
        store.lose("put", down, 1)
        yield* Effect.flip(chain.put(key, draft("lost")))
        yield* tier.remove(key, Number.MAX_SAFE_INTEGER)
        yield* tier.put(blobAt("older", 1))
        const before = looksInto(store)
        const found = yield* chain.get(key)
        const after = looksInto(store)

        assert.strictEqual(text(found), "older")
        assert.deepStrictEqual([after.peek - before.peek, after.get - before.get], peeks ? [1, 0] : [0, 1])
        yield* Deferred.succeed(gate, undefined)
        yield* chain.idle
      })
    )
  })
}
