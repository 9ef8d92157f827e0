/**
 * A tier as one chain uses it: its role, its policy made into a guard, its counters.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Key } from "../Key.ts"
import type { Origin } from "../Origin.ts"
import * as Policy from "../Policy.ts"
import type { DeclineReason, Tier } from "../Tier.ts"
import type { TierError } from "../TierError.ts"
import type { Step } from "../Trail.ts"
import type { Activities } from "./activities.ts"
import { BoundedMap } from "./BoundedMap.ts"
import * as Breaker from "./breaker.ts"
import { watched } from "./watching.ts"

/** Plain numbers, so that a hit costs one addition; metrics read them when they are scraped. */
export interface Counters {
  hits: number
  misses: number
  skipped: number
  failed: number
  /** Puts, promotions and write-backs that the tier took. */
  stored: number
  /** Of these, copies of what was found in a slower tier. */
  promoted: number
  readonly declined: Record<DeclineReason, number>
  writeFailed: number
  removed: number
}

interface Access {
  /**
   * Calls the tier under its policy. A call is an activity of its own until it has really ended, also when nobody waits
   * for it any more, so that floors last until what it may still write has landed.
   */
  readonly call: Policy.Guard
  /** Time that one call of an operation may take, and each pull of a stream; undefined: any. */
  readonly deadlineOf: (operation: TierError["operation"]) => Duration.Duration | undefined
  readonly counters: Counters
  readonly breaker: () => Breaker.BreakerState
}

/** `removed` counts what it has let go of, `writeFailed` what it could not let go of. */
export interface OriginMember extends Access {
  readonly name: string
}

export interface Member extends Access {
  readonly tier: Tier
  readonly role: "cache" | "store"
  readonly maxBytes: number
  /** Whether this cache takes a copy of the key now; see `Policy.secondTouch`. */
  readonly admits: (key: Key) => boolean
  /** In process memory: asked without a deadline, and before a flight is begun. */
  readonly inProcess: boolean
  /** Too many copies of this cache are out of date and cannot be dropped: it is not asked any more. */
  isDistrusted: boolean
}

export interface Options {
  readonly activities: Activities
  readonly scope: Scope.Scope
  /** Keys whose first touch is remembered, for `secondTouch`. */
  readonly maxTouched: number
  /** Told how long each call took, in seconds; calls into process memory are not timed. */
  readonly onCall: (tier: string, operation: TierError["operation"], seconds: number) => void
}

export const make = (
  tier: Tier,
  role: Member["role"],
  policy: Policy.Policy = {},
  options: Options
): Effect.Effect<Member> =>
  Effect.gen(function* () {
    const inProcess = !tier.capabilities.persistent && !tier.capabilities.shared
    return {
      tier,
      role,
      inProcess,
      ...(yield* access(tier.name, inProcess, policy, options)),
      maxBytes: policy.maxBytes ?? tier.capabilities.maxBytes ?? Number.POSITIVE_INFINITY,
      admits: policy.secondTouch === true ? onSecondTouch(options.maxTouched) : () => true,
      isDistrusted: false
    }
  })

/** The origin of a chain, as the chain asks it. */
export const makeOrigin = (
  { name, policy = {} }: Pick<Origin<unknown>, "name" | "policy">,
  options: Options
): Effect.Effect<OriginMember> =>
  Effect.map(access(name, false, policy, options), (accessed) => ({ name, ...accessed }))

/** What lies in process memory has no deadline and no breaker but those that its policy names. */
const access = (
  name: string,
  inProcess: boolean,
  policy: Policy.Policy,
  { activities, onCall, scope }: Options
): Effect.Effect<Access> =>
  Effect.gen(function* () {
    const breakerOptions = policy.breaker ?? (inProcess ? false : {})
    const deadline = policy.deadline ?? (inProcess ? "Infinity" : Policy.defaultDeadline)
    const isUnguarded =
      inProcess &&
      policy.deadline === undefined &&
      policy.readDeadline === undefined &&
      policy.retry === undefined &&
      breakerOptions === false
    const breaker = breakerOptions === false ? undefined : yield* Breaker.make(name, breakerOptions, scope)
    const bounds = { ...policy, deadline }
    const guard = Policy.guard(name, bounds, scope)
    const asActivity: Policy.Guard = (operation, call, isWanted) =>
      guard(operation, () => activities.during(call()), isWanted)
    const measured = inProcess ? asActivity : timed(asActivity, name, onCall)
    const guarded = breaker === undefined ? measured : watched(breaker.around(measured), scope)
    return {
      call: isUnguarded ? Policy.unguarded(name) : guarded,
      deadlineOf: isUnguarded ? () => undefined : Policy.deadlineOf(bounds),
      breaker: breaker?.state ?? (() => "closed"),
      counters: {
        hits: 0,
        misses: 0,
        skipped: 0,
        failed: 0,
        stored: 0,
        promoted: 0,
        declined: { "too-large": 0, admission: 0, "read-only": 0, expired: 0 },
        writeFailed: 0,
        removed: 0
      }
    }
  })

const timed =
  (guard: Policy.Guard, tier: string, onCall: Options["onCall"]): Policy.Guard =>
  (operation, call, isWanted) =>
    Effect.clockWith((clock) => {
      const began = clock.monotonicTimeNanosUnsafe()
      return Effect.onExit(guard(operation, call, isWanted), () =>
        Effect.sync(() => onCall(tier, operation, Number(clock.monotonicTimeNanosUnsafe() - began) / 1e9))
      )
    })

/** Answers true from the second time on that a key is seen, as long as it is remembered. */
const onSecondTouch = (limit: number): Member["admits"] => {
  const touched = new BoundedMap<string, true>(limit)
  return ({ text }) => {
    const isSecond = touched.get(text) !== undefined
    touched.set(text, true)
    return isSecond
  }
}

/** Counts a step of a lookup. */
export const count = ({ counters }: Pick<Access, "counters">, outcome: Step["outcome"]["_tag"]): void => {
  if (outcome === "Hit") counters.hits += 1
  else if (outcome === "Skipped") counters.skipped += 1
  else if (outcome === "Failed") counters.failed += 1
  else counters.misses += 1
}
