import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Images from "../src/Images.ts"
import { animation, flat, red } from "./fixtures.ts"

const bytesOf = (make: () => Promise<Uint8Array>) => Effect.promise(make)

layer(Images.layer())("Images.inspect", (it) => {
  describe("a still", () => {
    it.effect.each(["jpeg", "png", "webp", "gif", "avif"] as const)("%s - tells format, size and alpha", (format) =>
      Effect.gen(function* () {
        const images = yield* Images.Images
        const bytes = yield* bytesOf(() => flat(30, 20).toFormat(format).toBuffer())
        const inspection = yield* images.inspect(bytes)
        assert.deepInclude(inspection, {
          format,
          contentType: `image/${format}`,
          width: 30,
          height: 20,
          orientation: 1,
          frames: 1,
          animated: false,
          profile: false
        })
        assert.notProperty(inspection, "loop")
        assert.notProperty(inspection, "delays")
      })
    )

    it.effect.each([1, 2, 3, 4, 5, 6, 7, 8])("gives the size after EXIF orientation %i", (orientation) =>
      Effect.gen(function* () {
        const images = yield* Images.Images
        const bytes = yield* bytesOf(() => flat(30, 20).withMetadata({ orientation }).jpeg().toBuffer())
        const { width, height, orientation: told } = yield* images.inspect(bytes)
        assert.deepStrictEqual([width, height], orientation < 5 ? [30, 20] : [20, 30])
        assert.strictEqual(told, orientation)
      })
    )

    it.effect("gives the size of an AVIF after its own rotation", () =>
      Effect.gen(function* () {
        const images = yield* Images.Images
        const bytes = yield* bytesOf(() => flat(32, 16).withMetadata({ orientation: 6 }).avif().toBuffer())
        const { width, height, orientation } = yield* images.inspect(bytes)
        assert.deepStrictEqual([width, height, orientation], [16, 32, 1])
      })
    )

    it.effect("tells an alpha channel, the colour space and a profile", () =>
      Effect.gen(function* () {
        const images = yield* Images.Images
        const alpha = yield* bytesOf(() => flat(4, 4).ensureAlpha(0.5).png().toBuffer())
        const cmyk = yield* bytesOf(() => flat(4, 4).withIccProfile("cmyk").jpeg().toBuffer())
        assert.deepInclude(yield* images.inspect(alpha), { alpha: true, space: "srgb", profile: false })
        assert.deepInclude(yield* images.inspect(cmyk), { alpha: false, space: "cmyk", profile: true })
      })
    )
  })

  describe("an animation", () => {
    it.effect.each(["gif", "webp"] as const)("%s - tells frames, delays and loop count", (format) =>
      Effect.gen(function* () {
        const images = yield* Images.Images
        const frames = [red, { r: 0, g: 200, b: 0 }, { r: 0, g: 0, b: 200 }]
        const options = { delay: [100, 200, 300], loop: 3 }
        const bytes = yield* bytesOf(() => animation(20, 10, frames).toFormat(format, options).toBuffer())
        assert.deepInclude(yield* images.inspect(bytes), {
          width: 20,
          height: 10,
          frames: 3,
          animated: true,
          loop: 3,
          delays: [100, 200, 300]
        })
      })
    )
  })

  it.effect("leaves the bytes as they are, and reads them in the middle of a larger buffer", () =>
    Effect.gen(function* () {
      const images = yield* Images.Images
      const bytes = yield* bytesOf(() => flat(30, 20).png().toBuffer())
      const larger = Buffer.concat([Buffer.alloc(5, 0xff), bytes, Buffer.alloc(5, 0xff)])
      const before = Buffer.from(larger)
      const inspection = yield* images.inspect(larger.subarray(5, 5 + bytes.byteLength))
      assert.strictEqual(inspection.width, 30)
      assert.isTrue(larger.equals(before))
    })
  )
})
