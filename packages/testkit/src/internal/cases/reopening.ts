/** What is there when the storage of a persistent tier is opened again. */
import { assert } from "@effect/vitest"
import type { Blob } from "@terrace/core/Blob"
import * as Body from "@terrace/core/Body"
import type * as Tier from "@terrace/core/Tier"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Fixtures from "../../Fixtures.ts"
import * as Case from "../Case.ts"
import * as expect from "../expect.ts"
import { ended, start, stop } from "../running.ts"
import { advance, begin, untilDone } from "../stepping.ts"
import * as streams from "../streams.ts"

const mebibyte = 1_048_576
const startMillis = 1_700_000_000_000
/** Steps up to here are tried one by one; each costs an opening of the storage. */
const fine = 6

/** Blobs that differ in all that a header can say. */
const samples = (group: string): ReadonlyArray<Blob> => [
  Fixtures.blob({ group, name: "empty", size: 0 }),
  Fixtures.blob({ group, name: "byte", size: 1, generation: 1_700_000_000_000_001 }),
  Fixtures.blob({ group, name: "64k", size: 65_536, contentType: 'image/webp; note="a b"' }),
  Fixtures.blob({
    group: `${group}-2`,
    name: "all~0",
    size: 3_000,
    createdAt: startMillis,
    freshUntil: startMillis + 1,
    expiresAt: 253_402_300_799_999,
    attributes: { title: "Äpfel, 東京 🌋, e\u0301\n\u0000\ud83c", empty: "", "odd key: ü": "1" }
  })
]

const scanned = Effect.fnUntraced(function* (tier: Tier.Tier, groupPrefix: string) {
  if (!tier.capabilities.list) return undefined
  const entries = yield* Stream.runCollect(tier.scan({ groupPrefix }))
  return entries.map(({ key, size }) => `${key.text} ${size}`)
})

/** After a put that was stopped: the new blob if the put was acknowledged, else the new one or the old, whole. */
const oldOrNew = (title: string, hasOld: boolean, isInterrupted: boolean) =>
  Case.make(
    title,
    { persistent: true, bodyBytes: 20_000 },
    Effect.gen(function* () {
      const subject = yield* Case.Subject
      const { group, reopen } = subject
      const blob = (generation: number) => Fixtures.blob({ group: group("g"), generation, size: 20_000 })
      const { key } = blob(1).header
      let { tier } = subject
      let generation = 0
      yield* untilDone(fine, (steps) =>
        Effect.gen(function* () {
          generation += 2
          const old = hasOld ? blob(generation - 1) : undefined
          const next = blob(generation)
          if (old === undefined) yield* tier.remove(key, generation)
          else yield* expect.stores(tier, old)

          const fiber = yield* begin(tier.put(next))
          yield* advance(steps)
          const wasDone = fiber.pollUnsafe() !== undefined
          if (isInterrupted) yield* stop(fiber, `put, interrupted after ${steps} steps,`)
          tier = yield* reopen
          const exit = yield* ended(fiber, "put, whose tier was closed,")

          const isAcknowledged = exit._tag === "Success"
          if (isAcknowledged) assert.deepStrictEqual(exit.value, { _tag: "Stored" })
          yield* expect.holdsOneOf(tier, key, isAcknowledged ? [next] : [old, next])
          yield* expect.stores(tier, next)
          assert.deepStrictEqual(yield* tier.remove(key, generation), { _tag: "Removed" })
          return wasDone
        })
      )
    })
  )

export const reopening: ReadonlyArray<Case.Case> = [
  Case.make(
    "reopening - finds every blob with all of its header, listed and counted as before",
    { persistent: true, bodyBytes: 65_536 },
    Effect.gen(function* () {
      const { tier, group, groupPrefix, reopen } = yield* Case.Subject
      const blobs = samples(group("g"))
      for (const blob of blobs) yield* expect.stores(tier, blob)
      const listed = yield* scanned(tier, groupPrefix)
      const usage = yield* expect.counted(tier)

      for (let round = 0; round < 2; round++) {
        const again = yield* reopen

        for (const blob of blobs) yield* expect.holds(again, blob)
        assert.deepStrictEqual(yield* scanned(again, groupPrefix), listed)
        if (usage === undefined) continue
        yield* expect.countsExactly(again)
        assert.deepStrictEqual(yield* expect.counted(again), usage)
      }
    })
  ),

  Case.make(
    "reopening - finds large bodies whole, and delivers ranges of them",
    { persistent: true, streaming: true, bodyBytes: 2 * mebibyte + 7 },
    Effect.gen(function* () {
      const { tier, group, reopen } = yield* Case.Subject
      const blob = Fixtures.blob({ group: group("g"), size: 2 * mebibyte + 7 })
      yield* expect.stores(tier, blob)

      const again = yield* reopen

      yield* expect.holds(again, blob)
      const read = yield* again.get(blob.header.key)
      if (read._tag !== "Hit") assert.fail(`expected Hit, got ${read._tag}`)
      const range = { start: mebibyte - 1, end: mebibyte + 1 }
      const got = yield* Stream.runCollect(Body.toStream(read.blob.body, range))
      expect.sameBytes(Buffer.concat(got), (yield* Body.toBytes(blob.body)).subarray(range.start, range.end))
    })
  ),

  Case.make(
    "reopening - finds nothing of what was removed, and the newest of what was replaced",
    { persistent: true },
    Effect.gen(function* () {
      const { tier, group, reopen } = yield* Case.Subject
      const removed = Fixtures.blob({ group: group("g"), name: "removed" })
      const members = ["a", "b"].map((name) => Fixtures.blob({ group: group("purged"), name }))
      const older = Fixtures.blob({ group: group("g"), name: "replaced", generation: 7, size: 4_000 })
      const newer = Fixtures.blob({ group: group("g"), name: "replaced", generation: 8 })
      for (const blob of [removed, ...members, older, newer]) yield* expect.stores(tier, blob)
      yield* tier.remove(removed.header.key, 1)
      yield* tier.removeGroup(group("purged"), 1)

      const again = yield* reopen

      for (const { header } of [removed, ...members]) yield* expect.misses(again, header.key)
      yield* expect.holds(again, newer)
      assert.deepStrictEqual(yield* again.remove(removed.header.key, 1), { _tag: "Absent" })
    })
  ),

  Case.make(
    "reopening - knows which generation is there",
    { persistent: true },
    Effect.gen(function* () {
      const { tier, group, reopen } = yield* Case.Subject
      const current = Fixtures.blob({ group: group("g"), generation: 8 })
      yield* expect.stores(tier, current)

      const again = yield* reopen

      const older = yield* again.put(Fixtures.blob({ group: group("g"), generation: 7 }))
      assert.deepStrictEqual(older, { _tag: "Superseded", current: 8 })
      yield* expect.stores(again, current, { expected: "absent" })
      const other = yield* again.put(Fixtures.blob({ group: group("g"), generation: 9 }), { expected: 7 })
      assert.deepStrictEqual(other, { _tag: "Conflict", current: 8 })
      assert.deepStrictEqual(yield* again.remove(current.header.key, 7), { _tag: "Superseded", current: 8 })
      yield* expect.holds(again, current)
    })
  ),

  Case.make(
    "reopening - keeps times absolute: what expired meanwhile is absent, what expires later is there until then",
    { persistent: true, clock: "test" },
    Effect.gen(function* () {
      const { tier, group, reopen } = yield* Case.Subject
      const early = Fixtures.blob({
        group: group("g"),
        name: "early",
        createdAt: startMillis,
        expiresAt: startMillis + 1_000
      })
      const late = Fixtures.blob({
        group: group("g"),
        name: "late",
        createdAt: startMillis,
        expiresAt: startMillis + 5_000
      })
      yield* TestClock.setTime(startMillis)
      for (const blob of [early, late]) yield* expect.stores(tier, blob)

      yield* TestClock.setTime(startMillis + 2_000)
      const again = yield* reopen

      yield* expect.misses(again, early.header.key)
      yield* expect.holds(again, late)
      yield* TestClock.setTime(startMillis + 4_999)
      yield* expect.holds(again, late)
      yield* TestClock.setTime(startMillis + 5_000)
      yield* expect.misses(again, late.header.key)
    })
  ),

  Case.make(
    "reopening - a tier that was closed answers no Miss and stores nothing",
    { persistent: true },
    Effect.gen(function* () {
      const { tier, group, reopen } = yield* Case.Subject
      const blob = Fixtures.blob({ group: group("g"), generation: 7 })
      const next = Fixtures.blob({ group: group("g"), generation: 8 })
      yield* expect.stores(tier, blob)

      const again = yield* reopen

      const tagOf = ({ _tag }: Tier.Read | Tier.ReadHeader) => _tag
      for (const read of [
        Effect.map(tier.get(blob.header.key), tagOf),
        Effect.map(tier.head(blob.header.key), tagOf)
      ]) {
        const result = yield* Effect.result(read)
        if (result._tag === "Success") assert.notStrictEqual(result.success, "Miss", "read after closing")
      }
      const put = yield* Effect.result(tier.put(next))
      if (put._tag === "Success") assert.notStrictEqual(put.success._tag, "Stored", "put after closing")
      yield* expect.holds(again, blob)
    })
  ),

  oldOrNew(
    "reopening - after a put over an old blob that was interrupted at any step, finds one of them whole",
    true,
    true
  ),
  oldOrNew(
    "reopening - after a put of a new key that was interrupted at any step, finds it whole or nothing",
    false,
    true
  ),
  oldOrNew("reopening - while a put over an old blob is at any step, finds one of them whole", true, false),
  oldOrNew("reopening - while a put of a new key is at any step, finds it whole or nothing", false, false),

  Case.make(
    "reopening - after a streamed put that was interrupted at any piece, finds the old blob and counts as before",
    { persistent: true, streaming: true, bodyBytes: 2 * mebibyte },
    Effect.gen(function* () {
      const { tier, group, reopen } = yield* Case.Subject
      const current = Fixtures.blob({ group: group("g"), generation: 1 })
      const next = Fixtures.blob({ group: group("g"), generation: 2, size: 2 * mebibyte })
      const pieces = streams.pieces(yield* Body.toBytes(next.body), 500_000)
      yield* expect.stores(tier, current)
      const usage = yield* expect.counted(tier)
      let open = tier
      for (let taken = 0; taken < pieces.length; taken++) {
        const { delivered, stream } = yield* streams.stalling(pieces.slice(0, taken))
        const body = Body.streamed(next.header.size, () => stream)
        const fiber = yield* start(open.put({ header: next.header, body }))
        yield* delivered
        // By turns: the caller leaves, or the tier is closed while the stream is awaited.
        if (taken % 2 === 0) yield* stop(fiber, "put, interrupted while it waits for its stream,")

        open = yield* reopen

        if (taken % 2 === 1) yield* stop(fiber, "put, whose tier was closed and which was interrupted,")
        yield* expect.holds(open, current)
        if (usage === undefined) continue
        yield* expect.countsExactly(open)
        assert.deepStrictEqual(yield* expect.counted(open), usage)
      }
      yield* expect.stores(open, next)
      yield* expect.holds(yield* reopen, next)
    })
  ),

  Case.make(
    "two tiers of one storage - each sees at once what the other has put, replaced and removed",
    { shared: true },
    Effect.gen(function* () {
      const { tier, group, openAnother } = yield* Case.Subject
      const other = yield* openAnother
      const older = Fixtures.blob({ group: group("g"), generation: 7, size: 4_000 })
      const newer = Fixtures.blob({ group: group("g"), generation: 8 })
      yield* expect.misses(other, older.header.key)

      yield* expect.stores(tier, older)
      yield* expect.holds(other, older)
      yield* expect.stores(other, newer)
      yield* expect.holds(tier, newer)
      assert.deepStrictEqual(yield* tier.put(older), { _tag: "Superseded", current: 8 })
      assert.deepStrictEqual(yield* tier.remove(newer.header.key, 8), { _tag: "Removed" })
      yield* expect.misses(other, newer.header.key)
    })
  )
]
