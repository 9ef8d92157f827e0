/**
 * What process memory has: the first tier of a chain, if it lies in this process and offers `peek`, is looked at before a
 * flight begins.
 *
 * A hit here is the hot path of a chain. It takes no flight, no fiber, no span and no effect beyond the one that answers;
 * its counters are plain numbers. Nothing is called that could take time: a tier without `peek` is asked by a flight, under
 * its policy, like any other.
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
import { steadyMillis } from "./steady.ts"

export interface Front {
  /** What can be answered as it is, at once. */
  readonly glance: (key: Key, fiber: Fiber.Fiber<unknown, unknown>) => Found | undefined
  /** For what `glance` does not answer: a copy that is due to be compared with the store, which begins behind the answer. */
  readonly peek: (key: Key, fiber: Fiber.Fiber<unknown, unknown>) => Effect.Effect<Found> | undefined
}

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
  const look = tier?.tier.peek
  if (tier?.inProcess !== true || look === undefined) return { glance: () => undefined, peek: () => undefined }
  const { breaker, counters, role } = tier
  const trail: Trail = { steps: [{ tier: tier.tier.name, outcome: { _tag: "Hit" }, millis: 0 }], joined: false }

  /** A stream is handed out by a flight, which sees to its length and deadlines. */
  const blobOf = (key: Key): Blob | undefined => {
    if (tier.isDistrusted || activities.closed || breaker() !== "closed") return undefined
    const read = attempt(look, key)
    return read?._tag !== "Hit" ||
      read.blob.body._tag === "Streamed" ||
      (role === "cache" && floors.discards(read.blob.header))
      ? undefined
      : read.blob
  }

  const standing = (header: Header.Header, clock: Clock.Clock) =>
    confirmations.standing(header, confirmations.revalidates ? steadyMillis(clock) : 0, false)

  const found = (blob: Blob, stale: boolean): Found => {
    counters.hits += 1
    return { _tag: "Found", blob, stale, trail }
  }

  return {
    glance: (key, fiber) => {
      const blob = blobOf(key)
      if (blob === undefined) return undefined
      const { header } = blob
      const isOfTime = header.freshUntil !== undefined || header.expiresAt !== undefined
      if (!isOfTime && !confirmations.isActive) return found(blob, false)
      const clock = fiber.getRef(Clock.Clock)
      const now = isOfTime ? clock.currentTimeMillisUnsafe() : 0
      if (Header.isExpired(header, now)) return undefined
      if (role === "cache" && confirmations.isActive && standing(header, clock) !== "confirmed") return undefined
      return found(blob, Header.isStale(header, now))
    },

    peek: (key, fiber) => {
      if (role === "store" || store === undefined || !confirmations.revalidates) return undefined
      const blob = blobOf(key)
      if (blob === undefined) return undefined
      const clock = fiber.getRef(Clock.Clock)
      const now = clock.currentTimeMillisUnsafe()
      if (Header.isExpired(blob.header, now) || standing(blob.header, clock) !== "due") return undefined
      return Effect.as(Comparison.inBackground(state, blob.header), found(blob, Header.isStale(blob.header, now)))
    }
  }
}
