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

/** Texts that no tier gives as a cursor, unless any text will do for it. */
const garbage = ["!", "no cursor", "/", "../../etc/passwd", "\u0000", "🌋", "0", "-1", "null", "{}", "x".repeat(5_000)]

/** Puts 36 blobs of 12 groups, in an order that is not the sorted one. */
const populate = Effect.gen(function* () {
  const { tier, group } = yield* Case.Subject
  const blobs = Array.from({ length: 36 }, (_, index) => {
    const shuffled = (index * 23) % 36
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
        if (index % 3 > 0 && index < entries.length - 1) continue
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
      const middle = entries[18]
      if (middle === undefined) assert.fail("a scan of 36 blobs lists more than 18")
      yield* tier.remove(middle.key, 1)

      const rest = yield* Stream.runCollect(tier.scan({ groupPrefix, after: middle.cursor }))

      const before = keysOf(entries.slice(0, 19))
      assert.deepStrictEqual(distinct([...before, ...keysOf(rest)]), distinct(keysOf(entries)))
      assert.notInclude(keysOf(rest), middle.key.text)
    })
  ),

  Case.make(
    "scan - hides no key that is there all along, whatever is put and removed meanwhile",
    { list: true },
    Effect.gen(function* () {
      const { tier, group, groupPrefix } = yield* Case.Subject
      const blobs = yield* populate
      const lasting = blobs.filter((_, index) => index % 3 > 0)
      const passing = new Map(blobs.filter((_, index) => index % 3 === 0).map(({ header: { key } }) => [key.text, key]))
      let step = 0
      // What was just listed goes, and so does what may be listed next.
      const remove = ({ key }: Entry) =>
        Effect.gen(function* () {
          const [next] = passing.values()
          const gone = passing.get(key.text) ?? next
          if (gone === undefined) return
          passing.delete(gone.text)
          yield* tier.remove(gone, 1)
        })
      // Others come before and after it, and what lasts is replaced.
      const add = ({ key }: Entry) =>
        Effect.gen(function* () {
          const kept = lasting[(++step * 7) % lasting.length]
          if (kept === undefined || step > 12) return
          const { group: old, name } = kept.header.key
          yield* expect.stores(tier, Fixtures.blob({ group: old, name, generation: step + 1 }))
          yield* expect.stores(tier, Fixtures.blob({ group: key.group, name: `a${step}` }))
          yield* expect.stores(tier, Fixtures.blob({ group: group(`g${step}-new`) }))
        })

      for (const meddle of [remove, add]) {
        const entries = yield* Stream.runCollect(Stream.tap(Stream.rechunk(tier.scan({ groupPrefix }), 1), meddle))

        const listed = keysOf(entries)
        for (const { header } of lasting) assert.include(listed, header.key.text)
      }
    })
  ),

  Case.make(
    "scan - resumed page by page, hides no key that is there all along, whatever is put and removed meanwhile",
    { list: true },
    Effect.gen(function* () {
      const { tier, group, groupPrefix } = yield* Case.Subject
      const blobs = yield* populate
      const seen = new Set<string>()
      const removed = new Set<string>()
      let after: string | undefined
      for (let page = 0; ; page++) {
        const entries = yield* Stream.runCollect(Stream.take(tier.scan({ groupPrefix, after }), 7))
        const last = entries.at(-1)
        if (last === undefined || page === 40) break
        for (const { key } of entries) seen.add(key.text)
        after = last.cursor
        // The entry of the cursor, one that was listed, one that perhaps was not, and a group before them all.
        for (const key of [last.key, entries[0]?.key, blobs[page]?.header.key]) {
          if (key === undefined) continue
          yield* tier.remove(key, 1)
          removed.add(key.text)
        }
        yield* expect.stores(tier, Fixtures.blob({ group: group(`g${page % 12}`), name: `new${page}` }))
        yield* expect.stores(tier, Fixtures.blob({ group: group("a"), name: `new${page}` }))
      }

      for (const { header } of blobs) {
        if (!removed.has(header.key.text)) assert.isTrue(seen.has(header.key.text), `${header.key.text} was hidden`)
      }
    })
  ),

  Case.make(
    "scan - answers BadCursor to what is no cursor, or lists nothing that is not there",
    { list: true },
    Effect.gen(function* () {
      const { tier, groupPrefix } = yield* Case.Subject
      const blobs = yield* populate
      const keys = new Set(blobs.map((blob) => blob.header.key.text))
      const [entry] = yield* Stream.runCollect(Stream.take(tier.scan({ groupPrefix }), 1))
      if (entry === undefined) assert.fail("a scan of 36 blobs lists none")

      for (const after of [...garbage, `${entry.cursor}?`, entry.cursor.slice(1), entry.cursor.toUpperCase()]) {
        const result = yield* Effect.result(Stream.runCollect(tier.scan({ groupPrefix, after })))
        if (result._tag === "Failure") {
          assert.strictEqual(result.failure.reason._tag, "BadCursor", `after ${JSON.stringify(after)}`)
          expect.isOf(result.failure, tier, "scan")
        } else {
          for (const key of keysOf(result.success))
            assert.isTrue(keys.has(key), `after ${JSON.stringify(after)}: ${key}`)
        }
      }
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

      yield* expect.failsWith(Stream.runCollect(tier.scan()), "Unsupported", tier, "scan")
    })
  )
]
