import { assert, describe, it } from "@effect/vitest"
import * as Trail from "@terrace/core/Trail"
import * as Preset from "@terrace/image/Preset"
import type * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as Effect from "effect/Effect"
import * as Explanation from "../src/Explanation.ts"
import * as ImageKeys from "../src/ImageKeys.ts"
import type { ImageLibrary } from "../src/ImageLibrary.ts"
import type { FaultyStore } from "./support/FaultyStore.ts"
import { png, run, setup, unconditional } from "./support/library.ts"

interface Setup {
  readonly images: ImageLibrary["Service"]
  readonly memory: MemoryTier.MemoryTier["Service"]
  readonly store: FaultyStore
}

const upload = ({ images }: Setup, size: number) =>
  Effect.flatMap(png(size, size), (bytes) => images.ingest("hero", bytes, {}, unconditional))

const forget = ({ memory }: Setup) => memory.remove(ImageKeys.master("hero"), Number.MAX_SAFE_INTEGER)

/** Makes the variant, and reads it until it has come into memory. */
const makeVariant = ({ images }: Setup) =>
  images
    .variant("hero", Preset.thumb)
    .pipe(
      Effect.repeat({ until: (answer) => answer._tag === "Found" && Trail.answeredBy(answer.found.trail) === "memory" })
    )

const inDoubt = (writes: FaultyStore["writes"], reads: FaultyStore["reads"]) => (given: Setup) =>
  Effect.gen(function* () {
    yield* upload(given, 20)
    yield* makeVariant(given)
    given.store.writes = writes
    yield* Effect.flip(upload(given, 30))
    given.store.writes = "answered"
    given.store.reads = reads
  })

/** What has happened to the image `hero` before it is asked for. */
const scenarios: Readonly<Record<string, (given: Setup) => Effect.Effect<unknown, unknown>>> = {
  "is nowhere": () => Effect.void,
  "was asked for and is nowhere": ({ images }) => images.master("hero"),
  "was just uploaded": (given) => upload(given, 20),
  "is in the store only": (given) => Effect.andThen(upload(given, 20), forget(given)),
  "has a variant in memory": (given) => Effect.andThen(upload(given, 20), makeVariant(given)),
  "was removed": (given) => Effect.andThen(upload(given, 20), given.images.remove("hero", unconditional)),
  "was replaced, in doubt, and the store has the new one": inDoubt("landed, in doubt", "answered"),
  "was replaced, in doubt, and the store has the old one": inDoubt("lost, in doubt", "answered"),
  "was replaced, in doubt, and the store does not answer": inDoubt("landed, in doubt", "failing"),
  "is in memory, and the store does not answer": (given) =>
    Effect.andThen(
      upload(given, 20),
      Effect.sync(() => (given.store.reads = "failing"))
    ),
  "is in the store, which does not answer": (given) =>
    Effect.gen(function* () {
      yield* upload(given, 20)
      yield* makeVariant(given)
      yield* forget(given)
      given.store.reads = "failing"
    })
}

interface Answer {
  readonly _tag: string
  readonly trail: Trail.Trail
}

const word = ({ _tag, trail }: Answer): string => {
  const from = Trail.answeredBy(trail)
  return `${_tag === "NotFound" ? "not-found" : from === "producer" ? "made" : "found"} ${from}`
}

const answered = (read: Effect.Effect<Answer, unknown>) =>
  Effect.match(read, { onSuccess: word, onFailure: () => "unavailable undefined" })

describe("ImageLibrary.explain", () => {
  for (const [scenario, prepare] of Object.entries(scenarios)) {
    for (const preset of [undefined, Preset.thumb]) {
      const subject = preset === undefined ? "an image that" : "a variant of an image that"
      it.live(`says what a read answers, and from where, for ${subject} ${scenario}`, () =>
        run(
          Effect.gen(function* () {
            const given = yield* setup
            const { images } = given
            yield* prepare(given)

            const explained = yield* images.explain("hero", preset)

            const read: Effect.Effect<Answer, unknown> =
              preset === undefined
                ? images.master("hero")
                : Effect.map(images.variant("hero", preset), (variant) =>
                    variant._tag === "Found" ? variant.found : variant
                  )
            const { answer, from } = Explanation.describe("hero", preset && "thumb", explained)
            assert.strictEqual(`${answer} ${from}`, yield* answered(read))
          })
        )
      )
    }
  }

  it.live("changes nothing: it reads no bytes, copies nothing and remembers nothing", () =>
    run(
      Effect.gen(function* () {
        const given = yield* setup
        const { images, memory, store } = given
        const before = yield* images.explain("hero", Preset.thumb)
        yield* images.explain("hero", Preset.thumb)
        assert.deepStrictEqual(before.master.answer, { _tag: "NotFound", isRemembered: false })
        assert.deepStrictEqual((yield* images.explain("hero", undefined)).master.answer, before.master.answer)
        yield* upload(given, 20)
        yield* forget(given)
        const { entries } = yield* memory.usage
        const { asked } = store

        yield* images.explain("hero", undefined)
        yield* images.explain("hero", Preset.thumb)

        assert.strictEqual((yield* memory.usage).entries, entries)
        assert.strictEqual(store.asked, asked + 2)
        const statuses = yield* images.status
        assert.deepStrictEqual(
          statuses.flatMap(({ tiers }) => tiers.map(({ counters }) => counters.hits + counters.misses)),
          statuses.flatMap(({ chain, tiers }) => tiers.map(() => (chain === "masters" ? 1 : 0)))
        )
      })
    )
  )
})
