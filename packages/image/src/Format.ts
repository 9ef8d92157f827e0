/**
 * Image formats, told from the first bytes.
 *
 * Names and content types that a client sends are not evidence; only the bytes are. Types that are refused are
 * recognised too, so that the refusal can name them.
 */
import { gunzipSync, constants } from "node:zlib"

/** Accepted formats. */
export const formats = ["jpeg", "png", "webp", "gif", "avif"] as const
export type Format = (typeof formats)[number]

/**
 * Recognised in order to be refused by name. `avif-sequence` is an animated AVIF, which libvips does not read; `mp4`
 * stands for any ISO media file that is not an image.
 */
export type Refused =
  | "avif-sequence"
  | "bmp"
  | "gzip"
  | "heic"
  | "heif"
  | "html"
  | "ico"
  | "jp2"
  | "jxl"
  | "mp4"
  | "pdf"
  | "postscript"
  | "psd"
  | "svg"
  | "tiff"
  | "xml"
  | "zip"

/** Whether images of the detected type are accepted. */
export const isFormat = (detected: Format | Refused | undefined): detected is Format =>
  formats.some((format) => format === detected)

/** The media type, for example `image/webp`. */
export const contentType = (format: Format): `image/${Format}` => `image/${format}`

/**
 * Tells the type of `bytes` from their beginning, or `undefined` if nothing matches, also when there are none.
 *
 * **Behavior**
 *
 * - Looks at no more than the first 4 KiB, and inflates at most those of a gzip stream (an SVG is often stored so).
 * - An ISO media file is AVIF or HEIC by its major brand, else by its compatible brands (ISO 14496-12 §4.3).
 * - Says nothing about whether the rest of the bytes can be decoded.
 */
export const detect = (bytes: Uint8Array): Format | Refused | undefined => {
  const head = bytes.subarray(0, 4096)
  for (const [detected, offset, signature] of signatures) {
    if (matches(head, offset, signature)) return detected
  }
  if (matches(head, 0, "RIFF") && matches(head, 8, "WEBP")) return "webp"
  if (matches(head, 4, "ftyp")) return detectIsoMedia(head)
  if (matches(head, 0, "\x1f\x8b")) return detectMarkup(inflateHead(head)) ?? "gzip"
  return detectMarkup(head)
}

const signatures: ReadonlyArray<readonly [Format | Refused, offset: number, signature: string]> = [
  ["jpeg", 0, "\xff\xd8\xff"],
  ["png", 0, "\x89PNG\r\n\x1a\n"],
  ["gif", 0, "GIF87a"],
  ["gif", 0, "GIF89a"],
  ["tiff", 0, "II*\0"],
  ["tiff", 0, "MM\0*"],
  ["tiff", 0, "II+\0"],
  ["tiff", 0, "MM\0+"],
  ["pdf", 0, "%PDF-"],
  ["postscript", 0, "%!PS"],
  ["postscript", 0, "\xc5\xd0\xd3\xc6"],
  ["bmp", 0, "BM"],
  ["ico", 0, "\0\0\x01\0"],
  ["psd", 0, "8BPS"],
  ["jxl", 0, "\xff\x0a"],
  ["jxl", 4, "JXL \r\n\x87\n"],
  ["jp2", 4, "jP  \r\n\x87\n"],
  ["jp2", 0, "\xff\x4f\xff\x51"],
  ["zip", 0, "PK\x03\x04"]
]

const matches = (bytes: Uint8Array, offset: number, signature: string): boolean => {
  for (let index = 0; index < signature.length; index++) {
    if (bytes[offset + index] !== signature.charCodeAt(index)) return false
  }
  return true
}

const brandTypes: Readonly<Record<string, Format | Refused>> = {
  avif: "avif",
  avis: "avif-sequence",
  heic: "heic",
  heix: "heic",
  heim: "heic",
  heis: "heic",
  hevc: "heic",
  hevx: "heic",
  hevm: "heic",
  hevs: "heic"
}

const detectIsoMedia = (head: Uint8Array): Format | Refused => {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  const end = Math.min(view.getUint32(0), head.byteLength)
  const brands: Array<string> = []
  for (let offset = 8; offset + 4 <= end; offset += 4) {
    // The four bytes after the major brand are its version.
    if (offset !== 12) brands.push(String.fromCharCode(...head.subarray(offset, offset + 4)))
  }
  for (const brand of brands) {
    const detected = brandTypes[brand]
    if (detected !== undefined) return detected
  }
  return brands.includes("mif1") || brands.includes("msf1") ? "heif" : "mp4"
}

const inflateHead = (head: Uint8Array): Uint8Array => {
  try {
    return gunzipSync(head, { finishFlush: constants.Z_SYNC_FLUSH })
  } catch {
    return new Uint8Array(0)
  }
}

const detectMarkup = (head: Uint8Array): Refused | undefined => {
  const encoding = matches(head, 0, "\xff\xfe") ? "utf-16le" : matches(head, 0, "\xfe\xff") ? "utf-16be" : "utf-8"
  const text = new TextDecoder(encoding).decode(head.subarray(0, 4096)).trimStart().toLowerCase()
  if (!text.startsWith("<")) return undefined
  if (/<(?:!doctype\s+)?(?:\w+:)?svg[\s>]/.test(text)) return "svg"
  if (/^<(?:!doctype\s+html|html|head|body|script)\b/.test(text)) return "html"
  return /^<(?:\?xml|!doctype|!--)/.test(text) ? "xml" : undefined
}
