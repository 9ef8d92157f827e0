/**
 * Delivers the body of a large blob, chunk by chunk, each verified before its bytes leave.
 *
 * The file is opened anew and its trailer read again, so a stream that is opened late finds out that the blob was
 * replaced before it has sent anything. Once open, the file stays the one it is: replacing or removing a blob takes its
 * name away, not its bytes.
 */
import type * as Body from "@terrace/core/Body"
import * as Header from "@terrace/core/Header"
import { Corrupt, Gone, type TierError } from "@terrace/core/TierError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { crc32 } from "node:zlib"
import { type Disk, error, trouble } from "./Disk.ts"
import { isAbsent } from "./Errno.ts"
import * as Files from "./Files.ts"
import * as Lookup from "./Lookup.ts"
import * as Quarantine from "./Quarantine.ts"

/** Opens the body of the blob that `header` describes. Memory: one chunk, which then belongs to the receiver. */
export const open = (
  disk: Disk,
  header: Header.Header,
  range: Body.Range | undefined
): Stream.Stream<Uint8Array, TierError> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const { key } = header
      const gone = error(disk, "open", new Gone({ key: key.text }))
      const now = yield* Clock.currentTimeMillis
      if (Header.isExpired(header, now)) return Stream.fail(gone)
      const file = yield* Effect.mapError(disk.fs.open(Lookup.pathOf(disk, key), { flag: "r" }), (failure) =>
        isAbsent(failure) ? gone : trouble(disk, "open")(failure)
      )
      const found = yield* Lookup.inspect(file, key, 0).pipe(
        Effect.uninterruptible,
        Effect.mapError(trouble(disk, "open"))
      )
      if (found._tag === "Damaged") return Stream.fromEffect(damaged(disk, header, found.detail, false))
      if (
        found._tag === "Later" ||
        found.header.generation !== header.generation ||
        found.header.digest !== header.digest
      ) {
        return Stream.fail(gone)
      }
      return chunks(disk, file, found.header, range)
    })
  )

const chunks = (
  disk: Disk,
  file: FileSystem.File,
  header: Header.Header,
  range: Body.Range | undefined
): Stream.Stream<Uint8Array, TierError> => {
  const start = Math.max(0, range?.start ?? 0)
  const end = Math.min(header.size, range?.end ?? header.size)
  if (start >= end) return Stream.empty
  return Stream.paginate(Math.floor(start / Header.chunkBytes), (chunk) =>
    Effect.gen(function* () {
      const from = chunk * Header.chunkBytes
      const buffer = Buffer.allocUnsafeSlow(Math.min(Header.chunkBytes, header.size - from))
      const read = yield* Files.readFully(file, buffer, from).pipe(
        Effect.uninterruptible,
        Effect.mapError(trouble(disk, "open"))
      )
      if (read < buffer.length || crc32(buffer) !== header.checksums[chunk]) {
        const detail = `${read < buffer.length ? "the file ends in" : "the CRC differs of"} chunk ${chunk}`
        return yield* damaged(disk, header, detail, from > start)
      }
      const run = buffer.subarray(Math.max(0, start - from), end - from)
      return [[run], from + Header.chunkBytes < end ? Option.some(chunk + 1) : Option.none<number>()] as const
    })
  )
}

/**
 * Sets the blob aside and fails. A cache that has delivered nothing yet just no longer has the blob, so that the chain
 * can go on with the next tier.
 */
const damaged = (
  disk: Disk,
  header: Header.Header,
  detail: string,
  hasDelivered: boolean
): Effect.Effect<never, TierError> =>
  Effect.andThen(
    Quarantine.setAside(disk, header.key, header, detail),
    Effect.fail(
      error(
        disk,
        "open",
        disk.settings.role === "cache" && !hasDelivered
          ? new Gone({ key: header.key.text })
          : new Corrupt({ detail: `${header.key.text}: ${detail}` })
      )
    )
  )
