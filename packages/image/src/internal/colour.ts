/** Colour conversion that every output shares: 8-bit sRGB, no profile attached. */
import type { Sharp } from "sharp"
import type { Inspection } from "./inspect.ts"

/**
 * Converts to sRGB from whatever profile or colour space the image has.
 *
 * sharp 0.35.5 moves a 16-bit RGB image with a profile into Display P3 and then takes the numbers for sRGB, which
 * dulls every colour; only asking for an output profile makes it go back from P3. The same request would distort an image
 * without a profile, which sharp never moved.
 */
export const toSrgb = (pipeline: Sharp, inspection: Inspection): Sharp =>
  inspection.space === "rgb16" && inspection.profile
    ? pipeline.toColourspace("srgb").withIccProfile("srgb", { attach: false })
    : pipeline.toColourspace("srgb")
