/**
 * How this package uses sharp: which loaders exist, how an image is opened, what its failures mean.
 *
 * Deliberate: loaders are blocked for the whole process, because libvips knows no narrower scope. Anything else in the
 * process that uses sharp gets the same five loaders, from buffers only. Rejected: relying on the sniffed type alone,
 * since libvips sniffs for itself and would take bytes that begin like a JPEG and are something else to another loader.
 */
import sharp, { type Metadata, type Sharp } from "sharp"
import { type Format, formats } from "../Format.ts"
import * as ImageError from "../ImageError.ts"
import type { Limits } from "../Limits.ts"
import * as png from "./png.ts"

/**
 * Sets sharp's process-wide state; doing it twice changes nothing.
 *
 * - Every loader of libvips is blocked but JPEG, PNG, WebP, GIF and HEIF from buffers. HEIF is the container of AVIF;
 *   HEVC in it is refused by its brand, and sharp's own build has no decoder for it.
 * - The operation cache is off: every image is used once, and its memory should be free when its slot is.
 * - One libvips thread an operation: the slots are the parallelism, and images are small enough that more throughput
 *   comes from more of them at a time.
 */
export const configure = (): void => {
  sharp.block({ operation: ["VipsForeignLoad"] })
  sharp.unblock({
    operation: [
      "VipsForeignLoadJpegBuffer",
      "VipsForeignLoadPngBuffer",
      "VipsForeignLoadWebpBuffer",
      "VipsForeignLoadNsgifBuffer",
      "VipsForeignLoadHeifBuffer"
    ]
  })
  sharp.cache(false)
  sharp.concurrency(1)
}

/** Reads the header. No pixel limit here: sharp's refusal has no numbers; the caller checks and tells them. */
export const readHeader = (bytes: Uint8Array, format: Format): Promise<Metadata> =>
  sharp(readable(bytes, format), { failOn, limitInputPixels: false, limitInputChannels }).metadata()

/** A pipeline that has not begun. sharp reads the caller's bytes in place, without a copy. */
export const open = (
  bytes: Uint8Array,
  limits: Limits,
  options: { readonly format: Format; readonly animated: boolean }
): Sharp =>
  sharp(readable(bytes, options.format), {
    animated: options.animated,
    // Turning an animation would turn the strip of its frames; libvips refuses, and a flip would reverse their order.
    autoOrient: !options.animated,
    failOn,
    limitInputPixels: limits.inputPixels,
    limitInputChannels
  }).timeout({ seconds: Math.ceil(limits.operationMillis / 1000) })

/** What was made, and its size. */
export interface Output {
  readonly bytes: Uint8Array
  readonly width: number
  readonly height: number
  readonly frames: number
  readonly alpha: boolean
}

/** Runs a pipeline. */
export const run = async (pipeline: Sharp): Promise<Output> => {
  const { data, info } = await pipeline.toBuffer({ resolveWithObject: true })
  const frames = info.pages ?? 1
  return {
    bytes: data,
    width: info.width,
    height: info.pageHeight ?? info.height,
    // The WebP encoder merges frames that look the same; only its result tells how many are left.
    frames: frames > 1 ? ((await sharp(data).metadata()).pages ?? 1) : 1,
    alpha: info.hasAlpha
  }
}

/** Refuses what is cut off or fails a checksum, and takes what browsers show in spite of a decoder's warning. */
const failOn = "error"

/** CMYK with alpha. */
const limitInputChannels = 5

const readable = (bytes: Uint8Array, format: Format): Uint8Array => (format === "png" ? png.withoutText(bytes) : bytes)

/** The error for anything that a job of this package throws. */
export const toImageError =
  (limits: Limits) =>
  (cause: unknown): ImageError.ImageError => {
    if (cause instanceof ImageError.ImageError) return cause
    const text = cause instanceof Error ? cause.message : ""
    if (/^timeout: \d+% complete/m.test(text)) {
      return ImageError.of(new ImageError.TimedOut({ millis: limits.operationMillis }))
    }
    // HEVC that an AVIF brand hides. sharp's `compression` only repeats the brand; the decoder, which is missing, knows.
    if (text.includes("Support for this compression format has not been built in")) return unsupported("heic")
    return ImageError.of(new ImageError.Undecodable({ detail: describeFailure(text) }))
  }

/** The refusal of a type by the name that `Format.detect` gives it. */
export const unsupported = (detected: string): ImageError.ImageError =>
  ImageError.of(new ImageError.UnsupportedType({ detected, allowed: formats }))

/** Lines of libvips that tell a client nothing. */
const noise = /^(?:source: bad seek to|Unknown error$|Warning[: ]|Input buffer contains unsupported)/

/** What libvips puts before a message: where it came from. */
const prefix = /^Input buffer has corrupt header:\s*|^(?:vips\w*|\w+load(?:_buffer)?|heif|webp): /i

/**
 * One safe line of what libvips says: the first that tells something, without the names of its parts, control characters,
 * file paths or addresses, at most 160 characters.
 */
export const describeFailure = (text: string): string => {
  const line = text
    .split("\n")
    .map((line) => line.replace(prefix, "").replace(prefix, "").trim())
    .find((line) => line !== "" && !noise.test(line))
  if (line === undefined) return "its data is damaged or incomplete"
  return line
    .replaceAll(/[^\x20-\x7e]/g, " ")
    .replaceAll(/(?:[A-Za-z]:)?(?:[\\/][\w.@-]+){2,}/g, "…")
    .replaceAll(/0x[0-9a-f]{6,}/gi, "…")
    .slice(0, 160)
}
