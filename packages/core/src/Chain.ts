/**
 * An ordered list of tiers that answers as one: caches, fastest first, and at most one store, which is the truth.
 *
 * Reads go down the list until a tier has the blob, and the blob is copied up. Writes go to the store first. One lookup
 * or producer per key runs at a time, shared by everyone who asks. What each operation promises under concurrency and
 * failure is told in `docs/architecture.md`.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type * as Blob from "./Blob.ts"
import type { Bus } from "./Bus.ts"
import type { ChainUnavailable, DraftExpired, ProducerTimedOut, WriteError } from "./ChainError.ts"
import type * as Generation from "./Generation.ts"
import type * as Header from "./Header.ts"
import type { BreakerState } from "./internal/breaker.ts"
import * as Explain from "./internal/explain.ts"
import * as Heads from "./internal/heads.ts"
import * as Invalidations from "./internal/invalidations.ts"
import type * as Member from "./internal/member.ts"
import * as Origination from "./internal/origination.ts"
import * as Reads from "./internal/reads.ts"
import * as Scan from "./internal/scan.ts"
import * as State from "./internal/state.ts"
import * as Status from "./internal/status.ts"
import * as Superseding from "./internal/superseding.ts"
import * as Writes from "./internal/writes.ts"
import type * as Key from "./Key.ts"
import type { Leases } from "./Leases.ts"
import type { Origin, OriginError } from "./Origin.ts"
import type { Policy } from "./Policy.ts"
import type * as Tier from "./Tier.ts"
import type { TierError } from "./TierError.ts"
import type { Outcome, Trail } from "./Trail.ts"

export type { Counters } from "./internal/member.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** A tier and how the chain uses it. */
export interface Link {
  readonly tier: Tier.Tier
  readonly policy?: Policy | undefined
}

export interface Options {
  /** Appears in errors, logs and metrics. */
  readonly name: string
  /** Fastest first. A cache may forget, may be skipped, may fail: no request fails for it. */
  readonly caches: ReadonlyArray<Link>
  /** The truth. Absent: everything the chain has can be made again. */
  readonly store?: Link | undefined
  /** Time that a producer may take, whether or not anyone still waits. Default: 60 seconds. */
  readonly producerTimeout?: Duration.Input | undefined
  /**
   * Results held for write-back at the same time, in bytes. One that finds no room was answered, and is not kept: it is
   * looked up, or made, again when it is asked for again. A larger one is held, for the store, when nothing else is. Default: 64 MiB.
   */
  readonly maxHeldBytes?: number | undefined
  /**
   * How long a cached copy counts as what the store has, where others write to the store too (its capabilities say
   * `shared`). Past half of it a copy is compared with the store behind the answer, past all of it before it is served.
   * Default: one minute.
   */
  readonly revalidateAfter?: Duration.Input | undefined
  /** How long a proven absence is remembered, less a random part of up to a fifth; zero: not at all. Default: 2 seconds. */
  readonly negativeTtl?: Duration.Input | undefined
  /** Carries invalidations between the nodes. Default: none. */
  readonly bus?: Bus | undefined
  /** Lets one node at a time make what all would make, where a tier is shared. Default: none. */
  readonly leases?: Leases | undefined
  /** Floors held at the same time; above, one floor for the whole chain takes their place. Default: 10,000. */
  readonly maxFloors?: number | undefined
  /** Headers kept in memory for `head`. Default: 10,000 (about 10 MB). */
  readonly maxHeaders?: number | undefined
  /**
   * Keys remembered in each of the tables that only save work: confirmed copies, absences, back-offs, first touches.
   * Default: 100,000 (up to about 30 MB each when full).
   */
  readonly maxRemembered?: number | undefined
}

/** What a blob is made from; the chain adds key, generation, time, digest and checksums. */
export interface Draft {
  readonly bytes: Uint8Array
  readonly contentType: string
  readonly attributes?: Readonly<Record<string, string>> | undefined
  /** Unix milliseconds. */
  readonly freshUntil?: number | undefined
  /** Unix milliseconds. */
  readonly expiresAt?: number | undefined
}

export interface Found {
  readonly _tag: "Found"
  readonly blob: Blob.Blob
  /** Past its `freshUntil`. */
  readonly stale: boolean
  readonly trail: Trail
}

export interface FoundHeader {
  readonly _tag: "Found"
  readonly header: Header.Header
  readonly trail: Trail
}

/** Absence is proven. */
export interface NotFound {
  readonly _tag: "NotFound"
  readonly trail: Trail
}

export interface HeadOptions {
  /** Whether the origin is asked for what no tier has, which makes and stores it. Default: true. */
  readonly origin?: boolean | undefined
}

export interface PutOptions {
  /** Write only if this generation, or nothing, is stored now; else `Conflict`. Without a store: `Unsupported`. */
  readonly expected?: Generation.Generation | "absent" | undefined
}

export interface RemoveOptions {
  /** Remove only if this generation, or an older one, is stored now; else `Conflict`. Without a store: `Unsupported`. */
  readonly expected?: Generation.Generation | undefined
}

/** What one tier did of a put or remove. */
export interface TierReceipt {
  readonly tier: string
  readonly outcome: "stored" | "declined" | "superseded" | "removed" | "absent" | "failed" | "repairing"
  /** The newer generation that the tier has, where it is `superseded` by one. */
  readonly current?: Generation.Generation | undefined
}

export interface RemoveGroupOptions {
  /** Remove only blobs of at most this generation; newer ones stay. */
  readonly upTo?: Generation.Generation | undefined
}

interface Receipt {
  /** What each tier said; the store first. */
  readonly tiers: ReadonlyArray<TierReceipt>
  /** Whether the other nodes were told; absent without a bus. */
  readonly announced?: "sent" | "failed" | undefined
}

export interface PutReceipt extends Receipt {
  readonly header: Header.Header
}

export interface RemoveReceipt extends Receipt {
  readonly generation: Generation.Generation
}

export type Role = "cache" | "store" | "origin"

/** One tier of the chain, or its origin, for operators. */
export interface TierStatus {
  readonly tier: string
  readonly role: Role
  /** None if the tier could not say within its deadline or five seconds, and for an origin. */
  readonly usage: Tier.Usage | undefined
  readonly breaker: BreakerState
  readonly counters: Readonly<Member.Counters>
}

/** What one tier, or the origin, has of a key. */
export interface TierExplanation {
  readonly tier: string
  readonly role: Role
  readonly breaker: BreakerState
  readonly outcome: Outcome
  /** Time that the tier took to say so, in milliseconds. */
  readonly millis: number
  /** What it has, whether or not a read would take it. */
  readonly header: Header.Header | undefined
  /** For a copy in a cache: whether it is known to be what the store has; `unconfirmed` is compared before it is served. */
  readonly standing: "confirmed" | "due" | "unconfirmed" | undefined
}

/** What a read would be answered. */
export type ExpectedAnswer =
  | { readonly _tag: "Found"; readonly tier: string; readonly header: Header.Header }
  /** No tier has it; it would be made of what the origin has. */
  | { readonly _tag: "Made"; readonly origin: string }
  /** `isRemembered`: for a moment, without asking a tier. */
  | { readonly _tag: "NotFound"; readonly isRemembered: boolean }
  /** Absence could not be proven. */
  | { readonly _tag: "Unavailable" }

/** Why a read of a key would be answered as it would. */
export interface Explanation {
  readonly key: string
  readonly answer: ExpectedAnswer
  /** Copies in caches below this generation count as absent; 0: none do. */
  readonly floor: Generation.Generation
  /** In the order in which they are asked; the origin last. */
  readonly tiers: ReadonlyArray<TierExplanation>
}

/** Why a chain could not make a blob, beside what its producers fail with. */
export type MakeError = ChainUnavailable | ProducerTimedOut | DraftExpired | Header.HeaderTooLarge

/**
 * A resolution chain. `E` is what its producers may fail with, `O` what making a blob of what its origin has may fail with.
 */
export interface Chain<in out E = never, out O = never> {
  readonly name: string

  /**
   * Behavior:
   * - answers the first tier's copy that is neither expired nor below a floor, and copies it into the faster tiers
   *   afterwards.
   * - what no tier has is made of what the origin has, if there is one, and written back; see `Origin`.
   * - answers `NotFound` only if the store has nothing (without a store: if every tier has nothing), and the origin
   *   neither; fails with `ChainUnavailable` if that could not be learned.
   * - callers of the same key share one lookup; one that is interrupted disturbs no other.
   */
  readonly get: (key: Key.Key) => Effect.Effect<Found | NotFound, ChainUnavailable | O>

  /** As `get`, without the body, and without copying. */
  readonly head: (key: Key.Key, options?: HeadOptions) => Effect.Effect<FoundHeader | NotFound, ChainUnavailable | O>

  /**
   * As `get`; what nobody has is made.
   *
   * Behavior:
   * - one producer runs per key; everyone who asks meanwhile gets its blob, or its error.
   * - the blob is answered before it is written to the store and the caches, and not written while too many bytes are
   *   held; see `maxHeldBytes`.
   * - a stale blob is answered as it is, and made anew in the background, unless it has just been made.
   * - what has expired by the time it is made is answered to nobody: `DraftExpired`.
   * - a producer goes on when nobody waits any more, for `producerTimeout`.
   */
  readonly getOrMake: (key: Key.Key, producer: Effect.Effect<Draft, E>) => Effect.Effect<Found, E | MakeError | O>

  /**
   * Behavior:
   * - writes the store, then the caches; if the store fails, nothing is written anywhere.
   * - a reader that asks after it has succeeded never gets an older blob; one that asked before may.
   * - the last writer to reach the store wins, whatever the clocks say.
   * - cannot be interrupted once the store has been asked.
   */
  readonly put: (key: Key.Key, draft: Draft, options?: PutOptions) => Effect.Effect<PutReceipt, WriteError>

  /** Removes a blob everywhere. Behavior: as `put`; removing what is not there succeeds. */
  readonly remove: (key: Key.Key, options?: RemoveOptions) => Effect.Effect<RemoveReceipt, WriteError>

  /** Removes all blobs of a group everywhere. Behavior: as `remove`. */
  readonly removeGroup: (group: string, options?: RemoveGroupOptions) => Effect.Effect<RemoveReceipt, WriteError>

  /**
   * Lists the store's entries; without a store, fails with `Unsupported`. Behavior: asks the store under its policy; once
   * the first entries are there, each further pull has the store's deadline, and what fails, fails the stream.
   */
  readonly scan: (options?: Tier.ScanOptions) => Stream.Stream<Tier.Entry, TierError>

  readonly status: Effect.Effect<ReadonlyArray<TierStatus>>

  /**
   * Asks every tier what it has of a key, by its header, and the origin whether it has it; says who would answer. It changes nothing: nothing is
   * copied, dropped or remembered, and a copy that is not confirmed is not compared.
   */
  readonly explain: (key: Key.Key) => Effect.Effect<Explanation>

  /** Waits until nothing runs: no lookup, producer, write-back, put or removal. */
  readonly idle: Effect.Effect<void>
}

// -----------------------------------------------------------------------------
// Constructor
// -----------------------------------------------------------------------------

/**
 * Composes tiers into a chain.
 *
 * When the scope closes, what runs is finished first (at most `producerTimeout` and ten seconds), so that no write-back
 * is lost; what is asked after that fails with `ChainUnavailable`.
 */
export function make<E = never, O = never>(
  options: Options & { readonly origin: Origin<O> }
): Effect.Effect<Chain<E, OriginError<O>>, never, Scope.Scope>
export function make<E = never>(options: Options): Effect.Effect<Chain<E>, never, Scope.Scope>
export function make<E, O>(
  options: Options & { readonly origin?: Origin<O> }
): Effect.Effect<Chain<E, OriginError<O>>, never, Scope.Scope> {
  return Effect.gen(function* () {
    const state = yield* State.make(options, options.origin)
    const superseding = Superseding.make(state)
    const writes = Writes.make(state, superseding)
    const origination = options.origin && state.origin && Origination.make(state, options.origin, state.origin, writes)
    const { get, getOrMake, ...flights } = Reads.make<E, O>(state, origination)
    const { head, ...heads } = Heads.make(state, get)
    state.detach = (key) => {
      flights.detach(key)
      heads.detach(key)
      state.tees.abort(key)
    }
    state.detachGroup = (group) => {
      flights.detachGroup(group)
      heads.detachGroup(group)
      state.tees.abortGroup(group)
    }
    yield* Invalidations.listen(state, superseding)
    const chain: Chain<E, OriginError<O>> = {
      name: options.name,
      get,
      head,
      getOrMake,
      ...writes,
      scan: (scanOptions) => Scan.scan(state, scanOptions),
      status: Status.status(state),
      explain: (key) => Explain.explain(state, key, options.origin),
      idle: state.activities.idle
    }
    return chain
  })
}
