/** What readers and writers of one key see of one another. */
import { assert } from "@effect/vitest"
import type { Blob } from "@terrace/core/Blob"
import * as Header from "@terrace/core/Header"
import * as Key from "@terrace/core/Key"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as Fixtures from "../../Fixtures.ts"
import * as Case from "../Case.ts"
import * as expect from "../expect.ts"

/** One writer puts the blobs in turn while eight readers read. */
const writerAndReaders = Effect.fnUntraced(function* (blobs: ReadonlyArray<Blob>) {
  const { tier } = yield* Case.Subject
  const [first, ...rest] = blobs
  const last = blobs.at(-1)
  if (first === undefined || last === undefined) assert.fail("no blobs")
  yield* expect.stores(tier, first)
  const writing = yield* Ref.make(true)

  const write = Effect.forEach(rest, (blob) => Effect.andThen(expect.stores(tier, blob), Effect.yieldNow), {
    discard: true
  }).pipe(Effect.ensuring(Ref.set(writing, false)))
  const read = Effect.gen(function* () {
    let latest = 0
    do {
      const answer = yield* expect.reads(tier, first.header.key)
      if (answer === undefined) assert.fail("expected Hit, got Miss")
      const { header, bytes } = answer
      assert.isTrue(Header.verifies(header, bytes), `generation ${header.generation} is torn`)
      assert.isAtLeast(header.generation, latest, "a later read answered an older blob")
      latest = header.generation
      yield* Effect.yieldNow
    } while (yield* Ref.get(writing))
  })
  yield* Effect.all([write, ...Array.from({ length: 8 }, () => read)], { concurrency: "unbounded", discard: true })

  yield* expect.holds(tier, last)
})

export const racing: ReadonlyArray<Case.Case> = [
  Case.make(
    "one writer and eight readers - every read is one whole blob, and none goes back in time",
    {},
    Effect.gen(function* () {
      const { group } = yield* Case.Subject
      yield* writerAndReaders(
        Array.from({ length: 30 }, (_, index) =>
          Fixtures.blob({ group: group("g"), generation: index + 1, size: 1_000 + ((index * 7_919) % 40_000) })
        )
      )
    })
  ),

  Case.make(
    "one writer and eight readers of streamed bodies - every read is one whole blob, and none goes back in time",
    { streaming: true, bodyBytes: 3 * Header.chunkBytes },
    Effect.gen(function* () {
      const { group } = yield* Case.Subject
      yield* writerAndReaders(
        Array.from({ length: 6 }, (_, index) =>
          Fixtures.blob({ group: group("g"), generation: index + 1, size: (1 + (index % 3)) * Header.chunkBytes })
        )
      )
    })
  ),

  Case.make(
    "one writer, one remover and eight readers - every read is one whole blob or none",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const blobs = Array.from({ length: 20 }, (_, index) =>
        Fixtures.blob({ group: group("g"), generation: index + 1, size: 1_000 + ((index * 7_919) % 40_000) })
      )
      const key = Key.makeUnsafe(group("g"), "master")
      const writing = yield* Ref.make(true)
      const during = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.gen(function* () {
          do {
            yield* effect
            yield* Effect.yieldNow
          } while (yield* Ref.get(writing))
        })

      const write = Effect.forEach(blobs, (blob) => Effect.andThen(expect.stores(tier, blob), Effect.yieldNow), {
        discard: true
      }).pipe(Effect.ensuring(Ref.set(writing, false)))
      const remove = during(Effect.andThen(tier.remove(key, 20), tier.removeGroup(key.group, 20)))
      const read = during(expect.holdsOneOf(tier, key, [undefined, ...blobs]))
      yield* Effect.all([write, remove, ...Array.from({ length: 8 }, () => read)], {
        concurrency: "unbounded",
        discard: true
      })

      yield* tier.remove(key, 20)
      yield* expect.misses(tier, key)
    })
  ),

  Case.make(
    "writers of different generations - the newest stays, whatever the order",
    { atomicPut: "process" },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const blobs = [5, 3, 8, 1, 7, 2, 6, 4].map((generation) =>
        Fixtures.blob({ group: group("g"), generation, size: 20_000 })
      )

      const writes = yield* Effect.forEach(blobs, (blob) => tier.put(blob), { concurrency: "unbounded" })

      for (const [index, write] of writes.entries()) {
        const generation = blobs[index]?.header.generation ?? 0
        if (generation === 8) assert.deepStrictEqual(write, { _tag: "Stored" })
        else if (write._tag === "Superseded") assert.isAbove(write.current, generation)
        else assert.strictEqual(write._tag, "Stored")
      }
      const newest = blobs.find((blob) => blob.header.generation === 8)
      if (newest === undefined) assert.fail("no blobs")
      yield* expect.holds(tier, newest)
    })
  ),

  Case.make(
    "writers of one generation with different bytes - one is Stored, the others are Superseded",
    { atomicPut: "process" },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const blobs = Array.from({ length: 8 }, (_, seed) =>
        Fixtures.blob({ group: group("g"), generation: 5, seed, size: 20_000 })
      )

      const writes = yield* Effect.forEach(blobs, (blob) => tier.put(blob), { concurrency: "unbounded" })

      const winners = blobs.filter((_, index) => writes[index]?._tag === "Stored")
      assert.strictEqual(winners.length, 1, "winners")
      assert.strictEqual(writes.filter((write) => write._tag === "Superseded").length, 7, "superseded")
      for (const winner of winners) yield* expect.holds(tier, winner)
    })
  ),

  Case.make(
    "writers that expect `absent` - one is Stored, the others are told of it",
    { atomicPut: "process" },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const blobs = Array.from({ length: 8 }, (_, index) =>
        Fixtures.blob({ group: group("g"), generation: index + 1, size: 20_000 })
      )

      const writes = yield* Effect.forEach(blobs, (blob) => tier.put(blob, { expected: "absent" }), {
        concurrency: "unbounded"
      })

      const winners = blobs.filter((_, index) => writes[index]?._tag === "Stored")
      assert.strictEqual(winners.length, 1, "winners")
      assert.strictEqual(writes.filter((write) => write._tag === "Conflict").length, 7, "conflicts")
      for (const winner of winners) yield* expect.holds(tier, winner)
    })
  ),

  Case.make(
    "put against an older remove - the new blob stays",
    { atomicPut: "process" },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      for (let round = 0; round < 12; round++) {
        const older = Fixtures.blob({ group: group(`g${round}`), generation: 1, size: 5_000 })
        const newer = Fixtures.blob({ group: group(`g${round}`), generation: 2, size: 5_000 })
        yield* expect.stores(tier, older)

        const calls = [expect.stores(tier, newer), tier.remove(older.header.key, 1)]
        yield* Effect.all(round % 2 === 0 ? calls : calls.toReversed(), { concurrency: "unbounded" })

        yield* expect.holds(tier, newer)
      }
    })
  ),

  Case.make(
    "put against a remove of its generation - ends with the new blob or with none, as the remove says",
    { atomicPut: "process" },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      for (let round = 0; round < 12; round++) {
        const blob = Fixtures.blob({ group: group(`g${round}`), generation: 2, size: 5_000 })
        const put = expect.stores(tier, blob)
        const remove = tier.remove(blob.header.key, 2)

        const removal =
          round % 2 === 0
            ? (yield* Effect.all([put, remove], { concurrency: "unbounded" }))[1]
            : (yield* Effect.all([remove, put], { concurrency: "unbounded" }))[0]

        if (removal._tag === "Removed") yield* expect.misses(tier, blob.header.key)
        else if (removal._tag === "Absent") yield* expect.holds(tier, blob)
        else assert.strictEqual(removal._tag, "Accepted")
      }
    })
  ),

  Case.make(
    "put against removeGroup of an older generation - the new blob stays",
    { atomicPut: "process" },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      for (let round = 0; round < 12; round++) {
        const older = Fixtures.blob({ group: group(`g${round}`), generation: 1, size: 5_000 })
        const newer = Fixtures.blob({ group: group(`g${round}`), generation: 2, size: 5_000 })
        yield* expect.stores(tier, older)

        const calls = [expect.stores(tier, newer), tier.removeGroup(older.header.key.group, 1)]
        yield* Effect.all(round % 2 === 0 ? calls : calls.toReversed(), { concurrency: "unbounded" })

        yield* expect.holds(tier, newer)
      }
    })
  )
]
