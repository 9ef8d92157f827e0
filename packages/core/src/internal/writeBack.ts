/**
 * What follows an answer: copies of what was found into the faster caches, and of what was made into the store and the
 * caches. Results held for that are counted; one that finds no room was answered, and is not kept.
 */
import * as Effect from "effect/Effect"
import type { Blob } from "../Blob.ts"
import type { TierReceipt } from "../Chain.ts"
import type { Mark } from "../Floor.ts"
import type { Generation } from "../Generation.ts"
import type { Key } from "../Key.ts"
import type { Write } from "../Tier.ts"
import type { TierError } from "../TierError.ts"
import * as Caches from "./caches.ts"
import type { Member } from "./member.ts"
import { sendTo } from "./sending.ts"
import type { State } from "./state.ts"
import { steadyMillis } from "./steady.ts"
import { undoIfOvertaken } from "./undo.ts"

export interface WriteBack {
  /** Copies what was found into `into`; left out while too many bytes are held. */
  readonly copyUp: (blob: Blob, into: State["caches"], since: Mark) => Effect.Effect<void>
  /**
   * Writes what was made in the place of `replaced`, or of nothing: a put or remove that came between wins, and what was
   * made is forgotten; so it is while too many bytes are held. Answers whether the store has taken it.
   */
  readonly writeMade: (blob: Blob, since: Mark, replaced: Generation | undefined) => Effect.Effect<boolean>
}

/** What a result takes beside its bytes while it is held. */
const overhead = 2_048

export const make = (state: State): WriteBack => {
  const {
    absences,
    caches,
    confirmations,
    counters,
    floors,
    generations,
    headers,
    maxHeldBytes,
    remember,
    store,
    storeWrites
  } = state

  /**
   * Holds a blob while an effect runs; answers `otherwise`, and runs nothing, if there is no room. What is larger than all
   * room there is must not be made for ever and never stored: it is held for the store when nothing else is held.
   */
  const holding = <A>(blob: Blob, effect: Effect.Effect<A>, otherwise: A, isForStore = false): Effect.Effect<A> =>
    Effect.suspend(() => {
      const bytes = overhead + blob.header.size
      if (state.heldBytes + bytes > maxHeldBytes && !(isForStore && state.heldBytes === 0)) {
        counters.unkept += 1
        return Effect.succeed(otherwise)
      }
      state.heldBytes += bytes
      return Effect.ensuring(
        effect,
        Effect.sync(() => (state.heldBytes -= bytes))
      )
    })

  /** Copies into a cache if that admits the key. */
  const admit = (cache: Member, blob: Blob, since: Mark): Effect.Effect<TierReceipt> => {
    if (cache.admits(blob.header.key)) return Caches.promote(state, cache, blob, since)
    cache.counters.declined.admission += 1
    return Effect.succeed({ tier: cache.tier.name, outcome: "declined" })
  }

  const copyUp: WriteBack["copyUp"] = (blob, into, since) =>
    Effect.suspend(() =>
      // What is streamed is copied while a reader reads it.
      into.length === 0 || blob.body._tag === "Streamed"
        ? Effect.void
        : holding(
            blob,
            Effect.forEach(
              into,
              (cache) =>
                Effect.map(admit(cache, blob, since), ({ outcome }) => {
                  if (outcome === "stored") cache.counters.promoted += 1
                }),
              { concurrency: "unbounded", discard: true }
            ),
            undefined
          )
    )

  /**
   * The caches' part, while the blob is held: what they have of the replaced one must go even if they do not take this.
   */
  const renew = (blob: Blob, since: Mark, replaced: Generation | undefined): Effect.Effect<void> => {
    // A reader who still reads what is replaced must not leave a copy of it behind.
    if (replaced !== undefined) state.tees.abort(blob.header.key)
    return Effect.forEach(
      caches,
      (cache) => {
        if (replaced === undefined) return Effect.asVoid(admit(cache, blob, since))
        return Effect.flatMap(
          Caches.promote(state, cache, blob, since, store === undefined ? replaced : undefined),
          (promoted) =>
            promoted.outcome === "stored" ? Effect.void : Caches.drop(state, cache, blob.header.key, replaced)
        )
      },
      { concurrency: "unbounded", discard: true }
    )
  }

  /** Tentative from its first try to the end of its last. */
  const intoStore = (target: Member, blob: Blob, replaced: Generation | undefined): Effect.Effect<Write, TierError> =>
    Effect.suspend(() => {
      const { generation, key } = blob.header
      const write = storeWrites.begin(key, generation, true)
      return sendTo<Write>(state, target, {
        operation: "put",
        subject: key.text,
        send: () => target.tier.put(blob, { expected: replaced ?? "absent" }),
        onBegin: () => {
          const held = storeWrites.hold(write)
          return (exit) => undoIfOvertaken(state, target, held, exit)
        },
        onSuspect: (pending) => {
          confirmations.suspect(key.text, generation, pending, floors.mark())
          headers.delete(key)
        }
      }).pipe(
        Effect.map(({ answer }) => answer),
        Effect.ensuring(Effect.sync(() => storeWrites.end(write)))
      )
    })

  const writeMade: WriteBack["writeMade"] = (blob, since, replaced) =>
    Effect.clockWith((clock) => {
      if (floors.discards(blob.header, since)) return Effect.succeed(false)
      if (store === undefined) {
        return Effect.andThen(
          holding(blob, renew(blob, since, replaced), undefined),
          Effect.sync(() => {
            absences.delete(blob.header.key)
            return false
          })
        )
      }
      const { key } = blob.header
      const at = steadyMillis(clock)
      return holding(
        blob,
        intoStore(store, blob, replaced).pipe(
          Effect.flatMap((write): Effect.Effect<boolean> => {
            switch (write._tag) {
              case "Stored":
                store.counters.stored += 1
                absences.delete(key)
                remember(blob.header, since, at)
                return Effect.as(renew(blob, since, replaced), true)
              case "Declined":
                store.counters.declined[write.why] += 1
                return Effect.as(
                  Effect.logWarning(`made, but the store does not take it: ${write.why} key=${key.text}`),
                  false
                )
              case "Superseded":
                generations.witness(write.current)
                return Effect.as(dropReplaced(key, replaced), false)
              case "Conflict":
                return Effect.as(dropReplaced(key, replaced), false)
            }
          }),
          Effect.catch((error) =>
            Effect.as(Effect.logWarning(`made, but not stored key=${key.text}`, error.message), false)
          )
        ),
        false,
        true
      )
    })

  /** The store has something newer than the stale blob: its copies must go. */
  const dropReplaced = (key: Key, replaced: Generation | undefined): Effect.Effect<void> =>
    replaced === undefined
      ? Effect.void
      : Effect.forEach(caches, (cache) => Caches.drop(state, cache, key, replaced), { discard: true })

  return { copyUp, writeMade }
}
