/**
 * Stores blobs.
 *
 * Order of a write: may we? is it the blob that its header says? is it newer than what is there? Then the bytes go up,
 * those of a large stream in parts that nobody sees. What makes the object visible is one request, whose condition is that
 * there is still what was looked at, so newer wins among all writers.
 */
import { PutObjectCommand } from "@aws-sdk/client-s3"
import type * as Blob from "@terrace/core/Blob"
import * as Body from "@terrace/core/Body"
import * as Header from "@terrace/core/Header"
import * as Tier from "@terrace/core/Tier"
import { Corrupt, Denied, TierError } from "@terrace/core/TierError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { type Bucket, error, objectOf, trouble } from "./Bucket.ts"
import * as Contention from "./Contention.ts"
import type { Failure } from "./Failure.ts"
import * as Lookup from "./Lookup.ts"
import * as Metadata from "./Metadata.ts"
import * as Multipart from "./Multipart.ts"
import * as Request from "./Request.ts"

/** A blob on its way. */
interface Draft {
  readonly header: Header.Header
  readonly target: Multipart.Target
  readonly expected: Tier.PutOptions["expected"]
}

/** Makes the object visible if the condition holds, given what was seen there. */
type Commit = (condition: Contention.Condition, seen: Lookup.Found) => Effect.Effect<void, Failure>

export const put = (
  bucket: Bucket,
  { body, header }: Blob.Blob,
  options: Tier.PutOptions | undefined
): Effect.Effect<Tier.Write, TierError> =>
  Effect.gen(function* () {
    const { maxBytes = Number.POSITIVE_INFINITY, multipartFrom, partBytes } = bucket.settings
    if (Header.isExpired(header, yield* Clock.currentTimeMillis)) return Tier.declined("expired")
    if (header.size > maxBytes) return Tier.declined("too-large")
    if (Body.size(body) !== header.size || (body._tag === "Inline" && !Header.verifies(header, body.bytes))) {
      return yield* Effect.fail(mismatch(bucket, header))
    }
    const encoded = Option.getOrUndefined(yield* Effect.option(Header.encode(header)))
    const metadata = encoded === undefined ? undefined : Metadata.encode(encoded)
    if (metadata === undefined) return Tier.declined("too-large")
    if (Metadata.decode(header.key, metadata) === undefined) return yield* Effect.fail(unreadable(bucket, header))
    yield* bucket.conditions.heeded("put")

    const draft: Draft = {
      header,
      target: { ...objectOf(bucket, header.key), ContentType: Metadata.contentType(header), Metadata: metadata },
      expected: options?.expected
    }
    if (body._tag === "Inline") return yield* commit(bucket, draft, undefined, whole(bucket, draft, body.bytes))
    // A stream is not opened in vain.
    const seen = yield* Effect.mapError(Lookup.look(bucket, header.key, false), trouble(bucket, "put"))
    const refusal = yield* refuse(bucket, draft, seen)
    if (refusal !== undefined) return refusal
    const isSmall = header.size < multipartFrom || (header.size <= partBytes && isSame(seen, header))
    return yield* isSmall
      ? Effect.flatMap(collected(bucket, header, body), (bytes) =>
          commit(bucket, draft, seen, whole(bucket, draft, bytes))
        )
      : inParts(bucket, draft, body, seen)
  })

const mismatch = (bucket: Bucket, { key }: Header.Header): TierError => {
  const detail = `${key.text}: the bytes are not those of the header; nothing was written`
  return error(bucket, "put", new Corrupt({ detail }))
}

/** A header that is written but cannot be read again, for example with a time of `NaN`, would make a foreign object. */
const unreadable = (bucket: Bucket, { key }: Header.Header): TierError => {
  const detail = `the header of ${key.text} holds what its encoded form cannot; nothing was written`
  return error(bucket, "put", new Corrupt({ detail }))
}

/** What to answer, given what is there, if the blob is not to be stored. */
const refuse = (
  bucket: Bucket,
  { expected, header }: Draft,
  seen: Lookup.Found
): Effect.Effect<Tier.Write | undefined, TierError> =>
  Effect.gen(function* () {
    if (seen._tag === "Foreign") {
      const cause = new Error(
        `the object of ${header.key.text} was not written by this tier and is not replaced; move it away, or use another prefix`
      )
      return yield* Effect.fail(error(bucket, "put", new Denied({ cause })))
    }
    const now = yield* Clock.currentTimeMillis
    const isLive =
      seen._tag === "Present" && seen.isWhole && !bucket.spoiled.has(seen.etag) && !Header.isExpired(seen.header, now)
    return Tier.refusal(header, isLive ? seen.header : undefined, expected)
  })

/** Makes the blob visible, unless something newer is there. `seen`: what was there a moment ago, if that is known. */
const commit = (
  bucket: Bucket,
  draft: Draft,
  seen: Lookup.Found | undefined,
  write: Commit
): Effect.Effect<Tier.Write, TierError> => {
  const { key } = draft.header
  // Without conditions, what was seen outside the lock proves nothing.
  const known = bucket.settings.conditionalWrites ? seen : undefined
  return bucket.locks.withLock(key.text)(
    Contention.settle(bucket, "put", key.text, Lookup.look(bucket, key, false), known, (found) =>
      Effect.gen(function* () {
        const refusal = yield* refuse(bucket, draft, found)
        if (refusal !== undefined) return refusal
        const written = write(Contention.conditionOf(bucket, found), found)
        return yield* Contention.orChanged(bucket, "put", found, Effect.as(written, Tier.stored))
      })
    )
  )
}

/**
 * Writes bytes that are in memory.
 *
 * The ETag of an object is the MD5 of its bytes, so bytes that are written again would keep it, and a late write or
 * removal that was decided upon what was there before would still find its condition fulfilled. An upload of one part has
 * another ETag for the same bytes: it takes turns with the plain way.
 */
const whole =
  (bucket: Bucket, { header, target }: Draft, bytes: Uint8Array): Commit =>
  (condition, seen) =>
    isSame(seen, header) && partsOf(seen) === undefined && bytes.byteLength > 0
      ? Multipart.within(bucket, target, (upload) => Effect.andThen(upload.part(bytes), upload.complete(condition)))
      : Effect.asVoid(
          Request.change(bucket, (client, options) =>
            client.send(
              new PutObjectCommand({ ...target, ...condition, Body: bytes, ChecksumAlgorithm: "CRC32" }),
              options
            )
          )
        )

const isSame = (seen: Lookup.Found, header: Header.Header): seen is Lookup.Present =>
  seen._tag === "Present" && seen.header.digest === header.digest

/** Number of parts of an object that was put in parts: its ETag ends with it. */
const partsOf = ({ etag }: Lookup.Present): number | undefined => {
  const count = /-(\d+)"?$/.exec(etag)?.[1]
  return count === undefined ? undefined : Number(count)
}

/** All bytes of a small stream, verified. */
const collected = (bucket: Bucket, header: Header.Header, body: Body.Streamed): Effect.Effect<Uint8Array, TierError> =>
  Effect.gen(function* () {
    const bytes = Buffer.allocUnsafeSlow(header.size)
    yield* pour(bucket, header, body, bytes, () => Effect.void)
    return bytes
  })

/** Uploads a large stream in parts, and makes the object visible once all of it was seen to be what the header says. */
const inParts = (
  bucket: Bucket,
  draft: Draft,
  body: Body.Streamed,
  seen: Lookup.Found
): Effect.Effect<Tier.Write, TierError> =>
  Effect.suspend(() => {
    const { header, target } = draft
    const buffer = Buffer.allocUnsafeSlow(partBytesFor(bucket, header, seen))
    return Multipart.within(bucket, target, (upload) =>
      Effect.andThen(
        pour(bucket, header, body, buffer, (part) => Effect.mapError(upload.part(part), trouble(bucket, "put"))),
        commit(bucket, draft, seen, upload.complete)
      )
    ).pipe(Effect.mapError((failure) => (failure instanceof TierError ? failure : trouble(bucket, "put")(failure))))
  })

/** Parts of twice the size where the same bytes lie there in as many parts: another ETag, as in `whole`. */
const partBytesFor = ({ settings: { partBytes } }: Bucket, header: Header.Header, seen: Lookup.Found): number => {
  const isAlike = isSame(seen, header) && partsOf(seen) === Math.ceil(header.size / partBytes)
  const bytes = isAlike ? 2 * partBytes : partBytes
  return Math.min(bytes, header.size)
}

/** Pours a stream through a buffer; `onFull` gets each filling. Fails if the bytes are not those of the header. */
const pour = (
  bucket: Bucket,
  header: Header.Header,
  body: Body.Streamed,
  buffer: Buffer,
  onFull: (bytes: Uint8Array) => Effect.Effect<void, TierError>
): Effect.Effect<void, TierError> =>
  Effect.suspend(() => {
    const digester = new Header.Digester()
    let total = 0
    let filled = 0
    const take = (piece: Uint8Array): Effect.Effect<void, TierError> =>
      Effect.suspend(() => {
        const taken = piece.subarray(0, buffer.byteLength - filled)
        buffer.set(taken, filled)
        filled += taken.byteLength
        const rest = piece.subarray(taken.byteLength)
        // The last filling waits until all was verified.
        if (rest.byteLength === 0) return Effect.void
        filled = 0
        return Effect.andThen(onFull(buffer), take(rest))
      })
    return Effect.andThen(
      Stream.runForEach(body.open(), (piece) =>
        Effect.suspend(() => {
          total += piece.byteLength
          if (total > header.size) return Effect.fail(mismatch(bucket, header))
          digester.update(piece)
          return take(piece)
        })
      ),
      Effect.suspend(() =>
        digester.verifies(header) ? onFull(buffer.subarray(0, filled)) : Effect.fail(mismatch(bucket, header))
      )
    )
  })
