/**
 * The bytes of a blob: in memory, or to be opened.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { TierError } from "./TierError.ts"

/** Bodies of this many bytes and more are streamed by the tiers that can (1 MiB). */
export const inlineBelow = 1_048_576

/** Half-open run of bytes: `start` is included, `end` is not. What lies outside the body is left out. */
export interface Range {
  readonly start: number
  readonly end: number
}

/** Bytes in memory. They are shared between readers and must never be written to. */
export interface Inline {
  readonly _tag: "Inline"
  readonly bytes: Uint8Array
}

/**
 * Bytes that a tier delivers when asked.
 *
 * Behavior:
 * - `open` delivers exactly the bytes of the range (default: all), each verified against its chunk's CRC beforehand.
 * - `open` fails with `Gone` before its first byte if the tier no longer holds this generation.
 * - it may be run several times; each run is independent and releases what it holds when it ends.
 */
export interface Streamed {
  readonly _tag: "Streamed"
  readonly size: number
  readonly open: (range?: Range) => Stream.Stream<Uint8Array, TierError>
}

export type Body = Inline | Streamed

export const inline = (bytes: Uint8Array): Inline => ({ _tag: "Inline", bytes })

export const streamed = (size: number, open: Streamed["open"]): Streamed => ({ _tag: "Streamed", size, open })

/** Length in bytes. */
export const size = (body: Body): number => (body._tag === "Inline" ? body.bytes.byteLength : body.size)

/** The bytes of `range` (default: all) as a stream. */
export const toStream = (body: Body, range?: Range): Stream.Stream<Uint8Array, TierError> =>
  body._tag === "Streamed"
    ? body.open(range)
    : Stream.succeed(
        range === undefined ? body.bytes : body.bytes.subarray(Math.max(0, range.start), Math.max(0, range.end))
      )

/** All bytes in memory; the caller answers for the size. */
export const toBytes = (body: Body): Effect.Effect<Uint8Array, TierError> =>
  body._tag === "Inline"
    ? Effect.succeed(body.bytes)
    : Effect.map(Stream.runCollect(body.open()), (runs) => Buffer.concat(runs))
