/**
 * What a writer does that finds something else than what it has looked at: it looks again, at most three times.
 */
import { type Operation, Throttled, type TierError } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"
import { type Bucket, error, trouble } from "./Bucket.ts"
import { type Failure, isStatus } from "./Failure.ts"
import * as Lookup from "./Lookup.ts"

const maxAgain = 3

/** What a write depends on; empty: nothing. */
export interface Condition {
  readonly IfMatch?: string
  readonly IfNoneMatch?: string
}

/** That there is still what was found. */
export const conditionOf = ({ settings }: Bucket, found: Lookup.Found): Condition => {
  if (!settings.conditionalWrites) return {}
  return found._tag === "Present" ? { IfMatch: found.etag } : { IfNoneMatch: "*" }
}

/**
 * Runs `attempt` until it does not end with `changed`. It is told what was found; `seen` is given the first time, if that
 * is known, and may be out of date.
 */
export const settle = <A>(
  bucket: Bucket,
  operation: Operation,
  subject: string,
  look: Effect.Effect<Lookup.Found, Failure>,
  seen: Lookup.Found | undefined,
  attempt: (found: Lookup.Found) => Effect.Effect<A | typeof changed, TierError>
): Effect.Effect<A, TierError> => {
  const from = (again: number, known: Lookup.Found | undefined): Effect.Effect<A, TierError> =>
    Effect.gen(function* () {
      const outcome = yield* attempt(known ?? (yield* Effect.mapError(look, trouble(bucket, operation))))
      if (outcome !== changed) return outcome
      if (again < maxAgain) return yield* from(again + 1, undefined)
      const cause = new Error(`others have changed ${subject} each of ${maxAgain + 1} times; nothing was written`)
      return yield* Effect.fail(error(bucket, operation, new Throttled({ cause })))
    })
  return from(0, seen)
}

export const changed = Symbol("changed")

/** Answers `changed` if the request failed since there is something else than what was found, or nothing any more. */
export const orChanged = <A>(
  bucket: Bucket,
  operation: Operation,
  found: Lookup.Found,
  request: Effect.Effect<A, Failure>
): Effect.Effect<A | typeof changed, TierError> =>
  Effect.catch(request, (failure) =>
    isStatus(failure, 409, 412) || (found._tag === "Present" && Lookup.isNoSuchKey(failure))
      ? Effect.succeed(changed)
      : Effect.fail(trouble(bucket, operation)(failure))
  )
