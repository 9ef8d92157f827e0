/**
 * The model notices bugs: each chain here has one, and must break a promise in some run.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import { vi } from "vitest"
import type { Blob } from "../src/Blob.ts"
import type * as FlightModule from "../src/Flight.ts"
import type * as FloorModule from "../src/Floor.ts"
import type * as HeaderModule from "../src/Header.ts"
import * as Header from "../src/Header.ts"
import type * as AbsencesModule from "../src/internal/Absences.ts"
import type * as ConfirmationsModule from "../src/internal/Confirmations.ts"
import type * as TeesModule from "../src/internal/Tees.ts"
import type * as CachesModule from "../src/internal/caches.ts"
import type * as ComparisonModule from "../src/internal/comparison.ts"
import type * as FrontModule from "../src/internal/front.ts"
import type * as LookupModule from "../src/internal/lookup.ts"
import type { Member } from "../src/internal/member.ts"
import type * as OriginationModule from "../src/internal/origination.ts"
import type * as RepairsModule from "../src/internal/repairs.ts"
import type { State } from "../src/internal/state.ts"
import type * as UndoModule from "../src/internal/undo.ts"
import type * as WritesModule from "../src/internal/writes.ts"
import type { Key } from "../src/Key.ts"
import type { Trail } from "../src/Trail.ts"
import { regressions, steps } from "./model/regressions.ts"
import { run } from "./model/run.ts"
import { Script, type Step } from "./model/Script.ts"
import type * as World from "./model/World.ts"

/** A module in the place of one of the sources. */
interface Module {
  readonly path: string
  readonly mutate: (original: () => Promise<unknown>) => Promise<object>
}

type Where = Partial<Script> & { readonly only?: ReadonlyArray<Step["_tag"]> }

interface Mutant extends Module {
  /** The bug; `path` is the module that has it. */
  readonly name: string
  /** What brings the bug to light, and is none. */
  readonly under?: Module | undefined
  /** What some broken promise says. */
  readonly breaks: RegExp
  /** Where the bug can show: scripts get these settings, and keep only steps of these kinds, if any are named. */
  readonly where: Where
}

/** What `change` answers takes the place of the exports of a module. */
const changed = <M extends object>(path: string, change: (module: M) => Partial<M>): Module => ({
  path,
  mutate: async (original) => {
    const module = (await original()) as M
    return { ...module, ...change(module) }
  }
})

/** A bug in one module. */
const mutant = <M extends object>(
  name: string,
  path: string,
  breaks: RegExp,
  change: (module: M) => Partial<M>,
  where: Where = {},
  under?: Module
): Mutant => ({
  name,
  breaks,
  where: { isTwofold: false, hasOrigin: false, ...where },
  under,
  ...changed(path, change)
})

/** What an object has, but for some of it. */
const except = <A extends object>(object: A, changes: Partial<A>): A =>
  Object.create(object, Object.getOwnPropertyDescriptors(changes)) as A

/** A clock for those who ask it only for the time. */
const atZero = { currentTimeMillisUnsafe: () => 0 }

/** The first look into process memory does not see something that it should. */
const blindGlance = (
  what: string,
  breaks: RegExp,
  blind: (state: State) => Partial<State>,
  where: Where = {},
  under?: Module
): Mutant =>
  mutant<typeof FrontModule>(
    `a hit in process memory is answered ${what}`,
    "../src/internal/front.ts",
    breaks,
    ({ make }) => ({
      make: (state) => ({ ...make(state), glance: make({ ...state, ...blind(state) }).glance })
    }),
    { composition: "memory-store", peeks: true, streams: false, ...where },
    under
  )

/** Puts into a cache see no floor right before a try is sent. */
const withoutLook = (state: State, member: Member): [State, Member] => {
  let isBeforeSending = false
  const call: Member["call"] = (operation, send) =>
    member.call(operation, () => {
      isBeforeSending = operation === "put"
      return send()
    })
  const discards: State["floors"]["discards"] = (...args) => {
    const isSeen = !isBeforeSending
    isBeforeSending = false
    return isSeen && state.floors.discards(...args)
  }
  return [
    { ...state, floors: except(state.floors, { discards }) },
    { ...member, call }
  ]
}

/** As if a cache had a thousand copies that it cannot drop as soon as it has one. */
const distrusted = changed<typeof RepairsModule>("../src/internal/repairs.ts", ({ Repairs }) => ({
  Repairs: class extends Repairs {
    override begin(...args: Parameters<InstanceType<typeof Repairs>["begin"]>): Effect.Effect<void> {
      const [member] = args
      return member.role === "store" ? super.begin(...args) : Effect.sync(() => (member.isDistrusted = true))
    }
  }
}))

/** What is served, or kept, though an acknowledged write has taken its place. */
const outdated = /never NotFound|nothing removed comes back|no value is older|took the place of/

/** As `outdated`, or what is answered at rest. */
const either =
  /at rest a read answers what the store has|never NotFound|nothing removed comes back|no value is older|took the place of/

const mutants: ReadonlyArray<Mutant> = [
  mutant<typeof FloorModule>("promotion ignores floors", "../src/Floor.ts", outdated, ({ Floors }) => ({
    Floors: class extends Floors {
      override discards(...[header, since]: Parameters<InstanceType<typeof Floors>["discards"]>): boolean {
        return since === undefined && super.discards(header)
      }
    }
  })),
  mutant<typeof FlightModule>(
    "a late reader joins a flight that is older than the last put",
    "../src/Flight.ts",
    outdated,
    ({ Flights }) => ({
      Flights: class<F> extends Flights<F> {
        override detach(...[key, flight]: Parameters<InstanceType<typeof Flights<F>>["detach"]>): void {
          if (flight !== undefined) super.detach(key, flight)
        }
        override detachGroup(): void {}
      }
    })
  ),
  mutant<typeof FlightModule>(
    "a waiter that leaves fails the others",
    "../src/Flight.ts",
    /no read fails where no tier does, whoever leaves/,
    ({ wait }) => ({
      wait: (flight, answer, restore, onAbandoned) =>
        Effect.onInterrupt(wait(flight, answer, restore, onAbandoned), () =>
          Effect.sync(() => flight.fiber?.interruptUnsafe())
        )
    }),
    { isFaultless: true, only: ["Get", "GetOrMake", "Leave", "Put"] }
  ),
  mutant<typeof FlightModule>(
    "when one waiter leaves, the others wait for ever",
    "../src/Flight.ts",
    /every operation is answered/,
    ({ wait }) => {
      const isDeserted = new WeakSet()
      return {
        wait: (flight, ...rest) =>
          wait(flight, ...rest).pipe(
            Effect.onInterrupt(() => Effect.sync(() => isDeserted.add(flight))),
            Effect.tap(() => (isDeserted.has(flight) ? Effect.interruptible(Effect.never) : Effect.void))
          )
      }
    },
    { isFaultless: true, only: ["Get", "GetOrMake", "Leave", "Put"] }
  ),
  mutant<typeof LookupModule>(
    "NotFound is answered although the store was skipped",
    "../src/internal/lookup.ts",
    /never NotFound for an acknowledged blob/,
    ({ blob }) => ({
      blob: (...args) =>
        Effect.map(blob(...args), (sighting) =>
          sighting._tag === "Unproven" ? { ...sighting, _tag: "Absent" } : sighting
        )
    }),
    { composition: "memory-store", isFaultless: false, restarts: false, only: ["Get", "Head", "Put", "Faults", "Wait"] }
  ),
  mutant<typeof CachesModule>(
    "a cache that lets go of a copy takes the only one out of the store",
    "../src/internal/caches.ts",
    /at rest a read answers what the store has/,
    ({ promote }) => ({
      promote: (state, member, blob, ...rest) =>
        Effect.tap(promote(state, member, blob, ...rest), () =>
          Effect.ignore(state.store?.tier.remove(blob.header.key, blob.header.generation) ?? Effect.void)
        )
    })
  ),
  mutant<typeof HeaderModule>(
    "a blob past its expiresAt is served",
    "../src/Header.ts",
    /nothing is answered after its expiresAt|at rest a read answers what the store has/,
    () => ({ isExpired: () => false })
  ),
  mutant<typeof UndoModule>(
    "a late write is not undone",
    "../src/internal/undo.ts",
    outdated,
    () => ({ undoIfOvertaken: ({ storeWrites }, _store, write) => Effect.sync(() => storeWrites.end(write)) }),
    {
      composition: "memory-store",
      isFaultless: false,
      restarts: false,
      streams: false,
      only: ["Get", "Put", "Remove", "Faults", "Wait"]
    }
  ),
  mutant<typeof ComparisonModule>(
    "copies are never compared with the store",
    "../src/internal/comparison.ts",
    /at rest a read answers what the store has|nothing removed comes back|no value is older/,
    ({ unneeded }) => ({ ifDue: () => Effect.succeed(unneeded) })
  ),
  mutant<typeof AbsencesModule>(
    "a put leaves an absence remembered",
    "../src/internal/Absences.ts",
    /never NotFound for an acknowledged blob/,
    ({ Absences }) => ({
      Absences: class extends Absences {
        override delete(): void {}
      }
    })
  ),
  mutant<typeof RepairsModule>(
    "a cache that could not be brought up to date is not repaired",
    "../src/internal/repairs.ts",
    either,
    ({ Repairs }) => ({
      Repairs: class extends Repairs {
        override begin(): Effect.Effect<void> {
          return Effect.void
        }
      }
    })
  ),
  mutant<typeof TeesModule>(
    "what is being copied while it is read is not given up for a put",
    "../src/internal/Tees.ts",
    outdated,
    ({ Tees }) => ({
      Tees: class extends Tees {
        override abort(): void {}
        override abortGroup(): void {}
      }
    }),
    {
      composition: "disk-store",
      streams: true,
      chunkMillis: 10,
      only: ["Get", "GetOrMake", "Remove", "Wait"],
      isFaultless: true,
      secondTouch: true
    }
  ),
  mutant<typeof CachesModule>(
    "a copy that is tried again is not held to what was acknowledged between its tries",
    "../src/internal/caches.ts",
    /at rest a read answers what the store has|nothing removed comes back|took the place of/,
    ({ promote, replace }) => ({
      promote: (state, member, ...rest) => promote(...withoutLook(state, member), ...rest),
      replace: (state, member, ...rest) => replace(...withoutLook(state, member), ...rest)
    }),
    {
      composition: "memory-disk-store",
      retries: true,
      restarts: false,
      isFaultless: false,
      streams: false,
      secondTouch: false,
      isShared: false,
      // A try that fails, a removal that is done before the next one, and that comes late.
      steps: steps(
        [{ _tag: "Faults", tier: 1, level: 3, node: 0 }, 0],
        [{ _tag: "Put", key: 0, fresh: null, lifetime: null, node: 0 }, 5],
        [{ _tag: "Faults", tier: 1, level: 0, node: 0 }, 0],
        [{ _tag: "RemoveGroup", group: 0, node: 0 }, 1],
        [{ _tag: "Faults", tier: 1, level: 3, node: 0 }, 0],
        [{ _tag: "Wait", millis: 300 }, 0]
      )
    }
  ),
  mutant<typeof WritesModule>(
    "the condition of a put is not sent to the store",
    "../src/internal/writes.ts",
    /a write whose condition does not hold is refused/,
    ({ make }) => ({
      make: (state, superseding) => {
        const { store } = state
        if (store === undefined) return make(state, superseding)
        const tier = { ...store.tier, put: (blob: Blob) => store.tier.put(blob) }
        return make({ ...state, store: { ...store, tier } }, superseding)
      }
    }),
    { composition: "memory-store" }
  ),
  mutant<typeof ConfirmationsModule>(
    "a copy is confirmed for ever",
    "../src/internal/Confirmations.ts",
    /at rest a read answers what the store has|nothing removed comes back|no value is older/,
    ({ Confirmations }) => ({
      Confirmations: class extends Confirmations {
        override standing(): "confirmed" {
          return "confirmed"
        }
      }
    }),
    { composition: "memory-store", isTwofold: true, restarts: false }
  ),
  mutant<typeof AbsencesModule>(
    "an absence is remembered for ever",
    "../src/internal/Absences.ts",
    /never NotFound for an acknowledged blob|at rest a read answers what the store has/,
    ({ Absences }) => ({
      Absences: class extends Absences {
        override find(key: Key): Trail | undefined {
          return super.find(key, 0n)
        }
      }
    }),
    { composition: "memory-store", isTwofold: true, restarts: false }
  ),
  mutant<typeof OriginationModule>(
    "the origin lets go of what was made before the store has it",
    "../src/internal/origination.ts",
    /nothing is let go of that the store does not have/,
    ({ make }) => ({
      make: (state, origin, member, writes) => {
        const origination = make(state, origin, member, writes)
        return {
          ...origination,
          settle: () => Effect.void,
          ask: (key) =>
            Effect.map(origination.ask(key), (asked) => {
              const { sighting } = asked
              if (sighting?._tag !== "Holding") return asked
              const letGo = (bytes: Uint8Array) =>
                Effect.ignore(
                  sighting.release?.(
                    Header.describe(key, bytes, { contentType: "text/plain", generation: 1, createdAt: 0 })
                  ) ?? Effect.void
                )
              return {
                ...asked,
                sighting: { ...sighting, make: Effect.tap(sighting.make, ({ bytes }) => letGo(bytes)) }
              }
            })
        }
      }
    }),
    { composition: "memory-store", hasOrigin: true }
  ),
  mutant<typeof OriginationModule>(
    "an origin that cannot say is taken to have nothing",
    "../src/internal/origination.ts",
    /never NotFound for what the origin has offered/,
    ({ make }) => ({
      make: (state, origin, member, writes) => {
        const origination = make(state, origin, member, writes)
        return {
          ...origination,
          ask: (key) =>
            Effect.map(origination.ask(key), (asked) =>
              asked.sighting === undefined ? { ...asked, sighting: { _tag: "Nothing" } } : asked
            )
        }
      }
    }),
    { composition: "memory-store", hasOrigin: true, isFaultless: false }
  ),
  blindGlance("below a floor", outdated, ({ floors }) => ({ floors: except(floors, { discards: () => false }) })),
  blindGlance(
    "although the cache is not to be asked any more",
    outdated,
    ({ members: [first, ...rest] }) => ({
      members: first === undefined ? rest : [except(first, { isDistrusted: false }), ...rest]
    }),
    { isFaultless: false },
    distrusted
  ),
  mutant<typeof FrontModule>(
    "a hit in process memory is answered past its expiresAt",
    "../src/internal/front.ts",
    /nothing is answered after its expiresAt|at rest a read answers what the store has/,
    ({ make }) => ({
      make: (state) => {
        const front = make(state)
        return {
          ...front,
          glance: (key, fiber) => front.glance(key, Object.create(fiber, { getRef: { value: () => atZero } }))
        }
      }
    }),
    { composition: "memory-store", peeks: true, isShared: false, streams: false }
  ),
  blindGlance(
    "without being compared with the store",
    /at rest a read answers what the store has|nothing removed comes back|no value is older/,
    ({ confirmations }) => ({ confirmations: except(confirmations, { standing: () => "confirmed" }) }),
    { isFaultless: false, restarts: false }
  )
]

/** Runs until a promise is broken, and answers what was; empty: none was in `runs` runs, or in what has shown bugs. */
const firstBroken = (makeChain: World.MakeChain, { only, ...where }: Where, runs = 2_000) =>
  Effect.gen(function* () {
    for (const { script } of regressions) {
      const broken = yield* run(script, makeChain)
      if (broken.length > 0) return broken
    }
    for (let batch = 0; batch < runs / 50; batch++) {
      const scripts = yield* Arbitrary.sampleEffect(Arbitrary.schema(Script), { count: 50, size: 60, seed: batch })
      for (const script of scripts) {
        const kept = only === undefined ? script.steps : script.steps.filter(({ step }) => only.includes(step._tag))
        const broken = yield* run({ ...script, steps: kept, ...where }, makeChain)
        if (broken.length > 0) return broken
      }
    }
    return []
  })

/** Makes chains of sources in which these modules take the place of theirs. */
const chainOf = (...modules: ReadonlyArray<Module | undefined>): Effect.Effect<World.MakeChain> =>
  Effect.promise(async () => {
    vi.resetModules()
    for (const module of modules) if (module !== undefined) vi.doMock(module.path, module.mutate)
    const { make } = await import("../src/Chain.ts")
    for (const module of modules) if (module !== undefined) vi.doUnmock(module.path)
    return make
  })

describe("the model", () => {
  it.effect.each(mutants)(
    "notices a chain in which $name",
    ({ breaks, under, where, ...bug }) =>
      Effect.gen(function* () {
        const broken = yield* firstBroken(yield* chainOf(bug, under), where)

        assert.isNotEmpty(broken, "every run kept every promise")
        assert.match(broken.join("; "), breaks)
      }),
    120_000
  )

  it.effect.each(mutants.filter(({ under }) => under !== undefined))(
    "finds nothing wrong with what brings to light that $name",
    ({ under, where }) =>
      Effect.gen(function* () {
        assert.isEmpty(yield* firstBroken(yield* chainOf(under), where, 200))
      }),
    120_000
  )
})
