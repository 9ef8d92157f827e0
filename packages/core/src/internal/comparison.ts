/**
 * Compares a cached copy with the store by its header, so that what other nodes have written, or what a write that ended
 * without an answer may have done, is noticed.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Header from "../Header.ts"
import type { Step } from "../Trail.ts"
import * as Caches from "./caches.ts"
import type { Member } from "./member.ts"
import type { State } from "./state.ts"
import { steadyMillis } from "./steady.ts"

export type Comparison =
  | { readonly _tag: "Unneeded" }
  /** The store has the same, or could not say: the copy may be served. */
  | { readonly _tag: "Same" | "Unknown"; readonly step: Step }
  /** The store has another blob, or none. */
  | { readonly _tag: "Other" }

export const unneeded: Comparison = { _tag: "Unneeded" }

/** Comparisons in the background that may run at the same time; what finds no place is compared at a later hit. */
const maxInBackground = 64

/** What must be compared is compared before the answer; what is due soon, meanwhile. `now` by the monotonic clock. */
export const ifDue = (state: State, cache: Member, header: Header.Header, now: number): Effect.Effect<Comparison> => {
  const { confirmations, store } = state
  if (store === undefined) return Effect.succeed(unneeded)
  const standing = confirmations.standing(header, now, cache.tier.capabilities.persistent)
  if (standing === "unconfirmed") return compare(state, store, header)
  return standing === "confirmed" ? Effect.succeed(unneeded) : Effect.as(inBackground(state, header), unneeded)
}

/** Compares once, one at a time per key, behind the answer. */
export const inBackground = (state: State, header: Header.Header): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { activities, comparing, scope, store } = state
    const { text } = header.key
    if (store === undefined || activities.closed || comparing.has(text) || comparing.size >= maxInBackground) {
      return Effect.void
    }
    comparing.add(text)
    return activities
      .during(compare(state, store, header))
      .pipe(
        Effect.ensuring(Effect.sync(() => comparing.delete(text))),
        Effect.forkIn(scope, { startImmediately: true }),
        Effect.asVoid
      )
  })

const compare = (state: State, store: Member, header: Header.Header): Effect.Effect<Comparison> =>
  Effect.clockWith((clock) => {
    const { confirmations, counters, floors } = state
    const since = floors.mark()
    const at = steadyMillis(clock)
    const began = clock.monotonicTimeNanosUnsafe()
    const step = (outcome: Step["outcome"]): Step => ({
      tier: store.tier.name,
      outcome,
      millis: Number(clock.monotonicTimeNanosUnsafe() - began) / 1e6
    })
    const unknown = (why: (Step["outcome"] & { _tag: "Unconfirmed" })["why"]): Comparison => {
      counters.unconfirmed += 1
      return { _tag: "Unknown", step: step({ _tag: "Unconfirmed", why }) }
    }
    return Effect.flatMap(
      Effect.result(store.call("head", () => store.tier.head(header.key))),
      (result): Effect.Effect<Comparison> => {
        // A put or remove that was acknowledged meanwhile decides about the copy; what the store said may be older.
        if (floors.discards(header, since)) return Effect.succeed({ _tag: "Other" })
        if (Result.isFailure(result)) {
          const { reason } = result.failure
          return Effect.succeed(unknown(reason._tag === "BreakerOpen" ? "breaker-open" : reason._tag))
        }
        const read = result.success
        if (read._tag === "Skipped") return Effect.succeed(unknown(read.why))
        if (
          read._tag === "Hit" &&
          read.header.generation === header.generation &&
          read.header.digest === header.digest
        ) {
          counters.confirmed += 1
          confirmations.confirm(header, at, since)
          return Effect.succeed({ _tag: "Same", step: step({ _tag: "Confirmed" }) })
        }
        counters.outdated += 1
        return Effect.as(dropCopies(state, header), { _tag: "Other" })
      }
    )
  })

/** The copies of what is no longer in the store go before the search goes on, so that no slower cache answers with them. */
const dropCopies = (state: State, header: Header.Header): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { caches, confirmations, detach, generations, headers } = state
    const { generation, key } = header
    // A copy that is being written into a cache now lands there unconfirmed.
    confirmations.forget(header)
    generations.witness(generation)
    headers.deleteBelow(key, generation + 1)
    // Whoever comes now must not be handed the copy by a lookup that still writes it back.
    detach(key)
    return Effect.forEach(caches, (cache) => Caches.drop(state, cache, key, generation), {
      concurrency: "unbounded",
      discard: true
    })
  })
