/**
 * What process memory has: the first tier of a chain, if it lies in this process, is looked at before a flight begins.
 *
 * A hit here is the hot path of a chain. It takes no flight, no fiber, no span and, where the tier offers `peek`, no effect
 * beyond the one that answers; its counters are plain numbers.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Blob } from "../Blob.ts"
import type { Found } from "../Chain.ts"
import * as Header from "../Header.ts"
import type { Key } from "../Key.ts"
import type { Read } from "../Tier.ts"
import type { Trail } from "../Trail.ts"
import * as Comparison from "./comparison.ts"
import type { State } from "./state.ts"

export interface Front {
  /** What can be answered as it is, at once. */
  readonly glance: (key: Key, fiber: Fiber.Fiber<unknown, unknown>) => Found | undefined
  /** As `glance`, and by an effect: of tiers without `peek`, and of copies that are due to be compared. */
  readonly peek: (key: Key) => Effect.Effect<Found | undefined>
}

const nothing: Effect.Effect<Found | undefined> = Effect.undefined

/** A tier that throws has a bug, which the lookup that follows meets and records. */
const attempt = (peek: (key: Key) => Read, key: Key): Read | undefined => {
  try {
    return peek(key)
  } catch {
    return undefined
  }
}

export const make = (state: State): Front => {
  const { activities, confirmations, floors, members, store } = state
  const tier = members[0]
  if (tier?.inProcess !== true) return { glance: () => undefined, peek: () => nothing }
  const { counters, role } = tier
  const { peek } = tier.tier
  const trail: Trail = { steps: [{ tier: tier.tier.name, outcome: { _tag: "Hit" }, millis: 0 }], joined: false }

  const isClosed = (): boolean => tier.isDistrusted || activities.closed

  /** A stream is handed out by a flight, which sees to its length and deadlines. */
  const blobOf = (read: Read | undefined): Blob | undefined =>
    read?._tag !== "Hit" ||
    read.blob.body._tag === "Streamed" ||
    (role === "cache" && floors.discards(read.blob.header))
      ? undefined
      : read.blob

  const isTimeless = ({ expiresAt, freshUntil }: Header.Header): boolean =>
    freshUntil === undefined && expiresAt === undefined && !confirmations.isActive

  const found = (blob: Blob, stale: boolean): Found => {
    counters.hits += 1
    return { _tag: "Found", blob, stale, trail }
  }

  /** What depends on time: whether it has expired, is stale, and is known to be what the store has. */
  const at = (blob: Blob, now: number): Effect.Effect<Found | undefined> => {
    const { header } = blob
    if (Header.isExpired(header, now)) return nothing
    const standing = role === "store" ? "confirmed" : confirmations.standing(header, now, false)
    // The lookup that follows compares it.
    if (standing === "unconfirmed" && store !== undefined) return nothing
    const answer = found(blob, Header.isStale(header, now))
    return standing === "due" ? Effect.as(Comparison.inBackground(state, header), answer) : Effect.succeed(answer)
  }

  return {
    glance: (key, fiber) => {
      if (peek === undefined || isClosed()) return undefined
      const blob = blobOf(attempt(peek, key))
      if (blob === undefined) return undefined
      const { header } = blob
      if (isTimeless(header)) return found(blob, false)
      const now = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
      if (Header.isExpired(header, now)) return undefined
      if (role === "cache" && confirmations.standing(header, now, false) !== "confirmed") return undefined
      return found(blob, Header.isStale(header, now))
    },

    // Trouble there is met again, and recorded, by the lookup that follows.
    peek: (key) =>
      isClosed()
        ? nothing
        : Effect.matchCauseEffect(
            Effect.suspend(() => tier.tier.get(key)),
            {
              onFailure: () => nothing,
              onSuccess: (read) => {
                const blob = blobOf(read)
                if (blob === undefined) return nothing
                return isTimeless(blob.header)
                  ? Effect.succeed(found(blob, false))
                  : Effect.flatMap(Clock.currentTimeMillis, (now) => at(blob, now))
              }
            }
          )
  }
}
