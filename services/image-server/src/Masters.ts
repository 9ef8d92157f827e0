/**
 * The chain of masters, as those who read and write images see it.
 */
import type * as Chain from "@terrace/core/Chain"
import { ChainUnavailable } from "@terrace/core/ChainError"
import type { Header } from "@terrace/core/Header"
import type * as Key from "@terrace/core/Key"
import type { OriginError } from "@terrace/core/Origin"
import * as Trail from "@terrace/core/Trail"
import * as Effect from "effect/Effect"
import * as ImageKeys from "./ImageKeys.ts"
import type { OriginFailure } from "./LegacyOrigin.ts"

export type Masters = Chain.Chain<never, OriginError<OriginFailure>>

/** Why a master cannot be read. */
export type ReadError = ChainUnavailable | OriginError<OriginFailure>

/**
 * The stored master as a write must know it: what is decided on a copy that could not be compared with the store may be
 * decided on another image.
 */
export const current = (
  masters: Masters,
  id: string,
  asked?: Chain.HeadOptions
): Effect.Effect<Header | undefined, ReadError> =>
  Effect.flatMap(masters.head(ImageKeys.master(id), asked), (answer) =>
    Trail.isUnconfirmed(answer.trail)
      ? Effect.fail(unavailable(ImageKeys.master(id), answer.trail.steps))
      : Effect.succeed(headerOf(answer))
  )

export const headerOf = (answer: Chain.FoundHeader | Chain.NotFound): Header | undefined =>
  answer._tag === "Found" ? answer.header : undefined

/** The error for a master of which the store could not say what it has. */
export const unavailable = (
  key: Key.Key,
  steps: ReadonlyArray<Pick<Trail.Step, "tier" | "outcome">>
): ChainUnavailable =>
  new ChainUnavailable({
    chain: "masters",
    key: key.text,
    tiers: steps.flatMap(({ outcome, tier }) =>
      outcome._tag === "Failed"
        ? [{ tier, why: outcome.reason }]
        : outcome._tag === "Skipped" || outcome._tag === "Unconfirmed"
          ? [{ tier, why: outcome.why }]
          : []
    )
  })
