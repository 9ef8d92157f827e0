/**
 * Copies that a cache is about to drop: readers who come meanwhile may still be handed one by that cache.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type * as Bus from "../src/Bus.ts"
import * as Key from "../src/Key.ts"
import { draft, key, text } from "./support/chains.ts"
import { blobAt, fork, node } from "./support/shared.ts"

const other = Key.makeUnsafe("villain", "master")
const generation = 9_000_000_000_000

/** A node that has a copy of the key in memory and on its slow disk, and can be told of a write by another node. */
const withCopies = Effect.gen(function* () {
  const events = yield* Queue.unbounded<Bus.Event>()
  const made = yield* node({ bus: { publish: () => Effect.void, events: Stream.fromQueue(events) } })
  yield* made.chain.put(key, draft("old"))
  const hear = (name: string | undefined) =>
    Effect.andThen(
      made.store.tier.put(blobAt("new", generation)),
      Queue.offer(events, { _tag: "Invalidation", chain: "test", group: key.group, name, generation })
    )
  return { ...made, hear }
})

type Node = Effect.Success<typeof withCopies>

/** What makes copies go, and what is there afterwards. */
const ways: ReadonlyArray<readonly [string, (node: Node) => Effect.Effect<unknown, unknown>, string]> = [
  ["a remove", ({ chain }) => chain.remove(key), "NotFound"],
  ["a removal of the group", ({ chain }) => chain.removeGroup(key.group), "NotFound"],
  ["a message", ({ hear }) => hear(key.name), "new"],
  ["a message about the group", ({ hear }) => hear(undefined), "new"],
  [
    "a conflict",
    ({ chain, store }) =>
      Effect.andThen(
        store.tier.put(blobAt("new", generation)),
        Effect.flip(chain.put(key, draft("x"), { expected: 1 }))
      ),
    "new"
  ]
]

describe("a copy that a slow cache is to drop", () => {
  for (const [what, act, after] of ways) {
    it.effect(`after ${what} is not served, whatever else ends meanwhile`, () =>
      Effect.gen(function* () {
        const here = yield* withCopies
        const { chain, disk, memory } = here
        const gates = [disk.before("remove"), disk.before("removeGroup")]
        const actor = yield* fork(act(here))
        yield* Effect.raceAll(gates.map(({ reached }) => reached))
        yield* chain.get(other)

        const meanwhile = yield* chain.get(key)
        for (const { open } of gates) yield* open
        yield* Fiber.join(actor)
        yield* chain.idle

        assert.strictEqual(text(meanwhile), after)
        assert.strictEqual(text(yield* chain.get(key)), after)
        const copy = yield* memory.tier.get(key)
        assert.isFalse(copy._tag === "Hit" && copy.blob.header.generation < generation)
      })
    )

    it.effect(`after ${what} leaves no other copy behind, if it was read just before it was dropped`, () =>
      Effect.gen(function* () {
        const here = yield* withCopies
        const { chain, disk, memory } = here
        const gates = [disk.before("remove"), disk.before("removeGroup")]
        const actor = yield* fork(act(here))
        yield* Effect.raceAll(gates.map(({ reached }) => reached))
        const reading = disk.after("get")
        const reader = yield* fork(chain.get(key))
        yield* reading.reached
        for (const { open } of gates) yield* open
        yield* Fiber.join(actor)

        yield* reading.open
        const meanwhile = yield* Fiber.join(reader)
        yield* chain.idle

        assert.strictEqual(text(meanwhile), after)
        assert.strictEqual(text(yield* chain.get(key)), after)
        const copy = yield* memory.tier.get(key)
        assert.isFalse(copy._tag === "Hit" && copy.blob.header.generation < generation)
      })
    )
  }
})
