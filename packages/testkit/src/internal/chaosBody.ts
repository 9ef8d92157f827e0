/**
 * Bodies that were damaged, or whose delivery ends too early.
 */
import * as Body from "@terrace/core/Body"
import * as Header from "@terrace/core/Header"
import type { TierError } from "@terrace/core/TierError"
import type * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

/** The body with one bit flipped; an empty one gets a byte. `share` says where, from 0 to below 1. */
export const damaged = (body: Body.Body, share: number): Body.Body => {
  const size = Body.size(body)
  const at = Math.floor(share * size)
  if (body._tag === "Inline") return Body.inline(size === 0 ? Uint8Array.of(0) : flipped(body.bytes, at))
  return Body.streamed(size, (range) =>
    size === 0
      ? Stream.succeed(Uint8Array.of(0))
      : Stream.suspend(() => {
          let position = range?.start ?? 0
          return Stream.map(body.open(range), (piece) => {
            const start = position
            position += piece.byteLength
            return at >= start && at < position ? flipped(piece, at - start) : piece
          })
        })
  )
}

const flipped = (bytes: Uint8Array, at: number): Uint8Array =>
  bytes.map((byte, index) => (index === at ? byte ^ 1 : byte))

/** Delivers the first `length` bytes, then runs `failing`. */
export const cut = (
  stream: Stream.Stream<Uint8Array, TierError>,
  length: number,
  failing: Effect.Effect<never, TierError>
): Stream.Stream<Uint8Array, TierError> =>
  Stream.suspend(() => {
    let left = length
    return stream.pipe(
      Stream.map((piece) => {
        const part = piece.subarray(0, left)
        left -= part.byteLength
        return part
      }),
      Stream.takeWhile((part) => part.byteLength > 0),
      Stream.concat(Stream.fromEffect(failing))
    )
  })

/** Bytes of `range` before the chunk that is found to be damaged: never the first one, if there are several. */
export const beforeDamage = (range: Body.Range, share: number): number => {
  const first = Math.floor(range.start / Header.chunkBytes)
  const following = Math.floor(Math.max(range.end - 1, range.start) / Header.chunkBytes) - first
  return following === 0 ? 0 : (first + 1 + Math.floor(share * following)) * Header.chunkBytes - range.start
}

/** Bytes of `range` before its delivery breaks off: at least one, and not all, if there are two. */
export const beforeBreak = (range: Body.Range, share: number): number => {
  const length = range.end - range.start
  return length < 2 ? 0 : 1 + Math.floor(share * (length - 1))
}
