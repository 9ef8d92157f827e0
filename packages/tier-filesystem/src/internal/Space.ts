/**
 * Admits writes: promises them their bytes before anything is written.
 *
 * The budget counts what the sum of the files will be, so a blob that replaces another one is charged the difference; the
 * device must hold both for a while, so it is charged the whole file.
 */
import { NoSpace, type TierError } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"
import { type Disk, error } from "./Disk.ts"
import * as Eviction from "./Eviction.ts"
import type { Reservation } from "./Ledger.ts"

/** Evictions for one write: others may take the room that one has made. */
const maxEvictions = 20

/** Why a write does not fit; undefined: it does. */
interface Shortage {
  readonly detail: string
  /** The sum of the files at which it would. */
  readonly target: number
}

const shortage = (disk: Disk, reservation: Reservation, freeBytes: number | undefined): Shortage | undefined => {
  const { ledger, settings } = disk
  const { maxBytes, minFreeBytes } = settings
  const { fileBytes, growth } = reservation
  if (maxBytes !== undefined && !ledger.fits(growth, maxBytes)) {
    return {
      detail: `${growth} bytes more do not fit: ${ledger.bytes} of ${maxBytes} are used, ${ledger.promised.growth} promised`,
      target: Math.min(maxBytes * settings.lowMark, maxBytes - ledger.promised.growth - growth)
    }
  }
  const missing = freeBytes === undefined ? 0 : minFreeBytes + ledger.promised.fileBytes + fileBytes - freeBytes
  return missing <= 0
    ? undefined
    : {
        detail: `a file of ${fileBytes} bytes would leave less than ${minFreeBytes} bytes free: ${freeBytes} are, ${ledger.promised.fileBytes} promised`,
        target: ledger.bytes - missing
      }
}

/** Promises the bytes of a file that replaces one of `replacedBytes`. Fails with `NoSpace`; a cache evicts before. */
export const reserve = (disk: Disk, fileBytes: number, replacedBytes: number): Effect.Effect<Reservation, TierError> =>
  Effect.gen(function* () {
    const { ledger, settings } = disk
    const { maxBytes } = settings
    const reservation = { fileBytes, growth: Math.max(0, fileBytes - replacedBytes) }
    const look = Effect.map(
      settings.minFreeBytes === 0 ? Effect.succeed(undefined) : disk.diskSpace(settings.root),
      (freeBytes) => shortage(disk, reservation, freeBytes)
    )
    let short = yield* look
    for (let attempt = 0; short !== undefined && settings.role === "cache" && attempt < maxEvictions; attempt++) {
      const { target } = short
      const { evicted } = disk.stats
      yield* Eviction.evict(disk, target)
      short = yield* look
      if (disk.stats.evicted === evicted && ledger.bytes > target) break
    }
    if (short !== undefined) return yield* Effect.fail(error(disk, "put", new NoSpace({ detail: short.detail })))
    ledger.reserve(reservation)
    if (settings.role === "cache" && maxBytes !== undefined) yield* Eviction.beyondSoftMark(disk, maxBytes)
    return reservation
  })

/** Checks, when the write is about to appear, that what it replaces is still as large as was reckoned. */
export const confirm = (
  disk: Disk,
  reservation: Reservation,
  replacedBytes: number
): Effect.Effect<void, TierError> => {
  const more = reservation.fileBytes - replacedBytes - reservation.growth
  const { maxBytes } = disk.settings
  return more <= 0 || maxBytes === undefined || disk.ledger.fits(more, maxBytes)
    ? Effect.void
    : Effect.fail(error(disk, "put", new NoSpace({ detail: `${more} bytes more do not fit in ${maxBytes}` })))
}
