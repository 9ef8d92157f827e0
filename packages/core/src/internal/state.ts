/**
 * What the operations of one chain share.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Blob from "../Blob.ts"
import type { Draft, Options } from "../Chain.ts"
import { ChainUnavailable } from "../ChainError.ts"
import { Floors, type Mark } from "../Floor.ts"
import * as Generation from "../Generation.ts"
import type { Header } from "../Header.ts"
import type * as Key from "../Key.ts"
import type { Step } from "../Trail.ts"
import { Activities } from "./activities.ts"
import { HeaderCache } from "./HeaderCache.ts"
import * as Member from "./member.ts"
import { Repairs } from "./repairs.ts"

export interface State {
  readonly name: string
  readonly caches: ReadonlyArray<Member.Member>
  readonly store: Member.Member | undefined
  /** The caches, then the store. */
  readonly members: ReadonlyArray<Member.Member>
  readonly floors: Floors
  readonly activities: Activities
  /** Headers of the store's blobs; without a store nothing says that a blob is still there, and none are kept. */
  readonly headers: HeaderCache
  /** Keeps the header of a blob that stems from something that began at `since`, unless a floor discards it. */
  readonly remember: (header: Header, since: Mark) => void
  readonly repairs: Repairs
  readonly generations: Generation.Clock
  readonly producerTimeout: Duration.Duration
  readonly maxHeldBytes: number
  /** Holds what runs in the background. */
  readonly scope: Scope.Scope
}

export const make = Effect.fnUntraced(function* (options: Options) {
  const scope = yield* Scope.make("parallel")
  const floors = new Floors(options.maxFloors ?? 10_000)
  const activities = new Activities(floors)
  const caches = options.caches.map(({ tier, policy }) => Member.make(tier, "cache", policy, activities, scope))
  const store = options.store && Member.make(options.store.tier, "store", options.store.policy, activities, scope)
  const producerTimeout = Duration.fromInputUnsafe(options.producerTimeout ?? "60 seconds")
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => (activities.closed = true)).pipe(
      Effect.andThen(Effect.timeoutOption(activities.idle, Duration.sum(producerTimeout, Duration.seconds(10)))),
      // What cannot be interrupted is not waited for any longer.
      Effect.andThen(
        Effect.timeoutOption(
          Effect.forkDetach(Scope.close(scope, Exit.void)).pipe(Effect.flatMap(Fiber.join)),
          "1 second"
        )
      )
    )
  )
  const headers = new HeaderCache(store === undefined ? 0 : (options.maxHeaders ?? 10_000))
  const state: State = {
    name: options.name,
    caches,
    store,
    members: store === undefined ? caches : [...caches, store],
    floors,
    activities,
    headers,
    remember: (header, since) => {
      if (store !== undefined && !floors.discards(header, since)) headers.set(header)
    },
    repairs: new Repairs(floors, scope),
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
