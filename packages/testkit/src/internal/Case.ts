/**
 * One case of the contract suite: a sentence, what a tier must declare for it to apply, and an effect that fails if the
 * sentence does not hold.
 */
import type { Capabilities, Tier } from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** The tier under test, and groups that no other case uses. */
export class Subject extends Context.Service<
  Subject,
  {
    readonly tier: Tier
    /** Begins every group of this case and of no other. At most 60 characters. */
    readonly groupPrefix: string
    /** The group of this case that ends in `suffix`. */
    readonly group: (suffix: string) => string
  }
>()("@terrace/testkit/TierSuite/Subject") {}

/** When a case applies. A field that is absent asks for nothing. */
export interface Requires {
  readonly streaming?: boolean | undefined
  readonly list?: boolean | undefined
  /** Newer wins atomically, at least among the writers of this process. */
  readonly atomicPut?: true | undefined
  /** Bodies of this many bytes. */
  readonly bodyBytes?: number | undefined
  /** The tier reads the time from the test's clock, not from its backend's. */
  readonly testClock?: true | undefined
}

export interface Case {
  /** What holds, as a sentence: `operation - …`. */
  readonly name: string
  readonly requires: Requires
  /** Fails or dies if the sentence does not hold. Moves the `TestClock` only if it requires `testClock`. */
  readonly run: Effect.Effect<void, TierError, Subject | Scope.Scope>
}

/** Why a case does not apply to a tier; undefined: it applies. */
export const unmet = (requires: Requires, capabilities: Capabilities, clock: "test" | "live"): string | undefined => {
  if (requires.testClock === true && clock === "live") return "needs a tier that reads the test's clock"
  for (const capability of ["streaming", "list"] as const) {
    const needed = requires[capability]
    if (needed !== undefined && needed !== capabilities[capability]) {
      return `${needed ? "needs" : "needs a tier without"} the capability ${capability}`
    }
  }
  if (requires.atomicPut === true && capabilities.atomicPut === "none") return "needs the capability atomicPut"
  const { bodyBytes } = requires
  return bodyBytes !== undefined && capabilities.maxBytes !== undefined && bodyBytes > capabilities.maxBytes
    ? `needs bodies of ${bodyBytes} bytes: the tier takes at most ${capabilities.maxBytes}`
    : undefined
}

type Run = Effect.Effect<void, TierError, Subject | Scope.Scope>

/** Builds a case. */
export const make = (name: string, requires: Requires, run: Run): Case => ({ name, requires, run })
