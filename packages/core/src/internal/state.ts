/**
 * What the operations of one chain share.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Blob from "../Blob.ts"
import type { Bus } from "../Bus.ts"
import type { Draft, Link, Options } from "../Chain.ts"
import { ChainUnavailable } from "../ChainError.ts"
import { Floors, type Mark } from "../Floor.ts"
import * as Generation from "../Generation.ts"
import type { Header } from "../Header.ts"
import type * as Key from "../Key.ts"
import type { Leases } from "../Leases.ts"
import type { Origin } from "../Origin.ts"
import type { Step } from "../Trail.ts"
import { Absences } from "./Absences.ts"
import { Activities } from "./activities.ts"
import { BoundedMap } from "./BoundedMap.ts"
import { Confirmations } from "./Confirmations.ts"
import { HeaderCache } from "./HeaderCache.ts"
import * as Member from "./member.ts"
import * as Metrics from "./metrics.ts"
import { Repairs } from "./repairs.ts"
import { StoreWrites } from "./StoreWrites.ts"
import { Tees } from "./Tees.ts"

export interface State {
  readonly name: string
  readonly caches: ReadonlyArray<Member.Member>
  readonly store: Member.Member | undefined
  /** The caches, then the store. */
  readonly members: ReadonlyArray<Member.Member>
  readonly origin: Member.OriginMember | undefined
  readonly bus: Bus | undefined
  /** Only where some tier is shared: else no other node sees what this one has made. */
  readonly leases: Leases | undefined
  /** The generation of the last message about a subject, for those sent last: they may come back. */
  readonly published: BoundedMap<string, Generation.Generation>
  readonly floors: Floors
  readonly activities: Activities
  /** Headers of the store's blobs; without a store nothing says that a blob is still there, and none are kept. */
  readonly headers: HeaderCache
  readonly absences: Absences
  readonly confirmations: Confirmations
  /** Keys that are being compared with the store behind an answer. */
  readonly comparing: Set<string>
  readonly tees: Tees
  readonly storeWrites: StoreWrites
  /** Ends the joining, and the copying, of what may have been read before a key was found to have changed. */
  detach: (key: Key.Key) => void
  detachGroup: (group: string) => void
  /**
   * Keeps what was learned of the store at `at` (milliseconds by the monotonic clock): that it has a blob with this header. Whoever learned
   * it began at `since`, and a floor that was raised later says otherwise.
   */
  readonly remember: (header: Header, since: Mark, at: number) => void
  readonly repairs: Repairs
  readonly generations: Generation.Clock
  readonly producerTimeout: Duration.Duration
  readonly maxHeldBytes: number
  /** Bytes held for write-backs and tees. */
  heldBytes: number
  readonly maxRemembered: number
  readonly counters: Counters
  /** Records how long a read took that process memory did not answer. */
  readonly onRead: Metrics.Observer["onRead"]
  /** Holds what runs in the background. */
  readonly scope: Scope.Scope
}

/** Plain numbers about the chain as a whole. */
export interface Counters {
  flights: number
  joined: number
  made: number
  makeFailed: number
  /** Copies that the store has said to be what it has. */
  confirmed: number
  /** Copies that the store has said to be out of date. */
  outdated: number
  /** Copies that were served although the store could not say. */
  unconfirmed: number
  /** Answers "not found" without asking anyone. */
  absences: number
  /** Results that were answered and not written back, since too many bytes were held. */
  unkept: number
}

/** Own messages that are known again when they come back. */
const maxPublished = 1_000

export const make = Effect.fnUntraced(function* (options: Options, origin?: Pick<Origin<unknown>, "name" | "policy">) {
  const scope = yield* Scope.make("parallel")
  const floors = new Floors(options.maxFloors ?? 10_000)
  const activities = new Activities(floors)
  const maxRemembered = options.maxRemembered ?? 100_000
  const observer = yield* Metrics.observer(options.name)
  const common: Member.Options = { activities, scope, maxTouched: maxRemembered, onCall: observer.onCall }
  const member = (role: Member.Member["role"], { policy, tier }: Link) => Member.make(tier, role, policy, common)
  const caches = yield* Effect.forEach(options.caches, (link) => member("cache", link))
  const store = options.store && (yield* member("store", options.store))
  const members = store === undefined ? caches : [...caches, store]
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
  const confirmations = new Confirmations(
    store?.tier.capabilities.shared === true
      ? Duration.toMillis(Duration.fromInputUnsafe(options.revalidateAfter ?? "1 minute"))
      : Number.POSITIVE_INFINITY,
    options.caches.some(({ tier }) => tier.capabilities.persistent),
    { confirmed: maxRemembered, suspicions: 1_000 }
  )
  const absences = new Absences(
    floors,
    confirmations,
    Duration.fromInputUnsafe(options.negativeTtl ?? "2 seconds"),
    maxRemembered,
    origin?.name
  )
  const repairs = new Repairs(floors, scope)
  const state: State = {
    name: options.name,
    caches,
    store,
    members,
    origin: origin && (yield* Member.makeOrigin(origin, common)),
    bus: options.bus,
    leases: members.some(({ tier }) => tier.capabilities.shared) ? options.leases : undefined,
    published: new BoundedMap(maxPublished),
    floors,
    activities,
    headers,
    absences,
    confirmations,
    comparing: new Set(),
    tees: new Tees(),
    storeWrites: new StoreWrites(),
    detach: () => {},
    detachGroup: () => {},
    remember: (header, since, at) => {
      if (store === undefined || floors.discards(header, since)) return
      headers.set(header)
      absences.delete(header.key)
      confirmations.confirm(header, at, since)
    },
    repairs,
    generations: new Generation.Clock(),
    producerTimeout,
    maxHeldBytes: options.maxHeldBytes ?? 67_108_864,
    heldBytes: 0,
    maxRemembered,
    counters: {
      flights: 0,
      joined: 0,
      made: 0,
      makeFailed: 0,
      confirmed: 0,
      outdated: 0,
      unconfirmed: 0,
      absences: 0,
      unkept: 0
    },
    onRead: observer.onRead,
    scope
  }
  yield* observer.observe(state)
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
