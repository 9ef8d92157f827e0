/**
 * What a master's header says of the image, beside the attributes that came with the upload.
 */
import type { Master } from "@terrace/image/Images"
import * as Header from "@terrace/core/Header"
import type { Key } from "@terrace/core/Key"
import * as Effect from "effect/Effect"
import * as Upload from "./Upload.ts"

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
export const largestHeader = (key: Key, attributes: Readonly<Record<string, string>>): Header.Header => ({
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

export const decode = ({ attributes }: Header.Header): ImageFacts => ({
  width: Number(attributes["image.width"]),
  height: Number(attributes["image.height"]),
  frames: Number(attributes["image.frames"]),
  alpha: attributes["image.alpha"] === "true",
  source: {
    contentType: attributes["image.source-type"] ?? "application/octet-stream",
    bytes: Number(attributes["image.source-bytes"])
  }
})

/** What a catalog record says of a stored master. */
export const factsOf = (header: Header.Header) => {
  const { height, width } = decode(header)
  return { width, height, bytes: header.size, digest: header.digest, contentType: header.contentType }
}

/** What a record says of itself, and not of the image. */
const catalogFields: ReadonlySet<string> = new Set(["cached", "terrace", "base64_data"])

/**
 * The fields of a record that become attributes, in their order, as far as they fit into a header. The record keeps all of
 * them.
 */
export const ofRecord = (
  key: Key,
  fields: Readonly<Record<string, unknown>>
): Effect.Effect<Readonly<Record<string, string>>> =>
  Effect.gen(function* () {
    let taken: Readonly<Record<string, string>> = {}
    for (const [name, value] of Object.entries(fields)) {
      const text = Upload.attributeOf(name, value)
      if (text === undefined || reserved.has(name) || catalogFields.has(name)) continue
      const more = { ...taken, [name]: text }
      if (Object.keys(more).length > Upload.maxAttributes) break
      if (yield* Effect.isSuccess(Header.encode(largestHeader(key, more)))) taken = more
    }
    return taken
  })

/** The attributes that a catalog record has: those of the upload, but for names that a record has of its own. */
export const ofCatalog = (header: Header.Header): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(ofUpload(header)).filter(([name]) => !catalogFields.has(name)))

/** The attributes that came with the upload. */
export const ofUpload = ({ attributes }: Header.Header): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(attributes).filter(([name]) => !reserved.has(name)))
