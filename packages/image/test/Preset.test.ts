import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as Preset from "../src/Preset.ts"

describe("Preset", () => {
  it("make and decoding fill in the same defaults", () => {
    const expected: Preset.Preset = { width: 256, fit: "inside", quality: 80, format: "webp", enlarge: false }
    assert.deepStrictEqual(Preset.make({ width: 256 }), expected)
    assert.deepStrictEqual(Schema.decodeUnknownSync(Preset.Preset)({ width: 256 }), expected)
  })

  it.each([
    { width: 0 },
    { width: 16_384 },
    { height: 1.5 },
    { quality: 0 },
    { quality: 101 },
    { format: "gif" },
    { fit: "crop" }
  ])("refuses %o", (preset) => {
    assert.throws(() => Schema.decodeUnknownSync(Preset.Preset)(preset))
  })

  it("thumb - is 256 × 256 inside, WebP at quality 80", () => {
    assert.strictEqual(Preset.recipe(Preset.thumb), "webp q80 256x256 inside")
  })

  it.each<readonly [string, Parameters<typeof Preset.make>[0]]>([
    ["webp q80", {}],
    ["webp q80 640x", { width: 640 }],
    ["webp q80 640x", { width: 640, fit: "cover" }],
    ["avif q50 x480", { height: 480, format: "avif", quality: 50 }],
    ["jpeg q80 10x20 cover enlarge", { width: 10, height: 20, format: "jpeg", fit: "cover", enlarge: true }],
    ["png 10x20 fill", { width: 10, height: 20, format: "png", fit: "fill", quality: 3 }]
  ])("recipe - is %s", (expected, preset) => {
    assert.strictEqual(Preset.recipe(Preset.make(preset)), expected)
  })

  it("recipe - differs wherever the image differs", () => {
    const recipes = new Set<string>()
    const sides = [undefined, 1, 11, 111]
    for (const width of sides) {
      for (const height of sides) {
        for (const fit of Preset.Fit.literals) {
          for (const enlarge of [false, true]) {
            const box = { ...(width !== undefined && { width }), ...(height !== undefined && { height }) }
            recipes.add(Preset.recipe(Preset.make({ ...box, fit, enlarge })))
          }
        }
      }
    }
    const bothSides = 9 * Preset.Fit.literals.length * 2
    const oneSide = 6 * 2
    assert.strictEqual(recipes.size, bothSides + oneSide + 1)
  })

  it("rendererVersion - names this package, sharp, libvips and the encoders", () => {
    assert.match(
      Preset.rendererVersion,
      /^terrace-image\/\d+ sharp\/[\d.]+ vips\/[\d.]+ webp\/[\d.]+ aom\/[\d.]+ heif\/[\d.]+ mozjpeg\/\w+ png\/[\d.]+ lcms\/[\d.]+$/
    )
  })
})
