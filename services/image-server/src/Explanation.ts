/**
 * What an operator is told of an image: what a read would answer now, from where, and what every tier has of it.
 *
 * Tiers appear by name, outcome and the facts of a blob's header; causes, paths and attributes do not.
 */
import type * as Chain from "@terrace/core/Chain"
import type * as Header from "@terrace/core/Header"
import type { Outcome } from "@terrace/core/Trail"
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import { kebab } from "./internal/kebab.ts"

/** What the chains say of an image. */
export interface Explained {
  readonly master: Chain.Explanation
  /** Undefined: none was asked for, or no master is known that it would be made from. */
  readonly variant: Chain.Explanation | undefined
}

// -----------------------------------------------------------------------------
// Words
// -----------------------------------------------------------------------------

/** One tier, as JSON. */
export interface TierReport {
  readonly tier: string
  readonly role: Chain.Role
  readonly outcome: string
  /** Why it could not say, or would not. */
  readonly why: string | undefined
  /** Time it took to say so. */
  readonly millis: number
  readonly breaker: string
  /** Whether a cached copy is known to be what the store has. */
  readonly standing: string | undefined
  readonly has: Facts | undefined
}

interface Facts {
  readonly generation: number
  /** SHA-256, hex. */
  readonly digest: string
  /** In bytes. */
  readonly size: number
  readonly createdAt: string | undefined
  readonly expiresAt: string | undefined
}

interface Verdict {
  readonly answer: "found" | "made" | "not-found" | "unavailable"
  /** The tier, `producer`, or `absences`: the chain remembers that there is none. */
  readonly from: string | undefined
}

/** One chain, as JSON. */
export interface ChainReport extends Verdict {
  /** Copies in caches below this generation count as absent. */
  readonly floor: number | undefined
  readonly tiers: ReadonlyArray<TierReport>
}

/** An image, as JSON. */
export interface Report extends Verdict {
  readonly id: string
  readonly preset: string | undefined
  readonly master: ChainReport
  readonly variant: ChainReport | undefined
}

/** Words an explanation; `answer` and `from` are those of what was asked for. */
export const describe = (id: string, preset: string | undefined, { master, variant }: Explained): Report => {
  const ofMaster = verdict(master.answer)
  const ofVariant = variant && variantVerdict(variant.answer, ofMaster)
  return {
    id,
    preset,
    ...(ofVariant ?? ofMaster),
    master: chainReport(ofMaster, master),
    variant: variant && ofVariant && chainReport(ofVariant, variant)
  }
}

const verdict = (answer: Chain.ExpectedAnswer): Verdict => {
  switch (answer._tag) {
    case "Found":
      return { answer: "found", from: answer.tier }
    case "Made":
      return { answer: "made", from: answer.origin }
    case "NotFound":
      return { answer: "not-found", from: answer.isRemembered ? "absences" : undefined }
    case "Unavailable":
      return { answer: "unavailable", from: undefined }
  }
}

/** A variant that no tier has is made, whatever its caches say, if its master can be read. */
const variantVerdict = (variant: Chain.ExpectedAnswer, master: Verdict): Verdict =>
  variant._tag === "Found"
    ? verdict(variant)
    : master.answer === "found" || master.answer === "made"
      ? { answer: "made", from: "producer" }
      : { answer: "unavailable", from: undefined }

const chainReport = ({ answer, from }: Verdict, { floor, tiers }: Chain.Explanation): ChainReport => ({
  answer,
  from,
  floor: floor === 0 ? undefined : floor,
  tiers: tiers.map(tierReport)
})

const tierReport = ({ breaker, header, millis, outcome, role, standing, tier }: Chain.TierExplanation): TierReport => ({
  tier,
  role,
  outcome: kebab(outcome._tag),
  why: whyOf(outcome),
  millis: Math.round(millis * 1_000) / 1_000,
  breaker,
  standing,
  has: header && factsOf(header)
})

const whyOf = (outcome: Outcome): string | undefined => {
  switch (outcome._tag) {
    case "Failed":
      return kebab(outcome.reason)
    case "Skipped":
    case "Unconfirmed":
    case "Declined":
      return kebab(outcome.why)
    case "Hit":
    case "Miss":
    case "Outdated":
    case "Expired":
    case "Made":
    case "Confirmed":
    case "LetGo":
      return undefined
  }
}

const factsOf = ({ createdAt, digest, expiresAt, generation, size }: Header.Header): Facts => ({
  generation,
  digest,
  size,
  createdAt: isoOf(createdAt),
  expiresAt: expiresAt === undefined ? undefined : isoOf(expiresAt)
})

/** Undefined for a number that is no time. */
const isoOf = (unixMillis: number): string | undefined =>
  Option.getOrUndefined(Option.map(DateTime.make(unixMillis), DateTime.formatIso))
