/**
 * Old records in Redis: read, decoded, and replaced by their metadata once their image is stored elsewhere.
 *
 * Reading waits for Redis, decoding for the processor, so that whoever composes them can give each its own limits. Nothing
 * here stores an image: a caller stores it, reads it back, and only then compacts the record.
 */
import { TierError, Unknown } from "@terrace/core/TierError"
import { RedisConnection } from "@terrace/tier-redis/RedisConnection"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { constants } from "node:buffer"
import { hash } from "node:crypto"
import * as Base64 from "./Base64.ts"
import * as Compaction from "./internal/compaction.ts"
import * as Metrics from "./internal/metrics.ts"
import { between } from "./internal/options.ts"
import * as Redis from "./internal/redis.ts"
import type { LegacyError, Reason } from "./LegacyError.ts"
import * as LegacyRecord from "./LegacyRecord.ts"
import type { Metadata } from "./Metadata.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export interface Options {
  /** Begins every key. Default: `image:`. */
  readonly prefix?: string | undefined
  /** Largest image after decoding, in bytes. Default: 52,428,800 (50 MiB). */
  readonly maxImageBytes?: number | undefined
  /** Largest record, in bytes. Default: 4/3 of `maxImageBytes` and 64 KiB. */
  readonly maxRecordBytes?: number | undefined
  /** Name in errors. Default: `legacy`. */
  readonly name?: string | undefined
}

/** Stands for the bytes of a record, so that they need not be kept until it is compacted. */
export interface Fingerprint {
  readonly bytes: number
  /** 40 lower-case hex digits. */
  readonly sha1: string
}

export interface Decoded {
  /** The image as it was uploaded once; undefined: the record is metadata only. */
  readonly image: Uint8Array | undefined
  readonly metadata: Metadata
}

/**
 * What has become of a record that was to be compacted:
 * - `compacted`: it is the new text, written now or by an earlier try of the same call.
 * - `changed`: it differs from what was read, and was not touched.
 * - `gone`: there is none any more.
 */
export type Outcome = "compacted" | "changed" | "gone"

export interface LegacyRecords {
  /**
   * The bytes of a record, undefined if there is none.
   *
   * Behavior:
   * - a record above `maxRecordBytes` fails with `TooLarge`; one byte more than allowed is sent, not all of it.
   * - something else than a string fails with `NotAString`.
   * - an empty string reads as absent, as it did in Python.
   */
  readonly read: (id: string) => Effect.Effect<Uint8Array | undefined, TierError | LegacyError>

  /**
   * Size of a record in bytes, 0 if there is none: what reading it will take. Of something else than a string, 1: reading it
   * says what is wrong.
   */
  readonly size: (id: string) => Effect.Effect<number, TierError>

  /** Takes a record apart and decodes its image; see `LegacyRecord.parse` and `Base64.decode`. About 2 ms for 4 MB. */
  readonly decode: (record: Uint8Array) => Effect.Effect<Decoded, LegacyError>

  /**
   * Replaces a record by `after` if it is byte for byte what `before` was taken of.
   *
   * Behavior:
   * - the time to live stays as it is, to the millisecond; none stays none.
   * - works where Redis refuses writes for want of memory, since it makes room.
   * - may be repeated: where the first try has taken effect and its answer was lost, the second one answers `compacted`.
   * - fails with a `TierError` whose `isUnknownOutcome` tells whether it may have taken effect.
   * - interrupted, it has happened or not.
   */
  readonly compact: (id: string, before: Fingerprint, after: string) => Effect.Effect<Outcome, TierError>

  /** Counts a record whose bytes are no image, which only the caller can tell. */
  readonly countNoImage: Effect.Effect<void>
}

export class Records extends Context.Service<Records, LegacyRecords>()("@terrace/legacy-base64/Records") {}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

const defaultImageBytes = 52_428_800
/** The base64 of an image, and 64 KiB for everything else. */
const recordBytesFor = (imageBytes: number): number => Math.ceil(imageBytes / 3) * 4 + 65_536

/** What `compact` compares; 2.5 ms for 4 MB. */
export const fingerprint = (record: Uint8Array): Fingerprint => ({
  bytes: record.byteLength,
  sha1: hash("sha1", record, "hex")
})

/**
 * Reads and compacts records over the connection, and shows its counters, until the scope closes.
 *
 * Dies with a `RangeError` that names an option that is out of range.
 */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<LegacyRecords, never, RedisConnection | Scope.Scope> {
  const connection = yield* RedisConnection
  const { maxImageBytes, maxRecordBytes } = limitsOf(options)
  const place: Redis.Place = { connection, name: options.name ?? "legacy", prefix: options.prefix ?? "image:" }
  const counts = makeCounts()
  yield* Metrics.observe(countersOf(counts))

  const countRefusal = ({ reason }: LegacyError) => Effect.sync(() => counts.refusals[reason._tag]++)
  return {
    read: (id) =>
      Redis.read(place, id, maxRecordBytes).pipe(
        Effect.tap((bytes) => Effect.sync(() => counts.reads[bytes === undefined ? "absent" : "found"]++)),
        Effect.tapErrorTag("TierError", () => Effect.sync(() => counts.reads.failed++)),
        Effect.tapErrorTag("LegacyError", countRefusal)
      ),
    size: (id) => Redis.size(place, id),
    decode: (record) =>
      Effect.suspend(() => Effect.fromResult(decoded(record, maxImageBytes))).pipe(
        Effect.tap(({ image }) => Effect.sync(() => counts.records[image === undefined ? "metadata" : "image"]++)),
        Effect.tapError(countRefusal)
      ),
    compact: (id, before, after) =>
      Redis.send(place, "put", id, (client, key) =>
        client.eval(Compaction.script, 1, key, before.bytes, before.sha1, after)
      ).pipe(
        Effect.flatMap((answer) =>
          isOutcome(answer) ? Effect.succeed(answer) : Effect.fail(unexpected(place, answer))
        ),
        Effect.tap((outcome) => Effect.sync(() => counts.compactions[outcome]++)),
        Effect.tapError(() => Effect.sync(() => counts.compactions.failed++))
      ),
    countNoImage: Effect.sync(() => {
      counts.refusals.NoImage++
    })
  }
})

/** The records as a service; see `make`. */
export const layer = (options?: Options): Layer.Layer<Records, never, RedisConnection> =>
  Layer.effect(Records, make(options))

const limitsOf = (options: Options) => {
  const maxImageBytes = between(
    "maxImageBytes",
    options.maxImageBytes ?? defaultImageBytes,
    1,
    400_000_000,
    defaultImageBytes
  )
  const recordBytes = recordBytesFor(maxImageBytes)
  return {
    maxImageBytes,
    maxRecordBytes: between(
      "maxRecordBytes",
      options.maxRecordBytes ?? recordBytes,
      1,
      constants.MAX_STRING_LENGTH,
      recordBytes
    )
  }
}

const decoded = (record: Uint8Array, maxImageBytes: number): Result.Result<Decoded, LegacyError> =>
  Result.flatMap(LegacyRecord.parse(record), ({ base64, metadata }): Result.Result<Decoded, LegacyError> =>
    base64 === undefined
      ? Result.succeed({ image: undefined, metadata })
      : Result.map(Base64.decode(base64, maxImageBytes), (image) => ({ image, metadata }))
  )

const isOutcome = (answer: unknown): answer is Outcome =>
  answer === "compacted" || answer === "changed" || answer === "gone"

const unexpected = ({ name }: Redis.Place, answer: unknown): TierError =>
  new TierError({
    tier: name,
    operation: "put",
    reason: new Unknown({ cause: new Error(`an answer of Redis is none: ${JSON.stringify(answer)}`) })
  })

// -----------------------------------------------------------------------------
// Counters
// -----------------------------------------------------------------------------

const makeCounts = () => ({
  reads: { found: 0, absent: 0, failed: 0 },
  records: { image: 0, metadata: 0 },
  compactions: { compacted: 0, changed: 0, gone: 0, failed: 0 },
  refusals: {
    NotAString: 0,
    TooLarge: 0,
    InvalidUtf8: 0,
    InvalidJson: 0,
    NotAnObject: 0,
    TooDeep: 0,
    InvalidField: 0,
    InvalidBase64: 0,
    NoImage: 0
  } satisfies Record<Reason["_tag"] | "NoImage", number>
})

const countersOf = (counts: ReturnType<typeof makeCounts>): ReadonlyArray<Metrics.Counter> => [
  ...Metrics.counters("terrace_legacy_reads", "outcome", counts.reads),
  ...Metrics.counters("terrace_legacy_records", "holds", counts.records),
  ...Metrics.counters("terrace_legacy_compactions", "outcome", counts.compactions),
  ...Metrics.counters("terrace_legacy_refusals", "reason", counts.refusals)
]
