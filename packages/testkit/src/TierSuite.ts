/**
 * The contract of `@terrace/core/Tier` as a test suite that every tier runs.
 *
 * A case is a plain effect; `suite` registers the cases that apply to a tier with `@effect/vitest`. The layer under test
 * must build a tier that keeps 512 KiB in 100 entries without forgetting any; a case whose bodies are larger than the
 * tier's `maxBytes` does not apply to it.
 */
import { assert, describe, it, layer } from "@effect/vitest"
import type * as Tier from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import type * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { type Case, type Requires, Subject, unmet } from "./internal/Case.ts"
import { bodies } from "./internal/cases/bodies.ts"
import { counting } from "./internal/cases/counting.ts"
import { expiring } from "./internal/cases/expiring.ts"
import { naming } from "./internal/cases/naming.ts"
import { racing } from "./internal/cases/racing.ts"
import { reading } from "./internal/cases/reading.ts"
import { removing } from "./internal/cases/removing.ts"
import { scanning } from "./internal/cases/scanning.ts"
import { writing } from "./internal/cases/writing.ts"

export { type Case, type Requires, Subject }

/** Every case of the contract. */
export const cases: ReadonlyArray<Case> = [
  ...reading,
  ...writing,
  ...removing,
  ...scanning,
  ...counting,
  ...bodies,
  ...naming,
  ...expiring,
  ...racing
]

export interface Options<I, E> {
  /** The service that `layer` builds. */
  readonly tier: Context.Key<I, Tier.Tier>
  readonly layer: Layer.Layer<I, E>
  /**
   * What the tier declares; one case holds it to that. Default: asked of a tier that is built once more, while the tests
   * are collected. Give it where building one is expensive.
   */
  readonly capabilities?: Tier.Capabilities | undefined
  /** Build the layer anew for every case; false: once for all, as for a container. Default: true. */
  readonly fresh?: boolean | undefined
  /**
   * `test`: the tier reads the time from the `TestClock`, which some cases move. `live`: the tier's backend has a
   * clock of its own; cases that move time are not registered. Default: `test`.
   */
  readonly clock?: "test" | "live" | undefined
  /**
   * Begins every group of the suite, except in the case of one-character keys. At most 40 characters. Give a unique
   * one where storage outlives the run. Default: `suite`.
   */
  readonly namespace?: string | undefined
}

/** The cases that apply to a tier of these capabilities. */
export const applicable = (capabilities: Tier.Capabilities, clock: "test" | "live" = "test"): ReadonlyArray<Case> =>
  cases.filter((candidate) => unmet(candidate.requires, capabilities, clock) === undefined)

/** Runs one case against a tier, with groups that begin with `namespace` and the number of the case. */
export const run = (self: Case, tier: Tier.Tier, namespace = "suite"): Effect.Effect<void, TierError, Scope.Scope> => {
  const groupPrefix = `${namespace}-c${cases.indexOf(self)}-`
  return Effect.provideService(self.run, Subject, {
    tier,
    groupPrefix,
    group: (suffix) => groupPrefix + suffix
  })
}

/** Registers the cases that apply to the tier, as one `describe` block. Call it at the top of a test file. */
export const suite = <I, E>(name: string, options: Options<I, E>): void => {
  const { clock = "test", fresh = true, namespace } = options
  const withTier = (use: (tier: Tier.Tier) => Effect.Effect<void, TierError, Scope.Scope>) =>
    Effect.flatMap(options.tier, use)
  describe(`${name} honours the tier contract`, async () => {
    const capabilities = options.capabilities ?? (await Effect.runPromise(capabilitiesOf(options)))
    const tests: ReadonlyArray<
      Pick<Case, "name"> & { readonly run: Effect.Effect<void, E | TierError, I | Scope.Scope> }
    > = [
      { name: "declares a name and its capabilities", run: withTier((tier) => declares(tier, capabilities)) },
      ...applicable(capabilities, clock).map((self) => ({
        name: self.name,
        run: withTier((tier) => run(self, tier, namespace))
      }))
    ]
    if (fresh) {
      const effect = clock === "live" ? it.live : it.effect
      for (const { name, run } of tests) effect(name, () => Effect.provide(run, options.layer))
    } else {
      layer(options.layer, { excludeTestServices: clock === "live" })((it) => {
        for (const { name, run } of tests) it.effect(name, () => run)
      })
    }
  })
}

/** Fails after 30 seconds, because nothing else bounds the collection of tests. */
const capabilitiesOf = <I, E>(options: Options<I, E>): Effect.Effect<Tier.Capabilities, E | Cause.TimeoutError> =>
  Effect.map(options.tier, (tier) => tier.capabilities).pipe(
    Effect.provide(options.layer),
    Effect.timeout("30 seconds")
  )

const declares = (tier: Tier.Tier, capabilities: Tier.Capabilities) =>
  Effect.sync(() => {
    assert.deepEqual(tier.capabilities, capabilities)
    assert.match(tier.name, /^[a-z][a-z0-9-]*$/)
  })
