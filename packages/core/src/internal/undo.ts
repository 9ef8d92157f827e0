/**
 * Takes back a write that reached the store after a newer put or remove was acknowledged; see `StoreWrites`.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Mark } from "../Floor.ts"
import type { Generation } from "../Generation.ts"
import type { Header } from "../Header.ts"
import type { Write } from "../Tier.ts"
import type { TierError } from "../TierError.ts"
import type { Member } from "./member.ts"
import type { State } from "./state.ts"

/**
 * Ends a tentative write: once the callers' writes under way have ended, looks whether one of them, or an earlier one
 * that was acknowledged after `since`, has taken its place. Without `since`, only a newer generation does.
 */
export const undoIfOvertaken = (
  { floors, repairs, storeWrites }: State,
  store: Member,
  { generation, key }: Pick<Header, "generation" | "key">,
  exit: Exit.Exit<Write, TierError>,
  since: Mark = Number.POSITIVE_INFINITY
): Effect.Effect<void> => {
  const end = Effect.sync(() => storeWrites.end(key, generation))
  if (Exit.isSuccess(exit) && exit.value._tag !== "Stored") return end
  const undo = (upTo: Generation) => store.call("remove", () => store.tier.remove(key, upTo))
  return Effect.andThen(
    storeWrites.settled(key),
    Effect.suspend(() =>
      floors.of(key) > generation || floors.isChanged(key, since)
        ? Effect.matchEffect(undo(generation), {
            onFailure: () => repairs.begin(store, key.text, generation, (upTo) => Effect.tap(undo(upTo), () => end)),
            onSuccess: () => end
          })
        : end
    )
  )
}
