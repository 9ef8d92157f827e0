/**
 * Looks at the file of a key: what is there, and is it what it should be?
 */
import type * as Header from "@terrace/core/Header"
import type * as Key from "@terrace/core/Key"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type { PlatformError } from "effect/PlatformError"
import * as BlobFile from "./BlobFile.ts"
import type { Disk } from "./Disk.ts"
import { isAbsent } from "./Errno.ts"
import * as Files from "./Files.ts"
import * as Layout from "./Layout.ts"

export type Found =
  | { readonly _tag: "Absent" }
  | {
      readonly _tag: "Whole"
      readonly header: Header.Header
      /** The payload, not yet verified, if it was read. */
      readonly payload: Buffer | undefined
      readonly facts: Files.Facts
    }
  | { readonly _tag: "Damaged"; readonly detail: string; readonly facts: Files.Facts }
  /** Written by a later version of this package; not ours to judge. */
  | { readonly _tag: "Later"; readonly version: number }

const absent: Found = { _tag: "Absent" }

export const pathOf = (disk: Disk, key: Key.Key): string =>
  `${Layout.shardPath(disk.settings.root, Layout.shardOf(key.group))}/${Layout.fileName(key)}`

/** Reads an open file that should hold `key`: all of it if its payload may be below `wholeBelow`, else its trailer. */
export const inspect = (
  file: FileSystem.File,
  key: Key.Key,
  wholeBelow: number
): Effect.Effect<Exclude<Found, { readonly _tag: "Absent" }>, PlatformError> =>
  Effect.gen(function* () {
    const facts = Files.factsOf(yield* file.stat)
    if (!facts.isFile) return { _tag: "Damaged", detail: "it is no file", facts } as const
    const isWhole = facts.bytes < wholeBelow + BlobFile.maxTrailerBytes
    const start = isWhole ? 0 : Math.max(0, facts.bytes - BlobFile.maxTrailerBytes)
    const bytes = Buffer.allocUnsafeSlow(facts.bytes - start)
    const read = yield* Files.readFully(file, bytes, start)
    const decoded =
      read < bytes.length
        ? ({ _tag: "Damaged", detail: "it ends early" } as const)
        : BlobFile.decodeTail(bytes, facts.bytes)
    if (decoded._tag === "Later") return decoded
    if (decoded._tag === "Damaged") return { ...decoded, facts }
    const { header } = decoded
    if (header.key.text !== key.text) return { _tag: "Damaged", detail: `it holds ${header.key.text}`, facts } as const
    return { ...decoded, payload: start === 0 ? bytes.subarray(0, header.size) : undefined, facts }
  })

/** Opens, reads and closes the file of `key`. */
export const look = (disk: Disk, key: Key.Key, wholeBelow: number): Effect.Effect<Found, PlatformError> =>
  Effect.catchIf(
    Files.withFile<Found, PlatformError, never>(disk.fs, pathOf(disk, key), "r", (file) =>
      inspect(file, key, wholeBelow)
    ),
    isAbsent,
    () => Effect.succeed(absent)
  )
