/**
 * Format of a blob file: payload first, trailer last.
 *
 * ```
 * payload            header.size bytes, exactly the body
 * trailer
 *   u32  boxBytes    length of the whole trailer
 *   4    "free"      the trailer is an ISO-BMFF free box, so AVIF parsers skip it; WebP, PNG, JPEG and GIF end before it
 *   n    header      the encoded header, ASCII JSON
 *   u32  headerBytes n
 *   u64  payloadBytes
 *   u32  version     1
 *   u32  crc         CRC-32 of the trailer up to here
 *   8    magic       "TERRACE\n"
 * ```
 *
 * Integers are big-endian. The file stays an image that any viewer opens, and its last `maxTrailerBytes` bytes tell all
 * about it. The lengths must add up to that of the file, so a truncated file is never taken for a whole one. The CRC is
 * compared before the version is judged, so that a file of a later version is told from a damaged one.
 *
 * Box: ISO/IEC 14496-12, 8.1.2.
 */
import * as Header from "@terrace/core/Header"
import * as Option from "effect/Option"
import { crc32 } from "node:zlib"

const magic = Buffer.from("TERRACE\n", "latin1")
const boxType = Buffer.from("free", "latin1")
const version = 1
const boxHeaderBytes = 8
const footerBytes = 28
/** From the end of the file. */
const at = { headerBytes: 28, payloadBytes: 24, version: 16, crc: 12, magic: 8 } as const

/** Largest trailer, in bytes. */
export const maxTrailerBytes: number = boxHeaderBytes + Header.maxEncodedBytes + footerBytes

export type Decoded =
  | { readonly _tag: "Whole"; readonly header: Header.Header }
  | { readonly _tag: "Damaged"; readonly detail: string }
  | { readonly _tag: "Later"; readonly version: number }

const damaged = (detail: string): Decoded => ({ _tag: "Damaged", detail })

/** Writes the trailer of a payload; `encodedHeader` is what `Header.encode` gave. */
export const encodeTrailer = (encodedHeader: string, payloadBytes: number): Buffer => {
  const headerBytes = encodedHeader.length
  const trailer = Buffer.alloc(boxHeaderBytes + headerBytes + footerBytes)
  const end = trailer.length
  trailer.writeUInt32BE(end, 0)
  boxType.copy(trailer, 4)
  trailer.write(encodedHeader, boxHeaderBytes, "latin1")
  trailer.writeUInt32BE(headerBytes, end - at.headerBytes)
  trailer.writeBigUInt64BE(BigInt(payloadBytes), end - at.payloadBytes)
  trailer.writeUInt32BE(version, end - at.version)
  trailer.writeUInt32BE(crc32(trailer.subarray(0, end - at.crc)), end - at.crc)
  magic.copy(trailer, end - at.magic)
  return trailer
}

/**
 * Reads the trailer out of `tail`, the last bytes of a file of `fileBytes` bytes: the whole file, or at least
 * `maxTrailerBytes` of it. Total: whatever the bytes are, it answers.
 */
export const decodeTail = (tail: Buffer, fileBytes: number): Decoded => {
  const end = tail.length
  if (end < boxHeaderBytes + footerBytes) return damaged(`${fileBytes} bytes are too few`)
  if (!tail.subarray(end - at.magic).equals(magic)) return damaged("the end is not that of a blob file")
  const headerBytes = tail.readUInt32BE(end - at.headerBytes)
  const trailerBytes = boxHeaderBytes + headerBytes + footerBytes
  if (headerBytes > Header.maxEncodedBytes || trailerBytes > end) return damaged("the header length is impossible")
  const trailer = tail.subarray(end - trailerBytes)
  if (crc32(trailer.subarray(0, trailerBytes - at.crc)) !== tail.readUInt32BE(end - at.crc)) {
    return damaged("the trailer's CRC differs")
  }
  const foundVersion = tail.readUInt32BE(end - at.version)
  if (foundVersion > version) return { _tag: "Later", version: foundVersion }
  if (foundVersion !== version) return damaged("the version is impossible")
  if (trailer.readUInt32BE(0) !== trailerBytes || !trailer.subarray(4, boxHeaderBytes).equals(boxType)) {
    return damaged("the trailer is no free box of its length")
  }
  const payloadBytes = tail.readBigUInt64BE(end - at.payloadBytes)
  if (payloadBytes + BigInt(trailerBytes) !== BigInt(fileBytes)) return damaged("the lengths do not add up")
  const header = Header.decode(trailer.toString("latin1", boxHeaderBytes, boxHeaderBytes + headerBytes))
  if (Option.isNone(header)) return damaged("the header cannot be read")
  const { checksums, size } = header.value
  return BigInt(size) !== payloadBytes || checksums.length !== Math.ceil(size / Header.chunkBytes)
    ? damaged("the header describes another payload")
    : { _tag: "Whole", header: header.value }
}
