/**
 * Originals beside masters, where several nodes upload the same bytes.
 */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import type { Tier } from "@terrace/core/Tier"
import * as Images from "@terrace/image/Images"
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import sharp from "sharp"
import * as ImageKeys from "../src/ImageKeys.ts"
import * as ImageLibrary from "../src/ImageLibrary.ts"
import * as Problem from "../src/Problem.ts"

const png = (width: number): Effect.Effect<Buffer> =>
  Effect.promise(() =>
    sharp({ create: { width, height: 20, channels: 3, background: "#4a7" } })
      .png()
      .toBuffer()
  )

/** A store that several nodes write to. */
const shared = Effect.map(MemoryTier.make({ name: "store", maxBytes: 100_000_000 }), (inner): Tier => ({
  ...inner,
  peek: undefined,
  capabilities: { ...inner.capabilities, persistent: true, shared: true }
}))

const nodeOver = (store: Tier) =>
  Effect.gen(function* () {
    const memory = yield* MemoryTier.make({ maxBytes: 10_000_000 })
    return yield* ImageLibrary.make({
      masters: { caches: [{ tier: memory }], store: { tier: store } },
      variants: { caches: [{ tier: memory }] },
      keepOriginal: true,
      presets: new Map()
    })
  })

/** The put of a master, held until it may go on. */
const held = (inner: Tier) => {
  const reached = Deferred.makeUnsafe<void>()
  const open = Deferred.makeUnsafe<void>()
  const tier: Tier = {
    ...inner,
    put: (blob, options) =>
      blob.header.key.name === "master"
        ? Effect.andThen(
            Deferred.succeed(reached, undefined),
            Effect.andThen(Deferred.await(open), inner.put(blob, options))
          )
        : inner.put(blob, options)
  }
  return { tier, reached: Deferred.await(reached), open: Deferred.succeed(open, undefined) }
}

/** Only where there is no image yet. */
const ifNone = (current: unknown) =>
  current === undefined
    ? Effect.succeed("absent" as const)
    : Effect.fail(Problem.of("precondition-failed", "there is one already"))

describe("an upload that comes second", () => {
  it.live("leaves the original of the same bytes that another node has stored first", () =>
    Effect.gen(function* () {
      const store = yield* shared
      const slow = held(store)
      const [here, there] = [yield* nodeOver(slow.tier), yield* nodeOver(store)]
      const image = yield* png(20)
      const late = yield* Effect.forkChild(Effect.flip(here.ingest("hero", image, {}, ifNone)), {
        startImmediately: true
      })
      yield* slow.reached
      const { header } = yield* there.ingest("hero", image, {}, ifNone)
      yield* slow.open
      yield* Fiber.join(late)

      assert.strictEqual((yield* store.get(ImageKeys.original("hero", header.digest)))._tag, "Hit")
    }).pipe(Effect.scoped, Effect.provide([NodeFileSystem.layer, Images.layer()]))
  )

  it.live("takes its own original back if another node has stored other bytes", () =>
    Effect.gen(function* () {
      const store = yield* shared
      const slow = held(store)
      const [here, there] = [yield* nodeOver(slow.tier), yield* nodeOver(store)]
      const late = yield* Effect.forkChild(Effect.flip(here.ingest("hero", yield* png(20), {}, ifNone)), {
        startImmediately: true
      })
      yield* slow.reached
      yield* there.ingest("hero", yield* png(30), {}, ifNone)
      yield* slow.open
      yield* Fiber.join(late)

      assert.strictEqual((yield* store.usage).entries, 2)
    }).pipe(Effect.scoped, Effect.provide([NodeFileSystem.layer, Images.layer()]))
  )
})

describe("an upload that replaces a master", () => {
  it.live("leaves the original that another node has put of the same bytes again", () =>
    Effect.gen(function* () {
      const store = yield* shared
      const [here, there] = [yield* nodeOver(store), yield* nodeOver(store)]
      const [one, two] = [yield* png(20), yield* png(30)]
      const first = yield* here.ingest("hero", one, {}, () => Effect.undefined)
      // Generations tell uploads apart that are not of the same millisecond.
      while ((yield* Clock.currentTimeMillis) <= first.header.createdAt + 2) yield* Effect.yieldNow
      // The other node has put the original again, and its master follows when the first has been replaced.
      const slow = held(store)
      const behind = yield* nodeOver(slow.tier)
      const again = yield* Effect.forkChild(
        behind.ingest("hero", one, {}, () => Effect.undefined),
        { startImmediately: true }
      )
      yield* slow.reached
      yield* there.ingest("hero", two, {}, () => Effect.undefined)
      yield* slow.open
      const { header } = yield* Fiber.join(again)

      assert.strictEqual((yield* store.get(ImageKeys.original("hero", header.digest)))._tag, "Hit")
    }).pipe(Effect.scoped, Effect.provide([NodeFileSystem.layer, Images.layer()]))
  )
})
