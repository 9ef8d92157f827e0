/** Reads the header of an image and checks it against the input limits; decodes no pixel. */
import * as Format from "../Format.ts"
import * as ImageError from "../ImageError.ts"
import * as Limits from "../Limits.ts"
import * as engine from "./engine.ts"

/** What the header of an image says. */
export interface Inspection {
  readonly format: Format.Format
  /** The media type of `format`, for example `image/jpeg`. */
  readonly contentType: string
  /** Pixels of one frame, after `orientation` has been applied. */
  readonly width: number
  readonly height: number
  /** EXIF orientation, 1 to 8; 1 if there is none or it has no effect, as in an animation or an AVIF. */
  readonly orientation: number
  /** Frames of a GIF or WebP; 1 for everything else, also for an APNG and the images beside the primary in an AVIF. */
  readonly frames: number
  readonly animated: boolean
  /** Whether there is an alpha channel; it may be opaque throughout. */
  readonly alpha: boolean
  /** Colour space as libvips names it: `srgb`, `b-w`, `cmyk`, `rgb16`, `grey16`, … */
  readonly space: string
  /** Whether an ICC profile is embedded. */
  readonly profile: boolean
  /** How often an animation plays; 0 is for ever. Absent for a still. */
  readonly loop?: number
  /** Milliseconds each frame shows. Absent for a still. */
  readonly delays?: ReadonlyArray<number>
}

/** Rejects with `ImageError` for a type that is not accepted or a limit exceeded, and as sharp does for a bad header. */
export const inspect = async (bytes: Uint8Array, limits: Limits.Limits): Promise<Inspection> => {
  const format = accept(bytes)
  const header = await engine.readHeader(bytes, format)
  const frames = format === "gif" || format === "webp" ? (header.pages ?? 1) : 1
  const { width, height } = frames > 1 ? header : header.autoOrient
  const tooLarge = Limits.checkInput(limits, { width, height, frames })
  if (tooLarge !== undefined) throw ImageError.of(tooLarge)
  return {
    format,
    contentType: Format.contentType(format),
    width,
    height,
    orientation: frames > 1 ? 1 : (header.orientation ?? 1),
    frames,
    animated: frames > 1,
    alpha: header.hasAlpha,
    space: header.space,
    profile: header.hasProfile,
    ...(frames > 1 && { loop: header.loop ?? 0, delays: header.delay ?? [] })
  }
}

const accept = (bytes: Uint8Array): Format.Format => {
  if (bytes.byteLength === 0) {
    throw ImageError.of(new ImageError.Undecodable({ detail: "there are no bytes" }))
  }
  const detected = Format.detect(bytes)
  if (!Format.isFormat(detected)) throw engine.unsupported(detected ?? "unknown")
  return detected
}
