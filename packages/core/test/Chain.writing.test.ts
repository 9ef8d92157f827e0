import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import * as Blob from "../src/Blob.ts"
import * as Chain from "../src/Chain.ts"
import * as Key from "../src/Key.ts"
import { NoSpace, Unavailable } from "../src/TierError.ts"
import { cachesOnly, draft, key, local, outcomes, remote, text, threeTiers } from "./support/chains.ts"

const down = new Unavailable({ cause: new Error("connection refused") })

const blobAt = (content: string, generation: number) =>
  Blob.make(key, Buffer.from(content), { contentType: "text/plain", generation, createdAt: 0 })

describe("Chain.put", () => {
  it.effect("writes the store first, then every cache, and says so", () =>
    Effect.gen(function* () {
      const { chain, disk, memory, store } = yield* threeTiers()
      const gate = store.before("put")
      const writer = yield* Effect.forkChild(chain.put(key, draft("x")), { startImmediately: true })
      yield* gate.reached
      assert.deepStrictEqual([memory.calls.put, disk.calls.put], [0, 0])
      yield* gate.open

      const receipt = yield* Fiber.join(writer)

      assert.deepStrictEqual(receipt.tiers, [
        { tier: "store", outcome: "stored" },
        { tier: "memory", outcome: "stored" },
        { tier: "disk", outcome: "stored" }
      ])
      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit"])
    })
  )

  it.effect("writes nowhere else if the store fails, and what was there stays", () =>
    Effect.gen(function* () {
      const { chain, disk, memory, store } = yield* threeTiers()
      yield* chain.put(key, draft("old"))
      store.fail("put", new NoSpace({ detail: "full" }))
      const before = [memory.calls.put, disk.calls.put]

      const error = yield* Effect.flip(chain.put(key, draft("new")))

      assert.strictEqual(error._tag === "TierError" && error.reason._tag, "NoSpace")
      assert.deepStrictEqual([memory.calls.put, disk.calls.put], before)
      assert.strictEqual(text(yield* chain.get(key)), "old")
    })
  )

  it.effect("lets a cache that does not take the new blob drop the old one", () =>
    Effect.gen(function* () {
      const { chain, disk } = yield* threeTiers()
      yield* chain.put(key, draft("old"))
      disk.fail("put", down, 1)

      const receipt = yield* chain.put(key, draft("new"))

      assert.deepStrictEqual(receipt.tiers.at(-1), { tier: "disk", outcome: "failed" })
      assert.strictEqual((yield* disk.tier.get(key))._tag, "Miss")
    })
  )

  it.effect("keeps a cache that can do neither from serving, and repairs it in the background", () =>
    Effect.gen(function* () {
      const memory = yield* remote("near")
      const disk = yield* remote("disk")
      const store = yield* remote("store")
      const chain = yield* Chain.make({
        name: "test",
        caches: [{ tier: memory.tier, policy: { maxBytes: 0 } }, { tier: disk.tier }],
        store: { tier: store.tier }
      })
      yield* chain.put(key, draft("old"))
      disk.fail("put", down)
      disk.fail("remove", down)

      const receipt = yield* chain.put(key, draft("new"))
      assert.deepStrictEqual(receipt.tiers.at(-1), { tier: "disk", outcome: "repairing" })
      assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["near Miss", "disk Outdated", "store Hit"])

      disk.heal("remove")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* disk.tier.get(key))._tag, "Miss")
    })
  )

  it.effect("wins over a stored blob of a clock that ran ahead", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* threeTiers()
      yield* store.tier.put(blobAt("from the future", 5_000_000_000_000))

      const receipt = yield* chain.put(key, draft("now"))

      assert.isAbove(receipt.header.generation, 5_000_000_000_000)
      assert.strictEqual(text(yield* chain.get(key)), "now")
    })
  )

  it.effect("gives up after others were faster three times", () =>
    Effect.gen(function* () {
      const memory = yield* local()
      const store = yield* remote("store")
      let sent = 0
      const chain = yield* Chain.make({
        name: "test",
        caches: [{ tier: memory.tier }],
        store: {
          tier: {
            ...store.tier,
            put: (blob) =>
              Effect.sync(() => {
                sent += 1
                return { _tag: "Superseded", current: blob.header.generation + 1 } as const
              })
          }
        }
      })

      assert.strictEqual((yield* Effect.flip(chain.put(key, draft("x"))))._tag, "Contended")
      assert.strictEqual(sent, 3)
      assert.strictEqual(memory.calls.put, 0)
    })
  )

  it.effect("gives generations that grow although the clock stands still", () =>
    Effect.gen(function* () {
      const { chain } = yield* threeTiers()
      const first = yield* chain.put(key, draft("a"))
      const second = yield* chain.put(key, draft("b"))

      assert.isAbove(second.header.generation, first.header.generation)
    })
  )

  it.effect("with `expected`, writes only what it expects", () =>
    Effect.gen(function* () {
      const { chain } = yield* threeTiers()
      const first = yield* chain.put(key, draft("a"), { expected: "absent" })
      const taken = yield* Effect.flip(chain.put(key, draft("b"), { expected: "absent" }))
      assert.strictEqual(taken._tag === "Conflict" && taken.current, first.header.generation)

      const second = yield* chain.put(key, draft("c"), { expected: first.header.generation })
      const outdated = yield* Effect.flip(chain.put(key, draft("d"), { expected: first.header.generation }))

      assert.strictEqual(outdated._tag === "Conflict" && outdated.current, second.header.generation)
      assert.strictEqual(text(yield* chain.get(key)), "c")
    })
  )

  it.effect("refuses a header that is too large before anything is written", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* threeTiers()
      const error = yield* Effect.flip(chain.put(key, draft("x", { attributes: { title: "x".repeat(2_000) } })))

      assert.strictEqual(error._tag, "HeaderTooLarge")
      assert.strictEqual(store.calls.put, 0)
    })
  )

  it.effect("goes on to its end when the one who asked is gone", () =>
    Effect.gen(function* () {
      const { chain, memory, store } = yield* threeTiers()
      const gate = store.before("put")
      const writer = yield* Effect.forkChild(chain.put(key, draft("x")), { startImmediately: true })
      yield* gate.reached

      const interruption = yield* Effect.forkChild(Fiber.interrupt(writer), { startImmediately: true })
      yield* gate.open
      yield* Fiber.join(interruption)

      assert.strictEqual((yield* store.tier.get(key))._tag, "Hit")
      assert.strictEqual((yield* memory.tier.get(key))._tag, "Hit")
    })
  )

  it.effect("without a store, writes every cache", () =>
    Effect.gen(function* () {
      const { chain } = yield* cachesOnly()
      const receipt = yield* chain.put(key, draft("x"))

      assert.deepStrictEqual(receipt.tiers, [
        { tier: "memory", outcome: "stored" },
        { tier: "disk", outcome: "stored" }
      ])
    })
  )
})

describe("Chain.remove", () => {
  it.effect("removes a blob everywhere and tells what each tier said", () =>
    Effect.gen(function* () {
      const { chain, memory } = yield* threeTiers()
      yield* chain.put(key, draft("x"))
      yield* memory.tier.remove(key, Number.MAX_SAFE_INTEGER)

      const receipt = yield* chain.remove(key)

      assert.deepStrictEqual(receipt.tiers, [
        { tier: "store", outcome: "removed" },
        { tier: "memory", outcome: "absent" },
        { tier: "disk", outcome: "removed" }
      ])
      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
    })
  )

  it.effect("succeeds when there is nothing", () =>
    Effect.gen(function* () {
      const { chain } = yield* threeTiers()
      const receipt = yield* chain.remove(key)

      assert.isTrue(receipt.tiers.every(({ outcome }) => outcome === "absent"))
    })
  )

  it.effect("changes nothing if the store fails", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* threeTiers()
      yield* chain.put(key, draft("x"))
      store.fail("remove", new NoSpace({ detail: "read-only" }))

      yield* Effect.flip(chain.remove(key))

      assert.strictEqual(text(yield* chain.get(key)), "x")
    })
  )

  it.effect("with `expected`, removes only that generation", () =>
    Effect.gen(function* () {
      const { chain } = yield* threeTiers()
      const first = yield* chain.put(key, draft("a"))
      const second = yield* chain.put(key, draft("b"))
      const error = yield* Effect.flip(chain.remove(key, { expected: first.header.generation }))
      assert.strictEqual(error._tag === "Conflict" && error.current, second.header.generation)

      yield* chain.remove(key, { expected: second.header.generation })

      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
      const gone = yield* Effect.flip(chain.remove(key, { expected: second.header.generation }))
      assert.strictEqual(gone._tag === "Conflict" && gone.current, "absent")
    })
  )

  it.effect("of a group leaves a group whose name begins alike", () =>
    Effect.gen(function* () {
      const { chain } = yield* threeTiers()
      const other = Key.makeUnsafe("hero2", "master")
      yield* chain.put(key, draft("x"))
      yield* chain.put(Key.makeUnsafe("hero", "thumb"), draft("y"))
      yield* chain.put(other, draft("z"))

      yield* chain.removeGroup("hero")

      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
      assert.strictEqual((yield* chain.get(Key.makeUnsafe("hero", "thumb")))._tag, "NotFound")
      assert.strictEqual(text(yield* chain.get(other)), "z")
    })
  )
})

describe("a write that meets a read", () => {
  it.effect("is not undone by a copy of what it replaced", () =>
    Effect.gen(function* () {
      const { chain, disk, memory, store } = yield* threeTiers()
      yield* store.tier.put(blobAt("old", 1))
      const gate = store.after("get")
      const reader = yield* Effect.forkChild(chain.get(key), { startImmediately: true })
      yield* gate.reached

      yield* chain.put(key, draft("new"))
      yield* gate.open
      yield* Fiber.join(reader)
      yield* chain.idle

      assert.strictEqual(text(yield* chain.get(key)), "new")
      for (const cache of [memory, disk]) {
        const read = yield* cache.tier.head(key)
        assert.isTrue(read._tag === "Hit" && read.header.generation > 1)
      }
    })
  )

  it.effect("does not let later readers join a lookup that began before it", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* threeTiers()
      yield* store.tier.put(blobAt("old", 1))
      const gate = store.after("get")
      const early = yield* Effect.forkChild(chain.get(key), { startImmediately: true })
      yield* gate.reached
      yield* chain.remove(key)

      const late = yield* Effect.forkChild(chain.get(key), { startImmediately: true })
      yield* gate.open

      assert.strictEqual(text(yield* Fiber.join(early)), "old")
      assert.strictEqual((yield* Fiber.join(late))._tag, "NotFound")
    })
  )

  it.effect("removes a copy that was being written when it came", () =>
    Effect.gen(function* () {
      const { chain, disk, store } = yield* threeTiers()
      yield* store.tier.put(blobAt("old", 1))
      const gate = disk.before("put")
      yield* chain.get(key)
      yield* gate.reached

      yield* chain.remove(key)
      yield* gate.open
      yield* chain.idle

      assert.strictEqual((yield* disk.tier.get(key))._tag, "Miss")
      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
    })
  )

  it.effect("outlives a producer that began before it", () =>
    Effect.gen(function* () {
      const { chain, disk, memory } = yield* cachesOnly()
      const begun = Deferred.makeUnsafe<void>()
      const gate = Deferred.makeUnsafe<void>()
      const producer = Effect.gen(function* () {
        yield* Deferred.succeed(begun, undefined)
        yield* Deferred.await(gate)
        return draft("of what was removed")
      })
      const maker = yield* Effect.forkChild(chain.getOrMake(key, producer), { startImmediately: true })
      yield* Deferred.await(begun)

      yield* chain.removeGroup("hero")
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(maker)
      yield* chain.idle

      assert.strictEqual((yield* memory.tier.get(key))._tag, "Miss")
      assert.strictEqual((yield* disk.tier.get(key))._tag, "Miss")
    })
  )

  it.effect("is not overtaken by the caches' part of an earlier put", () =>
    Effect.gen(function* () {
      const { chain, disk } = yield* threeTiers()
      const gate = disk.before("put")
      const writer = yield* Effect.forkChild(chain.put(key, draft("x")), { startImmediately: true })
      yield* gate.reached

      yield* chain.remove(key)
      yield* gate.open
      yield* Fiber.join(writer)

      assert.strictEqual((yield* disk.tier.get(key))._tag, "Miss")
      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
    })
  )
})
