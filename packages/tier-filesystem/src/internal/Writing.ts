/**
 * Stores blobs.
 *
 * Order of a write: may we? is it the blob that its header says? is it newer than what is there? is there room? Then a
 * temporary file beside the target gets the payload and the trailer and is flushed; under the lock of its directory the
 * question of who is newer is asked again, and one rename makes the blob visible; at last the directory is flushed. Until
 * the rename a failure or an interruption leaves nothing behind; a failure after it leaves the new blob, whole, and says
 * that the outcome is unknown.
 */
import type * as Blob from "@terrace/core/Blob"
import * as Body from "@terrace/core/Body"
import * as Header from "@terrace/core/Header"
import type * as Key from "@terrace/core/Key"
import * as Tier from "@terrace/core/Tier"
import { Corrupt, TierError, Unavailable, Unknown, Unsupported } from "@terrace/core/TierError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type { PlatformError } from "effect/PlatformError"
import * as Stream from "effect/Stream"
import * as BlobFile from "./BlobFile.ts"
import { type Disk, error, held, locked, nonce, trouble } from "./Disk.ts"
import { isAbsent } from "./Errno.ts"
import * as Files from "./Files.ts"
import * as Layout from "./Layout.ts"
import type { Reservation } from "./Ledger.ts"
import * as Lookup from "./Lookup.ts"
import * as Quarantine from "./Quarantine.ts"
import * as Space from "./Space.ts"

/** A blob on its way to its file. */
interface Draft {
  readonly blob: Blob.Blob
  readonly trailer: Buffer
  readonly shard: Layout.Shard
  readonly expected: Tier.PutOptions["expected"]
}

/** Largest body that a cache of this budget takes, in bytes. */
export const maxBodyBytes = (maxBytes: number): number => Math.max(0, maxBytes - BlobFile.maxTrailerBytes)

export const put = (
  disk: Disk,
  blob: Blob.Blob,
  options: Tier.PutOptions | undefined
): Effect.Effect<Tier.Write, TierError> =>
  Effect.gen(function* () {
    const { body, header } = blob
    const { maxBytes, role } = disk.settings
    yield* held(disk, "put")
    if (Header.isExpired(header, yield* Clock.currentTimeMillis)) return Tier.declined("expired")
    if (role === "cache" && maxBytes !== undefined && header.size > maxBodyBytes(maxBytes)) {
      return Tier.declined("too-large")
    }
    if (Body.size(body) !== header.size || (body._tag === "Inline" && !Header.verifies(header, body.bytes))) {
      return yield* Effect.fail(mismatch(disk, header.key))
    }
    const encoded = yield* Effect.mapError(Header.encode(header), (cause) => error(disk, "put", new Unknown({ cause })))
    if (Option.isNone(Header.decode(encoded))) return yield* Effect.fail(unreadable(disk, header.key))
    const draft: Draft = {
      blob,
      trailer: BlobFile.encodeTrailer(encoded, header.size),
      shard: Layout.shardOf(header.key.group),
      expected: options?.expected
    }

    const found = yield* Effect.mapError(Lookup.look(disk, header.key, 0), trouble(disk, "put"))
    const refusal = yield* refuse(disk, draft, found)
    if (refusal !== undefined) {
      if (refusal._tag === "Stored") yield* locked(disk, draft.shard)(settle(disk, draft))
      return refusal
    }
    if (role === "store" && maxBytes !== undefined) yield* Effect.interruptible(disk.counted)
    return yield* Effect.acquireUseRelease(
      Space.reserve(disk, header.size + draft.trailer.length, bytesOf(found)),
      (reservation) => write(disk, draft, reservation),
      (reservation) => Effect.sync(() => disk.ledger.release(reservation))
    )
  })

const mismatch = (disk: Disk, key: Key.Key): TierError =>
  error(disk, "put", new Corrupt({ detail: `${key.text}: the bytes are not those of the header; nothing was written` }))

/** A header that is written but cannot be read again, for example with a time of `NaN`, would be a damaged file. */
const unreadable = (disk: Disk, key: Key.Key): TierError => {
  const cause = new Error(`the header of ${key.text} holds what its encoded form cannot; nothing was written`)
  return error(disk, "put", new Unknown({ cause }))
}

const bytesOf = (found: Lookup.Found): number =>
  found._tag === "Whole" || found._tag === "Damaged" ? found.facts.bytes : 0

/** What to answer, given the file that is there, if the blob is not to be stored. */
const refuse = (disk: Disk, draft: Draft, found: Lookup.Found): Effect.Effect<Tier.Write | undefined, TierError> =>
  Effect.gen(function* () {
    if (found._tag === "Later") {
      return yield* Effect.fail(
        error(disk, "put", new Unsupported({ capability: `blob file version ${found.version}` }))
      )
    }
    const now = yield* Clock.currentTimeMillis
    const current = found._tag === "Whole" && !Header.isExpired(found.header, now) ? found.header : undefined
    return Tier.refusal(draft.blob.header, current, draft.expected)
  })

/** Before "stored" is answered for what another call has written, that must be as durable as if it were ours. */
const settle = (disk: Disk, draft: Draft): Effect.Effect<void, TierError> =>
  Effect.mapError(disk.directories.settle(draft.shard), unknownOutcome(disk))

const unknownOutcome =
  (disk: Disk) =>
  (failure: PlatformError): TierError =>
    error(disk, "put", new Unavailable({ cause: failure.reason.cause ?? failure }))

/** Writes the temporary file and puts it in its place. */
const write = (disk: Disk, draft: Draft, reservation: Reservation): Effect.Effect<Tier.Write, TierError> =>
  Effect.suspend(() => {
    const directory = Layout.shardPath(disk.settings.root, draft.shard)
    const temporary = `${directory}/${Layout.temporaryName(disk.writerId, nonce())}`
    const remove = Effect.ignore(disk.fs.remove(temporary))
    return spool(disk, draft, temporary).pipe(
      Effect.andThen(locked(disk, draft.shard)(commit(disk, draft, temporary, reservation))),
      Effect.onError(() => remove),
      Effect.flatMap((refusal) =>
        refusal !== undefined
          ? Effect.as(remove, refusal)
          : Effect.as(Effect.mapError(disk.directories.sync(draft.shard), unknownOutcome(disk)), Tier.stored)
      )
    )
  })

/** Writes and flushes the temporary file; its directory is made if it is missing. */
const spool = (disk: Disk, draft: Draft, temporary: string): Effect.Effect<void, TierError> => {
  const once = Files.withFile(disk.fs, temporary, "wx", (file) =>
    Effect.gen(function* () {
      yield* payload(disk, draft, file)
      yield* file.writeAll(draft.trailer)
      if (disk.settings.durability !== "none") yield* file.sync
    })
  )
  return once.pipe(
    Effect.catchIf(
      (failure) => !(failure instanceof TierError) && isAbsent(failure),
      () => Effect.andThen(disk.directories.make(draft.shard), once)
    ),
    Effect.mapError((failure) => (failure instanceof TierError ? failure : trouble(disk, "put")(failure)))
  )
}

/** Writes the bytes; those of a stream are verified on the way. Only the wait for the stream can be interrupted. */
const payload = (
  disk: Disk,
  { blob: { body, header } }: Draft,
  file: FileSystem.File
): Effect.Effect<void, TierError | PlatformError> =>
  Effect.suspend((): Effect.Effect<void, TierError | PlatformError> => {
    if (body._tag === "Inline") return file.writeAll(body.bytes)
    const digester = new Header.Digester()
    let total = 0
    const bytesToFile = Stream.runForEach(body.open(), (bytes) =>
      Effect.suspend(() => {
        total += bytes.byteLength
        if (total > header.size) return Effect.fail(mismatch(disk, header.key))
        digester.update(bytes)
        return Effect.mapError(Effect.uninterruptible(file.writeAll(bytes)), trouble(disk, "put"))
      })
    )
    return Effect.andThen(
      Effect.interruptible(bytesToFile),
      Effect.suspend(() => (digester.verifies(header) ? Effect.void : Effect.fail(mismatch(disk, header.key))))
    )
  })

/** Renames the temporary file to its place, unless something newer came there meanwhile. Under the shard's lock. */
const commit = (
  disk: Disk,
  draft: Draft,
  temporary: string,
  reservation: Reservation
): Effect.Effect<Tier.Write | undefined, TierError> =>
  Effect.gen(function* () {
    const { key } = draft.blob.header
    yield* held(disk, "put")
    const found = yield* Effect.mapError(Quarantine.lookForWriting(disk, key), trouble(disk, "put"))
    const refusal = yield* refuse(disk, draft, found)
    if (refusal !== undefined) {
      if (refusal._tag === "Stored") yield* settle(disk, draft)
      return refusal
    }
    const replaced = found._tag === "Whole" ? found.facts.bytes : 0
    yield* Space.confirm(disk, reservation, replaced)
    yield* Effect.mapError(disk.fs.rename(temporary, Lookup.pathOf(disk, key)), trouble(disk, "put"))
    disk.directories.changed(draft.shard)
    disk.ledger.change(draft.shard, reservation.fileBytes - replaced, found._tag === "Whole" ? 0 : 1)
    return undefined
  })
