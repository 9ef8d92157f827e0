/**
 * Where a blob comes from when no tier of a chain has it.
 *
 * An origin is no tier. What it has is in another form and must be made into a blob first; it is asked last, once the
 * tiers have proven that they have nothing; and it may let go of its own copy once the store has taken it over. So a chain
 * drains it, blob by blob, as they are asked for.
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { DraftExpired, ProducerTimedOut } from "./ChainError.ts"
import type { Draft } from "./Chain.ts"
import type { Header, HeaderTooLarge } from "./Header.ts"
import type * as Key from "./Key.ts"
import type { Policy } from "./Policy.ts"
import type { SkipReason } from "./Tier.ts"
import type { TierError } from "./TierError.ts"

/** Generation of what an origin has given: older than whatever was ever put. */
export const generation = 1

/** The origin has this key. */
export interface Holding<out E> {
  readonly _tag: "Holding"
  /** Makes the blob, within the chain's `producerTimeout`. */
  readonly make: Effect.Effect<Draft, E>
  /**
   * Lets go of what was read, and of nothing else. Called once the store, which must be `durable`, has taken what was
   * made of it and has shown it whole; `stored` is its header. Absent: the origin keeps its copy. If it fails and that may
   * pass, it is called again, less and less often, for as long as the chain lives: then the scope of `read` has closed. A
   * process that finds what another has stored and not lived to have let go calls it too.
   */
  readonly release?: ((stored: Header) => Effect.Effect<Release<E>, TierError>) | undefined
}

export type Sighting<E> =
  | Holding<E>
  | { readonly _tag: "Nothing" }
  /** It had the key and has let go of it: a store has taken it over, perhaps only just now, so the tiers are asked again. */
  | { readonly _tag: "LetGo" }
  /** It cannot say. */
  | { readonly _tag: "Skipped"; readonly why: SkipReason }

export type Release<E> =
  | { readonly _tag: "Released" }
  /** It has other content now, which takes the place of what was stored. */
  | { readonly _tag: "Changed"; readonly holding: Holding<E> }
  /** The key was removed from it meanwhile: what was stored is removed too. */
  | { readonly _tag: "Gone" }

export interface Origin<out E = never> {
  /** Unique among the tiers of the chain; appears in trails, logs and metrics. */
  readonly name: string
  /** How it is asked: deadline, retries and breaker, as of a tier outside the process. */
  readonly policy?: Pick<Policy, "deadline" | "retry" | "breaker"> | undefined
  /** Whether it has the key, at little cost; for `Chain.explain`. */
  readonly has: (key: Key.Key) => Effect.Effect<boolean, TierError>
  /** Reads what it has of a key. The scope, which holds what was read, lasts until that is made, stored and let go. */
  readonly read: (key: Key.Key) => Effect.Effect<Sighting<E>, TierError, Scope.Scope>
}

/** Why a chain could not make a blob of what its origin has, beside what the origin fails with. */
export type OriginError<E> = E | ProducerTimedOut | DraftExpired | HeaderTooLarge
