/** A library on a store of files whose connection can break, behind memory. */
import { NodeFileSystem } from "@effect/platform-node"
import * as Images from "@terrace/image/Images"
import * as Preset from "@terrace/image/Preset"
import * as FilesystemTier from "@terrace/tier-filesystem/FilesystemTier"
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as Scope from "effect/Scope"
import sharp from "sharp"
import * as ImageLibrary from "../../src/ImageLibrary.ts"
import * as FaultyStore from "./FaultyStore.ts"

export const setup = Effect.gen(function* () {
  const files = yield* FileSystem.FileSystem
  const root = yield* files.makeTempDirectoryScoped()
  const memory = yield* MemoryTier.make({ maxBytes: 10_000_000 })
  const store = FaultyStore.make(yield* FilesystemTier.make({ root, role: "store", durability: "none" }))
  const images = yield* ImageLibrary.make({
    masters: { caches: [{ tier: memory }], store: { tier: store.tier } },
    variants: { caches: [{ tier: memory }] },
    keepOriginal: false,
    presets: new Map([["thumb", Preset.thumb]])
  })
  return { images, memory, store }
})

export const run = <A, E>(test: Effect.Effect<A, E, Images.Images | FileSystem.FileSystem | Scope.Scope>) =>
  Effect.scoped(test).pipe(Effect.provide([NodeFileSystem.layer, Images.layer()]))

export const png = (width: number, height: number): Effect.Effect<Buffer> =>
  Effect.promise(() =>
    sharp({ create: { width, height, channels: 3, background: "#4a7" } })
      .png()
      .toBuffer()
  )

/** The precondition that there is none. */
export const unconditional = () => Effect.undefined
