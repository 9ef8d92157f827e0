/**
 * Lists blobs, by directory and name.
 *
 * The size of a body stands in the trailer, so each entry costs an open and a read; damaged, expired and foreign files are
 * left out that way. A cursor is the place of an entry, in base64url: it is good whether or not the entry is still there.
 */
import * as Header from "@terrace/core/Header"
import type * as Tier from "@terrace/core/Tier"
import { type TierError, BadCursor } from "@terrace/core/TierError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Disk from "./Disk.ts"
import * as Layout from "./Layout.ts"
import * as Lookup from "./Lookup.ts"

interface Place {
  readonly shard: Layout.Shard
  readonly name: string
}

const cursorOf = ({ shard, name }: Place): Tier.Cursor =>
  Buffer.from(`${shard.outer}${shard.inner}${name}`, "latin1").toString("base64url")

/** The place of a cursor; undefined if it is none of ours. */
const placeOf = (cursor: Tier.Cursor): Place | undefined => {
  const text = Buffer.from(cursor, "base64url").toString("latin1")
  const place = { shard: { outer: text.slice(0, 2), inner: text.slice(2, 4) }, name: text.slice(4) }
  return cursorOf(place) === cursor && Layout.keyOf(place.shard, place.name) !== undefined ? place : undefined
}

export const scan = (disk: Disk.Disk, options: Tier.ScanOptions | undefined): Stream.Stream<Tier.Entry, TierError> => {
  const after = options?.after === undefined ? undefined : placeOf(options.after)
  if (options?.after !== undefined && after === undefined) {
    return Stream.fail(Disk.error(disk, "scan", new BadCursor({ cursor: options.after })))
  }
  const prefix = options?.groupPrefix ?? ""
  const { root } = disk.settings
  const start = after === undefined ? "" : after.shard.outer + after.shard.inner
  const shardNames = (path: string) =>
    Effect.map(Effect.mapError(Disk.names(disk, path), Disk.trouble(disk, "scan")), (names) =>
      names.filter(Layout.isShardName)
    )

  const entriesOf = (shard: Layout.Shard) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const names = yield* Effect.mapError(Disk.names(disk, Layout.shardPath(root, shard)), Disk.trouble(disk, "scan"))
      const isFirst = shard.outer + shard.inner === start
      const wanted = names.filter(
        (name) => name.startsWith(prefix) && !(isFirst && after !== undefined && name <= after.name)
      )
      return Stream.fromIterable(wanted).pipe(
        Stream.mapEffect((name) => entryOf(disk, { shard, name }, now)),
        Stream.flatMap((entry) => (entry === undefined ? Stream.empty : Stream.succeed(entry)))
      )
    })

  return Stream.fromIterableEffect(Effect.andThen(Disk.present(disk, "scan"), shardNames(root))).pipe(
    Stream.filter((outer) => outer >= start.slice(0, 2)),
    Stream.flatMap((outer) =>
      Stream.map(Stream.fromIterableEffect(shardNames(Layout.outerPath(root, outer))), (inner) => ({ outer, inner }))
    ),
    Stream.filter(({ outer, inner }) => outer + inner >= start),
    Stream.flatMap((shard) => Stream.unwrap(entriesOf(shard)))
  )
}

const entryOf = (disk: Disk.Disk, place: Place, now: number): Effect.Effect<Tier.Entry | undefined, TierError> =>
  Effect.gen(function* () {
    const key = Layout.keyOf(place.shard, place.name)
    if (key === undefined) return undefined
    const found = yield* Effect.mapError(Lookup.look(disk, key, 0), Disk.trouble(disk, "scan"))
    return found._tag !== "Whole" || Header.isExpired(found.header, now)
      ? undefined
      : { key, size: found.header.size, cursor: cursorOf(place) }
  })
