/**
 * Takes back a write that reached the store after a newer put or remove was acknowledged; see `StoreWrites`.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Write } from "../Tier.ts"
import { TierError, Unavailable } from "../TierError.ts"
import type { Member } from "./member.ts"
import type { State } from "./state.ts"
import type { Tentative } from "./StoreWrites.ts"

/**
 * Ends a tentative write whose call has ended: once the callers' writes under way have ended too, it is undone if one has
 * overtaken it.
 *
 * Only what is tentative is taken out of the store: the blob that is there may be an acknowledged one of a lower
 * generation. Callers' writes of the key wait for it, so what is seen there stays until it is removed.
 */
export const undoIfOvertaken = (
  { absences, repairs, storeWrites }: State,
  store: Member,
  write: Tentative,
  exit: Exit.Exit<Write, TierError>
): Effect.Effect<void> => {
  const { generation, key } = write
  const end = Effect.sync(() => storeWrites.end(write))
  if (Exit.isSuccess(exit) && exit.value._tag !== "Stored") return end
  const undo = storeWrites.undoing(
    key,
    Effect.flatMap(
      store.call("head", () => store.tier.head(key)),
      (read): Effect.Effect<void, TierError> => {
        if (read._tag === "Hit" && read.header.generation === generation) {
          return Effect.asVoid(store.call("remove", () => store.tier.remove(key, generation)))
        }
        return read._tag === "Miss" || read._tag === "Hit"
          ? Effect.void
          : // A store that cannot say may still have it.
            Effect.fail(
              new TierError({ tier: store.tier.name, operation: "head", reason: new Unavailable({ cause: read.why }) })
            )
      }
    )
  )
  const repair = Effect.suspend(() =>
    repairs.begin(
      store,
      key.text,
      generation,
      () => Effect.andThen(undo, end),
      `${key.text} generation ${generation}`,
      // What nobody is going to undo stays, and is remembered no longer.
      end
    )
  )
  return Effect.andThen(
    storeWrites.settled(key),
    Effect.suspend(() => {
      if (write.isOvertaken) return Effect.matchEffect(undo, { onFailure: () => repair, onSuccess: () => end })
      // It may be there from now on, whoever has looked before.
      absences.delete(key)
      return end
    })
  )
}
