/**
 * Lists blobs, in the order of their objects' keys: 1,000 with one request.
 *
 * A listing tells keys and sizes and nothing of headers. What cannot be a key of ours is left out; whether we have written
 * the rest, and whether it is past `expiresAt`, a listing does not say.
 */
import { ListObjectsV2Command } from "@aws-sdk/client-s3"
import type * as Key from "@terrace/core/Key"
import type * as Tier from "@terrace/core/Tier"
import { BadCursor, type Operation, type TierError } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { type Connection, error, trouble } from "./Bucket.ts"
import * as ObjectKey from "./ObjectKey.ts"
import * as Request from "./Request.ts"

/** Pages that `usage` counts before it answers with what it has. */
const maxCountedPages = 10

interface Part {
  /** Begins the keys, after that of the tier. */
  readonly prefix: string
  /** Only keys after this one, without the prefix of the tier. */
  readonly after?: string | undefined
}

/** Pages of entries; one may be empty. */
export const pages = (
  connection: Connection,
  operation: Operation,
  { after, prefix }: Part
): Stream.Stream<ReadonlyArray<Tier.Entry>, TierError> => {
  const { settings } = connection
  return Stream.paginate(after, (start: string | undefined) =>
    Effect.map(
      Effect.mapError(
        Request.tell(connection, (client, options) =>
          client.send(
            new ListObjectsV2Command({
              Bucket: settings.bucket,
              Prefix: settings.prefix + prefix,
              StartAfter: start === undefined ? undefined : settings.prefix + start
            }),
            options
          )
        ),
        trouble(connection, operation)
      ),
      ({ Contents = [], IsTruncated = false }) => {
        const paths = Contents.flatMap(({ Key, Size = 0 }) =>
          Key === undefined ? [] : [{ path: Key.slice(settings.prefix.length), size: Size }]
        )
        const entries = paths.flatMap(({ path, size }) => {
          const key = ObjectKey.parse(path)
          return key === undefined ? [] : [entry(key, size)]
        })
        const last = paths.at(-1)
        return [[entries], IsTruncated && last !== undefined ? Option.some(last.path) : Option.none<string>()] as const
      }
    )
  )
}

const entry = (key: Key.Key, size: number): Tier.Entry => ({ key, size, cursor: ObjectKey.path(key) })

export const scan = (
  connection: Connection,
  options: Tier.ScanOptions | undefined
): Stream.Stream<Tier.Entry, TierError> => {
  const { after, groupPrefix = "" } = options ?? {}
  return after !== undefined && ObjectKey.parse(after) === undefined
    ? Stream.fail(error(connection, "scan", new BadCursor({ cursor: after })))
    : Stream.flattenIterable(pages(connection, "scan", { prefix: groupPrefix, after }))
}

/** Counts what is listed, up to 10,000 objects; of more it says at least how many, and that this is not exact. */
export const usage = (
  connection: Connection,
  maxPages: number = maxCountedPages
): Effect.Effect<Tier.Usage, TierError> =>
  Effect.map(
    Stream.runFold(
      // One page more than is counted tells whether there is more.
      Stream.take(pages(connection, "usage", { prefix: "" }), maxPages + 1),
      () => ({ bytes: 0, entries: 0, pages: 0 }),
      (counted, page) =>
        counted.pages === maxPages
          ? { ...counted, pages: counted.pages + 1 }
          : {
              bytes: page.reduce((bytes, { size }) => bytes + size, counted.bytes),
              entries: counted.entries + page.length,
              pages: counted.pages + 1
            }
    ),
    ({ bytes, entries, pages }) => ({ bytes, entries, exact: pages <= maxPages })
  )
