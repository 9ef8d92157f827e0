import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import sharp, { type Sharp } from "sharp"
import * as Images from "../src/Images.ts"
import { outputSize } from "../src/internal/geometry.ts"
import * as Preset from "../src/Preset.ts"
import { animation, blackPng, drawn, flat, noise, pixelAt, red } from "./fixtures.ts"

const bytesOf = (pipeline: Sharp) => Effect.promise(() => pipeline.toBuffer())

const reason = (bytes: Uint8Array, preset: Preset.Preset) =>
  Effect.gen(function* () {
    const images = yield* Images.Images
    return (yield* Effect.flip(images.render(bytes, preset))).reason
  })

const strip = (width: number) => Preset.make({ width, height: 1, fit: "contain", format: "png" })

layer(Images.layer())("Images.render", (it) => {
  describe("size", () => {
    it.effect.each<readonly [Parameters<typeof Preset.make>[0], width: number, height: number]>([
      [{}, 300, 200],
      [{ width: 150 }, 150, 100],
      [{ height: 50 }, 75, 50],
      [{ width: 100, height: 100, fit: "inside" }, 100, 67],
      [{ width: 100, height: 100, fit: "outside" }, 150, 100],
      [{ width: 100, height: 100, fit: "cover" }, 100, 100],
      [{ width: 100, height: 100, fit: "contain" }, 100, 100],
      [{ width: 100, height: 100, fit: "fill" }, 100, 100],
      [{ width: 600, height: 600, fit: "inside" }, 300, 200],
      [{ width: 600, height: 600, fit: "outside" }, 300, 200],
      [{ width: 600, height: 100, fit: "cover" }, 300, 100],
      [{ width: 600, height: 100, fit: "fill" }, 300, 100],
      [{ width: 600, height: 600, fit: "contain" }, 600, 600],
      [{ width: 600 }, 300, 200],
      [{ width: 600, enlarge: true }, 600, 400],
      [{ width: 600, height: 600, fit: "inside", enlarge: true }, 600, 400],
      [{ width: 600, height: 600, fit: "outside", enlarge: true }, 900, 600]
    ])("300×200 with %o", ([preset, width, height]) =>
      Effect.gen(function* () {
        const images = yield* Images.Images
        const rendered = yield* images.render(yield* bytesOf(flat(300, 200).webp()), Preset.make(preset))
        assert.deepStrictEqual([rendered.width, rendered.height], [width, height])
        const { width: realWidth, height: realHeight } = yield* images.inspect(rendered.bytes)
        assert.deepStrictEqual([realWidth, realHeight], [width, height])
      })
    )

    it.effect("is known beforehand to within a pixel, for every fit and odd sizes", () =>
      Effect.gen(function* () {
        const images = yield* Images.Images
        for (const [width, height] of [
          [1, 97],
          [97, 1],
          [37, 53],
          [128, 96]
        ] as const) {
          const source = yield* bytesOf(flat(width, height).png())
          for (const fit of Preset.Fit.literals) {
            for (const enlarge of [false, true]) {
              for (const box of [{ width: 41, height: 29 }, { width: 7, height: 64 }, { width: 33 }]) {
                const preset = Preset.make({ ...box, fit, enlarge, format: "png" })
                const expected = outputSize({ width, height }, preset)
                const rendered = yield* images.render(source, preset)
                const label = `${width}×${height} ${Preset.recipe(preset)}`
                assert.isAtMost(Math.abs(rendered.width - expected.width), 1, label)
                assert.isAtMost(Math.abs(rendered.height - expected.height), 1, label)
              }
            }
          }
        }
      })
    )

    it.effect("cover - cuts off evenly", () =>
      Effect.gen(function* () {
        const images = yield* Images.Images
        const bands = drawn(90, 30, (x) => (x >= 30 && x < 60 ? red : { r: 0, g: 0, b: 0 }))
        const preset = Preset.make({ width: 30, height: 30, fit: "cover", format: "png" })
        const { bytes } = yield* images.render(yield* bytesOf(bands.png()), preset)
        for (const x of [0, 15, 29]) {
          assert.deepInclude(yield* Effect.promise(() => pixelAt(bytes, x, 15)), red)
        }
      })
    )
  })

  describe("format", () => {
    it.effect.each([
      ["webp", "image/webp", "webp"],
      ["avif", "image/avif", "heif"],
      ["jpeg", "image/jpeg", "jpeg"],
      ["png", "image/png", "png"]
    ] as const)("%s", ([format, contentType, decoder]) =>
      Effect.gen(function* () {
        const images = yield* Images.Images
        const master = yield* bytesOf(noise(64, 48).webp())
        const rendered = yield* images.render(master, Preset.make({ width: 32, format }))
        assert.deepInclude(rendered, { format, contentType, width: 32, height: 24, frames: 1 })
        const header = yield* Effect.promise(() => sharp(rendered.bytes).metadata())
        assert.strictEqual(header.format, decoder)
      })
    )

    it.effect("jpeg - is progressive, and white where the image is transparent", () =>
      Effect.gen(function* () {
        const images = yield* Images.Images
        const clear = yield* bytesOf(flat(20, 10).ensureAlpha(0).png())
        for (const fit of ["inside", "contain"] as const) {
          const preset = Preset.make({ width: 20, height: 20, fit, format: "jpeg" })
          const { bytes, alpha } = yield* images.render(clear, preset)
          assert.isTrue((yield* Effect.promise(() => sharp(bytes).metadata())).isProgressive)
          assert.deepInclude(yield* Effect.promise(() => pixelAt(bytes, 1, 1)), { r: 255, g: 255, b: 255 })
          assert.isFalse(alpha)
        }
      })
    )

    it.effect.each(["webp", "png", "avif"] as const)("%s - contain leaves the rest transparent", (format) =>
      Effect.gen(function* () {
        const images = yield* Images.Images
        const preset = Preset.make({ width: 20, height: 40, fit: "contain", format })
        const { bytes, alpha } = yield* images.render(yield* bytesOf(flat(20, 10).png()), preset)
        assert.isTrue(alpha)
        assert.strictEqual((yield* Effect.promise(() => pixelAt(bytes, 10, 2))).a, 0)
        assert.strictEqual((yield* Effect.promise(() => pixelAt(bytes, 10, 20))).a, 255)
      })
    )

    it.effect("quality - makes a smaller file, but not of a PNG", () =>
      Effect.gen(function* () {
        const images = yield* Images.Images
        const master = yield* bytesOf(noise(64, 64).webp())
        for (const format of Preset.OutputFormat.literals) {
          const low = yield* images.render(master, Preset.make({ format, quality: 10 }))
          const high = yield* images.render(master, Preset.make({ format, quality: 90 }))
          if (format === "png") assert.strictEqual(low.bytes.byteLength, high.bytes.byteLength)
          else assert.isBelow(low.bytes.byteLength, high.bytes.byteLength)
        }
      })
    )

    it.effect("equal input and preset give equal bytes", () =>
      Effect.gen(function* () {
        const images = yield* Images.Images
        const master = yield* bytesOf(noise(64, 64).webp())
        for (const format of Preset.OutputFormat.literals) {
          const preset = Preset.make({ width: 40, format })
          const [one, other] = [yield* images.render(master, preset), yield* images.render(master, preset)]
          assert.deepStrictEqual(one.bytes, other.bytes)
        }
      })
    )
  })

  describe("animation", () => {
    const source = animation(60, 30, [red, { r: 30, g: 200, b: 30 }, { r: 30, g: 30, b: 200 }]).webp({
      delay: [100, 200, 300],
      loop: 2
    })

    it.effect.each(Preset.Fit.literals)("webp - keeps frames, delays and loop count with fit %s", (fit) =>
      Effect.gen(function* () {
        const images = yield* Images.Images
        const preset = Preset.make({ width: 20, height: 20, fit })
        const rendered = yield* images.render(yield* bytesOf(source.clone()), preset)
        assert.strictEqual(rendered.frames, 3)
        assert.deepInclude(yield* images.inspect(rendered.bytes), {
          width: rendered.width,
          height: rendered.height,
          frames: 3,
          loop: 2,
          delays: [100, 200, 300]
        })
      })
    )

    it.effect.each(["jpeg", "png", "avif"] as const)("%s - shows the first frame", (format) =>
      Effect.gen(function* () {
        const images = yield* Images.Images
        const rendered = yield* images.render(yield* bytesOf(source.clone()), Preset.make({ width: 30, format }))
        assert.deepInclude(rendered, { width: 30, height: 15, frames: 1 })
        const { r, g } = yield* Effect.promise(() => pixelAt(rendered.bytes, 15, 7))
        assert.isTrue(r > 150 && g < 100)
      })
    )

    it.effect("webp - is a still of the first frame if all frames would exceed the output limit", () =>
      Effect.gen(function* () {
        const images = yield* Images.make({ limits: { outputPixels: 2_000 } })
        const bytes = yield* bytesOf(source.clone())
        assert.strictEqual((yield* images.render(bytes, Preset.make({ width: 60 }))).frames, 1)
        assert.strictEqual((yield* images.render(bytes, Preset.make({ width: 30 }))).frames, 3)
      })
    )
  })

  describe("limits", () => {
    it.effect("refuses more than 25 megapixels after all operations, before decoding", () =>
      Effect.gen(function* () {
        const header = blackPng(5_001, 5_000, { withPixels: false })
        const refused = yield* reason(header, Preset.make({ format: "png" }))
        assert.deepInclude(refused, { _tag: "TooManyPixels", side: "output", exceeded: "pixels", width: 5_001 })
      })
    )

    it.effect("refuses a side above 8192 that the fit makes", () =>
      Effect.gen(function* () {
        const line = yield* bytesOf(flat(1, 1_000).png())
        const preset = Preset.make({ width: 100, height: 100, fit: "outside", enlarge: true })
        const refused = yield* reason(line, preset)
        assert.deepInclude(refused, { _tag: "TooManyPixels", side: "output", exceeded: "dimension", height: 100_000 })
      })
    )

    it.effect("refuses a preset side above 8192, and takes 8192", () =>
      Effect.gen(function* () {
        const dot = yield* bytesOf(flat(1, 1).png())
        assert.deepInclude(yield* reason(dot, strip(8_193)), { _tag: "TooManyPixels", limit: 8_192 })
        const images = yield* Images.Images
        assert.strictEqual((yield* images.render(dot, strip(8_192))).width, 8_192)
      })
    )

    it.effect.each([{ width: 0 }, { width: Number.NaN }, { height: -1 }, { quality: 101 }])(
      "refuses %o as a preset that is not valid",
      (wrong) =>
        Effect.gen(function* () {
          const dot = yield* bytesOf(flat(1, 1).png())
          assert.strictEqual((yield* reason(dot, { ...Preset.thumb, ...wrong }))._tag, "InvalidPreset")
        })
    )
  })
})
