/**
 * The metrics of a chain. Names and attributes are stable.
 *
 * What is counted on every read is a plain number that is read when the metrics are; only the durations of calls that
 * leave the process are recorded as they happen.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import type { Operation } from "../TierError.ts"
import type { Member, OriginMember } from "./member.ts"
import type { State } from "./state.ts"

type Attributes = Readonly<Record<string, string>>

interface Series {
  readonly name: string
  readonly kind: "counter" | "gauge"
  readonly attributes?: Attributes | undefined
  readonly read: () => number
}

const descriptions: Readonly<Record<string, string>> = {
  terrace_reads: "Lookups in a tier",
  terrace_writes: "Writes to a tier",
  terrace_declines: "Blobs that a tier would not take",
  terrace_promotions: "Copies of what a slower tier had",
  terrace_evictions: "Blobs that a tier has dropped to make room",
  terrace_corrupt: "Blobs that a tier has found damaged and set aside",
  terrace_breaker_state: "0: closed, 1: half open, 2: open",
  terrace_repairs: "Copies that are out of date and could not be dropped yet",
  terrace_releases: "Blobs that an origin was asked to let go of, since the store has them",
  terrace_flights: "Lookups that were begun",
  terrace_flights_joined: "Reads that shared a lookup or producer that another had begun",
  terrace_producers: "Producers that have ended",
  terrace_comparisons: "Cached copies that were compared with the store",
  terrace_absences: "Reads answered by a remembered absence",
  terrace_floors: "Floors in force",
  terrace_running: "Lookups, producers, write-backs and writes that have not ended",
  terrace_unkept: "Results that were answered and not written back, since too many bytes were held",
  terrace_held_bytes: "Bytes held for write-back"
}

const breakerStates = { closed: 0, "half-open": 1, open: 2 } as const

const counting =
  (tier: string) =>
  (name: string, attributes: Attributes, read: () => number): Series => ({
    name,
    kind: "counter",
    attributes: { tier, ...attributes },
    read
  })

/** What is told of tiers and origins alike. */
const ofAccess = (tier: string, { breaker, counters }: Pick<Member, "breaker" | "counters">): ReadonlyArray<Series> => {
  const count = counting(tier)
  return [
    count("terrace_reads", { outcome: "hit" }, () => counters.hits),
    count("terrace_reads", { outcome: "miss" }, () => counters.misses),
    count("terrace_reads", { outcome: "skipped" }, () => counters.skipped),
    count("terrace_reads", { outcome: "failed" }, () => counters.failed),
    {
      name: "terrace_breaker_state",
      kind: "gauge",
      attributes: { tier },
      read: () => breakerStates[breaker()]
    }
  ]
}

const ofOrigin = (origin: OriginMember): ReadonlyArray<Series> => {
  const { counters, name } = origin
  const count = counting(name)
  return [
    ...ofAccess(name, origin),
    count("terrace_releases", { outcome: "released" }, () => counters.removed),
    count("terrace_releases", { outcome: "failed" }, () => counters.writeFailed)
  ]
}

const ofMember = (state: State, member: Member): ReadonlyArray<Series> => {
  const { counters } = member
  const tier = { tier: member.tier.name }
  const count = counting(member.tier.name)
  const { corrupted, evictions } = member.tier
  return [
    ...ofAccess(member.tier.name, member),
    count("terrace_writes", { outcome: "stored" }, () => counters.stored),
    count("terrace_writes", { outcome: "removed" }, () => counters.removed),
    count("terrace_writes", { outcome: "failed" }, () => counters.writeFailed),
    count("terrace_declines", { reason: "too-large" }, () => counters.declined["too-large"]),
    count("terrace_declines", { reason: "admission" }, () => counters.declined.admission),
    count("terrace_declines", { reason: "read-only" }, () => counters.declined["read-only"]),
    count("terrace_declines", { reason: "expired" }, () => counters.declined.expired),
    count("terrace_promotions", {}, () => counters.promoted),
    ...(evictions === undefined ? [] : [count("terrace_evictions", {}, evictions)]),
    ...(corrupted === undefined ? [] : [count("terrace_corrupt", {}, corrupted)]),
    { name: "terrace_repairs", kind: "gauge", attributes: tier, read: () => state.repairs.pendingIn(member) }
  ]
}

const ofChain = (state: State): ReadonlyArray<Series> => [
  { name: "terrace_flights", kind: "counter", read: () => state.counters.flights },
  { name: "terrace_flights_joined", kind: "counter", read: () => state.counters.joined },
  { name: "terrace_producers", kind: "counter", attributes: { outcome: "made" }, read: () => state.counters.made },
  {
    name: "terrace_producers",
    kind: "counter",
    attributes: { outcome: "failed" },
    read: () => state.counters.makeFailed
  },
  {
    name: "terrace_comparisons",
    kind: "counter",
    attributes: { outcome: "same" },
    read: () => state.counters.confirmed
  },
  {
    name: "terrace_comparisons",
    kind: "counter",
    attributes: { outcome: "other" },
    read: () => state.counters.outdated
  },
  {
    name: "terrace_comparisons",
    kind: "counter",
    attributes: { outcome: "unknown" },
    read: () => state.counters.unconfirmed
  },
  { name: "terrace_absences", kind: "counter", read: () => state.counters.absences },
  { name: "terrace_unkept", kind: "counter", read: () => state.counters.unkept },
  { name: "terrace_floors", kind: "gauge", read: () => state.floors.size },
  { name: "terrace_running", kind: "gauge", read: () => state.activities.running },
  { name: "terrace_held_bytes", kind: "gauge", read: () => state.heldBytes }
]

/** Seconds: from a tenth of a millisecond to half a minute. */
const boundaries = [
  0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30
]

/** How a read that left process memory has ended: `left` is a reader who did not wait. */
export type ReadOutcome = "hit" | "made" | "not-found" | "failed" | "left"

export interface Observer {
  /** Records how long such a read took. */
  readonly onRead: (outcome: ReadOutcome, seconds: number) => void
  /** Records how long a call into a tier took. */
  readonly onCall: (tier: string, operation: Operation, seconds: number) => void
  /** Shows the chain's numbers until the scope closes. */
  readonly observe: (state: State) => Effect.Effect<void, never, Scope.Scope>
}

/** Into the registry of the context that the chain is made in. */
export const observer = (chain: string): Effect.Effect<Observer> =>
  Effect.map(Effect.context(), (context) => {
    const durations = new Map<string, Metric.Histogram<number>>()
    let isOver = false
    const record = (name: string, description: string, attributes: Attributes, seconds: number): void => {
      // What ends after the chain must not bring its series back.
      if (isOver) return
      const id = [name, ...Object.values(attributes)].join(" ")
      const known = durations.get(id)
      const histogram =
        known ?? Metric.histogram(name, { description, attributes: { chain, ...attributes }, boundaries })
      if (known === undefined) durations.set(id, histogram)
      histogram.updateUnsafe(seconds, context)
    }
    return {
      onRead: (outcome, seconds) =>
        record(
          "terrace_read_seconds",
          "Time that reads took which process memory did not answer",
          { outcome },
          seconds
        ),
      onCall: (tier, operation, seconds) =>
        record(
          "terrace_call_seconds",
          "Time that calls into a tier took, until they were answered or given up",
          { tier, operation },
          seconds
        ),
      observe: (state) =>
        Effect.acquireRelease(
          Effect.map(warnOfNamesake(context, chain), () =>
            [
              ...ofChain(state),
              ...state.members.flatMap((member) => ofMember(state, member)),
              ...(state.origin === undefined ? [] : ofOrigin(state.origin))
            ].map((series) => register(context, chain, series))
          ),
          (registrations) =>
            Effect.sync(() => {
              isOver = true
              for (const registration of registrations) registration.remove()
              for (const histogram of durations.values()) Metric.removeUnsafe(histogram, context)
            })
        )
    }
  })

/** Series of the same name and attributes are one: those of the later chain take the place of those of the earlier. */
const warnOfNamesake = (context: Context.Context<never>, chain: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    for (const { attributes, id } of Context.get(context, Metric.MetricRegistry).values()) {
      if (id === "terrace_flights" && attributes?.["chain"] === chain) {
        return Effect.logWarning(
          `two chains are named ${chain}, and only the metrics of the later one are shown: expected a name of its own for each, for example ${chain}-2`
        )
      }
    }
    return Effect.void
  })

const register = (context: Context.Context<never>, chain: string, series: Series): Metric.Registration => {
  const options = { description: descriptions[series.name], attributes: { chain, ...series.attributes } }
  const ignored = { update: () => {}, modify: () => {} }
  return series.kind === "counter"
    ? Metric.registerUnsafe(Metric.counter(series.name, { ...options, incremental: true }), context, {
        get: () => ({ count: series.read(), incremental: true }),
        ...ignored
      })
    : Metric.registerUnsafe(Metric.gauge(series.name, options), context, {
        get: () => ({ value: series.read() }),
        ...ignored
      })
}
