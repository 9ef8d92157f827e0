/** Makes the master of an image. */
import type * as Format from "../Format.ts"
import type { Limits } from "../Limits.ts"
import { toSrgb } from "./colour.ts"
import * as engine from "./engine.ts"
import { inspect } from "./inspect.ts"

export interface MasterOptions {
  /** WebP quality, 1 to 100. Default 85. */
  readonly quality: number
  /** WebP effort, 0 (fastest) to 6 (smallest). Default 4. */
  readonly effort: number
}

/** A normalised image: upright, 8-bit sRGB, WebP, without metadata. */
export interface Master {
  readonly bytes: Uint8Array
  readonly contentType: "image/webp"
  /** Pixels of one frame. */
  readonly width: number
  readonly height: number
  readonly frames: number
  readonly alpha: boolean
  /** What it was made from. */
  readonly sourceFormat: Format.Format
}

export const normalise = async (
  bytes: Uint8Array,
  limits: Limits,
  options: MasterOptions,
  signal: AbortSignal
): Promise<Master> => {
  const inspection = await inspect(bytes, limits)
  signal.throwIfAborted()
  const pipeline = toSrgb(engine.open(bytes, limits, inspection), inspection).webp(options)
  return { ...(await engine.run(pipeline)), contentType: "image/webp", sourceFormat: inspection.format }
}
