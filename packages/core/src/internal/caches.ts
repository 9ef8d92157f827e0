/**
 * Brings the caches of a chain up to date: write-backs, and what put and remove do to copies.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { Blob } from "../Blob.ts"
import * as Body from "../Body.ts"
import type { Floors } from "../Floor.ts"
import type { Generation } from "../Generation.ts"
import type { Key } from "../Key.ts"
import type { TierError } from "../TierError.ts"
import type { Member } from "./member.ts"

/** What one tier did of a put or remove. */
export interface TierReceipt {
  readonly tier: string
  readonly outcome: "stored" | "declined" | "superseded" | "removed" | "absent" | "accepted" | "failed" | "repairing"
}

/**
 * Copies a blob into a cache, unless a floor discards it; checked again afterwards, because a put or remove may have
 * overtaken the copy while it was being written.
 */
export const copy = (member: Member, floors: Floors, blob: Blob): Effect.Effect<TierReceipt["outcome"], TierError> => {
  const { header } = blob
  const { tier, counters } = member
  return Effect.suspend(() => {
    if (floors.discards(header)) return Effect.succeed("superseded" as const)
    if (Body.size(blob.body) > member.maxBytes || (blob.body._tag === "Streamed" && !tier.capabilities.streaming)) {
      counters.declined += 1
      return Effect.succeed("declined" as const)
    }
    return Effect.flatMap(
      Effect.tapError(member.guard("put", tier.put(blob)), () => Effect.sync(() => (counters.writeFailed += 1))),
      (write) => {
        if (write._tag === "Stored") counters.stored += 1
        else if (write._tag === "Declined") counters.declined += 1
        const outcome =
          write._tag === "Stored" ? "stored" : write._tag === "Declined" ? "declined" : ("superseded" as const)
        const floor = floors.of(header.key)
        return header.generation < floor
          ? Effect.as(member.guard("remove", tier.remove(header.key, floor)), "superseded" as const)
          : Effect.succeed(outcome)
      }
    )
  })
}

/**
 * Replaces the copy of a cache after a put; a cache that does not take the new blob drops the old one, and one that can
 * do neither is repaired in the background, its copy kept from serving by the floor.
 */
export const replace = (member: Member, floors: Floors, blob: Blob, scope: Scope.Scope): Effect.Effect<TierReceipt> =>
  Effect.flatMap(Effect.result(copy(member, floors, blob)), (copied) =>
    Result.isSuccess(copied) && copied.success !== "declined"
      ? Effect.succeed({ tier: member.tier.name, outcome: copied.success })
      : Effect.map(drop(member, floors, blob.header.key, blob.header.generation, scope), (receipt) =>
          receipt.outcome === "repairing"
            ? receipt
            : {
                tier: member.tier.name,
                outcome: Result.isSuccess(copied) ? ("declined" as const) : ("failed" as const)
              }
        )
  )

/** Drops the copy that a cache has of a key. */
export const drop = (
  member: Member,
  floors: Floors,
  key: Key,
  generation: Generation,
  scope: Scope.Scope
): Effect.Effect<TierReceipt> =>
  orRepair(
    member,
    floors,
    key.text,
    Effect.map(member.guard("remove", member.tier.remove(key, generation)), (removal) => {
      if (removal._tag === "Removed") member.counters.removed += 1
      return lowerCase(removal._tag)
    }),
    scope
  )

/** Drops the copies that a cache has of a group. */
export const dropGroup = (
  member: Member,
  floors: Floors,
  group: string,
  generation: Generation,
  scope: Scope.Scope
): Effect.Effect<TierReceipt> =>
  orRepair(
    member,
    floors,
    group,
    Effect.map(member.guard("removeGroup", member.tier.removeGroup(group, generation)), (removal) => {
      if (removal._tag === "Accepted") return "accepted" as const
      member.counters.removed += removal.removed
      return removal.removed > 0 ? ("removed" as const) : ("absent" as const)
    }),
    scope
  )

export const lowerCase = (tag: "Removed" | "Absent" | "Superseded" | "Accepted") =>
  tag === "Removed" ? "removed" : tag === "Absent" ? "absent" : tag === "Accepted" ? "accepted" : "superseded"

/** Between one and sixty seconds apart, for as long as the chain lives. */
const repairing = Schedule.min([Schedule.exponential("1 second"), Schedule.spaced("1 minute")])

const orRepair = (
  member: Member,
  floors: Floors,
  subject: string,
  action: Effect.Effect<TierReceipt["outcome"], TierError>,
  scope: Scope.Scope
): Effect.Effect<TierReceipt> =>
  Effect.catch(
    Effect.map(action, (outcome) => ({ tier: member.tier.name, outcome })),
    (error) => {
      const unpin = floors.pin(subject)
      return Effect.logWarning(
        `cache not up to date, repairing tier=${member.tier.name} subject=${subject}`,
        error.message
      ).pipe(
        Effect.andThen(Effect.forkIn(Effect.ensuring(Effect.retry(action, repairing), Effect.sync(unpin)), scope)),
        Effect.as({ tier: member.tier.name, outcome: "repairing" as const })
      )
    }
  )
