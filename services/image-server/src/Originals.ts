/**
 * The bytes of uploads and of old records as they came, kept beside their masters.
 *
 * An original is named after its master, so no step, whatever fails, leaves a master with the original of another. Other
 * nodes may upload the same bytes, whose original has the same name: only what this upload has put, or what is as old as
 * the master that it has replaced, is removed, and nothing that the stored master needs. A master of an old record does not
 * tell how old it is; its original says that it is one of those.
 */
import type * as Chain from "@terrace/core/Chain"
import { type ChainUnavailable, Conflict, type WriteError } from "@terrace/core/ChainError"
import type { Generation } from "@terrace/core/Generation"
import type { Header } from "@terrace/core/Header"
import * as Effect from "effect/Effect"
import { hash } from "node:crypto"
import * as ImageKeys from "./ImageKeys.ts"

export interface Upload {
  readonly id: string
  readonly original: Chain.Draft
  /** Digest of the master that is made of it. */
  readonly digest: string
  /** The master that it replaces. */
  readonly replaced: Header | undefined
  /** The master that is stored now. */
  readonly current: Effect.Effect<Header | undefined, { readonly message: string }>
}

/** What the clocks of two chains may differ by within a millisecond. */
const oneMilli = 1_000

/** Stores the original, then the master, then removes the original of the master that was replaced. */
export const storing = <A>(
  originals: Chain.Chain,
  { current, digest, id, original, replaced }: Upload,
  storeMaster: Effect.Effect<A, WriteError>
): Effect.Effect<A, WriteError> => {
  /** After a write that has left the store as it was: another node may just have stored the same master. */
  const forgetOwn = (upTo: Generation) =>
    Effect.matchEffect(current, {
      onFailure: (error) => Effect.logWarning(`original not removed id=${id}`, error.message),
      onSuccess: (master) => (master?.digest === digest ? Effect.void : forget(originals, id, digest, upTo))
    })
  const isSame = replaced?.digest === digest
  return originals.put(ImageKeys.original(id, digest), original).pipe(
    Effect.flatMap(({ header }) =>
      Effect.tapError(storeMaster, (error) =>
        isSame || !isNothingWritten(error) ? Effect.void : forgetOwn(header.generation)
      )
    ),
    Effect.tap(() => forgetReplaced(originals, id, replaced, digest)),
    // An interruption between the steps would leave one without the other; each is bounded by the store's deadline.
    Effect.uninterruptible
  )
}

/** Whether a write that failed so has certainly left the store as it was. */
const isNothingWritten = (error: WriteError): boolean => error._tag !== "TierError" || !error.isUnknownOutcome

/** Removes the original of a master that was removed, unless it is that of an upload which came after. */
export const forgetRemoved = (originals: Chain.Chain, id: string, removed: Header): Effect.Effect<void> =>
  forgetReplaced(originals, id, removed, undefined)

/** Removes the original of a master that one of this digest has replaced; undefined: that none has. */
export const forgetReplaced = (
  originals: Chain.Chain,
  id: string,
  replaced: Header | undefined,
  digest: string | undefined
): Effect.Effect<void> => {
  if (replaced === undefined || replaced.digest === digest) return Effect.void
  // The original of an upload was put before its master, that of an old record after it.
  const ifOfRecord = Effect.flatMap(originals.head(ImageKeys.original(id, replaced.digest)), (there) =>
    there._tag === "Found" && there.header.attributes["source"] === ofRecord.source
      ? forget(originals, id, replaced.digest, there.header.generation)
      : Effect.void
  )
  return Effect.catchIf(
    remove(originals, id, replaced.digest, replaced.generation + oneMilli),
    (error) => error instanceof Conflict && error.current !== "absent",
    () => ifOfRecord
  ).pipe(orLogged(id))
}

/** Removes an original of at most this generation; a newer one is that of another upload. */
const forget = (originals: Chain.Chain, id: string, of: string, upTo: Generation): Effect.Effect<void> =>
  remove(originals, id, of, upTo).pipe(orLogged(id))

const remove = (originals: Chain.Chain, id: string, of: string, upTo: Generation): Effect.Effect<void, WriteError> =>
  Effect.asVoid(originals.remove(ImageKeys.original(id, of), { expected: upTo }))

const orLogged = (id: string) =>
  Effect.catch((error: WriteError | ChainUnavailable) =>
    error._tag === "Conflict" ? Effect.void : Effect.logWarning(`original not removed id=${id}`, error.message)
  )

// -----------------------------------------------------------------------------
// Of old records
// -----------------------------------------------------------------------------

/** Marks the original of an old record. */
const ofRecord = { source: "record" }

/**
 * Stores the original of a master that was made of an old record. Answers what takes it back, and leaves what somebody else
 * has put: who uploads the same bytes needs an original of the same name.
 */
export const keeping = (
  originals: Chain.Chain,
  id: string,
  digest: string,
  original: Chain.Draft
): Effect.Effect<Effect.Effect<void>, WriteError | ChainUnavailable> => {
  const key = ImageKeys.original(id, digest)
  return originals.put(key, { ...original, attributes: ofRecord }, { expected: "absent" }).pipe(
    Effect.map(({ header }) => forget(originals, id, digest, header.generation)),
    Effect.catchIf(
      (error) => error instanceof Conflict,
      // Two images may have the same master. What is there already is whose bytes they are.
      () =>
        Effect.flatMap(originals.head(key), (there) =>
          there._tag === "Found" && there.header.digest === hash("sha256", original.bytes, "hex")
            ? Effect.succeed(Effect.void)
            : Effect.as(originals.put(key, original), Effect.void)
        )
    )
  )
}
