/**
 * What a variant looks like: its size, fit, format and quality.
 *
 * A preset is plain data. `recipe` writes it as one canonical line, so that equal presets, and presets that differ only
 * in what has no effect, give the same line: together with `rendererVersion` it names what the renderer produces.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import sharp from "sharp"

/**
 * How the image meets the box of `width` × `height`:
 *
 * - `inside`: as large as fits in the box, aspect kept; at most the box.
 * - `outside`: as small as covers the box, aspect kept; at least the box.
 * - `cover`: fills the box, aspect kept, what hangs over is cut off evenly.
 * - `contain`: fits in the box, aspect kept, the rest is transparent, or white in JPEG; exactly the box.
 * - `fill`: stretched to the box.
 *
 * With one side only, the other follows the aspect and the fit has no effect.
 */
export const Fit = Schema.Literals(["inside", "outside", "cover", "contain", "fill"])
export type Fit = typeof Fit.Type

/** Formats that can be rendered. WebP keeps an animation; the others show its first frame. */
export const OutputFormat = Schema.Literals(["webp", "avif", "jpeg", "png"])
export type OutputFormat = typeof OutputFormat.Type

const Side = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 16_383 }))
const Quality = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 }))

/** A preset; absent fields take their default both in `make` and when decoded from JSON. */
export const Preset = Schema.Struct({
  /** Pixels, 1 to 16,383; `Limits.outputSide` may be lower. Absent: follows from the height, or the image's own. */
  width: Schema.optionalKey(Side),
  /** Pixels, 1 to 16,383; `Limits.outputSide` may be lower. Absent: follows from the width, or the image's own. */
  height: Schema.optionalKey(Side),
  /** Default `inside`. */
  fit: Fit.pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("inside" as const)),
    Schema.withConstructorDefault(Effect.succeed("inside" as const))
  ),
  /** 1 to 100, on the scale of the format's own encoder. Default 80. PNG is lossless and ignores it. */
  quality: Quality.pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(80)),
    Schema.withConstructorDefault(Effect.succeed(80))
  ),
  /** Default `webp`. */
  format: OutputFormat.pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("webp" as const)),
    Schema.withConstructorDefault(Effect.succeed("webp" as const))
  ),
  /** Whether an image smaller than the box is scaled up. Default `false`. */
  enlarge: Schema.Boolean.pipe(
    Schema.withDecodingDefaultKey(Effect.succeed(false)),
    Schema.withConstructorDefault(Effect.succeed(false))
  )
})
export type Preset = typeof Preset.Type

/** Builds a preset; throws on a side or quality out of range. To decode untrusted input use the `Preset` schema. */
export const make = (preset: (typeof Preset)["~type.make.in"]): Preset => Preset.make(preset)

/** The built-in thumbnail: at most 256 × 256, WebP at quality 80. */
export const thumb: Preset = make({ width: 256, height: 256, fit: "inside", quality: 80, format: "webp" })

/**
 * One canonical ASCII line, for example `webp q80 256x256 inside`.
 *
 * Presets with the same recipe make the same image of every master. Settings without effect (the quality of a PNG, the
 * fit of a box with one side) are left out.
 */
export const recipe = (preset: Preset): string => {
  const { width, height, fit, quality, format, enlarge } = preset
  const parts: Array<string> = [format]
  if (format !== "png") parts.push(`q${quality}`)
  if (width !== undefined || height !== undefined) {
    parts.push(`${width ?? ""}x${height ?? ""}`)
    if (width !== undefined && height !== undefined) parts.push(fit)
    if (enlarge) parts.push("enlarge")
  }
  return parts.join(" ")
}

/** Raise it with every change to this package that changes rendered bytes. */
const revision = 1

/**
 * Names the code that renders: this package's revision, sharp, libvips and the encoders. Bytes rendered under different
 * versions may differ, so hash it with the recipe into the name of a variant.
 */
export const rendererVersion: string = [
  `terrace-image/${revision}`,
  ...(["sharp", "vips", "webp", "aom", "heif", "mozjpeg", "png", "lcms"] as const).map(
    (library) => `${library}/${sharp.versions[library] ?? "unknown"}`
  )
].join(" ")
