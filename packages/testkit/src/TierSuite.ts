/**
 * The contract of `@terrace/core/Tier` as a test suite that every tier runs.
 *
 * A case is a plain effect; `suite` registers the cases that apply to a tier with `@effect/vitest`. The layer under test
 * must build a tier that takes bodies of 4 KiB and keeps 512 KiB in 100 entries without forgetting any; a case whose bodies
 * are larger than the tier's `maxBytes` does not apply to it.
 */
import { assert, describe, it, layer } from "@effect/vitest"
import type * as Key from "@terrace/core/Key"
import * as Tier from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import type * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { randomInt } from "node:crypto"
import { type Case, type Circumstances, type Damage, leastBodyBytes, opensStorage } from "./internal/Case.ts"
import { type Requires, Subject, unmet } from "./internal/Case.ts"
import { bounded } from "./internal/running.ts"
import { accounting } from "./internal/cases/accounting.ts"
import { bodies } from "./internal/cases/bodies.ts"
import { contending } from "./internal/cases/contending.ts"
import { counting } from "./internal/cases/counting.ts"
import { damaging } from "./internal/cases/damaging.ts"
import { expiring } from "./internal/cases/expiring.ts"
import { headers } from "./internal/cases/headers.ts"
import { interrupting } from "./internal/cases/interrupting.ts"
import { modelling } from "./internal/cases/modelling.ts"
import { naming } from "./internal/cases/naming.ts"
import { opening } from "./internal/cases/opening.ts"
import { overtaking } from "./internal/cases/overtaking.ts"
import { producing } from "./internal/cases/producing.ts"
import { racing } from "./internal/cases/racing.ts"
import { ranges } from "./internal/cases/ranges.ts"
import { reading } from "./internal/cases/reading.ts"
import { remembering } from "./internal/cases/remembering.ts"
import { removing } from "./internal/cases/removing.ts"
import { reopening } from "./internal/cases/reopening.ts"
import { scanning } from "./internal/cases/scanning.ts"
import { writing } from "./internal/cases/writing.ts"
import { onStorage, type Storage } from "./internal/Openings.ts"

export { type Case, type Damage, type Requires, Subject }
export type { Storage } from "./internal/Openings.ts"

/** Every case of the contract. */
export const cases: ReadonlyArray<Case> = [
  ...reading,
  ...writing,
  ...headers,
  ...removing,
  ...scanning,
  ...counting,
  ...bodies,
  ...producing,
  ...ranges,
  ...opening,
  ...damaging,
  ...naming,
  ...expiring,
  ...racing,
  ...contending,
  ...overtaking,
  ...interrupting,
  ...modelling,
  ...accounting,
  ...reopening,
  ...remembering
]

interface CommonOptions<I> {
  /** The service that the layer builds. */
  readonly tier: Context.Key<I, Tier.Tier>
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
  /**
   * Counts what the tier holds open: files, connections, temporary files. Some cases ask before and after, and fail if it
   * has become more. Default: not asked.
   */
  readonly leaks?: Effect.Effect<number> | undefined
  /**
   * Damages what the backend holds of a key, behind the tier's back: what is read must be found out. Default: the cases
   * about damage are not registered.
   */
  readonly damage?: ((key: Key.Key, where: Damage) => Effect.Effect<void>) | undefined
  /**
   * Counts the bytes that the tier has read from its backend so far. Default: not asked, and the case about the cost of
   * `ranges` is not registered.
   */
  readonly bytesRead?: Effect.Effect<number> | undefined
  /**
   * `exact`: what `usage` answers comes to be exact whenever nothing is running. `approximate`: counting exactly would cost
   * too much, and the cases that count are not registered. Default: `exact`.
   */
  readonly usage?: "exact" | "approximate" | undefined
  /**
   * How many keys the case about memory asks for; 0: the case is not registered. Default: 1,000,000 for a tier in process
   * memory (neither `persistent` nor `shared`), which takes some seconds, and 10,000 for others.
   */
  readonly distinctKeys?: number | undefined
  /** Seed of what cases draw at random, which a failure names: 0 to 2^31. Default: another one in every run. */
  readonly seed?: number | undefined
}

/**
 * `layer` builds the tier on storage that is empty, or that keeps other namespaces apart. `storage` does that too; beyond
 * it, a tier that declares `persistent` or `shared` is opened several times on storage of the case's own, whatever `fresh`
 * says.
 */
export type Options<I, E> = CommonOptions<I> &
  (
    | { readonly layer: Layer.Layer<I, E>; readonly storage?: Storage<I, E> | undefined }
    | { readonly layer?: undefined; readonly storage: Storage<I, E> }
  )

/** What `run` is told of the tier; each with the default of `Options`. */
export interface RunOptions {
  readonly namespace?: string | undefined
  readonly leaks?: Effect.Effect<number> | undefined
  readonly damage?: ((key: Key.Key, where: Damage) => Effect.Effect<void>) | undefined
  readonly bytesRead?: Effect.Effect<number> | undefined
  readonly distinctKeys?: number | undefined
  /** Default: 1. */
  readonly seed?: number | undefined
  /** Closes the tier and opens another on the same storage; cases that require `persistent` need it. */
  readonly reopen?: Effect.Effect<Tier.Tier> | undefined
  /** Opens one more tier on the same storage; cases that require `shared` need it. */
  readonly openAnother?: Effect.Effect<Tier.Tier, never, Scope.Scope> | undefined
}

const defaultKeys = ({ persistent, shared }: Tier.Capabilities): number => (persistent || shared ? 10_000 : 1_000_000)

type Told = Pick<CommonOptions<never>, "bytesRead" | "clock" | "damage" | "distinctKeys" | "usage">

const circumstances = (capabilities: Tier.Capabilities, options: Told): Circumstances => ({
  clock: options.clock ?? "test",
  distinctKeys: options.distinctKeys ?? defaultKeys(capabilities),
  usage: options.usage ?? "exact",
  canDamage: options.damage !== undefined,
  countsReads: options.bytesRead !== undefined
})

/** The cases that apply to a tier of these capabilities. */
export const applicable = (capabilities: Tier.Capabilities, options: Told = {}): ReadonlyArray<Case> =>
  cases.filter(({ requires }) => unmet(requires, capabilities, circumstances(capabilities, options)) === undefined)

/** Runs one case against a tier, with groups that begin with the namespace and the number of the case. */
export const run = (
  self: Case,
  tier: Tier.Tier,
  options: RunOptions = {}
): Effect.Effect<void, TierError, Scope.Scope> => {
  const { namespace = "suite", leaks = Effect.succeed(0) } = options
  const groupPrefix = `${namespace}-c${cases.indexOf(self)}-`
  return Effect.provideService(self.run, Subject, {
    tier,
    groupPrefix,
    group: (suffix) => groupPrefix + suffix,
    reopen: options.reopen ?? missing("reopen"),
    openAnother: options.openAnother ?? missing("openAnother"),
    damage: options.damage ?? (() => missing("damage")),
    bytesRead: options.bytesRead ?? missing("bytesRead"),
    leaks,
    distinctKeys: options.distinctKeys ?? defaultKeys(tier.capabilities),
    seed: options.seed ?? 1
  })
}

const missing = (option: keyof RunOptions) => Effect.die(new Error(`the case needs the option \`${option}\``))

interface Test<R, E> {
  readonly name: string
  readonly limitMillis: number
  readonly run: Effect.Effect<void, E | TierError, R | Scope.Scope>
}

/** Registers the cases that apply to the tier, as one `describe` block. Call it at the top of a test file. */
export const suite = <I, E>(name: string, options: Options<I, E>): void => {
  const { clock = "test", fresh = true } = options
  const common: Layer.Layer<I, E> = options.layer === undefined ? Layer.unwrap(options.storage) : options.layer
  const told: RunOptions = { ...options, seed: options.seed ?? randomInt(2 ** 31) }
  const title = options.usage === "approximate" ? `${name}, whose usage is approximate,` : name

  describe(`${title} honours the tier contract`, async () => {
    const capabilities = options.capabilities ?? (await Effect.runPromise(capabilitiesOf(options.tier, common)))
    const applying = applicable(capabilities, options)
    const onTier: ReadonlyArray<Test<I, E>> = [
      {
        name: "declares a name and its capabilities",
        limitMillis: shortMillis,
        run: Effect.flatMap(options.tier, (tier) => declares(tier, capabilities))
      },
      ...applying
        .filter((self) => !opensStorage(self.requires))
        .map((self) => ({ ...self, run: Effect.flatMap(options.tier, (tier) => run(self, tier, told)) }))
    ]
    const openings = applying.filter((self) => opensStorage(self.requires))
    // Without storage, one of them fails and says what is missing.
    const possible = options.storage === undefined ? openings.slice(0, 1) : openings
    const onStorages: ReadonlyArray<Test<never, E>> = possible.map((self) => ({
      ...self,
      run: onStorage(options.storage, options.tier, self.requires, ({ tier, ...openings }) =>
        run(self, tier, { ...told, ...openings })
      )
    }))

    const effect = clock === "live" ? it.live : it.effect
    for (const test of onStorages) effect(test.name, () => bounded(test), timeoutOf(test))
    if (fresh) {
      for (const { limitMillis, name, run } of onTier) {
        const test = { limitMillis, name, run: Effect.provide(run, common) }
        effect(name, () => bounded(test), timeoutOf(test))
      }
    } else {
      layer(common, { excludeTestServices: clock === "live" })((it) => {
        for (const test of onTier) it.effect(test.name, () => bounded(test), timeoutOf(test))
      })
    }
  })
}

const shortMillis = 10_000
/** The runner's own limit is for what even that does not end. */
const timeoutOf = ({ limitMillis }: { readonly limitMillis: number }): number => limitMillis + 10_000

/** Fails after 30 seconds, because nothing else bounds the collection of tests. */
const capabilitiesOf = <I, E>(
  tier: Context.Key<I, Tier.Tier>,
  layer: Layer.Layer<I, E>
): Effect.Effect<Tier.Capabilities, E | Cause.TimeoutError> =>
  Effect.map(tier, (built) => built.capabilities).pipe(Effect.provide(layer), Effect.timeout("30 seconds"))

const declares = (tier: Tier.Tier, capabilities: Tier.Capabilities) =>
  Effect.sync(() => {
    assert.deepEqual(tier.capabilities, capabilities)
    assert.match(tier.name, Tier.namePattern, "the name of the tier")
    const { maxBytes = leastBodyBytes } = capabilities
    assert.isAtLeast(maxBytes, leastBodyBytes, "`maxBytes`: the cases need bodies of so many bytes")
  })
