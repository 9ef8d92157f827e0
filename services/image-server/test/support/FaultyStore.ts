/**
 * A store whose connection breaks when a test says so. What it has is what the tier behind it has.
 */
import type * as Tier from "@terrace/core/Tier"
import { type Operation, TierError, Unavailable } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"

export interface FaultyStore {
  readonly tier: Tier.Tier
  /** What becomes of writes; `in doubt` ones fail after, or before, they have taken effect. */
  writes: "answered" | "landed, in doubt" | "lost, in doubt"
  reads: "answered" | "failing"
  /** Calls of `head` and `get` so far. */
  asked: number
}

export const make = (tier: Tier.Tier): FaultyStore => {
  const fail = (operation: Operation) =>
    Effect.fail(
      new TierError({ tier: tier.name, operation, reason: new Unavailable({ cause: new Error("connection lost") }) })
    )
  const writing = <A>(operation: Operation, write: Effect.Effect<A, TierError>): Effect.Effect<A, TierError> =>
    Effect.suspend(() =>
      store.writes === "answered"
        ? write
        : store.writes === "lost, in doubt"
          ? fail(operation)
          : Effect.andThen(write, fail(operation))
    )
  const reading = <A>(operation: Operation, read: Effect.Effect<A, TierError>): Effect.Effect<A, TierError> =>
    Effect.suspend(() => {
      store.asked += 1
      return store.reads === "answered" ? read : fail(operation)
    })
  const store: FaultyStore = {
    writes: "answered",
    reads: "answered",
    asked: 0,
    tier: {
      ...tier,
      get: (key) => reading("get", tier.get(key)),
      head: (key) => reading("head", tier.head(key)),
      put: (blob, options) => writing("put", tier.put(blob, options)),
      remove: (key, generation) => writing("remove", tier.remove(key, generation)),
      removeGroup: (group, generation) => writing("removeGroup", tier.removeGroup(group, generation))
    }
  }
  return store
}
