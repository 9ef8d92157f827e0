/**
 * The bytes, in a buffer of about their own size.
 *
 * A view keeps the whole buffer behind it alive: a thumbnail cut out of a 10 MiB download would hold 10 MiB that no
 * budget counts, and a small `Buffer` holds Node's shared pool. So bytes are copied if the buffer behind them is more
 * than an eighth larger than they are; otherwise they are kept as they are.
 */
export const unpinned = (bytes: Uint8Array): Uint8Array =>
  bytes.buffer.byteLength > bytes.byteLength + bytes.byteLength / 8 ? new Uint8Array(bytes) : bytes
