/**
 * Facts about a blob, stored beside its bytes on every tier.
 *
 * Times are absolute, so a copy in a faster tier never outlives the original. The encoded form is ASCII and at most
 * 1,800 bytes, because object stores carry it as metadata (S3 allows 2 KB).
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { createHash, hash } from "node:crypto"
import { crc32 } from "node:zlib"
import type { Generation } from "./Generation.ts"
import * as Key from "./Key.ts"

/** Bytes covered by one entry of `Header.checksums`. */
export const chunkBytes = 1_048_576

/** Largest encoded header, in bytes. */
export const maxEncodedBytes = 1_800

export interface Header {
  readonly key: Key.Key
  /** SHA-256 of the bytes, 64 lower-case hex digits. */
  readonly digest: string
  /** Length of the bytes. */
  readonly size: number
  /** CRC-32 of each run of `chunkBytes` bytes, in order; the last run may be shorter. Empty for an empty body. */
  readonly checksums: ReadonlyArray<number>
  readonly contentType: string
  readonly generation: Generation
  /** Unix milliseconds. */
  readonly createdAt: number
  /** Unix milliseconds after which the blob is stale: still served, while it is made anew. */
  readonly freshUntil?: number | undefined
  /** Unix milliseconds after which the blob is never served. */
  readonly expiresAt?: number | undefined
  /** Facts of the application, for example a title. */
  readonly attributes: Readonly<Record<string, string>>
}

/** A header that does not fit; nothing was written. */
export class HeaderTooLarge extends Schema.TaggedError<HeaderTooLarge>("@terrace/core/Header/HeaderTooLarge")(
  "HeaderTooLarge",
  { key: Schema.String, encodedBytes: Schema.Int }
) {
  override get message(): string {
    return `the header of ${this.key} takes ${this.encodedBytes} bytes: expected at most ${maxEncodedBytes}; shorten its attributes`
  }
}

/** What a caller says of a blob; `describe` computes the rest. */
export interface Description {
  readonly contentType: string
  readonly generation: Generation
  readonly createdAt: number
  readonly freshUntil?: number | undefined
  readonly expiresAt?: number | undefined
  readonly attributes?: Readonly<Record<string, string>> | undefined
}

/**
 * Builds the header of `bytes`: digest and checksums are computed (about 0.6 GB/s together). Throws a `RangeError` that
 * names a time which is none.
 */
export const describe = (key: Key.Key, bytes: Uint8Array, description: Description): Header => ({
  key,
  digest: hash("sha256", bytes, "hex"),
  size: bytes.byteLength,
  checksums: checksumsOf(bytes),
  contentType: description.contentType,
  generation: description.generation,
  createdAt: time("createdAt", description.createdAt),
  freshUntil: description.freshUntil === undefined ? undefined : time("freshUntil", description.freshUntil),
  expiresAt: description.expiresAt === undefined ? undefined : time("expiresAt", description.expiresAt),
  attributes: description.attributes ?? {}
})

/** JSON has no NaN and no infinity: such a header could be written, and never read again. */
const time = (name: string, unixMillis: number): number => {
  if (Number.isFinite(unixMillis)) return unixMillis
  throw new RangeError(`${name} is ${unixMillis}: expected Unix milliseconds, for example 1700000000000`)
}

/** CRC-32 of each run of `chunkBytes` bytes. */
export const checksumsOf = (bytes: Uint8Array): ReadonlyArray<number> => {
  const checksums: Array<number> = []
  for (let start = 0; start < bytes.byteLength; start += chunkBytes) {
    checksums.push(crc32(bytes.subarray(start, start + chunkBytes)))
  }
  return checksums
}

/** Whether `bytes` has the size and the checksums that the header names. SHA-256 is not computed. */
export const matches = (header: Header, bytes: Uint8Array): boolean => {
  if (bytes.byteLength !== header.size || header.checksums.length !== Math.ceil(header.size / chunkBytes)) return false
  for (let chunk = 0; chunk < header.checksums.length; chunk++) {
    const start = chunk * chunkBytes
    if (crc32(bytes.subarray(start, start + chunkBytes)) !== header.checksums[chunk]) return false
  }
  return true
}

/** Whether `bytes` is exactly what the header names, SHA-256 included. */
export const verifies = (header: Header, bytes: Uint8Array): boolean =>
  matches(header, bytes) && hash("sha256", bytes, "hex") === header.digest

/** Past `expiresAt`: such a blob reads as absent on every tier. */
export const isExpired = (header: Header, unixMillis: number): boolean =>
  header.expiresAt !== undefined && unixMillis >= header.expiresAt

/** Past `freshUntil`. */
export const isStale = (header: Header, unixMillis: number): boolean =>
  header.freshUntil !== undefined && unixMillis >= header.freshUntil

// -----------------------------------------------------------------------------
// Encoded form
// -----------------------------------------------------------------------------

const Encoded = Schema.Struct({
  key: Schema.String,
  digest: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/)),
  size: Schema.Natural,
  crc: Schema.String.check(Schema.isPattern(/^([0-9a-f]{8})*$/)),
  type: Schema.String,
  generation: Schema.Natural,
  created: Schema.Finite,
  fresh: Schema.optionalKey(Schema.Finite),
  expires: Schema.optionalKey(Schema.Finite),
  attributes: Schema.Record(Schema.String, Schema.String)
})

const decodeText = Schema.decodeUnknownOption(Schema.fromJsonString(Encoded))

/** Writes the header as ASCII JSON. Fails with `HeaderTooLarge` above `maxEncodedBytes`. */
export const encode = (header: Header): Effect.Effect<string, HeaderTooLarge> =>
  Effect.suspend(() => {
    const text = asciiJson({
      key: header.key.text,
      digest: header.digest,
      size: header.size,
      crc: header.checksums.map((checksum) => checksum.toString(16).padStart(8, "0")).join(""),
      type: header.contentType,
      generation: header.generation,
      created: header.createdAt,
      fresh: header.freshUntil,
      expires: header.expiresAt,
      attributes: header.attributes
    })
    return text.length > maxEncodedBytes
      ? Effect.fail(new HeaderTooLarge({ key: header.key.text, encodedBytes: text.length }))
      : Effect.succeed(text)
  })

/** Reads the encoded form; none if the text is no header. */
export const decode = (text: string): Option.Option<Header> =>
  Option.flatMap(decodeText(text), (encoded) =>
    Option.map(Option.fromNullishOr(parsedKey(encoded.key)), (key) => ({
      key,
      digest: encoded.digest,
      size: encoded.size,
      checksums: (encoded.crc.match(/.{8}/g) ?? []).map((hex) => Number.parseInt(hex, 16)),
      contentType: encoded.type,
      generation: encoded.generation,
      createdAt: encoded.created,
      freshUntil: encoded.fresh,
      expiresAt: encoded.expires,
      attributes: encoded.attributes
    }))
  )

const parsedKey = (text: string): Key.Key | undefined => {
  const result = Key.parse(text)
  return result._tag === "Success" ? result.success : undefined
}

/** JSON with every character outside ASCII escaped, as object metadata needs. */
const asciiJson = (value: unknown): string =>
  JSON.stringify(value).replace(/[\u007f-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`)

/** Computes digest and checksums of bytes that arrive in pieces. */
export class Digester {
  private readonly sha = createHash("sha256")
  private readonly checksums: Array<number> = []
  private crc = 0
  private filled = 0
  private total = 0

  update(bytes: Uint8Array): void {
    this.sha.update(bytes)
    this.total += bytes.byteLength
    for (let start = 0; start < bytes.byteLength;) {
      const run = bytes.subarray(start, start + chunkBytes - this.filled)
      this.crc = crc32(run, this.crc)
      this.filled += run.byteLength
      start += run.byteLength
      if (this.filled === chunkBytes) this.flush()
    }
  }

  /** Whether the bytes seen so far are exactly those that `header` names. Ends the digester. */
  verifies(header: Header): boolean {
    if (this.filled > 0) this.flush()
    return (
      this.total === header.size &&
      this.checksums.length === header.checksums.length &&
      this.checksums.every((checksum, chunk) => checksum === header.checksums[chunk]) &&
      this.sha.digest("hex") === header.digest
    )
  }

  private flush(): void {
    this.checksums.push(this.crc)
    this.crc = 0
    this.filled = 0
  }
}
