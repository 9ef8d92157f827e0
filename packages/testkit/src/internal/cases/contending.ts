/** Who wins where several write one key at once: through one tier, and through two that have opened the same storage. */
import { assert } from "@effect/vitest"
import type * as Tier from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Fixtures from "../../Fixtures.ts"
import * as Case from "../Case.ts"
import * as expect from "../expect.ts"

const size = 20_000
const rounds = 12

/** Tiers among whom the calls are divided, in turn; all of them see what each has done. */
type Tiers = readonly [Tier.Tier, Tier.Tier]
type Run = (tiers: Tiers) => Effect.Effect<void, TierError, Case.Subject | Scope.Scope>

/** The case for writers of one tier, and for those of two where newer wins among them too. */
export const contest = (name: string, requires: Case.Requires, run: Run): ReadonlyArray<Case.Case> => [
  Case.make(
    name,
    { ...requires, atomicPut: "process" },
    Effect.flatMap(Case.Subject, ({ tier }) => run([tier, tier]))
  ),
  Case.make(
    `${name}, through two tiers of one storage`,
    { ...requires, atomicPut: "shared", shared: true },
    Effect.gen(function* () {
      const { openAnother, tier } = yield* Case.Subject
      yield* run([tier, yield* openAnother])
    })
  )
]

const inTurn = (tiers: Tiers, index: number): Tier.Tier => tiers[index % 2 === 0 ? 0 : 1]

/** What is there afterwards, as each of them sees it. */
const all = (tiers: Tiers, check: (tier: Tier.Tier) => Effect.Effect<unknown, TierError>) =>
  Effect.forEach(tiers, check, { discard: true })

const together = { concurrency: "unbounded" } as const

export const contending: ReadonlyArray<Case.Case> = [
  ...contest(
    "writers of different generations - the newest stays, whatever the order",
    { bodyBytes: size },
    Effect.fnUntraced(function* (tiers) {
      const { group } = yield* Case.Subject
      const blobs = [5, 3, 8, 1, 7, 2, 6, 4].map((generation) => Fixtures.blob({ group: group("g"), generation, size }))

      const writes = yield* Effect.forEach(blobs, (blob, index) => inTurn(tiers, index).put(blob), together)

      for (const [index, write] of writes.entries()) {
        const generation = blobs[index]?.header.generation ?? 0
        if (generation === 8) assert.deepStrictEqual(write, { _tag: "Stored" })
        else if (write._tag === "Superseded") assert.isAbove(write.current, generation)
        else assert.strictEqual(write._tag, "Stored")
      }
      const newest = blobs.find((blob) => blob.header.generation === 8)
      if (newest === undefined) assert.fail("no blobs")
      yield* all(tiers, (tier) => expect.holds(tier, newest))
    })
  ),

  ...contest(
    "writers of one generation with different bytes - one is Stored, the others are Superseded",
    { bodyBytes: size },
    Effect.fnUntraced(function* (tiers) {
      const { group } = yield* Case.Subject
      const blobs = Array.from({ length: 8 }, (_, seed) =>
        Fixtures.blob({ group: group("g"), generation: 5, seed, size })
      )

      const writes = yield* Effect.forEach(blobs, (blob, index) => inTurn(tiers, index).put(blob), together)

      const winners = blobs.filter((_, index) => writes[index]?._tag === "Stored")
      assert.strictEqual(winners.length, 1, "winners")
      assert.strictEqual(writes.filter((write) => write._tag === "Superseded").length, 7, "superseded")
      for (const winner of winners) yield* all(tiers, (tier) => expect.holds(tier, winner))
    })
  ),

  ...contest(
    "writers that expect `absent` - one is Stored, the others are told of it",
    { bodyBytes: size },
    Effect.fnUntraced(function* (tiers) {
      const { group } = yield* Case.Subject
      const blobs = Array.from({ length: 8 }, (_, index) =>
        Fixtures.blob({ group: group("g"), generation: index + 1, size })
      )
      const put = (blob: (typeof blobs)[number], index: number) =>
        inTurn(tiers, index).put(blob, { expected: "absent" })

      const writes = yield* Effect.forEach(blobs, put, together)

      const winners = blobs.filter((_, index) => writes[index]?._tag === "Stored")
      assert.strictEqual(winners.length, 1, "winners")
      assert.strictEqual(writes.filter((write) => write._tag === "Conflict").length, 7, "conflicts")
      for (const winner of winners) yield* all(tiers, (tier) => expect.holds(tier, winner))
    })
  ),

  ...contest(
    "put against an older remove - the new blob stays",
    { bodyBytes: 5_000 },
    Effect.fnUntraced(function* (tiers) {
      const { group } = yield* Case.Subject
      const [left, right] = tiers
      for (let round = 0; round < rounds; round++) {
        const older = Fixtures.blob({ group: group(`g${round}`), generation: 1, size: 5_000 })
        const newer = Fixtures.blob({ group: group(`g${round}`), generation: 2, size: 5_000 })
        yield* expect.stores(left, older)

        const calls = [expect.stores(left, newer), right.remove(older.header.key, 1)]
        yield* Effect.all(round % 2 === 0 ? calls : calls.toReversed(), together)

        yield* all(tiers, (tier) => expect.holds(tier, newer))
      }
    })
  ),

  ...contest(
    "put against a remove of its generation - ends with the new blob or with none, as the remove says",
    { bodyBytes: 5_000 },
    Effect.fnUntraced(function* (tiers) {
      const { group } = yield* Case.Subject
      const [left, right] = tiers
      for (let round = 0; round < rounds; round++) {
        const blob = Fixtures.blob({ group: group(`g${round}`), generation: 2, size: 5_000 })
        const put = expect.stores(left, blob)
        const remove = right.remove(blob.header.key, 2)

        const removal =
          round % 2 === 0
            ? (yield* Effect.all([put, remove], together))[1]
            : (yield* Effect.all([remove, put], together))[0]

        if (removal._tag === "Removed") yield* all(tiers, (tier) => expect.misses(tier, blob.header.key))
        else if (removal._tag === "Absent") yield* all(tiers, (tier) => expect.holds(tier, blob))
        else assert.fail(`remove of the generation that is there: got ${removal._tag}`)
      }
    })
  ),

  ...contest(
    "put against removeGroup of an older generation - the new blob stays",
    { bodyBytes: 5_000 },
    Effect.fnUntraced(function* (tiers) {
      const { group } = yield* Case.Subject
      const [left, right] = tiers
      for (let round = 0; round < rounds; round++) {
        const older = Fixtures.blob({ group: group(`g${round}`), generation: 1, size: 5_000 })
        const newer = Fixtures.blob({ group: group(`g${round}`), generation: 2, size: 5_000 })
        yield* expect.stores(left, older)

        const calls = [expect.stores(left, newer), right.removeGroup(older.header.key.group, 1)]
        yield* Effect.all(round % 2 === 0 ? calls : calls.toReversed(), together)

        yield* all(tiers, (tier) => expect.holds(tier, newer))
      }
    })
  )
]
