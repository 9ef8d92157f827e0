/**
 * Copies in caches: which are made, which are not, and how long they are handed out.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import * as Blob from "../src/Blob.ts"
import * as Chain from "../src/Chain.ts"
import { Contended } from "../src/ChainError.ts"
import * as Key from "../src/Key.ts"
import type * as Tier from "../src/Tier.ts"
import { Corrupt, Unavailable } from "../src/TierError.ts"
import * as Trail from "../src/Trail.ts"
import { draft, key, local, outcomes, remote, text, threeTiers } from "./support/chains.ts"
import * as Controlled from "./support/Controlled.ts"
import { over } from "./support/late.ts"
import { blobAt, down, fork } from "./support/shared.ts"
import { find, nearAndFar, reader, test } from "./support/streaming.ts"

const other = Key.makeUnsafe("hero", "other")

describe("a copy", () => {
  it.effect("that could not be compared with the store gets no copy that looks as if it had been", () =>
    Effect.gen(function* () {
      const { chain, disk, store } = yield* threeTiers()
      yield* disk.tier.put(blobAt("inherited", 5))
      store.fail("head", down)
      store.fail("get", down)
      yield* chain.get(key)
      yield* chain.idle

      assert.isTrue(Trail.isUnconfirmed((yield* chain.get(key)).trail))
    })
  )

  it.effect("is not made while more bytes are held than may be", () =>
    Effect.gen(function* () {
      const { chain, memory, store } = yield* threeTiers({ maxHeldBytes: 8_000 })
      yield* store.tier.put(blobAt("x".repeat(4_000), 1))
      yield* store.tier.put(blobAt("y".repeat(4_000), 1, other))
      const gate = memory.before("put")
      yield* chain.get(key)
      yield* gate.reached
      yield* chain.get(other)
      yield* gate.open
      yield* chain.idle

      assert.strictEqual((yield* memory.tier.head(key))._tag, "Hit")
      assert.strictEqual((yield* memory.tier.head(other))._tag, "Miss")
    })
  )

  it.effect("that expires while it is being written is not handed out by its lookup any more", () =>
    Effect.gen(function* () {
      const { chain, memory, store } = yield* threeTiers()
      yield* store.tier.put(
        Blob.make(key, Buffer.from("brief"), { contentType: "text/plain", generation: 1, createdAt: 0, expiresAt: 100 })
      )
      const gate = memory.before("put")
      assert.strictEqual(text(yield* chain.get(key)), "brief")
      yield* gate.reached
      assert.isTrue((yield* chain.get(key)).trail.joined)
      yield* TestClock.adjust(100)

      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
      yield* gate.open
    })
  )

  it.effect("that becomes stale while it is being written is handed out as stale", () =>
    Effect.gen(function* () {
      const { chain, memory, store } = yield* threeTiers()
      yield* store.tier.put(
        Blob.make(key, Buffer.from("brief"), {
          contentType: "text/plain",
          generation: 1,
          createdAt: 0,
          freshUntil: 100
        })
      )
      const gate = memory.before("put")
      yield* chain.get(key)
      yield* gate.reached
      yield* TestClock.adjust(100)
      const joined = yield* chain.get(key)

      assert.isTrue(joined._tag === "Found" && joined.trail.joined && joined.stale)
      yield* gate.open
    })
  )

  it.effect("is not served by a reader who waits for its comparison while a put is acknowledged", () =>
    Effect.gen(function* () {
      const { chain, disk, store } = yield* threeTiers()
      for (const { tier } of [disk, store]) yield* tier.put(blobAt("old", 5))
      const gate = store.after("head")
      const reading = yield* fork(chain.get(key))
      yield* gate.reached
      yield* chain.put(key, draft("new"))
      yield* gate.open

      assert.strictEqual(text(yield* Fiber.join(reading)), "new")
    })
  )

  it.effect("of a group is dropped though its removal is overtaken again and again: what it has removed is gone", () =>
    Effect.gen(function* () {
      const memory = yield* local()
      const inner = yield* remote("store")
      const ahead = 8_000_000_000_000_000
      /** Someone else puts a newer blob of the group again and again. */
      const removeGroup: Tier.Tier["removeGroup"] = (group, generation) =>
        Effect.map(inner.tier.removeGroup(group, generation), () => ({
          _tag: "Removed",
          removed: 1,
          superseded: 1,
          current: Math.max(ahead, generation + 1)
        }))
      const chain = yield* Chain.make<string>({
        name: "test",
        caches: [{ tier: memory.tier }],
        store: { tier: Controlled.make(inner.tier, { removeGroup }).tier }
      })
      yield* chain.put(key, draft("gone"))
      const error = yield* Effect.flip(chain.removeGroup(key.group))

      assert.isTrue(error instanceof Contended)
      assert.strictEqual((yield* memory.tier.head(key))._tag, "Miss")
      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
    })
  )

  it.effect("newer than what a removal of unknown outcome would take is served without being compared", () =>
    Effect.gen(function* () {
      const store = yield* remote("store")
      const { chain } = yield* over(store.tier)
      const older = yield* chain.put(key, draft("older"))
      yield* chain.put(other, draft("newer"))
      store.lose("removeGroup", new Unavailable({ cause: "lost" }), 1)
      yield* Effect.flip(chain.removeGroup(key.group, { upTo: older.header.generation }))

      assert.deepStrictEqual(outcomes(yield* chain.get(other)), ["memory Hit"])
      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
    })
  )

  test("is not committed once a floor for everything lies above it, though nobody has written its key", () =>
    Effect.gen(function* () {
      const { chain, far, near } = yield* nearAndFar({ options: { maxFloors: 1 } })
      let commits = 0
      near.onCommit = Effect.sync(() => void (commits += 1))
      const reading = yield* reader((yield* find(chain)).blob)
      yield* reading.next
      // Something that runs keeps the floors; two of them become one for everything.
      const slow = yield* fork(chain.getOrMake(other, Effect.never))
      for (const name of ["one", "two"]) yield* chain.remove(Key.makeUnsafe("other", name))
      yield* reading.rest
      yield* Fiber.interrupt(slow)
      yield* TestClock.adjust("2 minutes")
      yield* chain.idle

      assert.strictEqual(commits, 0)
      assert.strictEqual(far.counts.closed, far.counts.opened)
    }))
})

describe("a header that is remembered", () => {
  it.effect("is forgotten once the store finds the blob damaged", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* threeTiers()
      yield* store.tier.put(blobAt("x", 5))
      yield* chain.head(key)
      store.fail("get", new Corrupt({ detail: "a flipped bit" }), 1)
      yield* Effect.flip(chain.get(key))
      const before = store.calls.head
      yield* chain.head(key)

      assert.strictEqual(store.calls.head, before + 1)
    })
  )
})

describe("a write of unknown outcome", () => {
  const lost = new Unavailable({ cause: "lost" })
  for (const [what, write] of [
    ["put of a key", ({ put }: Chain.Chain<string>, group: string) => put(Key.makeUnsafe(group, "x"), draft("x"))],
    ["removal of a group", ({ removeGroup }: Chain.Chain<string>, group: string) => removeGroup(group)]
  ] as const) {
    it.effect(`makes nothing suspect once a ${what} has followed that was acknowledged, however many there are`, () =>
      Effect.gen(function* () {
        const store = yield* remote("store")
        const { chain } = yield* over(store.tier)
        yield* chain.put(key, draft("x"))
        for (let index = 0; index < 1_001; index++) {
          store.lose(what === "put of a key" ? "put" : "removeGroup", lost, 1)
          yield* Effect.flip(Effect.asVoid<unknown, unknown, never>(write(chain, `group${index}`)))
          yield* Effect.asVoid<unknown, unknown, never>(write(chain, `group${index}`))
        }

        assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Hit"])
      })
    )
  }
})
