/**
 * The size that an image will have after a preset, known before any pixel is decoded.
 *
 * Mirrors `ResolveShrink` of sharp 0.35 (src/common.cc), so that a preset is refused by what it would make: a box of
 * 8,192 × 8,192 around an image of 1 × 10,000 with fit `outside` would be 8,192 × 81,920,000.
 */
import type { Fit, Preset } from "../Preset.ts"

export interface Dimensions {
  readonly width: number
  readonly height: number
}

/** Pixels of one frame after `preset`; within one pixel a side of what sharp makes. */
export const outputSize = (source: Dimensions, preset: Preset): Dimensions => {
  const { width, height, fit, enlarge } = preset
  if (width === undefined && height === undefined) return source
  const scale = scaling(source, enlarge)
  if (width === undefined || height === undefined) {
    return scale(Math.max((width ?? 0) / source.width, (height ?? 0) / source.height))
  }
  return fits[fit]({ width, height }, { across: width / source.width, down: height / source.height }, scale)
}

type Scale = (across: number, down?: number) => Dimensions
type FitSize = (box: Dimensions, factor: { readonly across: number; readonly down: number }, scale: Scale) => Dimensions

const fits: Record<Fit, FitSize> = {
  inside: (_, { across, down }, scale) => scale(Math.min(across, down)),
  outside: (_, { across, down }, scale) => scale(Math.max(across, down)),
  cover: (box, { across, down }, scale) => {
    const scaled = scale(Math.max(across, down))
    return { width: Math.min(scaled.width, box.width), height: Math.min(scaled.height, box.height) }
  },
  contain: (box) => box,
  fill: (_, { across, down }, scale) => scale(across, down)
}

const scaling = (source: Dimensions, enlarge: boolean): Scale => {
  const limit = enlarge ? Infinity : 1
  const side = (pixels: number, factor: number) => Math.max(1, Math.round(pixels * Math.min(limit, factor)))
  return (across, down = across) => ({ width: side(source.width, across), height: side(source.height, down) })
}
