/** Makes a variant of an image. */
import * as Schema from "effect/Schema"
import type { Sharp } from "sharp"
import * as Format from "../Format.ts"
import * as ImageError from "../ImageError.ts"
import * as Limits from "../Limits.ts"
import * as Preset from "../Preset.ts"
import { toSrgb } from "./colour.ts"
import * as engine from "./engine.ts"
import { outputSize } from "./geometry.ts"
import { inspect } from "./inspect.ts"

/** A variant. */
export interface Rendered {
  readonly bytes: Uint8Array
  readonly format: Preset.OutputFormat
  /** The media type of `format`, for example `image/webp`. */
  readonly contentType: string
  /** Pixels of one frame. */
  readonly width: number
  readonly height: number
  readonly frames: number
  readonly alpha: boolean
}

export const render = async (
  bytes: Uint8Array,
  preset: Preset.Preset,
  limits: Limits.Limits,
  signal: AbortSignal
): Promise<Rendered> => {
  checkPreset(preset)
  const inspection = await inspect(bytes, limits)
  signal.throwIfAborted()
  const size = outputSize(inspection, preset)
  // Frames beyond the limit are left out, not refused: else an image could be stored and have no thumbnail.
  const animated =
    inspection.animated &&
    preset.format === "webp" &&
    Limits.checkOutput(limits, { ...size, frames: inspection.frames }) === undefined
  const tooLarge = Limits.checkOutput(limits, { ...size, frames: 1 })
  if (tooLarge !== undefined) throw ImageError.of(tooLarge)
  const { format, quality } = preset
  const opened = toSrgb(engine.open(bytes, limits, { format: inspection.format, animated }), inspection)
  const output = await engine.run(encoders[format](resize(opened, preset), quality))
  return { ...output, format, contentType: Format.contentType(format) }
}

const isPreset = Schema.is(Preset.Preset)

const checkPreset = (preset: Preset.Preset): void => {
  if (isPreset(preset)) return
  const detail = `${Preset.recipe(preset)}: expected sides from 1 to 16383 and a quality from 1 to 100, all integers`
  throw ImageError.of(new ImageError.InvalidPreset({ detail }))
}

const resize = (pipeline: Sharp, preset: Preset.Preset): Sharp => {
  const { width, height } = preset
  if (width === undefined && height === undefined) return pipeline
  return pipeline.resize({
    width,
    height,
    fit: width === undefined || height === undefined ? "inside" : preset.fit,
    withoutEnlargement: !preset.enlarge,
    background: preset.format === "jpeg" ? "white" : { r: 0, g: 0, b: 0, alpha: 0 }
  })
}

/**
 * Encoder settings are part of the renderer: raise `Preset.revision` with them.
 *
 * AVIF effort 2 takes about 0.2 s a megapixel on one core, libheif's default of 4 about 1.6 s, which the time limit
 * would cut off at 6 megapixels, for files some 15 to 20 % smaller. JPEG without mozjpeg for the same reason: its search
 * for better coefficients took 20 s for 25 megapixels of noise.
 */
const encoders: Record<Preset.OutputFormat, (pipeline: Sharp, quality: number) => Sharp> = {
  webp: (pipeline, quality) => pipeline.webp({ quality, effort: 4 }),
  avif: (pipeline, quality) => pipeline.avif({ quality, effort: 2, chromaSubsampling: "4:2:0" }),
  jpeg: (pipeline, quality) => pipeline.flatten({ background: "white" }).jpeg({ quality, progressive: true }),
  png: (pipeline) => pipeline.png()
}
