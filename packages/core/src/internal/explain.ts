/**
 * Asks every tier what it has of a key, and says who would answer a read.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { ExpectedAnswer, Explanation, TierExplanation } from "../Chain.ts"
import * as Header from "../Header.ts"
import type { Key } from "../Key.ts"
import type { Origin } from "../Origin.ts"
import type { TierError } from "../TierError.ts"
import type { Outcome } from "../Trail.ts"
import type { Member, OriginMember } from "./member.ts"
import type { State } from "./state.ts"
import { steadyMillis } from "./steady.ts"

export const explain = (state: State, key: Key, origin?: Pick<Origin<unknown>, "has">): Effect.Effect<Explanation> =>
  Effect.clockWith((clock) => {
    const { absences, floors, members } = state
    const asked = [
      ...members.map((member) => ask(state, member, key)),
      ...(origin === undefined || state.origin === undefined ? [] : [askOrigin(state, state.origin, origin, key)])
    ]
    return Effect.map(Effect.all(asked, { concurrency: "unbounded" }), (all): Explanation => {
      const isRemembered = absences.find(key, clock.monotonicTimeNanosUnsafe()) !== undefined
      return { key: key.text, answer: answerOf(state, all, isRemembered), floor: floors.of(key), tiers: all }
    })
  })

/** The first copy that a read would take; an absence that is remembered is answered unless the first tier has one. */
const answerOf = (
  { members, store }: State,
  all: ReadonlyArray<TierExplanation>,
  isAbsenceRemembered: boolean
): ExpectedAnswer => {
  const tiers = all.slice(0, members.length)
  const origin = all[members.length]
  const position = tiers.findIndex((tier) => tier.outcome._tag === "Hit" && isTaken(tier, tiers.at(-1)))
  const { header, tier } = tiers[position] ?? {}
  if (isAbsenceRemembered && position !== 0) return { _tag: "NotFound", isRemembered: true }
  if (tier !== undefined && header !== undefined) return { _tag: "Found", tier, header }
  const decisive = store === undefined ? tiers : tiers.slice(-1)
  if (!decisive.every(isConclusive)) return { _tag: "Unavailable" }
  if (origin?.outcome._tag === "Hit") return { _tag: "Made", origin: origin.tier }
  return origin === undefined || isConclusive(origin)
    ? { _tag: "NotFound", isRemembered: false }
    : { _tag: "Unavailable" }
}

const isConclusive = ({ outcome }: TierExplanation): boolean => outcome._tag !== "Skipped" && outcome._tag !== "Failed"

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
          : confirmations.standing(header, steadyMillis(clock), member.tier.capabilities.persistent)
    })
    if (activities.closed) return Effect.succeed(of({ _tag: "Skipped", why: "closed" }))
    if (member.isDistrusted) return Effect.succeed(of({ _tag: "Skipped", why: "busy" }))
    return Effect.map(Effect.result(member.call("head", () => member.tier.head(key))), (result) => {
      if (Result.isFailure(result)) return of(failed(result.failure))
      const read = result.success
      if (read._tag !== "Hit") return of(read)
      if (Header.isExpired(read.header, clock.currentTimeMillisUnsafe())) return of({ _tag: "Expired" }, read.header)
      const isOutdated =
        member.role === "cache" ? floors.discards(read.header) : storeWrites.isOvertaken(key, read.header.generation)
      return of({ _tag: isOutdated ? "Outdated" : "Hit" }, read.header)
    })
  })

const failed = ({ reason }: TierError): Outcome =>
  reason._tag === "BreakerOpen" ? { _tag: "Skipped", why: "breaker-open" } : { _tag: "Failed", reason: reason._tag }

const askOrigin = (
  { activities }: State,
  { breaker, call, name }: OriginMember,
  origin: Pick<Origin<unknown>, "has">,
  key: Key
): Effect.Effect<TierExplanation> =>
  Effect.clockWith((clock) => {
    const began = clock.monotonicTimeNanosUnsafe()
    const of = (outcome: Outcome): TierExplanation => ({
      tier: name,
      role: "origin",
      breaker: breaker(),
      outcome,
      millis: Number(clock.monotonicTimeNanosUnsafe() - began) / 1e6,
      header: undefined,
      standing: undefined
    })
    return activities.closed
      ? Effect.succeed(of({ _tag: "Skipped", why: "closed" }))
      : Effect.map(Effect.result(call("head", () => origin.has(key))), (result) =>
          of(Result.isFailure(result) ? failed(result.failure) : { _tag: result.success ? "Hit" : "Miss" })
        )
  })
