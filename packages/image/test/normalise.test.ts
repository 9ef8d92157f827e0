import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import sharp, { type Sharp } from "sharp"
import * as Images from "../src/Images.ts"
import { animation, drawn, flat, pixelAt, red, type Rgb } from "./fixtures.ts"

const bytesOf = (pipeline: Sharp) => Effect.promise(() => pipeline.toBuffer())

const assertNear = (actual: Rgb, { r, g, b }: Rgb, within = 6) => {
  const apart = Math.max(Math.abs(actual.r - r), Math.abs(actual.g - g), Math.abs(actual.b - b))
  assert.isAtMost(apart, within, `${actual.r},${actual.g},${actual.b} is not near ${r},${g},${b}`)
}

/** 32 × 16: red, green above blue, white. */
const quadrants = {
  topLeft: { r: 220, g: 30, b: 30 },
  topRight: { r: 30, g: 200, b: 30 },
  bottomLeft: { r: 30, g: 30, b: 220 },
  bottomRight: { r: 250, g: 250, b: 250 }
}
const upright = (x: number, y: number): Rgb =>
  y < 8 ? (x < 16 ? quadrants.topLeft : quadrants.topRight) : x < 16 ? quadrants.bottomLeft : quadrants.bottomRight
const picture = () => drawn(32, 16, upright)

/** What a camera stores for each orientation: row and column 0 are the sides that EXIF 2.32 §4.6.4 names. */
const stored: ReadonlyArray<readonly [orientation: number, () => Sharp]> = [
  [1, picture],
  [2, () => drawn(32, 16, (x, y) => upright(31 - x, y))],
  [3, () => drawn(32, 16, (x, y) => upright(31 - x, 15 - y))],
  [4, () => drawn(32, 16, (x, y) => upright(x, 15 - y))],
  [5, () => drawn(16, 32, (x, y) => upright(y, x))],
  [6, () => drawn(16, 32, (x, y) => upright(31 - y, x))],
  [7, () => drawn(16, 32, (x, y) => upright(31 - y, 15 - x))],
  [8, () => drawn(16, 32, (x, y) => upright(y, 15 - x))]
]

layer(Images.layer())("Images.normalise", (it) => {
  describe("orientation", () => {
    it.effect.each(stored)("%i - the master is upright", ([orientation, make]) =>
      Effect.gen(function* () {
        const images = yield* Images.Images
        const source = yield* bytesOf(make().withMetadata({ orientation }).jpeg({ quality: 100 }))

        const master = yield* images.normalise(source)

        assert.deepInclude(master, { width: 32, height: 16, sourceFormat: "jpeg" })
        assertNear(yield* Effect.promise(() => pixelAt(master.bytes, 4, 4)), quadrants.topLeft, 12)
        assertNear(yield* Effect.promise(() => pixelAt(master.bytes, 27, 4)), quadrants.topRight, 12)
        assertNear(yield* Effect.promise(() => pixelAt(master.bytes, 4, 11)), quadrants.bottomLeft, 12)
        assertNear(yield* Effect.promise(() => pixelAt(master.bytes, 27, 11)), quadrants.bottomRight, 12)
      })
    )
  })

  describe("colour", () => {
    const sources: ReadonlyArray<readonly [string, () => Sharp, number]> = [
      ["8-bit sRGB", () => flat(16, 16).png(), 4],
      ["8-bit Display P3", () => flat(16, 16).withIccProfile("p3").png(), 4],
      ["16-bit without a profile", () => flat(16, 16).toColourspace("rgb16").png(), 4],
      ["16-bit with an sRGB profile", () => flat(16, 16).toColourspace("rgb16").withIccProfile("srgb").png(), 4],
      ["16-bit with a Display P3 profile", () => flat(16, 16).toColourspace("rgb16").withIccProfile("p3").png(), 4],
      ["CMYK with a profile", () => flat(16, 16).withIccProfile("cmyk").jpeg({ quality: 100 }), 20]
    ]
    it.effect.each(sources)("%s becomes 8-bit sRGB of the same colour", ([, make, within]) =>
      Effect.gen(function* () {
        const images = yield* Images.Images
        const master = yield* images.normalise(yield* bytesOf(make()))
        const header = yield* Effect.promise(() => sharp(master.bytes).metadata())
        assert.deepInclude(header, { format: "webp", space: "srgb", depth: "uchar", hasProfile: false })
        assertNear(yield* Effect.promise(() => pixelAt(master.bytes, 8, 8)), red, within)
      })
    )

    it.effect.each([
      ["8-bit", "b-w"],
      ["16-bit", "grey16"]
    ] as const)("%s grey becomes sRGB", ([, space]) =>
      Effect.gen(function* () {
        const images = yield* Images.Images
        const grey = { r: 128, g: 128, b: 128 }
        const master = yield* images.normalise(yield* bytesOf(flat(16, 16, grey).toColourspace(space).png()))
        assertNear(yield* Effect.promise(() => pixelAt(master.bytes, 8, 8)), grey, 3)
      })
    )

    it.effect("a P3 source holds other numbers than its sRGB master", () =>
      Effect.gen(function* () {
        const source = yield* bytesOf(flat(16, 16).withIccProfile("p3").png())
        const raw = yield* bytesOf(sharp(source, { ignoreIcc: true }).raw())
        assert.isAtLeast(red.r - raw.readUInt8(0), 10)
      })
    )
  })

  it.effect.each(["jpeg", "png", "webp", "gif", "avif"] as const)("%s - becomes WebP of the same size", (format) =>
    Effect.gen(function* () {
      const images = yield* Images.Images
      const master = yield* images.normalise(yield* bytesOf(picture().toFormat(format)))
      assert.deepInclude(master, { contentType: "image/webp", width: 32, height: 16, frames: 1, sourceFormat: format })
      assert.strictEqual((yield* images.inspect(master.bytes)).format, "webp")
    })
  )

  it.effect("AVIF whose major brand is the generic mif1 is accepted", () =>
    Effect.gen(function* () {
      const images = yield* Images.Images
      const source = yield* bytesOf(picture().avif())
      source.write("mif1", 8, "latin1")
      assert.deepInclude(yield* images.normalise(source), { width: 32, sourceFormat: "avif" })
    })
  )

  it.effect("strips EXIF, XMP and the profile", () =>
    Effect.gen(function* () {
      const images = yield* Images.Images
      const source = flat(16, 16)
        .withExif({ IFD0: { Copyright: "someone" }, IFD3: { GPSLatitude: "51/1" } })
        .withXmp(`<x:xmpmeta xmlns:x="adobe:ns:meta/"/>`)
        .withIccProfile("srgb")
        .jpeg()
      const master = yield* images.normalise(yield* bytesOf(source))
      const header = yield* Effect.promise(() => sharp(master.bytes).metadata())
      assert.deepStrictEqual([header.exif, header.xmp, header.icc, header.orientation], Array(4).fill(undefined))
    })
  )

  it.effect("keeps transparency", () =>
    Effect.gen(function* () {
      const images = yield* Images.Images
      const master = yield* images.normalise(yield* bytesOf(flat(16, 16).ensureAlpha(0.5).png()))
      assert.isTrue(master.alpha)
      const pixel = yield* Effect.promise(() => pixelAt(master.bytes, 8, 8))
      assert.isAtMost(Math.abs(pixel.a - 128), 2)
    })
  )

  describe("animation", () => {
    const colours = [red, { r: 30, g: 200, b: 30 }, { r: 30, g: 30, b: 200 }]

    it.effect.each(["gif", "webp"] as const)("%s - keeps frames, delays and loop count", (format) =>
      Effect.gen(function* () {
        const images = yield* Images.Images
        const source = animation(20, 10, colours).toFormat(format, { delay: [100, 200, 300], loop: 3 })
        const master = yield* images.normalise(yield* bytesOf(source))
        assert.deepInclude(master, { width: 20, height: 10, frames: 3 })
        assert.deepInclude(yield* images.inspect(master.bytes), { loop: 3, delays: [100, 200, 300] })
      })
    )

    it.effect("ignores an orientation, which would reverse the frames", () =>
      Effect.gen(function* () {
        const images = yield* Images.Images
        const source = yield* bytesOf(animation(20, 10, colours).withMetadata({ orientation: 3 }).webp())
        const master = yield* images.normalise(source)
        assert.deepInclude(master, { width: 20, height: 10, frames: 3 })
        assertNear(yield* Effect.promise(() => pixelAt(master.bytes, 10, 5)), red, 8)
      })
    )

    it.effect("tells the frames that are left when the encoder merged equal ones", () =>
      Effect.gen(function* () {
        const images = yield* Images.Images
        const source = animation(20, 10, [red, red, { r: 0, g: 0, b: 0 }]).gif({ keepDuplicateFrames: true })
        const master = yield* images.normalise(yield* bytesOf(source))
        assert.strictEqual(master.frames, (yield* images.inspect(master.bytes)).frames)
      })
    )
  })

  it.effect("masterQuality and masterEffort - set the WebP encoder", () =>
    Effect.gen(function* () {
      const source = yield* bytesOf(picture().resize(320).png())
      const better = yield* Images.make({ masterQuality: 100 })
      const worse = yield* Images.make({ masterQuality: 1, masterEffort: 0 })
      const large = yield* better.normalise(source)
      const small = yield* worse.normalise(source)
      assert.isAbove(large.bytes.byteLength, small.bytes.byteLength)
    })
  )
})
