/**
 * The lock file of a store directory: how it is taken, and taken over from a dead holder.
 *
 * Taking: the file is written under a temporary name and linked to `lock`, which succeeds for one only and never shows
 * half a file.
 *
 * Taking over: "remove the dead one's file, then make mine" lets two contenders remove each other's. Instead a contender
 * first makes, in the same exclusive way, `lock.claim-<nonce of the dead holder>`, looks again whether the dead holder is
 * still the one in `lock`, and only then renames its own file onto `lock`. Nobody else can hold that claim at the same
 * time, and who gets it later finds another holder in `lock` and gives up. A claim whose owner has died is claimed in
 * turn, by its nonce.
 *
 * A holder of another machine, boot or pid namespace can be judged by its heartbeat alone: it writes the file every few
 * seconds, and is dead once the file has not changed for `staleAfterMillis`. Ages are differences between times that the
 * file system gave, so clocks need not agree. If the file is younger, its holder is watched until the file changes or is
 * old enough: a process that was killed and started again in another container waits instead of failing.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type { PlatformError } from "effect/PlatformError"
import { codeOf, isAbsent, isExisting } from "./Errno.ts"
import * as Files from "./Files.ts"
import * as ProcessIdentity from "./ProcessIdentity.ts"

export const heartbeatMillis = 5_000
export const staleAfterMillis = 30_000
const watchMillis = 1_000
/** Times that contenders may get ahead of us before we give up. */
const maxAttempts = 20

export type Outcome =
  | { readonly _tag: "Held" }
  | { readonly _tag: "Refused"; readonly holder: ProcessIdentity.ProcessIdentity | undefined }
  /** Others got ahead; all must be looked at anew. */
  | { readonly _tag: "Moved" }

/** What a lock file says, and when it was last written. */
interface Found {
  /** Undefined: the file cannot be read as one of ours. */
  readonly holder: ProcessIdentity.ProcessIdentity | undefined
  readonly modifiedAt: number
}

const held: Outcome = { _tag: "Held" }
const moved: Outcome = { _tag: "Moved" }
const tagOf = (found: Found): string => found.holder?.nonce ?? "unreadable"

/** Whom the file names; undefined if there is no file. */
export const read = (fs: FileSystem.FileSystem, path: string): Effect.Effect<Found | undefined, PlatformError> =>
  Effect.catchIf(
    Effect.gen(function* () {
      const text = yield* fs.readFileString(path)
      const { modifiedAt } = Files.factsOf(yield* fs.stat(path))
      return { holder: Option.getOrUndefined(ProcessIdentity.decode(text)), modifiedAt }
    }),
    isAbsent,
    () => Effect.succeed(undefined)
  )

/** Takes the lock at `path` for `self`, from a dead holder if need be. Nothing is left behind if it is refused. */
export const acquire = (
  fs: FileSystem.FileSystem,
  path: string,
  self: ProcessIdentity.ProcessIdentity
): Effect.Effect<Outcome, PlatformError> => {
  const content = Buffer.from(ProcessIdentity.encode(self))
  const draft = `${path}.draft-${self.nonce}`
  const discard = (file: string) => Effect.ignore(fs.remove(file, { force: true }))

  /** A new file each time: the last one may be linked to a name that others read. */
  const writeDraft = Effect.andThen(
    discard(draft),
    Files.withFile(fs, draft, "wx", (file) => Effect.andThen(file.writeAll(content), file.sync))
  )

  /** Makes `target` with our content unless it exists; answers whether it did. */
  const create = (target: string): Effect.Effect<boolean, PlatformError> =>
    Effect.andThen(writeDraft, fs.link(draft, target)).pipe(
      // Some file systems have no hard links.
      Effect.catchIf(
        (error) => ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(codeOf(error) ?? ""),
        () => Files.withFile(fs, target, "wx", (file) => file.writeAll(content))
      ),
      Effect.as(true),
      Effect.catchIf(isExisting, () => Effect.succeed(false))
    )

  const isDead = (target: string, found: Found): Effect.Effect<boolean, PlatformError> =>
    Effect.gen(function* () {
      const vitality = found.holder === undefined ? "unknown" : yield* ProcessIdentity.vitality(found.holder, self)
      if (vitality !== "unknown") return vitality === "dead"
      yield* writeDraft
      const now = Files.factsOf(yield* fs.stat(draft)).modifiedAt
      for (let age = now - found.modifiedAt; age < staleAfterMillis; age += watchMillis) {
        yield* Effect.interruptible(Effect.sleep(watchMillis))
        const later = yield* read(fs, target)
        if (later === undefined) return true
        if (tagOf(later) !== tagOf(found) || later.modifiedAt !== found.modifiedAt) return false
      }
      return true
    })

  /**
   * Puts our file in the place of the dead holder's, once we have the claim to it. `dead` lists claims of others who died
   * on the way; they may go only when `lock` names us, since until then they keep third parties out.
   */
  const takeOver = (first: Found, last: Found, dead: ReadonlyArray<string>): Effect.Effect<Outcome, PlatformError> =>
    Effect.gen(function* () {
      const claim = `${path}.claim-${tagOf(last)}`
      if (!(yield* create(claim))) {
        const claimant = yield* read(fs, claim)
        if (claimant === undefined) return moved
        if (!(yield* isDead(claim, claimant))) return { _tag: "Refused", holder: claimant.holder } as const
        return yield* takeOver(first, claimant, [...dead, claim])
      }
      return yield* Effect.ensuring(
        Effect.gen(function* () {
          const current = yield* read(fs, path)
          if (current === undefined || tagOf(current) !== tagOf(first)) return moved
          yield* writeDraft
          yield* fs.rename(draft, path)
          yield* Effect.forEach(dead, discard, { discard: true })
          return held
        }),
        discard(claim)
      )
    })

  const attempt = (left: number): Effect.Effect<Outcome, PlatformError> =>
    Effect.gen(function* () {
      if (yield* create(path)) return held
      const found = yield* read(fs, path)
      if (found === undefined) return yield* attempt(left - 1)
      if (left <= 0 || !(yield* isDead(path, found))) return { _tag: "Refused", holder: found.holder } as const
      const outcome = yield* takeOver(found, found, [])
      return outcome._tag === "Moved" ? yield* attempt(left - 1) : outcome
    })

  return Effect.ensuring(attempt(maxAttempts), discard(draft))
}

/**
 * Writes the file again, so that others see its holder is alive. Answers whether the file still names `self`. It is read
 * and written through one descriptor: if the file is replaced meanwhile, the write goes into the void.
 */
export const beat = (
  fs: FileSystem.FileSystem,
  path: string,
  self: ProcessIdentity.ProcessIdentity
): Effect.Effect<boolean, PlatformError> =>
  Files.withFile(fs, path, "r+", (file) =>
    Effect.gen(function* () {
      const content = Buffer.from(ProcessIdentity.encode(self))
      const found = Buffer.alloc(content.length)
      yield* Files.readFully(file, found, 0)
      if (!found.equals(content)) return false
      yield* file.writeAll(content)
      return true
    })
  ).pipe(Effect.catchIf(isAbsent, () => Effect.succeed(false)))

/** Removes the file if it still names `self`. */
export const release = (
  fs: FileSystem.FileSystem,
  path: string,
  self: ProcessIdentity.ProcessIdentity
): Effect.Effect<void> =>
  Effect.ignore(
    Effect.flatMap(read(fs, path), (found) => (found?.holder?.nonce === self.nonce ? fs.remove(path) : Effect.void))
  )
