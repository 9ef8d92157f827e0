/**
 * Asks every tier what it has of a key, and says who would answer a read.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { ExpectedAnswer, Explanation, TierExplanation } from "../Chain.ts"
import * as Header from "../Header.ts"
import type { Key } from "../Key.ts"
import type { Member } from "./member.ts"
import type { State } from "./state.ts"

export const explain = (state: State, key: Key): Effect.Effect<Explanation> =>
  Effect.clockWith((clock) =>
    Effect.map(
      Effect.forEach(state.members, (member) => ask(state, member, key), { concurrency: "unbounded" }),
      (tiers): Explanation => ({
        key: key.text,
        answer: answerOf(state, tiers, state.absences.has(key, clock.monotonicTimeNanosUnsafe())),
        floor: state.floors.of(key),
        tiers
      })
    )
  )

/** The first copy that a read would take; an absence that is remembered is answered unless the first tier has one. */
const answerOf = (
  { store }: State,
  tiers: ReadonlyArray<TierExplanation>,
  isAbsenceRemembered: boolean
): ExpectedAnswer => {
  const position = tiers.findIndex((tier) => tier.outcome._tag === "Hit" && isTaken(tier, tiers.at(-1)))
  const { header, tier } = tiers[position] ?? {}
  if (isAbsenceRemembered && position !== 0) return { _tag: "NotFound", isRemembered: true }
  if (tier !== undefined && header !== undefined) return { _tag: "Found", tier, header }
  const decisive = store === undefined ? tiers : tiers.slice(-1)
  return decisive.every(({ outcome }) => outcome._tag !== "Skipped" && outcome._tag !== "Failed")
    ? { _tag: "NotFound", isRemembered: false }
    : { _tag: "Unavailable" }
}

/** A copy that is not confirmed is compared first: the store must have the same, or not be able to say. */
const isTaken = ({ header, standing }: TierExplanation, store: TierExplanation | undefined): boolean =>
  standing !== "unconfirmed" ||
  store?.outcome._tag === "Skipped" ||
  store?.outcome._tag === "Failed" ||
  (store?.header?.generation === header?.generation && store?.header?.digest === header?.digest)

const ask = (state: State, member: Member, key: Key): Effect.Effect<TierExplanation> =>
  Effect.clockWith((clock) => {
    const { activities, confirmations, floors, store, storeWrites } = state
    const began = clock.monotonicTimeNanosUnsafe()
    const of = (outcome: TierExplanation["outcome"], header?: Header.Header): TierExplanation => ({
      tier: member.tier.name,
      role: member.role,
      breaker: member.breaker(),
      outcome,
      millis: Number(clock.monotonicTimeNanosUnsafe() - began) / 1e6,
      header,
      standing:
        header === undefined || member.role === "store" || store === undefined
          ? undefined
          : confirmations.standing(header, clock.currentTimeMillisUnsafe(), member.tier.capabilities.persistent)
    })
    if (activities.closed) return Effect.succeed(of({ _tag: "Skipped", why: "closed" }))
    if (member.isDistrusted) return Effect.succeed(of({ _tag: "Skipped", why: "busy" }))
    return Effect.map(Effect.result(member.call("head", () => member.tier.head(key))), (result) => {
      if (Result.isFailure(result)) {
        const { reason } = result.failure
        return reason._tag === "BreakerOpen"
          ? of({ _tag: "Skipped", why: "breaker-open" })
          : of({ _tag: "Failed", reason: reason._tag })
      }
      const read = result.success
      if (read._tag !== "Hit") return of(read)
      if (Header.isExpired(read.header, clock.currentTimeMillisUnsafe())) return of({ _tag: "Expired" }, read.header)
      const isOutdated =
        member.role === "cache" ? floors.discards(read.header) : storeWrites.isOvertaken(key, read.header.generation)
      return of({ _tag: isOutdated ? "Outdated" : "Hit" }, read.header)
    })
  })
