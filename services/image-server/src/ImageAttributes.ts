/**
 * What a master's header says of the image, beside the attributes that came with the upload.
 */
import type { Master } from "@terrace/image/Images"
import type { Header } from "@terrace/core/Header"
import type { Key } from "@terrace/core/Key"

/** Attribute names that the server gives; an upload may not use them. */
export const reserved: ReadonlySet<string> = new Set([
  "image.width",
  "image.height",
  "image.frames",
  "image.alpha",
  "image.source-type",
  "image.source-bytes"
])

export interface ImageFacts {
  /** Pixels, upright. */
  readonly width: number
  readonly height: number
  /** 1 for a still image. */
  readonly frames: number
  readonly alpha: boolean
  /** The upload as it came. */
  readonly source: { readonly contentType: string; readonly bytes: number }
}

export const encode = (master: Master, sourceBytes: number): Readonly<Record<string, string>> => ({
  "image.width": String(master.width),
  "image.height": String(master.height),
  "image.frames": String(master.frames),
  "image.alpha": String(master.alpha),
  "image.source-type": `image/${master.sourceFormat}`,
  "image.source-bytes": String(sourceBytes)
})

/** A header with these attributes and everything else as long as it may get; masters of 16 MiB and more are not reckoned with. */
export const largestHeader = (key: Key, attributes: Readonly<Record<string, string>>): Header => ({
  key,
  digest: "0".repeat(64),
  size: 16_777_216,
  checksums: Array.from({ length: 16 }, () => 0),
  contentType: "image/webp",
  generation: Number.MAX_SAFE_INTEGER,
  createdAt: 9_999_999_999_999,
  attributes: {
    ...attributes,
    "image.width": "16383",
    "image.height": "16383",
    "image.frames": "1000",
    "image.alpha": "false",
    "image.source-type": "image/jpeg",
    "image.source-bytes": "268435456"
  }
})

export const decode = ({ attributes }: Header): ImageFacts => ({
  width: Number(attributes["image.width"]),
  height: Number(attributes["image.height"]),
  frames: Number(attributes["image.frames"]),
  alpha: attributes["image.alpha"] === "true",
  source: {
    contentType: attributes["image.source-type"] ?? "application/octet-stream",
    bytes: Number(attributes["image.source-bytes"])
  }
})

/** The attributes that came with the upload. */
export const ofUpload = ({ attributes }: Header): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(attributes).filter(([name]) => !reserved.has(name)))
