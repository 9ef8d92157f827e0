/**
 * What readers of one key see while it is written.
 *
 * Writers and readers take their turns at random, and the writers give way after every few operations: a tear that is open
 * for one turn is not looked at in step with it, and so is not always missed.
 */
import { assert } from "@effect/vitest"
import type { Blob } from "@terrace/core/Blob"
import * as Header from "@terrace/core/Header"
import * as Key from "@terrace/core/Key"
import type { TierError } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as Fixtures from "../../Fixtures.ts"
import * as Case from "../Case.ts"
import * as expect from "../expect.ts"
import { mulberry32 } from "../mulberry32.ts"
import { advance, inSteps } from "../stepping.ts"

/** Longest pause of a writer or reader, in turns. */
const longestPause = 24

/** Runs `act` once for each blob, while others do what they do, again and again, until it has ended. */
const during = Effect.fnUntraced(function* (
  blobs: ReadonlyArray<Blob>,
  act: (blob: Blob) => Effect.Effect<unknown, TierError>,
  others: ReadonlyArray<Effect.Effect<unknown, TierError>>
) {
  const { seed } = yield* Case.Subject
  const next = mulberry32(seed)
  const pause = Effect.suspend(() => advance(next() % longestPause))
  const writing = yield* Ref.make(true)
  const write = Effect.forEach(blobs, (blob) => Effect.andThen(act(blob), pause), { discard: true })
  const meanwhile = (other: Effect.Effect<unknown, TierError>) =>
    Effect.gen(function* () {
      do {
        yield* other
        yield* pause
      } while (yield* Ref.get(writing))
    })

  yield* expect.seeded(
    seed,
    Effect.all([Effect.ensuring(write, Ref.set(writing, false)), ...others.map(meanwhile)], {
      concurrency: "unbounded",
      discard: true
    })
  )
})

const stepwise: typeof expect.stores = (tier, blob) => inSteps(expect.stores(tier, blob))

/** One writer puts the blobs in turn while eight readers read. */
const writerAndReaders = Effect.fnUntraced(function* (blobs: ReadonlyArray<Blob>, put: typeof expect.stores) {
  const { tier } = yield* Case.Subject
  const [first, ...rest] = blobs
  const last = blobs.at(-1)
  if (first === undefined || last === undefined) assert.fail("no blobs")
  yield* expect.stores(tier, first)
  const reader = Effect.sync(() => {
    let latest = 0
    return Effect.gen(function* () {
      const answer = yield* expect.reads(tier, first.header.key)
      if (answer === undefined) assert.fail("expected Hit, got Miss")
      const { header, bytes } = answer
      assert.isTrue(Header.verifies(header, bytes), `generation ${header.generation} is torn`)
      assert.isAtLeast(header.generation, latest, "a later read answered an older blob")
      latest = header.generation
    })
  })
  const readers = yield* Effect.all(Array.from({ length: 8 }, () => reader))

  yield* during(rest, (blob) => put(tier, blob), readers)

  yield* expect.holds(tier, last)
})

export const racing: ReadonlyArray<Case.Case> = [
  Case.make(
    "one writer and eight readers - every read is one whole blob, and none goes back in time",
    { bodyBytes: 41_000 },
    Effect.gen(function* () {
      const { group } = yield* Case.Subject
      yield* writerAndReaders(
        Array.from({ length: 30 }, (_, index) =>
          Fixtures.blob({ group: group("g"), generation: index + 1, size: 1_000 + ((index * 7_919) % 40_000) })
        ),
        stepwise
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
        ),
        // It gives way with every piece, and the readers' work with each of its steps would be too much.
        expect.stores
      )
    })
  ),

  Case.make(
    "one writer, one remover and eight readers - every read is one whole blob or none",
    { bodyBytes: 41_000 },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const blobs = Array.from({ length: 20 }, (_, index) =>
        Fixtures.blob({ group: group("g"), generation: index + 1, size: 1_000 + ((index * 7_919) % 40_000) })
      )
      const key = Key.makeUnsafe(group("g"), "master")
      const remove = Effect.andThen(tier.remove(key, 20), tier.removeGroup(key.group, 20))
      const read = expect.holdsOneOf(tier, key, [undefined, ...blobs])

      yield* during(blobs, (blob) => stepwise(tier, blob), [remove, ...Array.from({ length: 8 }, () => read)])

      yield* tier.remove(key, 20)
      yield* expect.misses(tier, key)
    })
  )
]
