/**
 * Where the blob of an image lies: what is known of it without its bytes, and whether one tier is certain to have it.
 *
 * Who sends a client to a tier must be certain; who answers the bytes need not be. A chain's answer says what is current,
 * and not always who has it: a copy in a cache is what the store has only while it is confirmed, and what has just been made
 * is on its way.
 */
import type * as Chain from "@terrace/core/Chain"
import type { ChainUnavailable } from "@terrace/core/ChainError"
import type * as Header from "@terrace/core/Header"
import * as Trail from "@terrace/core/Trail"
import type { Preset } from "@terrace/image/Preset"
import * as Effect from "effect/Effect"
import * as ImageKeys from "./ImageKeys.ts"

export interface Placement {
  readonly _tag: "Found"
  /** Header of the master that it stems from; its own, if it is the master. */
  readonly master: Header.Header
  /** Undefined: a variant that nobody has made yet. */
  readonly found: Chain.FoundHeader | undefined
  /** Some tier could not say whether this is what is current. */
  readonly isUnconfirmed: boolean
  /** Whether the tier of this name certainly has it now. May ask all tiers; fails never: what cannot be learned is not certain. */
  readonly isIn: (tier: string) => Effect.Effect<boolean>
}

/** As much of the chains as is asked. */
export interface Chains<O> {
  readonly masters: Pick<Chain.Chain<never, O>, "head" | "explain">
  readonly variants: Pick<Chain.Chain, "head" | "explain">
  /** Name of the store of masters; variants have none. */
  readonly store: string
}

/** Where a master, or its variant by a preset, lies. Nothing is made for it but a master that only an origin has. */
export const locate = <O>(
  { masters, store, variants }: Chains<O>,
  id: string,
  preset: Preset | undefined
): Effect.Effect<Placement | Chain.NotFound, ChainUnavailable | O> =>
  Effect.gen(function* () {
    const master = yield* masters.head(ImageKeys.master(id))
    if (master._tag === "NotFound") return master
    const { header, trail } = master
    const isUnconfirmed = Trail.isUnconfirmed(trail)
    const placed = { _tag: "Found", master: header, isUnconfirmed } as const
    if (preset === undefined) {
      // What was made is answered before it is written anywhere.
      const isStored = Effect.succeed(!isUnconfirmed && !Trail.isMade(trail))
      return { ...placed, found: master, isIn: (tier) => (tier === store ? isStored : isIn(masters, master, tier)) }
    }
    // That a cache could not say is no reason to fail: a variant can be made.
    const answer = yield* Effect.catchTag(
      variants.head(ImageKeys.variant(header, preset)),
      "ChainUnavailable",
      () => Effect.undefined
    )
    const found = answer?._tag === "Found" ? answer : undefined
    return {
      ...placed,
      found,
      isIn: (tier) => (found === undefined || isUnconfirmed ? Effect.succeed(false) : isIn(variants, found, tier))
    }
  })

/** Asks the tier, unless it is the one that has answered. */
const isIn = (
  chain: Pick<Chain.Chain, "explain">,
  { header, trail }: Chain.FoundHeader,
  tier: string
): Effect.Effect<boolean> =>
  Trail.answeredBy(trail) === tier
    ? Effect.succeed(true)
    : Effect.map(chain.explain(header.key), ({ tiers }) =>
        tiers.some(
          (asked) => asked.tier === tier && asked.outcome._tag === "Hit" && asked.header?.digest === header.digest
        )
      )
