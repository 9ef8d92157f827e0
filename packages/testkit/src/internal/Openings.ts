/**
 * One storage, and the tiers that are opened on it one after the other.
 */
import { assert } from "@effect/vitest"
import type { Tier } from "@terrace/core/Tier"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type { Requires } from "./Case.ts"

/** Makes storage, and answers a layer that opens it: several times, one after the other; `shared`: at once too. */
export type Storage<I, E> = Effect.Effect<Layer.Layer<I, E>, E, Scope.Scope>

export interface Openings {
  /** The first. */
  readonly tier: Tier
  /** Closes the one that is open and opens the next. Dies if that fails. */
  readonly reopen: Effect.Effect<Tier>
  /** Opens one more beside it. Dies if that fails. */
  readonly openAnother: Effect.Effect<Tier, never, Scope.Scope>
}

/** Opens the storage behind `layer`; the last tier is closed with the scope. */
export const make = Effect.fnUntraced(function* <I, E>(
  tier: Context.Key<I, Tier>,
  layer: Layer.Layer<I, E>
): Effect.fn.Return<Openings, E, Scope.Scope> {
  const whole = yield* Effect.scope
  const openIn = (scope: Scope.Scope) =>
    Effect.map(Layer.buildWithScope(Layer.fresh(layer), scope), (context) => Context.get(context, tier))

  let current = yield* Scope.fork(whole)
  const first = yield* openIn(current)
  return {
    tier: first,
    reopen: Effect.suspend(() => Scope.close(current, Exit.void)).pipe(
      Effect.andThen(Scope.fork(whole)),
      Effect.tap((scope) => Effect.sync(() => (current = scope))),
      Effect.flatMap(openIn),
      Effect.orDie
    ),
    openAnother: Effect.orDie(Effect.flatMap(Effect.scope, openIn))
  }
})

/** Runs a case on storage of its own. Fails, and says what is missing, if there is none to be had. */
export const onStorage = <I, E, E1>(
  storage: Storage<I, E> | undefined,
  tier: Context.Key<I, Tier>,
  { shared }: Requires,
  run: (openings: Openings) => Effect.Effect<void, E1, Scope.Scope>
): Effect.Effect<void, E | E1, Scope.Scope> =>
  storage === undefined
    ? Effect.sync(() => assert.fail(missing(shared === true ? "shared" : "persistent")))
    : storage.pipe(
        Effect.flatMap((layer) => make(tier, layer)),
        Effect.flatMap(run)
      )

const missing = (capability: "persistent" | "shared"): string =>
  `the tier declares \`${capability}\`, but the suite cannot open its storage several times: give \`storage\`, an effect that makes storage and answers a layer that may be built on it ${capability === "shared" ? "by several tiers at once" : "several times, one after the other"}; \`layer\` may then be left out`
