/** What `scan` lists, in which order, and how it resumes. */
import { assert } from "@effect/vitest"
import type { Entry } from "@terrace/core/Tier"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Fixtures from "../../Fixtures.ts"
import * as Case from "../Case.ts"
import * as expect from "../expect.ts"

const keysOf = (entries: ReadonlyArray<Entry>): ReadonlyArray<string> => entries.map((entry) => entry.key.text)

/** The keys in order, each once: a scan may repeat entries. */
const distinct = (keys: ReadonlyArray<string>): ReadonlyArray<string> => [...new Set(keys)].sort()

/** Puts 60 blobs of 12 groups, in an order that is not the sorted one. */
const populate = Effect.gen(function* () {
  const { tier, group } = yield* Case.Subject
  const blobs = Array.from({ length: 60 }, (_, index) => {
    const shuffled = (index * 23) % 60
    return Fixtures.blob({ group: group(`g${shuffled % 12}`), name: `n${shuffled}`, seed: index, size: shuffled * 3 })
  })
  for (const blob of blobs) yield* expect.stores(tier, blob)
  return blobs
})

export const scanning: ReadonlyArray<Case.Case> = [
  Case.make(
    "scan - lists every key with the size of its body",
    { list: true },
    Effect.gen(function* () {
      const { tier, groupPrefix } = yield* Case.Subject
      const blobs = yield* populate

      const entries = yield* Stream.runCollect(tier.scan({ groupPrefix }))

      assert.deepStrictEqual(distinct(keysOf(entries)), distinct(blobs.map((blob) => blob.header.key.text)))
      const sizes = new Map(blobs.map((blob) => [blob.header.key.text, blob.header.size]))
      for (const entry of entries) {
        assert.strictEqual(entry.size, sizes.get(entry.key.text), entry.key.text)
        assert.strictEqual(entry.key.text, `${entry.key.group}/${entry.key.name}`)
      }
    })
  ),

  Case.make(
    "scan - lists no key that was removed, and an overwritten one with its new size",
    { list: true },
    Effect.gen(function* () {
      const { tier, group, groupPrefix } = yield* Case.Subject
      const removed = Fixtures.blob({ group: group("a"), generation: 1 })
      const grown = Fixtures.blob({ group: group("b"), generation: 1, size: 10 })
      for (const blob of [removed, grown]) yield* expect.stores(tier, blob)
      yield* expect.stores(tier, Fixtures.blob({ group: group("b"), generation: 2, size: 2_000 }))
      yield* tier.remove(removed.header.key, 1)

      const entries = yield* Stream.runCollect(tier.scan({ groupPrefix }))

      assert.deepStrictEqual(distinct(keysOf(entries)), [grown.header.key.text])
      for (const entry of entries) assert.strictEqual(entry.size, 2_000)
    })
  ),

  Case.make(
    "scan - with groupPrefix, lists the groups that begin with it and no others",
    { list: true },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const inside = ["cat", "cat-2", "cats"].map((suffix) => Fixtures.blob({ group: group(suffix) }))
      const outside = ["ca", "dog", "Cat"].map((suffix) => Fixtures.blob({ group: group(suffix), name: "cat" }))
      for (const blob of [...inside, ...outside]) yield* expect.stores(tier, blob)

      const entries = yield* Stream.runCollect(tier.scan({ groupPrefix: group("cat") }))

      assert.deepStrictEqual(distinct(keysOf(entries)), distinct(inside.map((blob) => blob.header.key.text)))
      assert.deepStrictEqual(yield* Stream.runCollect(tier.scan({ groupPrefix: group("none") })), [])
    })
  ),

  Case.make(
    "scan - lists in the same order every time",
    { list: true },
    Effect.gen(function* () {
      const { tier, groupPrefix } = yield* Case.Subject
      yield* populate

      const first = yield* Stream.runCollect(tier.scan({ groupPrefix }))
      const second = yield* Stream.runCollect(tier.scan({ groupPrefix }))

      assert.deepStrictEqual(keysOf(second), keysOf(first))
    })
  ),

  Case.make(
    "scan - resumes after a cursor, losing nothing and ending",
    { list: true },
    Effect.gen(function* () {
      const { tier, groupPrefix } = yield* Case.Subject
      const blobs = yield* populate
      const all = distinct(blobs.map((blob) => blob.header.key.text))
      const entries = yield* Stream.runCollect(tier.scan({ groupPrefix }))

      for (const [index, entry] of entries.entries()) {
        const rest = yield* Stream.runCollect(tier.scan({ groupPrefix, after: entry.cursor }))
        const seen = keysOf(entries.slice(0, index + 1))
        assert.deepStrictEqual(distinct([...seen, ...keysOf(rest)]), all, `after ${entry.key.text}`)
        if (index === entries.length - 1) assert.deepStrictEqual(keysOf(rest), [], "after the last entry")
      }
    })
  ),

  Case.make(
    "scan - resumes after an entry that was removed meanwhile",
    { list: true },
    Effect.gen(function* () {
      const { tier, groupPrefix } = yield* Case.Subject
      yield* populate
      const entries = yield* Stream.runCollect(tier.scan({ groupPrefix }))
      const middle = entries[30]
      if (middle === undefined) assert.fail("a scan of 60 blobs lists more than 30")
      yield* tier.remove(middle.key, 1)

      const rest = yield* Stream.runCollect(tier.scan({ groupPrefix, after: middle.cursor }))

      const before = keysOf(entries.slice(0, 31))
      assert.deepStrictEqual(distinct([...before, ...keysOf(rest)]), distinct(keysOf(entries)))
      assert.notInclude(keysOf(rest), middle.key.text)
    })
  ),

  Case.make(
    "scan - stops when its reader has enough",
    { list: true },
    Effect.gen(function* () {
      const { tier, groupPrefix } = yield* Case.Subject
      yield* populate

      const entries = yield* Stream.runCollect(Stream.take(tier.scan({ groupPrefix }), 5))

      assert.strictEqual(entries.length, 5)
    })
  ),

  Case.make(
    "scan - answers Unsupported where list is not declared",
    { list: false },
    Effect.gen(function* () {
      const { tier } = yield* Case.Subject

      yield* expect.isUnsupported(Stream.runCollect(tier.scan()))
    })
  )
]
