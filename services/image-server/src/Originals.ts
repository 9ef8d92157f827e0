/**
 * The bytes of uploads as they came, kept beside their masters.
 *
 * An original is named after its master, so no step, whatever fails, leaves a master with the original of another.
 */
import type * as Chain from "@terrace/core/Chain"
import type { WriteError } from "@terrace/core/ChainError"
import * as Effect from "effect/Effect"
import * as ImageKeys from "./ImageKeys.ts"

export interface Upload {
  readonly id: string
  readonly original: Chain.Draft
  /** Digest of the master that is made of it. */
  readonly digest: string
  /** Digest of the master that it replaces. */
  readonly replaced: string | undefined
}

/** Stores the original, then the master, then removes the original of the master that was replaced. */
export const storing = <A>(
  originals: Chain.Chain,
  { digest, id, original, replaced }: Upload,
  storeMaster: Effect.Effect<A, WriteError>
): Effect.Effect<A, WriteError> => {
  const forget = (of: string) =>
    Effect.catch(originals.remove(ImageKeys.original(id, of)), (error) =>
      Effect.logWarning(`original not removed id=${id}`, error.message)
    )
  const isSame = replaced === digest
  return originals.put(ImageKeys.original(id, digest), original).pipe(
    Effect.andThen(
      Effect.tapError(storeMaster, (error) => (isSame || !isNothingWritten(error) ? Effect.void : forget(digest)))
    ),
    Effect.tap(() => (replaced === undefined || isSame ? Effect.void : forget(replaced))),
    // An interruption between the steps would leave one without the other; each is bounded by the store's deadline.
    Effect.uninterruptible
  )
}

/** Whether a write that failed so has certainly left the store as it was. */
const isNothingWritten = (error: WriteError): boolean => error._tag !== "TierError" || !error.isUnknownOutcome
