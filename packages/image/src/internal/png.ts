/**
 * Drops the compressed text of a PNG before libpng inflates it.
 *
 * libpng inflates every zTXt and iTXt chunk while it reads the header, up to 8 MB each and a thousand of them, with no way
 * to stop it: 40 KB of chunk cost 50 ms, so a file of a few megabytes would hold a thread for many seconds. Text has no
 * effect on pixels, and no output of this package keeps it. Chunks: PNG specification, third edition, §5.3 and §11.3.3.
 */

/** Bytes of compressed text that are left alone: enough for an XMP packet, and quick to inflate. */
const harmlessBytes = 65_536

const signatureBytes = 8
/** Length, type and CRC. */
const frameBytes = 12
const zTXt = 0x7a545874
const iTXt = 0x69545874

/** `bytes` themselves, or a copy without its zTXt and iTXt chunks if they are long. Never changes `bytes`. */
export const withoutText = (bytes: Uint8Array): Uint8Array => {
  let text = 0
  for (const chunk of textChunks(bytes)) text += chunk.end - chunk.start
  if (text <= harmlessBytes) return bytes
  const copy = new Uint8Array(bytes.byteLength - text)
  let read = 0
  let written = 0
  const keep = (end: number): void => {
    copy.set(bytes.subarray(read, end), written)
    written += end - read
  }
  for (const chunk of textChunks(bytes)) {
    keep(chunk.start)
    read = chunk.end
  }
  keep(bytes.byteLength)
  return copy
}

function* textChunks(bytes: Uint8Array): Generator<{ readonly start: number; readonly end: number }> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let start = signatureBytes; start + frameBytes <= bytes.byteLength;) {
    const end = Math.min(start + frameBytes + view.getUint32(start), bytes.byteLength)
    const type = view.getUint32(start + 4)
    if (type === zTXt || type === iTXt) yield { start, end }
    start = end
  }
}
