/**
 * What the operations of one tier share.
 */
import type { S3Client } from "@aws-sdk/client-s3"
import type * as Key from "@terrace/core/Key"
import { type Operation, type Reason, TierError, Unavailable } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"
import type { Conditions } from "./Conditions.ts"
import { type Failure, reasonOf } from "./Failure.ts"
import type { Gate } from "./Gate.ts"
import type { KeyLocks } from "./KeyLocks.ts"
import * as ObjectKey from "./ObjectKey.ts"
import type { Settings } from "./Settings.ts"

/** What a tier has met with since it started. */
export interface Stats {
  /** Reads of blobs whose bytes were not those of their headers; they were not served. */
  damaged: number
  /** Reads of keys that hold an object which this tier has not written. */
  foreign: number
  /** Uploads in parts that could not be aborted: their parts take room until a lifecycle rule removes them. */
  leftUploads: number
}

/** Sends requests. */
export interface Connection {
  readonly client: S3Client
  readonly settings: Settings
  readonly calls: Gate
}

export interface Bucket extends Connection {
  readonly streams: Gate
  readonly locks: KeyLocks
  readonly conditions: Conditions
  readonly stats: Stats
  readonly isClosed: () => boolean
  /** ETags of objects that were found damaged: who puts the same blob again writes it. Bounded. */
  readonly spoiled: Set<string>
  /** Texts of warnings that were logged; bounded. */
  readonly warned: Set<string>
}

/** Names an object, as the SDK asks for it. */
export const objectOf = (
  { settings }: Connection,
  key: Key.Key
): { readonly Bucket: string; readonly Key: string } => ({
  Bucket: settings.bucket,
  Key: settings.prefix + ObjectKey.path(key)
})

export const error = ({ settings }: Connection, operation: Operation, reason: Reason): TierError =>
  new TierError({ tier: settings.name, operation, reason })

/** Turns the failure of a request into an error of the tier. */
export const trouble =
  (connection: Connection, operation: Operation) =>
  (failure: Failure): TierError =>
    error(connection, operation, reasonOf(failure))

export const closed = (connection: Connection, operation: Operation): TierError =>
  error(connection, operation, new Unavailable({ cause: new Error("the tier is closed") }))

const maxWarned = 1_000

/** Logs a warning once, not at every read of the same object. */
export const warn = ({ settings, warned }: Bucket, text: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (warned.has(text)) return Effect.void
    if (warned.size >= maxWarned) warned.clear()
    warned.add(text)
    return Effect.logWarning(`${settings.name}: ${text}`)
  })
