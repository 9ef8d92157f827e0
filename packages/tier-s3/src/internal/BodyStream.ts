/**
 * Delivers the body of a large blob, chunk by chunk, each verified before its bytes leave.
 *
 * The request names the ETag, so a stream that is opened late finds out that the blob was replaced before it has sent
 * anything. An ETag says nothing of the header, which therefore is compared as well. Once the answer has begun, the server
 * delivers that object to the end, whatever becomes of the key.
 */
import { GetObjectCommand, type GetObjectCommandOutput } from "@aws-sdk/client-s3"
import type * as Body from "@terrace/core/Body"
import * as Header from "@terrace/core/Header"
import { Gone, type TierError } from "@terrace/core/TierError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { Readable } from "node:stream"
import { crc32 } from "node:zlib"
import { type Bucket, closed, error, objectOf, trouble } from "./Bucket.ts"
import { type Failure, isStatus } from "./Failure.ts"
import * as Lookup from "./Lookup.ts"
import * as Request from "./Request.ts"

/** Opens the body of a blob. Memory: one chunk, which then belongs to the receiver, and what the connection holds. */
export const open = (
  bucket: Bucket,
  present: Lookup.Present,
  range: Body.Range | undefined
): Stream.Stream<Uint8Array, TierError> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const { etag, header } = present
      const gone = error(bucket, "open", new Gone({ key: header.key.text }))
      if (bucket.isClosed()) return Stream.fail(closed(bucket, "open"))
      if (Header.isExpired(header, yield* Clock.currentTimeMillis)) return Stream.fail(gone)
      const start = Math.max(0, range?.start ?? 0)
      const end = Math.min(header.size, range?.end ?? header.size)
      if (start >= end) return Stream.empty
      // Whole chunks: only those can be verified.
      const from = Math.floor(start / Header.chunkBytes) * Header.chunkBytes
      const to = Math.min(header.size, Math.ceil(end / Header.chunkBytes) * Header.chunkBytes)
      const input = { ...objectOf(bucket, header.key), IfMatch: etag, Range: `bytes=${from}-${to - 1}` }

      yield* Effect.mapError(bucket.streams.scoped, trouble(bucket, "open"))
      const answer = yield* Effect.mapError(
        Request.open(bucket, (client, options) => client.send(new GetObjectCommand(input), options)),
        (failure) => (isStatus(failure, 412) || Lookup.isNoSuchKey(failure) ? gone : trouble(bucket, "open")(failure))
      )
      const found = Lookup.foundOf(header.key, answer)
      if (
        found._tag !== "Present" ||
        found.header.generation !== header.generation ||
        found.header.digest !== header.digest
      ) {
        return Stream.fail(gone)
      }
      const pieces = piecesOf(answer, from, to)
      return pieces === undefined
        ? Stream.fail(trouble(bucket, "open")(otherRange(answer)))
        : chunks(bucket, present, pieces, { start, end })
    })
  )

/** The bytes as they come; undefined if they are not those from `from` to `to`. */
const piecesOf = (answer: GetObjectCommandOutput, from: number, to: number): AsyncIterator<Uint8Array> | undefined =>
  answer.Body instanceof Readable && answer.ContentRange?.startsWith(`bytes ${from}-${to - 1}/`) === true
    ? (answer.Body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>)
    : undefined

const otherRange = ({ ContentRange }: GetObjectCommandOutput): Failure => ({
  _tag: "Lost",
  cause: new Error(`the server has sent ${ContentRange ?? "no range"} instead of the range that was asked for`)
})

interface State {
  readonly chunk: number
  /** What came of the next chunk with the last piece of the one before. */
  readonly rest: Uint8Array
}

const nothing = new Uint8Array(0)

const chunks = (
  bucket: Bucket,
  present: Lookup.Present,
  pieces: AsyncIterator<Uint8Array>,
  { end, start }: Body.Range
): Stream.Stream<Uint8Array, TierError> => {
  const { header } = present
  const first: State = { chunk: Math.floor(start / Header.chunkBytes), rest: nothing }
  return Stream.paginate(first, ({ chunk, rest }) =>
    Effect.gen(function* () {
      const from = chunk * Header.chunkBytes
      const buffer = Buffer.allocUnsafeSlow(Math.min(Header.chunkBytes, header.size - from))
      const left = yield* Effect.mapError(fill(bucket, buffer, rest, pieces), trouble(bucket, "open"))
      if (crc32(buffer) !== header.checksums[chunk]) {
        const damaged = Lookup.damaged(bucket, present, `the CRC differs of chunk ${chunk}`)
        return yield* Effect.mapError(damaged, trouble(bucket, "open"))
      }
      const run = buffer.subarray(Math.max(0, start - from), end - from)
      const isLast = from + Header.chunkBytes >= end
      if (isLast) yield* finish(bucket, pieces)
      return [[run], isLast ? Option.none<State>() : Option.some({ chunk: chunk + 1, rest: left })] as const
    })
  )
}

/**
 * Reads on to the end, where there is nothing more: the connection is then free for the next request, instead of closed.
 * All bytes were verified by now, so it does not matter how it ends.
 */
const finish = (bucket: Bucket, pieces: AsyncIterator<Uint8Array>): Effect.Effect<void> =>
  Effect.ignore(
    Request.inTime(
      bucket,
      Request.promised(bucket, () => pieces.next())
    )
  )

/** Fills the buffer, first with `rest`; answers what is left of the last piece. */
const fill = (
  bucket: Bucket,
  buffer: Uint8Array,
  rest: Uint8Array,
  pieces: AsyncIterator<Uint8Array>
): Effect.Effect<Uint8Array, Failure> =>
  Effect.gen(function* () {
    let filled = 0
    let piece = rest
    for (;;) {
      const taken = piece.subarray(0, buffer.byteLength - filled)
      buffer.set(taken, filled)
      filled += taken.byteLength
      if (filled === buffer.byteLength) return piece.subarray(taken.byteLength)
      const next = yield* Request.inTime(
        bucket,
        Request.promised(bucket, () => pieces.next())
      )
      if (next.done === true)
        return yield* Effect.fail<Failure>({ _tag: "Lost", cause: new Error("the body ends early") })
      piece = next.value
    }
  })
