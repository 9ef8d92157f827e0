/**
 * What the tiers of a chain, and its origin, hold and have done: for operators.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { TierStatus } from "../Chain.ts"
import type { Usage } from "../Tier.ts"
import type * as Member from "./member.ts"
import type { State } from "./state.ts"

/** Fastest first; the origin last. */
export const status = (state: State): Effect.Effect<ReadonlyArray<TierStatus>> =>
  Effect.suspend(() =>
    Effect.map(
      Effect.forEach(state.members, (member) => statusOf(member, state.activities.closed)),
      (tiers) => (state.origin === undefined ? tiers : [...tiers, originStatusOf(state.origin)])
    )
  )

/** Operators ask when a tier is unwell: what it does not say soon must not keep the rest from them. */
const usageWithin: Duration.Input = "5 seconds"

const statusOf = (member: Member.Member, isClosed: boolean): Effect.Effect<TierStatus> =>
  Effect.map(isClosed ? Effect.succeedNone : usageOf(member), (usage) => ({
    tier: member.tier.name,
    role: member.role,
    usage: Option.getOrUndefined(usage),
    breaker: member.breaker(),
    counters: countersOf(member)
  }))

const usageOf = (member: Member.Member): Effect.Effect<Option.Option<Usage>> =>
  Effect.map(
    Effect.timeoutOption(Effect.option(member.call("usage", () => member.tier.usage)), usageWithin),
    Option.flatten
  )

const originStatusOf = (origin: Member.OriginMember): TierStatus => ({
  tier: origin.name,
  role: "origin",
  usage: undefined,
  breaker: origin.breaker(),
  counters: countersOf(origin)
})

const countersOf = ({ counters }: Pick<Member.OriginMember, "counters">): Member.Counters => ({
  ...counters,
  declined: { ...counters.declined }
})
