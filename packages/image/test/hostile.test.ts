import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import sharp, { type Sharp } from "sharp"
import type * as ImageError from "../src/ImageError.ts"
import * as Images from "../src/Images.ts"
import * as Preset from "../src/Preset.ts"
import {
  animation,
  blackPng,
  flat,
  hevcCalledAvif,
  hollowGif,
  isoMedia,
  noise,
  pdf,
  red,
  svg,
  textBombs
} from "./fixtures.ts"

const bytesOf = (pipeline: Sharp) => Effect.promise(() => pipeline.toBuffer())

const refused = <A>(operation: Effect.Effect<A, ImageError.ImageError>) =>
  Effect.map(Effect.flip(operation), (error) => error.reason)

/** What inspect, normalise and render say, which must be the same reason. */
const refusal = Effect.fnUntraced(function* (bytes: Uint8Array, options?: Images.Options) {
  const images = yield* Images.make(options)
  const reason = yield* refused(images.inspect(bytes))
  assert.deepStrictEqual(yield* refused(images.normalise(bytes)), reason)
  assert.deepStrictEqual(yield* refused(images.render(bytes, Preset.thumb)), reason)
  return reason
})

const text = (value: string) => Effect.succeed(Buffer.from(value))

layer(Images.layer())("A hostile image", (it) => {
  describe("of another type is refused by name", () => {
    it.effect.each([
      ["svg", text(svg)],
      ["pdf", text(pdf)],
      ["html", text("<html><script>alert(1)</script></html>")],
      ["heic", Effect.succeed(isoMedia("heic", "mif1"))],
      ["avif-sequence", Effect.succeed(isoMedia("avis", "avif", "msf1"))],
      ["tiff", Effect.suspend(() => bytesOf(flat(8, 8).tiff()))],
      ["unknown", text("hello")]
    ] as const)("%s", ([detected, make]) =>
      Effect.gen(function* () {
        const reason = yield* refusal(yield* make)
        assert.deepInclude(reason, { _tag: "UnsupportedType", detected })
      })
    )
  })

  it.effect("HEVC under the brand of AVIF is refused by name when its pixels are asked for", () =>
    Effect.gen(function* () {
      const images = yield* Images.Images
      const bytes = hevcCalledAvif()
      assert.deepInclude(yield* images.inspect(bytes), { format: "avif", width: 64 })
      const reason = yield* refused(images.normalise(bytes))
      assert.deepInclude(reason, { _tag: "UnsupportedType", detected: "heic" })
    })
  )

  it.effect("no loader but the accepted five is left in libvips, and none that reads files", () =>
    Effect.gen(function* () {
      yield* Images.Images
      const tiff = yield* bytesOf(flat(8, 8).tiff())
      for (const bytes of [Buffer.from(svg), Buffer.from(pdf), tiff]) {
        const failure = yield* Effect.flip(Effect.tryPromise(() => sharp(bytes).metadata()))
        assert.include(String(failure.cause), "unsupported image format")
      }
      const directory = yield* Effect.promise(() => mkdtemp(join(tmpdir(), "terrace-image-")))
      const file = join(directory, "fine.png")
      yield* Effect.promise(() => flat(8, 8).toFile(file))
      const failure = yield* Effect.flip(Effect.tryPromise(() => sharp(file).metadata()))
      yield* Effect.promise(() => rm(directory, { recursive: true }))
      assert.include(String(failure.cause), "unsupported image format")
    })
  )

  it.effect("without bytes is undecodable and says so", () =>
    Effect.gen(function* () {
      const reason = yield* refusal(new Uint8Array(0))
      assert.deepInclude(reason, { _tag: "Undecodable", detail: "there are no bytes" })
    })
  )

  describe("that is too large is refused by its header", () => {
    it.effect("a PNG that declares 30,000 × 30,000 and holds nothing", () =>
      Effect.gen(function* () {
        const reason = yield* refusal(blackPng(30_000, 30_000, { withPixels: false }))
        assert.deepInclude(reason, { _tag: "TooManyPixels", side: "input", exceeded: "dimension", limit: 16_383 })
      })
    )

    it.effect("a real PNG of 100 megapixels in a few kilobytes", () =>
      Effect.gen(function* () {
        const bytes = blackPng(10_000, 10_000, { withPixels: true })
        assert.isBelow(bytes.byteLength, 20_000)
        const reason = yield* refusal(bytes)
        assert.deepInclude(reason, { _tag: "TooManyPixels", exceeded: "pixels", width: 10_000, limit: 50_000_000 })
      })
    )

    it.effect("a GIF whose frames multiply", () =>
      Effect.gen(function* () {
        const reason = yield* refusal(hollowGif(1_000, 1_000, 51))
        assert.deepInclude(reason, { _tag: "TooManyPixels", exceeded: "pixels", width: 1_000, frames: 51 })
      })
    )

    it.effect("a GIF of 200,000 frames of one pixel", () =>
      Effect.gen(function* () {
        const reason = yield* refusal(hollowGif(1, 1, 200_000))
        assert.deepInclude(reason, { _tag: "TooManyPixels", exceeded: "frames", frames: 200_000, limit: 1_000 })
      })
    )

    it.effect.each(["jpeg", "png", "webp", "gif", "avif"] as const)("%s, by limits of the deployment", (format) =>
      Effect.gen(function* () {
        const bytes = yield* bytesOf(flat(101, 100).toFormat(format))
        const pixels = yield* refusal(bytes, { limits: { inputPixels: 10_000 } })
        assert.deepInclude(pixels, { _tag: "TooManyPixels", exceeded: "pixels", width: 101, height: 100 })
        const side = yield* refusal(bytes, { limits: { inputSide: 100 } })
        assert.deepInclude(side, { _tag: "TooManyPixels", exceeded: "dimension", limit: 100 })
        const images = yield* Images.make({ limits: { inputPixels: 10_100, inputSide: 101 } })
        assert.strictEqual((yield* images.normalise(bytes)).width, 101)
      })
    )

    it.effect.each(["webp", "gif"] as const)("animated %s, by frames", (format) =>
      Effect.gen(function* () {
        const colours = [red, { r: 0, g: 0, b: 0 }, { r: 255, g: 255, b: 255 }]
        const bytes = yield* bytesOf(animation(20, 10, colours).toFormat(format))
        assert.deepInclude(yield* refusal(bytes, { limits: { frames: 2 } }), { exceeded: "frames", frames: 3 })
        assert.deepInclude(yield* refusal(bytes, { limits: { inputPixels: 599 } }), { exceeded: "pixels", frames: 3 })
      })
    )
  })

  describe("that was cut off is undecodable", () => {
    const sources: ReadonlyArray<readonly [string, () => Sharp]> = [
      ["JPEG", () => noise(300, 200).jpeg()],
      ["progressive JPEG", () => noise(300, 200).jpeg({ progressive: true })],
      ["PNG", () => noise(300, 200).png()],
      ["interlaced PNG", () => noise(300, 200).png({ progressive: true })],
      ["WebP", () => noise(300, 200).webp()],
      ["lossless WebP", () => noise(300, 200).webp({ lossless: true })],
      ["GIF", () => noise(300, 200).gif()],
      ["AVIF", () => noise(300, 200).avif({ effort: 0 })]
    ]
    it.effect.each(sources)("%s", ([, make]) =>
      Effect.gen(function* () {
        const images = yield* Images.Images
        const whole = yield* bytesOf(make())
        assert.strictEqual((yield* images.normalise(whole)).width, 300)
        for (const part of [0.02, 0.3, 0.7, 0.98]) {
          const cut = whole.subarray(0, Math.round(whole.byteLength * part))
          const reason = yield* refused(images.normalise(cut))
          assert.strictEqual(reason._tag, "Undecodable", `${part}`)
          assert.match(reason.message, /^[\x20-\x7e…]+$/)
          assert.strictEqual((yield* refused(images.render(cut, Preset.thumb)))._tag, "Undecodable", `${part}`)
        }
      })
    )
  })

  it.effect("an animated WebP that lost its last frames is undecodable", () =>
    Effect.gen(function* () {
      const images = yield* Images.Images
      const whole = yield* bytesOf(animation(200, 100, [red, { r: 0, g: 9, b: 0 }, { r: 0, g: 0, b: 99 }]).webp())
      const { reason } = yield* Effect.flip(images.normalise(whole.subarray(0, whole.byteLength - 40)))
      assert.strictEqual(reason._tag, "Undecodable")
    })
  )

  it.effect("a PNG with a checksum that does not match is undecodable", () =>
    Effect.gen(function* () {
      const images = yield* Images.Images
      const bytes = Buffer.from(yield* bytesOf(noise(100, 100).png()))
      const inPixels = bytes.byteLength - 30
      bytes.writeUInt8(bytes.readUInt8(inPixels) ^ 0xff, inPixels)
      const { reason } = yield* Effect.flip(images.normalise(bytes))
      assert.strictEqual(reason._tag, "Undecodable")
    })
  )

  it.effect("a PNG full of compressed text is read as if it had none", () =>
    Effect.gen(function* () {
      const images = yield* Images.Images
      const bytes = Buffer.from(blackPng(40, 20, { withPixels: true, extra: textBombs(100) }))
      const before = Buffer.from(bytes)
      const started = performance.now()
      assert.deepInclude(yield* images.inspect(bytes), { width: 40, height: 20 })
      assert.deepInclude(yield* images.normalise(bytes), { width: 40, height: 20 })
      // libpng would take many seconds for each of them.
      assert.isBelow(performance.now() - started, 2_000)
      assert.isTrue(bytes.equals(before))
    })
  )

  it.effect("leaves no slot taken, and the next image is processed", () =>
    Effect.gen(function* () {
      const images = yield* Images.Images
      const bad = [new Uint8Array(0), Buffer.from(svg), blackPng(30_000, 30_000, { withPixels: false })]
      yield* Effect.forEach(
        Array.from({ length: 10 }, () => bad).flat(),
        (bytes) => Effect.flip(images.normalise(bytes)),
        { concurrency: "unbounded" }
      )
      assert.deepInclude(yield* images.usage, { running: 0, queued: 0 })
      assert.strictEqual((yield* images.normalise(yield* bytesOf(flat(5, 5).png()))).width, 5)
    })
  )

  it.effect("that takes too long is TimedOut by libvips itself, and its slot comes back", () =>
    Effect.gen(function* () {
      // The TestClock stands still, so this is sharp's own timer, which counts whole seconds.
      const limits = { operationMillis: 1_000, outputPixels: 70_000_000 }
      const images = yield* Images.make({ slots: 1, limits })
      const huge = Preset.make({ width: 8_192, height: 8_192, fit: "fill", enlarge: true, format: "png" })
      const { reason } = yield* Effect.flip(images.render(yield* bytesOf(noise(64, 64).png()), huge))
      assert.deepInclude(reason, { _tag: "TimedOut", millis: 1_000 })
      assert.deepInclude(yield* images.usage, { running: 0 })
    })
  )

  it.effect("an interrupted operation returns at once while its slot stays taken until sharp has settled", () =>
    Effect.gen(function* () {
      const images = yield* Images.make({ slots: 1, queue: 0 })
      const bytes = yield* bytesOf(noise(1_500, 1_000).png())
      const fiber = yield* Effect.forkChild(images.normalise(bytes))
      yield* images.usage.pipe(Effect.tap(Effect.yieldNow), Effect.repeat({ until: ({ running }) => running === 1 }))

      yield* Fiber.interrupt(fiber)

      assert.deepInclude(yield* images.usage, { running: 1 })
      assert.strictEqual((yield* Effect.flip(images.inspect(bytes))).reason._tag, "Busy")
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve))).pipe(
        Effect.andThen(images.usage),
        Effect.repeat({ until: ({ running }) => running === 0 })
      )
      assert.strictEqual((yield* images.inspect(bytes)).width, 1_500)
    })
  )
})
