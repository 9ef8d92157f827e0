/**
 * How much one image may cost.
 *
 * Input limits are checked against the header, before any pixel is decoded: a few kilobytes can declare gigabytes of
 * pixels. Output limits are checked against the preset and the header, before any pixel is rendered. Limits on the
 * number of bytes belong to who reads them; nothing here copies its input.
 */
import * as ImageError from "./ImageError.ts"

export interface Limits {
  /** Pixels that may be decoded for one image: width × height × frames. Default 50,000,000. */
  readonly inputPixels: number
  /** Pixels of the longer side of an incoming image. Default, and at most, 16,383: the most that WebP can hold. */
  readonly inputSide: number
  /** Frames of an incoming animation. Default 1,000. */
  readonly frames: number
  /** Pixels of a rendered image after all operations: width × height × frames. Default 25,000,000. */
  readonly outputPixels: number
  /** Pixels of the longer side of a rendered image. Default 8,192; at most 16,383. */
  readonly outputSide: number
  /** Milliseconds that one operation may work, not counting its wait for a slot. Default 10,000. */
  readonly operationMillis: number
}

export const defaults: Limits = {
  inputPixels: 50_000_000,
  inputSide: 16_383,
  frames: 1_000,
  outputPixels: 25_000_000,
  outputSide: 8_192,
  operationMillis: 10_000
}

/** Dimensions in pixels of one frame, and how many frames. */
export interface Size {
  readonly width: number
  readonly height: number
  readonly frames: number
}

/** The limit that an incoming image exceeds, if any. */
export const checkInput = (limits: Limits, size: Size): ImageError.TooManyPixels | undefined =>
  check("input", size, { dimension: limits.inputSide, frames: limits.frames, pixels: limits.inputPixels })

/** The limit that a rendered image would exceed, if any. */
export const checkOutput = (limits: Limits, size: Size): ImageError.TooManyPixels | undefined =>
  check("output", size, { dimension: limits.outputSide, frames: limits.frames, pixels: limits.outputPixels })

const check = (
  side: "input" | "output",
  size: Size,
  limit: Readonly<Record<ImageError.TooManyPixels["exceeded"], number>>
): ImageError.TooManyPixels | undefined => {
  const { width, height, frames } = size
  const exceeded =
    Math.max(width, height) > limit.dimension
      ? "dimension"
      : frames > limit.frames
        ? "frames"
        : width * height * frames > limit.pixels
          ? "pixels"
          : undefined
  return exceeded && new ImageError.TooManyPixels({ side, exceeded, width, height, frames, limit: limit[exceeded] })
}
