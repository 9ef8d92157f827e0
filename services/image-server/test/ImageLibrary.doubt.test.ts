import { assert, describe, it } from "@effect/vitest"
import { ChainUnavailable } from "@terrace/core/ChainError"
import type { Header } from "@terrace/core/Header"
import * as Trail from "@terrace/core/Trail"
import * as Preset from "@terrace/image/Preset"
import * as Effect from "effect/Effect"
import * as CacheStatus from "../src/CacheStatus.ts"
import * as ImageLibrary from "../src/ImageLibrary.ts"
import { png, run, setup, unconditional } from "./support/library.ts"

/** A precondition that takes note of what it is asked about. */
const noting = (seen: Array<string | undefined>) => (current: Header | undefined) =>
  Effect.sync(() => {
    seen.push(current?.digest)
    return current?.generation ?? ("absent" as const)
  })

/** What every way of reading an image finds: the digest of its master, thrice, or that there is none. */
const found = (images: ImageLibrary.ImageLibrary["Service"]) =>
  Effect.gen(function* () {
    const variant = yield* images.variant("hero", Preset.thumb)
    const master = yield* images.master("hero")
    const header = yield* images.header("hero")
    return [
      master._tag === "Found" ? master.blob.header.digest : "none",
      header._tag === "Found" ? header.header.digest : "none",
      variant._tag === "Found" ? variant.master.digest : "none"
    ]
  })

const thrice = (digest: string) => [digest, digest, digest]

describe("an upload of which it is not known whether it was stored", () => {
  it.live("is served if the store has it, though memory has the image before it", () =>
    run(
      Effect.gen(function* () {
        const { images, store } = yield* setup
        const first = yield* images.ingest("hero", yield* png(20, 20), {}, unconditional)
        yield* images.variant("hero", Preset.thumb)
        store.writes = "landed, in doubt"
        yield* Effect.flip(images.ingest("hero", yield* png(30, 30), {}, unconditional))
        store.writes = "answered"

        const master = yield* images.master("hero")

        const digest = master._tag === "Found" ? master.blob.header.digest : "none"
        assert.notStrictEqual(digest, first.header.digest)
        assert.strictEqual(
          CacheStatus.cacheStatus(master.trail),
          "terrace-filesystem;hit, terrace-memory;fwd=stale;detail=outdated"
        )
        assert.deepStrictEqual(yield* found(images), thrice(digest))
      })
    )
  )

  it.live("is not served if the store does not have it: the image before it is confirmed, and served from memory", () =>
    run(
      Effect.gen(function* () {
        const { images, store } = yield* setup
        const { header } = yield* images.ingest("hero", yield* png(20, 20), {}, unconditional)
        store.writes = "lost, in doubt"
        yield* Effect.flip(images.ingest("hero", yield* png(30, 30), {}, unconditional))
        store.writes = "answered"

        const master = yield* images.master("hero")

        assert.deepStrictEqual(
          master.trail.steps.map(({ outcome, tier }) => `${tier} ${outcome._tag}`),
          ["memory Hit", "filesystem Confirmed"]
        )
        assert.deepStrictEqual(yield* found(images), thrice(header.digest))
        const { asked } = store
        yield* images.master("hero")
        assert.strictEqual(store.asked, asked)
      })
    )
  )

  it.live("leaves the image before it readable while the store cannot say, marked as unconfirmed in every form", () =>
    run(
      Effect.gen(function* () {
        const { images, store } = yield* setup
        const { header } = yield* images.ingest("hero", yield* png(20, 20), {}, unconditional)
        yield* images.variant("hero", Preset.thumb)
        store.writes = "landed, in doubt"
        yield* Effect.flip(images.ingest("hero", yield* png(30, 30), {}, unconditional))
        store.reads = "failing"

        const master = yield* images.master("hero")
        const variant = yield* images.variant("hero", Preset.thumb)

        assert.strictEqual(master._tag === "Found" ? master.blob.header.digest : "none", header.digest)
        assert.strictEqual(CacheStatus.cacheStatus(master.trail), "terrace-memory;hit;detail=unconfirmed")
        assert.isTrue(variant._tag === "Found" && Trail.isUnconfirmed(variant.found.trail))
        store.reads = "answered"
        const [digest = ""] = yield* found(images)
        assert.notStrictEqual(digest, header.digest)
        assert.deepStrictEqual(yield* found(images), thrice(digest))
      })
    )
  )

  it.live("lets no write decide on the image before it while the store cannot say", () =>
    run(
      Effect.gen(function* () {
        const { images, store } = yield* setup
        const { header } = yield* images.ingest("hero", yield* png(20, 20), {}, unconditional)
        store.writes = "landed, in doubt"
        yield* Effect.flip(images.ingest("hero", yield* png(30, 30), {}, unconditional))
        store.writes = "answered"
        store.reads = "failing"
        const seen: Array<string | undefined> = []

        const upload = yield* Effect.flip(images.ingest("hero", yield* png(40, 40), {}, noting(seen)))
        const removal = yield* Effect.flip(images.remove("hero", noting(seen)))

        assert.instanceOf(upload, ChainUnavailable)
        assert.deepInclude(removal, { chain: "masters", tiers: [{ tier: "filesystem", why: "Unavailable" }] })
        assert.deepStrictEqual(seen, [])
        store.reads = "answered"
        const replaced = yield* images.ingest("hero", yield* png(40, 40), {}, noting(seen))
        assert.isFalse(replaced.created)
        assert.strictEqual(seen.length, 2)
        assert.notInclude(seen, header.digest)
        assert.deepStrictEqual(yield* found(images), thrice(replaced.header.digest))
      })
    )
  )

  it.live("ends an absence that is remembered: what the store has now is served", () =>
    run(
      Effect.gen(function* () {
        for (const writes of ["landed, in doubt", "lost, in doubt"] as const) {
          const { images, store } = yield* setup
          assert.deepStrictEqual(yield* found(images), thrice("none"))
          store.writes = writes
          yield* Effect.flip(images.ingest("hero", yield* png(30, 30), {}, unconditional))
          store.writes = "answered"
          const { asked } = store

          const [digest = ""] = yield* found(images)

          assert.strictEqual(digest !== "none", writes === "landed, in doubt")
          assert.deepStrictEqual(yield* found(images), thrice(digest))
          assert.isAbove(store.asked, asked)
        }
      })
    )
  )
})

describe("a removal of which it is not known whether it took place", () => {
  it.live("is answered by what the store has", () =>
    run(
      Effect.gen(function* () {
        for (const writes of ["landed, in doubt", "lost, in doubt"] as const) {
          const { images, store } = yield* setup
          const { header } = yield* images.ingest("hero", yield* png(20, 20), {}, unconditional)
          yield* images.variant("hero", Preset.thumb)
          store.writes = writes
          yield* Effect.flip(images.remove("hero", unconditional))
          store.writes = "answered"

          assert.deepStrictEqual(yield* found(images), thrice(writes === "landed, in doubt" ? "none" : header.digest))
        }
      })
    )
  )
})

describe("an absence that is remembered", () => {
  it.live("spares the store, and does not outlive an upload or a removal", () =>
    run(
      Effect.gen(function* () {
        const { images, store } = yield* setup
        assert.deepStrictEqual(yield* found(images), thrice("none"))
        const { asked } = store
        assert.deepStrictEqual(yield* found(images), thrice("none"))
        assert.strictEqual(store.asked, asked)
        const seen: Array<string | undefined> = []

        const first = yield* images.ingest("hero", yield* png(20, 20), {}, noting(seen))
        assert.deepStrictEqual(yield* found(images), thrice(first.header.digest))
        const second = yield* images.ingest("hero", yield* png(30, 30), {}, noting(seen))
        assert.deepStrictEqual(yield* found(images), thrice(second.header.digest))
        yield* images.remove("hero", noting(seen))
        assert.deepStrictEqual(yield* found(images), thrice("none"))
        const third = yield* images.ingest("hero", yield* png(40, 40), {}, noting(seen))
        assert.deepStrictEqual(yield* found(images), thrice(third.header.digest))

        assert.deepStrictEqual([first.created, second.created, third.created], [true, false, true])
        const { digest: one } = first.header
        const { digest: two } = second.header
        assert.deepStrictEqual(seen, [undefined, undefined, one, one, two, undefined, undefined])
      })
    )
  )

  it.live("gives way to an image that came into the store by another way, when a write with a condition meets it", () =>
    run(
      Effect.gen(function* () {
        const { images, memory, store } = yield* setup
        const other = yield* ImageLibrary.make({
          masters: { caches: [{ tier: memory }], store: { tier: store.tier } },
          variants: { caches: [] },
          keepOriginal: false,
          presets: new Map()
        })
        assert.deepStrictEqual(yield* found(images), thrice("none"))
        yield* memory.removeGroup("hero", Number.MAX_SAFE_INTEGER)
        const { header } = yield* other.ingest("hero", yield* png(20, 20), {}, unconditional)
        yield* memory.removeGroup("hero", Number.MAX_SAFE_INTEGER)
        const seen: Array<string | undefined> = []

        const { created } = yield* images.ingest("hero", yield* png(30, 30), {}, noting(seen))

        assert.isFalse(created)
        assert.strictEqual(seen.at(-1), header.digest)
      })
    )
  )
})

describe("readiness", () => {
  it.live("is what the store answers now, never what is remembered of it", () =>
    run(
      Effect.gen(function* () {
        const { images, store } = yield* setup
        yield* images.ready
        store.reads = "failing"

        const error = yield* Effect.flip(images.ready)

        assert.deepInclude(error, { chain: "masters", tiers: [{ tier: "filesystem", why: "Unavailable" }] })
        store.reads = "answered"
        yield* images.ready
      })
    )
  )
})

describe("a store that fails again and again", () => {
  it.live("is not asked for a while, and says how long", () =>
    run(
      Effect.gen(function* () {
        const { images, store } = yield* setup
        const { header } = yield* images.ingest("hero", yield* png(20, 20), {}, unconditional)
        store.reads = "failing"
        for (let failure = 0; failure < 5; failure++) yield* Effect.flip(images.ready)

        const write = yield* Effect.flip(images.ingest("hero", yield* png(30, 30), {}, unconditional))
        const readiness = yield* Effect.flip(images.ready)

        const wait = write._tag === "TierError" && write.reason._tag === "BreakerOpen" && write.reason.retryAfterMillis
        assert.isTrue(typeof wait === "number" && wait > 0 && wait <= 1_000)
        assert.deepInclude(readiness, { tiers: [{ tier: "filesystem", why: "breaker-open" }] })
        assert.deepStrictEqual(yield* found(images), thrice(header.digest))
        const [masters] = yield* images.status
        assert.deepInclude(masters?.tiers.at(-1), { tier: "filesystem", breaker: "open" })
      })
    )
  )
})
