/**
 * What a master's header says of the image, beside the attributes that came with the upload.
 */
import type { Master } from "@terrace/image/Images"
import type { Header } from "@terrace/core/Header"

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
