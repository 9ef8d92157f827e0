/**
 * Blobs for tests: the same options give the same bytes, on every machine.
 */
import * as Blob from "@terrace/core/Blob"
import type { Generation } from "@terrace/core/Generation"
import * as Key from "@terrace/core/Key"
import { mulberry32 } from "./internal/mulberry32.ts"

/** `length` bytes without pattern, the same for the same seed (mulberry32). */
export const bytes = (seed: number, length: number): Uint8Array<ArrayBuffer> => {
  const words = new Uint32Array(Math.ceil(length / 4))
  const next = mulberry32(seed)
  for (let index = 0; index < words.length; index++) words[index] = next()
  return new Uint8Array(words.buffer, 0, length).slice()
}

export interface BlobOptions {
  /** Default: `fixture`. */
  readonly group?: string | undefined
  /** Default: `master`. */
  readonly name?: string | undefined
  /** The body. Default: `size` bytes made from `seed`. */
  readonly bytes?: Uint8Array | undefined
  /** Length of the body in bytes, if `bytes` is absent. Default: 256. */
  readonly size?: number | undefined
  /** Default: the generation, so that another generation has other bytes. */
  readonly seed?: number | undefined
  /** Default: 1. */
  readonly generation?: Generation | undefined
  /** Default: `application/octet-stream`. */
  readonly contentType?: string | undefined
  /** Unix milliseconds. Default: 0. */
  readonly createdAt?: number | undefined
  /** Unix milliseconds. Default: none. */
  readonly freshUntil?: number | undefined
  /** Unix milliseconds. Default: none. */
  readonly expiresAt?: number | undefined
  /** Default: none. */
  readonly attributes?: Readonly<Record<string, string>> | undefined
}

/** Builds a blob whose digest and checksums are those of its bytes. */
export const blob = (options: BlobOptions = {}): Blob.Blob => {
  const generation = options.generation ?? 1
  const body = options.bytes ?? bytes(options.seed ?? generation, options.size ?? 256)
  return Blob.make(Key.makeUnsafe(options.group ?? "fixture", options.name ?? "master"), body, {
    contentType: options.contentType ?? "application/octet-stream",
    generation,
    createdAt: options.createdAt ?? 0,
    freshUntil: options.freshUntil,
    expiresAt: options.expiresAt,
    attributes: options.attributes
  })
}

/** The blob with other bytes under the same header: what a damaged transfer delivers. */
export const withBytes = (self: Blob.Blob, other: Uint8Array): Blob.Blob => ({
  header: self.header,
  body: { _tag: "Inline", bytes: other }
})
