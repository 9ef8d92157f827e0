/**
 * The bytes of uploads as they came, kept beside their masters.
 *
 * An original is named after its master, so no step, whatever fails, leaves a master with the original of another. Other
 * nodes may upload the same bytes, whose original has the same name: only what this upload has put, or what is as old as
 * the master that it has replaced, is removed, and nothing that the stored master needs.
 */
import type * as Chain from "@terrace/core/Chain"
import type { WriteError } from "@terrace/core/ChainError"
import type { Generation } from "@terrace/core/Generation"
import type { Header } from "@terrace/core/Header"
import * as Effect from "effect/Effect"
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
  /** Removes an original of at most this generation; a newer one is that of another upload. */
  const forget = (of: string, upTo: Generation) =>
    Effect.catch(originals.remove(ImageKeys.original(id, of), { expected: upTo }), (error) =>
      error._tag === "Conflict" ? Effect.void : Effect.logWarning(`original not removed id=${id}`, error.message)
    )
  /** After a write that has left the store as it was: another node may just have stored the same master. */
  const forgetOwn = (upTo: Generation) =>
    Effect.matchEffect(current, {
      onFailure: (error) => Effect.logWarning(`original not removed id=${id}`, error.message),
      onSuccess: (master) => (master?.digest === digest ? Effect.void : forget(digest, upTo))
    })
  const isSame = replaced?.digest === digest
  return originals.put(ImageKeys.original(id, digest), original).pipe(
    Effect.flatMap(({ header }) =>
      Effect.tapError(storeMaster, (error) =>
        isSame || !isNothingWritten(error) ? Effect.void : forgetOwn(header.generation)
      )
    ),
    // The original of a master was put before it.
    Effect.tap(() =>
      replaced === undefined || isSame ? Effect.void : forget(replaced.digest, replaced.generation + oneMilli)
    ),
    // An interruption between the steps would leave one without the other; each is bounded by the store's deadline.
    Effect.uninterruptible
  )
}

/** Whether a write that failed so has certainly left the store as it was. */
const isNothingWritten = (error: WriteError): boolean => error._tag !== "TierError" || !error.isUnknownOutcome
