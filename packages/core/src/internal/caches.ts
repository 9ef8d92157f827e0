/**
 * Brings the caches of a chain up to date. Nothing here fails: a cache that cannot follow is repaired in the background.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Blob } from "../Blob.ts"
import * as Body from "../Body.ts"
import type { TierReceipt } from "../Chain.ts"
import type { Mark } from "../Floor.ts"
import type { Generation } from "../Generation.ts"
import type { Key } from "../Key.ts"
import type { Removal, Write } from "../Tier.ts"
import type { TierError } from "../TierError.ts"
import type { Member } from "./member.ts"
import type { State } from "./state.ts"

/**
 * Copies a blob that stems from something that began at `since` into a cache, unless a floor discards it.
 *
 * A put or remove may overtake it at any time, so each try looks at the floors twice: before it is sent, since what came
 * between two tries is older than the try, and its floor may be gone when that ends; and once the copy is there. Both are
 * part of the call, an activity for whose sake floors raised meanwhile stay, also when it has long been given up.
 */
export const promote = (
  { floors, repairs }: State,
  member: Member,
  blob: Blob,
  since: Mark,
  expected?: Generation
): Effect.Effect<TierReceipt> => {
  const { header } = blob
  const { counters, tier } = member
  const receipt = (outcome: TierReceipt["outcome"]): TierReceipt => ({ tier: tier.name, outcome })
  const dropAgain = (generation: Generation) => member.call("remove", () => tier.remove(header.key, generation))

  /** Runs however the write has ended, since one that was given up may have landed too. */
  const check = (exit: Exit.Exit<Write, TierError>) =>
    (Exit.isFailure(exit) || exit.value._tag === "Stored") && floors.discards(header, since)
      ? Effect.catch(dropAgain(header.generation), () =>
          repairs.begin(member, header.key.text, header.generation, dropAgain)
        )
      : Effect.void

  const settle = (write: Write | undefined): TierReceipt => {
    if (write === undefined) return receipt("superseded")
    if (write._tag === "Stored") counters.stored += 1
    else if (write._tag === "Declined") counters.declined[write.why] += 1
    if (floors.discards(header, since) || write._tag === "Conflict") return receipt("superseded")
    return write._tag === "Superseded"
      ? { ...receipt("superseded"), current: write.current }
      : receipt(write._tag === "Stored" ? "stored" : "declined")
  }

  return Effect.suspend(() => {
    if (member.isDistrusted || floors.discards(header, since)) return Effect.succeed(receipt("superseded"))
    if (Body.size(blob.body) > member.maxBytes || (blob.body._tag === "Streamed" && !tier.capabilities.streaming)) {
      counters.declined["too-large"] += 1
      return Effect.succeed(receipt("declined"))
    }
    const options = expected === undefined ? undefined : { expected }
    const attempt = Effect.suspend((): Effect.Effect<Write | undefined, TierError> =>
      floors.discards(header, since) ? Effect.undefined : Effect.onExit(tier.put(blob, options), check)
    )
    return Effect.matchEffect(
      member.call("put", () => attempt),
      {
        onSuccess: (write) => Effect.sync(() => settle(write)),
        onFailure: (error) => {
          counters.writeFailed += 1
          return Effect.as(
            Effect.logDebug(`copy not kept tier=${tier.name} key=${header.key.text}`, error.message),
            receipt("failed")
          )
        }
      }
    )
  })
}

/** Promotes a blob that takes the place of another; a cache that does not take it drops the one that it has. */
export const replace = (state: State, member: Member, blob: Blob, since: Mark): Effect.Effect<TierReceipt> =>
  Effect.flatMap(promote(state, member, blob, since), (promoted) =>
    promoted.outcome === "stored" || promoted.outcome === "superseded"
      ? Effect.succeed(promoted)
      : Effect.map(drop(state, member, blob.header.key, blob.header.generation - 1), (dropped) =>
          dropped.outcome === "repairing" ? dropped : promoted
        )
  )

/** Drops the copy that a cache has of a key, if its generation is at most `upTo`. */
export const drop = (state: State, member: Member, key: Key, upTo: Generation): Effect.Effect<TierReceipt> =>
  orRepair(
    state,
    member,
    key.text,
    upTo,
    (target) =>
      Effect.map(
        member.call("remove", () => member.tier.remove(key, target)),
        (removal) => {
          if (removal._tag === "Removed") member.counters.removed += 1
          return receiptOf(member, removal)
        }
      ),
    Effect.map(
      member.call("head", () => member.tier.head(key)),
      (read) => read._tag !== "Miss" && (read._tag === "Skipped" || read.header.generation <= upTo)
    )
  )

/** Drops the copies that a cache has of a group, if their generation is at most `upTo`. */
export const dropGroup = (state: State, member: Member, group: string, upTo: Generation): Effect.Effect<TierReceipt> =>
  orRepair(
    state,
    member,
    group,
    upTo,
    (target) =>
      Effect.map(
        member.call("removeGroup", () => member.tier.removeGroup(group, target)),
        (removal): TierReceipt => {
          member.counters.removed += removal.removed
          return removal.superseded > 0
            ? { tier: member.tier.name, outcome: "superseded", current: removal.current }
            : { tier: member.tier.name, outcome: removal.removed > 0 ? "removed" : "absent" }
        }
      ),
    member.tier.capabilities.list
      ? Effect.map(
          member.call("scan", () =>
            Stream.runHead(Stream.filter(member.tier.scan({ groupPrefix: group }), ({ key }) => key.group === group))
          ),
          Option.isSome
        )
      : Effect.succeed(true)
  )

export const receiptOf = (member: Member, removal: Removal): TierReceipt => {
  const tier = member.tier.name
  switch (removal._tag) {
    case "Removed":
      return { tier, outcome: "removed" }
    case "Absent":
      return { tier, outcome: "absent" }
    case "Superseded":
      return { tier, outcome: "superseded", current: removal.current }
  }
}

/**
 * A cache that cannot drop anything, since it is only read, needs no repair if it has nothing to drop; `has` says whether
 * it does.
 */
const orRepair = (
  { repairs }: State,
  member: Member,
  subject: string,
  upTo: Generation,
  action: (upTo: Generation) => Effect.Effect<TierReceipt, TierError>,
  has: Effect.Effect<boolean, TierError>
): Effect.Effect<TierReceipt> => {
  const tier = member.tier.name
  return Effect.catch(action(upTo), (error) => {
    const repair = Effect.logWarning(
      `cache not up to date, repairing tier=${tier} subject=${subject}`,
      error.message
    ).pipe(
      Effect.andThen(repairs.begin(member, subject, upTo, action)),
      Effect.as({ tier, outcome: "repairing" } as const)
    )
    return error.reason._tag !== "Unsupported"
      ? repair
      : Effect.matchEffect(has, {
          onFailure: () => repair,
          onSuccess: (isThere): Effect.Effect<TierReceipt> =>
            isThere ? repair : Effect.succeed({ tier, outcome: "absent" })
        })
  })
}
