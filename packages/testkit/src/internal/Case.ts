/**
 * One case of the contract suite: a sentence, what a tier must declare for it to apply, and an effect that fails if the
 * sentence does not hold.
 */
import type { Key } from "@terrace/core/Key"
import type { Capabilities, Tier } from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/**
 * What is damaged of a blob behind the tier's back. `body`: the last byte of the body is another one. `header`: what is
 * stored of the header can no longer be read, or names another key. `truncated`: what is stored ends too early.
 */
export type Damage = "body" | "header" | "truncated"

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
    /** Damages what the backend holds of a key. Only for cases that require `damage`. */
    readonly damage: (key: Key, where: Damage) => Effect.Effect<void>
    /** Bytes that the tier has read from its backend so far. Only for cases that require `bytesRead`. */
    readonly bytesRead: Effect.Effect<number>
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
  readonly ranges?: true | undefined
  readonly nativeExpiry?: true | undefined
  /** Newer wins atomically, at least among the writers of this process; `shared`: among all writers of the storage. */
  readonly atomicPut?: "process" | "shared" | undefined
  /** Blobs outlive the process. The case opens the storage several times. */
  readonly persistent?: true | undefined
  /** Others may open the same storage meanwhile. */
  readonly shared?: true | undefined
  /** Bodies of this many bytes. */
  readonly bodyBytes?: number | undefined
  /** The tier names the largest body that it takes, and that is at most this many bytes. */
  readonly maxBytesUpTo?: number | undefined
  /** Whose time passes: the test's, which a case may move, or that of the tier's backend. */
  readonly clock?: "test" | "live" | undefined
  /** The suite can damage what the backend holds. */
  readonly damage?: true | undefined
  /** The suite can count what the tier reads from its backend. */
  readonly bytesRead?: true | undefined
  /** `usage` is exact whenever nothing is running. */
  readonly exactUsage?: true | undefined
  /** Keys are asked for by the thousand: the suite may be told to leave it out. */
  readonly manyKeys?: true | undefined
}

export interface Case {
  /** What holds, as a sentence: `operation - …`. */
  readonly name: string
  readonly requires: Requires
  /** Fails or dies if the sentence does not hold. Moves the `TestClock` only if it requires the test's clock. */
  readonly run: Effect.Effect<void, TierError, Subject | Scope.Scope>
  /** Real time that it may take, in milliseconds. */
  readonly limitMillis: number
}

/** What the suite is told about a tier beside its capabilities. */
export interface Circumstances {
  readonly clock: "test" | "live"
  readonly distinctKeys: number
  readonly usage: "exact" | "approximate"
  readonly canDamage: boolean
  readonly countsReads: boolean
}

/** Every case may have bodies of so many bytes; those that have larger ones require them. */
export const leastBodyBytes = 4_096

/** Why a case does not apply to a tier; undefined: it applies. */
export const unmet = (
  requires: Requires,
  capabilities: Capabilities,
  circumstances: Circumstances
): string | undefined => {
  const { canDamage, clock, countsReads, distinctKeys, usage } = circumstances
  if (requires.clock !== undefined && requires.clock !== clock)
    return `needs a tier that reads the ${requires.clock} clock`
  if (requires.manyKeys === true && distinctKeys === 0) return "asks for no key: `distinctKeys` is 0"
  if (requires.exactUsage === true && usage === "approximate") return "needs a `usage` that is exact"
  if (requires.damage === true && !canDamage) return "damages what is stored: `damage` is not given"
  if (requires.bytesRead === true && !countsReads) return "counts what is read: `bytesRead` is not given"
  for (const capability of ["streaming", "ranges", "list", "persistent", "shared", "nativeExpiry"] as const) {
    const needed = requires[capability]
    if (needed !== undefined && needed !== capabilities[capability]) {
      return `${needed ? "needs" : "needs a tier without"} the capability ${capability}`
    }
  }
  const { atomicPut } = requires
  if (atomicPut !== undefined && capabilities.atomicPut !== "shared" && capabilities.atomicPut !== atomicPut) {
    return `needs the capability atomicPut: ${atomicPut}`
  }
  const { bodyBytes, maxBytesUpTo } = requires
  const maxBytes = capabilities.maxBytes ?? Number.POSITIVE_INFINITY
  if (bodyBytes !== undefined && bodyBytes > maxBytes) {
    return `needs bodies of ${bodyBytes} bytes: the tier takes at most ${maxBytes}`
  }
  return maxBytesUpTo !== undefined && maxBytes > maxBytesUpTo
    ? `needs a tier whose largest body has at most ${maxBytesUpTo} bytes`
    : undefined
}

/** Whether the case opens storage of its own, several times. */
export const opensStorage = ({ persistent, shared }: Requires): boolean => persistent === true || shared === true

type Run = Effect.Effect<void, TierError, Subject | Scope.Scope>

const defaultLimitMillis = 60_000

/** Builds a case. */
export const make = (name: string, requires: Requires, run: Run, limitMillis: number = defaultLimitMillis): Case => ({
  name,
  requires,
  run,
  limitMillis
})
