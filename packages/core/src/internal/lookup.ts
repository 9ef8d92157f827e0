/**
 * Asks the tiers of a chain in order, each under its own policy, until one has the blob.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Blob } from "../Blob.ts"
import type { Floors } from "../Floor.ts"
import * as Header from "../Header.ts"
import type { Key } from "../Key.ts"
import type { Read, ReadHeader } from "../Tier.ts"
import type { TierError } from "../TierError.ts"
import type { Outcome, Step } from "../Trail.ts"
import * as Member from "./member.ts"

export type Sighting<A> =
  | { readonly _tag: "Found"; readonly value: A; readonly position: number; readonly steps: ReadonlyArray<Step> }
  /** Absence is proven: the store has nothing, or, without a store, no tier has. */
  | { readonly _tag: "Absent"; readonly steps: ReadonlyArray<Step> }
  /** Nobody has it, and who would know could not say. */
  | { readonly _tag: "Unproven"; readonly steps: ReadonlyArray<Step> }

export const blob = (members: ReadonlyArray<Member.Member>, floors: Floors, key: Key): Effect.Effect<Sighting<Blob>> =>
  search(members, floors, (member) => member.call("get", () => member.tier.get(key)), valueOfBlob)

export const header = (
  members: ReadonlyArray<Member.Member>,
  floors: Floors,
  key: Key
): Effect.Effect<Sighting<Header.Header>> =>
  search(members, floors, (member) => member.call("head", () => member.tier.head(key)), valueOfHeader)

const valueOfBlob = (read: Read) => (read._tag === "Hit" ? { value: read.blob, header: read.blob.header } : undefined)
const valueOfHeader = (read: ReadHeader) =>
  read._tag === "Hit" ? { value: read.header, header: read.header } : undefined

const search = <R extends Read | ReadHeader, A>(
  members: ReadonlyArray<Member.Member>,
  floors: Floors,
  ask: (member: Member.Member) => Effect.Effect<R, TierError>,
  valueOf: (read: R) => { readonly value: A; readonly header: Header.Header } | undefined
): Effect.Effect<Sighting<A>> =>
  Effect.clockWith(
    Effect.fnUntraced(function* (clock) {
      const steps: Array<Step> = []
      for (const [position, member] of members.entries()) {
        const began = clock.monotonicTimeNanosUnsafe()
        if (member.isDistrusted) {
          steps.push({ tier: member.tier.name, outcome: { _tag: "Skipped", why: "busy" }, millis: 0 })
          Member.count(member, "Skipped")
          continue
        }
        const result = yield* Effect.result(ask(member))
        const found = Result.isSuccess(result) ? valueOf(result.success) : undefined
        const outcome = judge(member, floors, result, found?.header, clock.currentTimeMillisUnsafe())
        steps.push({ tier: member.tier.name, outcome, millis: Number(clock.monotonicTimeNanosUnsafe() - began) / 1e6 })
        Member.count(member, outcome._tag)
        if (outcome._tag === "Hit" && found !== undefined) {
          return { _tag: "Found", value: found.value, position, steps }
        }
      }
      return { _tag: isProven(members, steps) ? "Absent" : "Unproven", steps }
    })
  )

const judge = (
  member: Member.Member,
  floors: Floors,
  result: Result.Result<Read | ReadHeader, TierError>,
  found: Header.Header | undefined,
  now: number
): Outcome => {
  if (Result.isFailure(result)) return { _tag: "Failed", reason: result.failure.reason._tag }
  if (found === undefined) return result.success._tag === "Skipped" ? result.success : { _tag: "Miss" }
  if (Header.isExpired(found, now)) return { _tag: "Expired" }
  // A store is the truth: a floor above its blob means that a newer write is on its way, not that this one is gone.
  if (member.role === "cache" && floors.discards(found)) return { _tag: "Outdated" }
  return { _tag: "Hit" }
}

const isProven = (members: ReadonlyArray<Member.Member>, steps: ReadonlyArray<Step>): boolean => {
  const hasStore = members.at(-1)?.role === "store"
  const decisive = hasStore ? steps.slice(-1) : steps
  return decisive.every(({ outcome }) => outcome._tag !== "Skipped" && outcome._tag !== "Failed")
}
