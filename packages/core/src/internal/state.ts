/**
 * What the operations of one chain share.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Blob from "../Blob.ts"
import type { Draft, Options } from "../Chain.ts"
import { ChainUnavailable } from "../ChainError.ts"
import { Floors } from "../Floor.ts"
import * as Generation from "../Generation.ts"
import type * as Key from "../Key.ts"
import type { Step } from "../Trail.ts"
import { Activities } from "./activities.ts"
import { HeaderCache } from "./HeaderCache.ts"
import * as Member from "./member.ts"

export interface State {
  readonly name: string
  readonly caches: ReadonlyArray<Member.Member>
  readonly store: Member.Member | undefined
  /** The caches, then the store. */
  readonly members: ReadonlyArray<Member.Member>
  readonly floors: Floors
  readonly activities: Activities
  readonly headers: HeaderCache
  readonly generations: Generation.Clock
  readonly producerTimeout: Duration.Duration
  readonly maxHeldBytes: number
  /** Holds what runs in the background. */
  readonly scope: Scope.Scope
}

export const make = Effect.fnUntraced(function* (options: Options) {
  const scope = yield* Scope.make("parallel")
  const caches = options.caches.map(({ tier, policy }) => Member.make(tier, "cache", policy, scope))
  const store = options.store && Member.make(options.store.tier, "store", options.store.policy, scope)
  const floors = new Floors(options.maxFloors ?? 10_000)
  const activities = new Activities(floors)
  const producerTimeout = Duration.fromInputUnsafe(options.producerTimeout ?? "60 seconds")
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => (activities.closed = true)).pipe(
      Effect.andThen(Effect.timeoutOption(activities.idle, Duration.sum(producerTimeout, Duration.seconds(10)))),
      Effect.andThen(Scope.close(scope, Exit.void))
    )
  )
  const state: State = {
    name: options.name,
    caches,
    store,
    members: store === undefined ? caches : [...caches, store],
    floors,
    activities,
    headers: new HeaderCache(options.maxHeaders ?? 10_000),
    generations: new Generation.Clock(),
    producerTimeout,
    maxHeldBytes: options.maxHeldBytes ?? 67_108_864,
    scope
  }
  return state
})

/** Builds the blob of a draft. */
export const blobOf = (key: Key.Key, draft: Draft, generation: Generation.Generation, createdAt: number): Blob.Blob =>
  Blob.make(key, draft.bytes, { ...draft, generation, createdAt })

/** The error of a lookup that could not prove absence; names the tiers that could not say. */
export const unavailable = (state: State, key: string, steps: ReadonlyArray<Step> = []): ChainUnavailable =>
  new ChainUnavailable({
    chain: state.name,
    key,
    tiers: state.activities.closed
      ? [{ tier: state.name, why: "closed" }]
      : steps.flatMap(({ tier, outcome }): ReadonlyArray<{ readonly tier: string; readonly why: string }> =>
          outcome._tag === "Failed"
            ? [{ tier, why: outcome.reason }]
            : outcome._tag === "Skipped"
              ? [{ tier, why: outcome.why }]
              : []
        )
  })
