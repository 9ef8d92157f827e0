/**
 * scan: what the store lists, under its policy.
 */
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import type { Entry, ScanOptions } from "../Tier.ts"
import { type Reason, TierError, Unavailable, Unsupported } from "../TierError.ts"
import * as Pulling from "./pulling.ts"
import type { State } from "./state.ts"

export const scan = (state: State, options: ScanOptions | undefined): Stream.Stream<Entry, TierError> =>
  Stream.suspend(() => {
    const { activities, name, store } = state
    const fail = (reason: Reason) => Stream.fail(new TierError({ tier: name, operation: "scan", reason }))
    if (activities.closed) return fail(new Unavailable({ cause: "closed" }))
    return store === undefined
      ? fail(new Unsupported({ capability: "store" }))
      : Stream.unwrap(Pulling.delivered(store, "scan", () => store.tier.scan(options), whole))
  })

const whole = (pull: Pulling.Pulled<Entry>): Pulling.Next<Entry> =>
  Pull.matchEffect(pull, {
    onSuccess: (entries): Pulling.Next<Entry> => Effect.succeed(entries),
    onFailure: (cause): Pulling.Next<Entry> => Effect.failCause(cause),
    onDone: (): Pulling.Next<Entry> => Effect.undefined
  })
