/**
 * Asks the tiers of a chain in order, each under its own policy, until one has the blob.
 *
 * A copy that is not confirmed is compared with the store before it is taken. If the store has another blob, or none, the
 * copy is dropped and the search goes on; if the store cannot say, the copy is taken and the trail says so.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Blob } from "../Blob.ts"
import * as Header from "../Header.ts"
import type { Key } from "../Key.ts"
import type { Read, ReadHeader } from "../Tier.ts"
import type { TierError } from "../TierError.ts"
import type { Outcome, Step } from "../Trail.ts"
import * as Comparison from "./comparison.ts"
import * as Member from "./member.ts"
import type { State } from "./state.ts"
import { steadyMillis } from "./steady.ts"

export type Sighting<A> =
  | { readonly _tag: "Found"; readonly value: A; readonly position: number; readonly steps: ReadonlyArray<Step> }
  /** Absence is proven: the store has nothing, or, without a store, no tier has. */
  | { readonly _tag: "Absent"; readonly steps: ReadonlyArray<Step> }
  /** Nobody has it, and who would know could not say. */
  | { readonly _tag: "Unproven"; readonly steps: ReadonlyArray<Step> }

/** Looks from the tier at position `from` on. */
export const blob = (state: State, key: Key, from = 0): Effect.Effect<Sighting<Blob>> =>
  search(state, from, (member) => member.call("get", () => member.tier.get(key)), valueOfBlob)

export const header = (state: State, key: Key): Effect.Effect<Sighting<Header.Header>> =>
  search(state, 0, (member) => member.call("head", () => member.tier.head(key)), valueOfHeader)

interface Value<A> {
  readonly value: A
  readonly header: Header.Header
}

const valueOfBlob = (read: Read) => (read._tag === "Hit" ? { value: read.blob, header: read.blob.header } : undefined)
const valueOfHeader = (read: ReadHeader) =>
  read._tag === "Hit" ? { value: read.header, header: read.header } : undefined

const search = <R extends Read | ReadHeader, A>(
  state: State,
  from: number,
  ask: (member: Member.Member) => Effect.Effect<R, TierError>,
  valueOf: (read: R) => Value<A> | undefined
): Effect.Effect<Sighting<A>> =>
  Effect.clockWith(
    Effect.fnUntraced(function* (clock) {
      const { members } = state
      const steps: Array<Step> = []
      for (let position = from; position < members.length; position++) {
        const member = members[position]
        if (member === undefined) break
        const began = clock.monotonicTimeNanosUnsafe()
        const millis = () => Number(clock.monotonicTimeNanosUnsafe() - began) / 1e6
        if (member.isDistrusted) {
          steps.push({ tier: member.tier.name, outcome: { _tag: "Skipped", why: "busy" }, millis: 0 })
          Member.count(member, "Skipped")
          continue
        }
        const result = yield* Effect.result(ask(member))
        const found = Result.isSuccess(result) ? valueOf(result.success) : undefined
        const outcome = judge(state, member, result, found?.header, clock.currentTimeMillisUnsafe())
        if (outcome._tag !== "Hit" || found === undefined) {
          steps.push({ tier: member.tier.name, outcome, millis: millis() })
          Member.count(member, outcome._tag)
          continue
        }
        const comparison =
          member.role === "store"
            ? Comparison.unneeded
            : yield* Comparison.ifDue(state, member, found.header, steadyMillis(clock))
        const taken: Outcome =
          comparison._tag === "Other"
            ? { _tag: "Outdated" }
            : // The comparison has taken its time.
              Header.isExpired(found.header, clock.currentTimeMillisUnsafe())
              ? { _tag: "Expired" }
              : outcome
        steps.push({ tier: member.tier.name, outcome: taken, millis: millis() })
        Member.count(member, taken._tag)
        if (comparison._tag === "Other" || taken._tag !== "Hit") continue
        if (comparison._tag !== "Unneeded") steps.push(comparison.step)
        return { _tag: "Found", value: found.value, position, steps }
      }
      return { _tag: isProven(state, steps) ? "Absent" : "Unproven", steps }
    })
  )

const judge = (
  { floors, storeWrites }: State,
  member: Member.Member,
  result: Result.Result<Read | ReadHeader, TierError>,
  found: Header.Header | undefined,
  now: number
): Outcome => {
  if (Result.isFailure(result)) {
    const { reason } = result.failure
    return reason._tag === "BreakerOpen"
      ? { _tag: "Skipped", why: "breaker-open" }
      : { _tag: "Failed", reason: reason._tag }
  }
  if (found === undefined) return result.success._tag === "Skipped" ? result.success : { _tag: "Miss" }
  if (Header.isExpired(found, now)) return { _tag: "Expired" }
  if (member.role === "cache") return floors.discards(found) ? { _tag: "Outdated" } : { _tag: "Hit" }
  // A store is the truth, whatever the floors say, but for what should not have reached it any more.
  return storeWrites.isOvertaken(found.key, found.generation) ? { _tag: "Outdated" } : { _tag: "Hit" }
}

const isProven = ({ store }: State, steps: ReadonlyArray<Step>): boolean => {
  const decisive = store === undefined ? steps : steps.slice(-1)
  return decisive.every(({ outcome }) => outcome._tag !== "Skipped" && outcome._tag !== "Failed")
}
