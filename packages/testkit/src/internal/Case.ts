/**
 * One case of the contract suite: a sentence, what a tier must declare for it to apply, and an effect that fails if the
 * sentence does not hold.
 */
import type { Capabilities, Tier } from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** The tier under test, groups that no other case uses, and what the suite was told about the tier. */
export class Subject extends Context.Service<
  Subject,
  {
    readonly tier: Tier
    /** Begins every group of this case and of no other. At most 60 characters. */
    readonly groupPrefix: string
    /** The group of this case that ends in `suffix`. */
    readonly group: (suffix: string) => string
    /** Closes the tier and opens another on the same storage. Only for cases that require `persistent`. */
    readonly reopen: Effect.Effect<Tier>
    /** Opens one more tier on the same storage, while the first is open. Only for cases that require `shared`. */
    readonly openAnother: Effect.Effect<Tier, never, Scope.Scope>
    /** How many files, connections and the like the tier holds now; 0 if the suite was not told how to count them. */
    readonly leaks: Effect.Effect<number>
    /** Keys that the case about memory asks for. */
    readonly distinctKeys: number
    /** Seed of whatever a case draws at random. */
    readonly seed: number
  }
>()("@terrace/testkit/TierSuite/Subject") {}

/** When a case applies. A field that is absent asks for nothing. */
export interface Requires {
  readonly streaming?: boolean | undefined
  readonly list?: boolean | undefined
  /** Newer wins atomically, at least among the writers of this process. */
  readonly atomicPut?: true | undefined
  /** Blobs outlive the process. The case opens the storage several times. */
  readonly persistent?: true | undefined
  /** Others may open the same storage meanwhile. */
  readonly shared?: true | undefined
  /** Bodies of this many bytes. */
  readonly bodyBytes?: number | undefined
  /** The tier names the largest body that it takes, and that is at most this many bytes. */
  readonly maxBytesUpTo?: number | undefined
  /** The tier reads the time from the test's clock, not from its backend's. */
  readonly testClock?: true | undefined
  /** Keys are asked for by the thousand: the suite may be told to leave it out. */
  readonly manyKeys?: true | undefined
}

export interface Case {
  /** What holds, as a sentence: `operation - …`. */
  readonly name: string
  readonly requires: Requires
  /** Fails or dies if the sentence does not hold. Moves the `TestClock` only if it requires `testClock`. */
  readonly run: Effect.Effect<void, TierError, Subject | Scope.Scope>
}

/** What the suite is told about a tier beside its capabilities. */
export interface Circumstances {
  readonly clock: "test" | "live"
  readonly distinctKeys: number
}

/** Why a case does not apply to a tier; undefined: it applies. */
export const unmet = (
  requires: Requires,
  capabilities: Capabilities,
  { clock, distinctKeys }: Circumstances
): string | undefined => {
  if (requires.testClock === true && clock === "live") return "needs a tier that reads the test's clock"
  if (requires.manyKeys === true && distinctKeys === 0) return "asks for no key: `distinctKeys` is 0"
  for (const capability of ["streaming", "list", "persistent", "shared"] as const) {
    const needed = requires[capability]
    if (needed !== undefined && needed !== capabilities[capability]) {
      return `${needed ? "needs" : "needs a tier without"} the capability ${capability}`
    }
  }
  if (requires.atomicPut === true && capabilities.atomicPut === "none") return "needs the capability atomicPut"
  const { bodyBytes, maxBytesUpTo } = requires
  const maxBytes = capabilities.maxBytes ?? Number.POSITIVE_INFINITY
  if (bodyBytes !== undefined && bodyBytes > maxBytes) {
    return `needs bodies of ${bodyBytes} bytes: the tier takes at most ${maxBytes}`
  }
  return maxBytesUpTo !== undefined && maxBytes > maxBytesUpTo
    ? `needs a tier whose largest body has at most ${maxBytesUpTo} bytes`
    : undefined
}

type Run = Effect.Effect<void, TierError, Subject | Scope.Scope>

/** Builds a case. */
export const make = (name: string, requires: Requires, run: Run): Case => ({ name, requires, run })
