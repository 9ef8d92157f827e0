import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import * as Body from "@terrace/core/Body"
import { hit, type Tier } from "@terrace/core/Tier"
import { TierError, Unavailable } from "@terrace/core/TierError"
import * as Images from "@terrace/image/Images"
import * as Preset from "@terrace/image/Preset"
import * as FilesystemTier from "@terrace/tier-filesystem/FilesystemTier"
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Stream from "effect/Stream"
import { join } from "node:path"
import sharp from "sharp"
import * as ImageKeys from "../src/ImageKeys.ts"
import * as ImageLibrary from "../src/ImageLibrary.ts"

/** Counts what is opened for reading at the file-system layer. */
const counting = Effect.map(FileSystem.FileSystem, (files) => {
  const opened: Array<string> = []
  const counted: FileSystem.FileSystem = {
    ...files,
    open: (path, options) => {
      if (path.endsWith("~master")) opened.push(path)
      return files.open(path, options)
    }
  }
  return { counted, opened }
})

const library = (root: string, options: { readonly inlineBelow?: number; readonly through?: typeof passing } = {}) =>
  Effect.gen(function* () {
    const { inlineBelow, through = passing } = options
    const memory = yield* MemoryTier.make({ maxBytes: 10_000_000 })
    const store = through(yield* FilesystemTier.make({ root: join(root, "masters"), role: "store", inlineBelow }))
    const disk = yield* FilesystemTier.make({ root: join(root, "variants"), role: "cache" })
    return yield* ImageLibrary.make({
      masters: { caches: [{ tier: memory }], store: { tier: store } },
      variants: { caches: [{ tier: memory }, { tier: disk }] },
      keepOriginal: false,
      presets: new Map([["thumb", Preset.thumb]])
    })
  })

const passing = (store: Tier): Tier => store

const temporaryDirectory = Effect.flatMap(FileSystem.FileSystem, (files) => files.makeTempDirectoryScoped())

const png = (width: number, height: number): Promise<Buffer> =>
  sharp({
    create: { width, height, channels: 3, background: "#4a7", noise: { type: "gaussian", mean: 120, sigma: 20 } }
  })
    .png()
    .toBuffer()

const unconditional = () => Effect.undefined

describe("ImageLibrary - a master that is streamed", () => {
  it.live("may be replaced before its first byte is read: the variant is made of what is there then", () =>
    Effect.gen(function* () {
      let beforeOpening: Effect.Effect<unknown> = Effect.void
      const through = (store: Tier): Tier => ({
        ...store,
        get: (key) =>
          Effect.map(store.get(key), (read) => {
            if (read._tag !== "Hit" || read.blob.body._tag === "Inline") return read
            const { body, header } = read.blob
            const open = (range?: Body.Range) =>
              Stream.unwrap(Effect.suspend(() => Effect.as(beforeOpening, body.open(range))))
            return hit({ header, body: Body.streamed(body.size, open) })
          })
      })
      const root = yield* temporaryDirectory
      const image = yield* Effect.promise(() => png(300, 300))
      yield* Effect.scoped(Effect.flatMap(library(root), (images) => images.ingest("hero", image, {}, unconditional)))
      const images = yield* library(root, { inlineBelow: 1, through })
      const replacement = yield* Effect.promise(() => png(200, 100))
      let replacements = 0
      beforeOpening = Effect.suspend(() => {
        replacements += 1
        beforeOpening = Effect.void
        return Effect.orDie(images.ingest("hero", replacement, {}, unconditional))
      })

      const answer = yield* images.variant("hero", Preset.thumb)

      assert.strictEqual(replacements, 1)
      assert.isTrue(answer._tag === "Found" && answer.master.attributes["image.width"] === "200")
    }).pipe(Effect.provide([NodeFileSystem.layer, Images.layer()]))
  )
})

describe("ImageLibrary - an image that is only on disk", () => {
  it.live("is read once for a thousand readers at the same time", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const image = yield* Effect.promise(() => png(300, 300))
      yield* Effect.scoped(Effect.flatMap(library(root), (images) => images.ingest("hero", image, {}, unconditional)))
      const { counted, opened } = yield* counting
      const images = yield* Effect.provideService(library(root), FileSystem.FileSystem, counted)

      const answers = yield* Effect.all(
        Array.from({ length: 1_000 }, () => images.master("hero")),
        { concurrency: "unbounded" }
      )

      assert.strictEqual(opened.length, 1)
      assert.isTrue(answers.every((answer) => answer._tag === "Found"))
    }).pipe(Effect.provide([NodeFileSystem.layer, Images.layer()]))
  )

  it.live("is decoded once for a thousand readers of a variant, and its header is read without its body", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const image = yield* Effect.promise(() => png(300, 300))
      const images = yield* library(root)
      yield* images.ingest("hero", image, {}, unconditional)

      const answers = yield* Effect.all(
        Array.from({ length: 1_000 }, () => images.variant("hero", Preset.thumb)),
        { concurrency: "unbounded" }
      )

      assert.isTrue(answers.every((answer) => answer._tag === "Found"))
      const made = answers.filter((answer) => answer._tag === "Found" && !answer.found.trail.joined)
      assert.strictEqual(made.length, 1)
    }).pipe(Effect.provide([NodeFileSystem.layer, Images.layer()]))
  )

  it.live("keeps the original beside the master if it is asked to, and removes both", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const memory = yield* MemoryTier.make({ maxBytes: 10_000_000 })
      const store = yield* FilesystemTier.make({ root, role: "store" })
      const images = yield* ImageLibrary.make({
        masters: { caches: [{ tier: memory }], store: { tier: store } },
        variants: { caches: [{ tier: memory }] },
        keepOriginal: true,
        presets: new Map()
      })
      const image = yield* Effect.promise(() => png(40, 40))
      const { header } = yield* images.ingest("hero", image, {}, unconditional)

      const original = yield* store.get(ImageKeys.original("hero", header.digest))

      assert.isTrue(original._tag === "Hit" && original.blob.body._tag === "Inline")
      if (original._tag === "Hit" && original.blob.body._tag === "Inline") {
        assert.deepStrictEqual(Buffer.from(original.blob.body.bytes), image)
      }
      assert.strictEqual((yield* memory.usage).entries, 1)
      yield* images.ingest("hero", yield* Effect.promise(() => png(50, 50)), {}, unconditional)
      assert.strictEqual((yield* store.usage).entries, 2)
      yield* images.remove("hero", unconditional)
      assert.strictEqual((yield* store.usage).entries, 0)
    }).pipe(Effect.provide([NodeFileSystem.layer, Images.layer()]))
  )

  it.live("has its own original after any race of uploads and removals", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const memory = yield* MemoryTier.make({ maxBytes: 10_000_000 })
      const store = yield* FilesystemTier.make({ root, role: "store", durability: "none" })
      const images = yield* ImageLibrary.make({
        masters: { caches: [{ tier: memory }], store: { tier: store } },
        variants: { caches: [{ tier: memory }] },
        keepOriginal: true,
        presets: new Map()
      })
      const uploads = yield* Effect.promise(() => Promise.all([png(20, 20), png(21, 20), png(22, 20)]))
      const writes = Array.from({ length: 60 }, (_, index) =>
        index % 7 === 6
          ? images.remove("hero", unconditional)
          : images.ingest("hero", uploads[index % 3] ?? Buffer.alloc(0), {}, unconditional)
      )
      yield* Effect.all(writes, { concurrency: 16 })
      yield* images.ingest("hero", uploads[0] ?? Buffer.alloc(0), {}, unconditional)

      const master = yield* images.header("hero")

      assert.strictEqual(master._tag, "Found")
      assert.strictEqual((yield* store.usage).entries, 2)
      const digest = master._tag === "Found" ? master.header.digest : ""
      assert.strictEqual((yield* store.get(ImageKeys.original("hero", digest)))._tag, "Hit")
    }).pipe(Effect.provide([NodeFileSystem.layer, Images.layer()]))
  )

  it.live("keeps its original when its upload is interrupted, or ends in doubt", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const memory = yield* MemoryTier.make({ maxBytes: 10_000_000 })
      const files = yield* FilesystemTier.make({ root, role: "store", durability: "none" })
      const reached = Deferred.makeUnsafe<void>()
      const open = Deferred.makeUnsafe<void>()
      const reason = new Unavailable({ cause: "connection lost after the write" })
      let mode: "held" | "in doubt" = "held"
      const store: Tier = {
        ...files,
        put: (blob, options) =>
          blob.header.key.name !== "master"
            ? files.put(blob, options)
            : mode === "held"
              ? Effect.andThen(
                  Deferred.succeed(reached, undefined),
                  Effect.andThen(Deferred.await(open), files.put(blob, options))
                )
              : Effect.andThen(
                  files.put(blob, options),
                  Effect.fail(new TierError({ tier: "filesystem", operation: "put", reason }))
                )
      }
      const images = yield* ImageLibrary.make({
        masters: { caches: [{ tier: memory }], store: { tier: store } },
        variants: { caches: [{ tier: memory }] },
        keepOriginal: true,
        presets: new Map()
      })
      const hasOriginal = Effect.gen(function* () {
        const master = yield* images.header("hero")
        const digest = master._tag === "Found" ? master.header.digest : ""
        return (yield* files.get(ImageKeys.original("hero", digest)))._tag
      })
      const [one, other] = yield* Effect.promise(() => Promise.all([png(20, 20), png(30, 30)]))
      const upload = yield* Effect.forkChild(images.ingest("hero", one, {}, unconditional), { startImmediately: true })
      yield* Deferred.await(reached)
      const interruption = yield* Effect.forkChild(Fiber.interrupt(upload), { startImmediately: true })
      yield* Deferred.succeed(open, undefined)
      yield* Fiber.join(interruption)
      assert.strictEqual(yield* hasOriginal, "Hit")

      mode = "in doubt"
      yield* Effect.flip(images.ingest("hero", other, {}, unconditional))

      assert.strictEqual(yield* hasOriginal, "Hit")
    }).pipe(Effect.provide([NodeFileSystem.layer, Images.layer()]))
  )
})
