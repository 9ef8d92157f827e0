/**
 * `usage.json`: what the blobs take, so that a start need not count them.
 *
 * It is `clean` only between the end of a tier and the start of the next: each start writes it again as not clean before
 * anything changes, so after a crash it is an estimate. A cache's count is never trusted beyond that, since others may
 * share the directory. It also says which role the directory has, for a cache that is pointed at a store by mistake would
 * evict from it.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { PlatformError } from "effect/PlatformError"
import * as Schema from "effect/Schema"
import { type Disk, nonce } from "./Disk.ts"
import { isAbsent } from "./Errno.ts"
import * as Files from "./Files.ts"
import * as Layout from "./Layout.ts"

const UsageFile = Schema.Struct({
  version: Schema.Literal(1),
  role: Schema.Literals(["store", "cache"]),
  bytes: Schema.Natural,
  entries: Schema.Natural,
  clean: Schema.Boolean
})
export type UsageFile = typeof UsageFile.Type

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(UsageFile))

/** What the file says; undefined if there is none, or none that can be read. */
export const read = (disk: Pick<Disk, "fs" | "settings">): Effect.Effect<UsageFile | undefined, PlatformError> =>
  disk.fs.readFileString(Layout.usagePath(disk.settings.root)).pipe(
    Effect.map((text) => Option.getOrUndefined(decode(text))),
    Effect.catchIf(isAbsent, () => Effect.succeed(undefined))
  )

/** Replaces the file by what the ledger says. */
export const write = (disk: Disk, clean: boolean): Effect.Effect<void, PlatformError> =>
  Effect.suspend(() => {
    const { fs, ledger, settings } = disk
    const target = Layout.usagePath(settings.root)
    const temporary = `${settings.root}/${Layout.temporaryName(disk.writerId, nonce())}`
    const usage: UsageFile = {
      version: 1,
      role: settings.role,
      bytes: ledger.bytes,
      entries: ledger.entries,
      clean
    }
    const isFlushed = settings.durability === "file+directory" && !clean
    return Files.withFile(fs, temporary, "wx", (file) =>
      Effect.andThen(file.writeAll(Buffer.from(`${JSON.stringify(usage)}\n`)), isFlushed ? file.sync : Effect.void)
    ).pipe(
      Effect.andThen(fs.rename(temporary, target)),
      Effect.andThen(isFlushed ? Files.syncDirectory(fs, settings.root) : Effect.void),
      Effect.onError(() => Effect.ignore(fs.remove(temporary))),
      Effect.uninterruptible
    )
  })
