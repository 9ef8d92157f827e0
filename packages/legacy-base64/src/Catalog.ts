/**
 * The catalog: one small record per image, which says what is known of it and never holds it.
 *
 * It has the place and the shape of what an old record becomes when it is compacted, so that those who read records need to
 * know one form only. It expires by itself; the image does not depend on it.
 */
import type { TierError } from "@terrace/core/TierError"
import { RedisConnection } from "@terrace/tier-redis/RedisConnection"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Metrics from "./internal/metrics.ts"
import { between } from "./internal/options.ts"
import * as Redis from "./internal/redis.ts"
import { InvalidField, type LegacyError, of, TooLarge } from "./LegacyError.ts"
import * as LegacyRecord from "./LegacyRecord.ts"
import * as Metadata from "./Metadata.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export interface Options {
  /** Begins every key. Default: `image:`. */
  readonly prefix?: string | undefined
  /** How long a record is kept after it was written. Default: 2 hours. */
  readonly ttl?: Duration.Input | undefined
  /** Name in errors. Default: `catalog`. */
  readonly name?: string | undefined
}

/** What is written of an image. */
export interface Entry {
  /** `style`, `title`, `cdn_url` and whatever else came with the upload, in this order. */
  readonly fields: Readonly<Record<string, string>>
  readonly facts: Metadata.Facts
}

/** Largest record, in bytes; most have some 500. */
export const maxRecordBytes = 16_384

export interface ImageCatalog {
  /**
   * Writes the record of an image in place of whatever is there.
   *
   * Behavior:
   * - a record above 16 KiB fails with `TooLarge`, a field that the record has of its own (`cached`, `terrace`,
   *   `base64_data`) with `InvalidField`; nothing is written.
   * - may be repeated.
   */
  readonly write: (id: string, entry: Entry) => Effect.Effect<void, TierError | LegacyError>

  /** Removes the record, whether old or new; false if there was none. */
  readonly remove: (id: string) => Effect.Effect<boolean, TierError>

  /**
   * What the record says beside the image; undefined if there is none.
   *
   * Behavior: a record above 16 KiB fails with `TooLarge`: an old one that still holds its image, see `Records.read`.
   */
  readonly read: (id: string) => Effect.Effect<Metadata.Metadata | undefined, TierError | LegacyError>
}

export class Catalog extends Context.Service<Catalog, ImageCatalog>()("@terrace/legacy-base64/Catalog") {}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/** 2 hours, as Python wrote them. */
const defaultTtl = 7_200_000
/** As far as Redis can add to its clock with room to spare: 100,000 years. */
const longestTtl = 3_155_760_000_000_000

/**
 * Keeps records over the connection, and shows its counters, until the scope closes.
 *
 * Dies with a `RangeError` that names an option that is out of range.
 */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<ImageCatalog, never, RedisConnection | Scope.Scope> {
  const connection = yield* RedisConnection
  const place: Redis.Place = { connection, name: options.name ?? "catalog", prefix: options.prefix ?? "image:" }
  const ttl = between("ttl", Duration.toMillis(options.ttl ?? defaultTtl), 1, longestTtl, defaultTtl)
  const writes = { written: 0, refused: 0, failed: 0 }
  const removals = { removed: 0, absent: 0, failed: 0 }
  const reads = { found: 0, absent: 0, refused: 0, failed: 0 }
  yield* Metrics.observe([
    ...Metrics.counters("terrace_catalog_writes", "outcome", writes),
    ...Metrics.counters("terrace_catalog_removals", "outcome", removals),
    ...Metrics.counters("terrace_catalog_reads", "outcome", reads)
  ])

  return {
    write: (id, entry) =>
      Effect.suspend(() => Effect.fromResult(textOf(entry))).pipe(
        Effect.flatMap((text) => Redis.send(place, "put", id, (client, key) => client.set(key, text, "PX", ttl))),
        Effect.asVoid,
        Effect.tap(() => Effect.sync(() => writes.written++)),
        Effect.tapError((error) => Effect.sync(() => writes[error._tag === "LegacyError" ? "refused" : "failed"]++))
      ),
    remove: (id) =>
      Redis.send(place, "remove", id, (client, key) => client.unlink(key)).pipe(
        Effect.map((removed) => removed === 1),
        Effect.tap((wasThere) => Effect.sync(() => removals[wasThere ? "removed" : "absent"]++)),
        Effect.tapError(() => Effect.sync(() => removals.failed++))
      ),
    read: (id) =>
      Redis.read(place, id, maxRecordBytes).pipe(
        Effect.flatMap((bytes) =>
          bytes === undefined
            ? Effect.undefined
            : Effect.map(Effect.fromResult(LegacyRecord.parse(bytes)), ({ metadata }) => metadata)
        ),
        Effect.tap((metadata) => Effect.sync(() => reads[metadata === undefined ? "absent" : "found"]++)),
        Effect.tapError((error) => Effect.sync(() => reads[error._tag === "LegacyError" ? "refused" : "failed"]++))
      )
  }
})

/** The catalog as a service; see `make`. */
export const layer = (options?: Options): Layer.Layer<Catalog, never, RedisConnection> =>
  Layer.effect(Catalog, make(options))

const textOf = ({ facts, fields }: Entry): Result.Result<string, LegacyError> => {
  const taken = reserved.find((field) => Object.hasOwn(fields, field))
  if (taken !== undefined) {
    const found = "a field that the record has of its own"
    return Result.fail(of(new InvalidField({ field: taken, found, expected: `another name, for example "caption"` })))
  }
  const sources = Object.entries(fields).map(([name, value]) => Metadata.source(name, value))
  const text = Metadata.toText(Metadata.markCached(Metadata.make(fields, sources), facts))
  return Buffer.byteLength(text) > maxRecordBytes
    ? Result.fail(of(new TooLarge({ part: "record", maxBytes: maxRecordBytes })))
    : Result.succeed(text)
}

const reserved = [LegacyRecord.imageField, Metadata.cachedField, Metadata.factsField]
