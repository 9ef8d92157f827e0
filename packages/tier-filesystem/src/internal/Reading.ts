/**
 * Serves blobs.
 */
import type * as Blob from "@terrace/core/Blob"
import * as Body from "@terrace/core/Body"
import * as Header from "@terrace/core/Header"
import type * as Key from "@terrace/core/Key"
import * as Tier from "@terrace/core/Tier"
import { Corrupt, type Operation, type TierError, Unsupported } from "@terrace/core/TierError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { type Disk, error, present, trouble } from "./Disk.ts"
import * as BodyStream from "./BodyStream.ts"
import * as Lookup from "./Lookup.ts"
import * as Quarantine from "./Quarantine.ts"

type Whole = Extract<Lookup.Found, { readonly _tag: "Whole" }>

/**
 * Finds a blob to serve; undefined: there is none. A damaged one is set aside: a cache then has none, a store says so
 * once, since it may have been the only copy. That there is none is said only while the directory is there.
 */
const find = (
  disk: Disk,
  operation: Operation,
  key: Key.Key,
  wholeBelow: number
): Effect.Effect<Whole | undefined, TierError> =>
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const found = yield* Effect.mapError(Lookup.look(disk, key, wholeBelow), trouble(disk, operation))
    const isStore = disk.settings.role === "store"
    if (found._tag === "Absent") {
      yield* present(disk, operation)
      return undefined
    }
    if (found._tag === "Later") {
      if (!isStore) return undefined
      return yield* Effect.fail(
        error(disk, operation, new Unsupported({ capability: `blob file version ${found.version}` }))
      )
    }
    if (found._tag === "Whole") {
      if (Header.isExpired(found.header, now)) return undefined
      const isSound = wholeBelow === 0 || found.payload === undefined || Header.matches(found.header, found.payload)
      if (isSound) return found
    }
    const detail = found._tag === "Damaged" ? found.detail : "a chunk's CRC differs"
    yield* Quarantine.setAside(disk, key, found._tag === "Whole" ? found.header : undefined, detail)
    return isStore
      ? yield* Effect.fail(error(disk, operation, new Corrupt({ detail: `${key.text}: ${detail}` })))
      : undefined
  })

/** Renews the time of a cache's file, in the background, at most once per `touchEvery`: eviction goes by it. */
const touch = (disk: Disk, key: Key.Key, modifiedAt: number): Effect.Effect<void> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    disk.settings.role === "store" || now - modifiedAt < disk.settings.touchEveryMillis
      ? Effect.void
      : disk.background(Effect.ignore(disk.fs.utimes(Lookup.pathOf(disk, key), now / 1000, now / 1000)))
  )

export const get = (disk: Disk, key: Key.Key): Effect.Effect<Tier.Read, TierError> =>
  Effect.gen(function* () {
    const { inlineBelow } = disk.settings
    const found = yield* find(disk, "get", key, inlineBelow)
    if (found === undefined) return Tier.miss
    const { header, payload, facts } = found
    yield* touch(disk, key, facts.modifiedAt)
    const body =
      payload !== undefined && header.size < inlineBelow
        ? Body.inline(payload)
        : Body.streamed(header.size, (range) => BodyStream.open(disk, header, range))
    return Tier.hit({ header, body } satisfies Blob.Blob)
  })

export const head = (disk: Disk, key: Key.Key): Effect.Effect<Tier.ReadHeader, TierError> =>
  Effect.map(find(disk, "head", key, 0), (found) => (found === undefined ? Tier.miss : Tier.hitHeader(found.header)))
