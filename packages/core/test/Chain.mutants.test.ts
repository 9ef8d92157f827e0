/**
 * The model notices bugs: each chain here has one, and must break a promise in some run.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import { vi } from "vitest"
import type * as FlightModule from "../src/Flight.ts"
import type * as FloorModule from "../src/Floor.ts"
import type * as HeaderModule from "../src/Header.ts"
import type * as AbsencesModule from "../src/internal/Absences.ts"
import type * as TeesModule from "../src/internal/Tees.ts"
import type * as CachesModule from "../src/internal/caches.ts"
import type * as ComparisonModule from "../src/internal/comparison.ts"
import type * as LookupModule from "../src/internal/lookup.ts"
import type * as RepairsModule from "../src/internal/repairs.ts"
import type * as UndoModule from "../src/internal/undo.ts"
import { run } from "./model/run.ts"
import { Script } from "./model/Script.ts"
import type * as World from "./model/World.ts"

interface Mutant {
  /** The bug. */
  readonly name: string
  /** The module that has it. */
  readonly path: string
  readonly mutate: (original: () => Promise<unknown>) => Promise<object>
  /** What some broken promise says. */
  readonly breaks: RegExp
  /** Where the bug can show: scripts get these settings. */
  readonly where: Partial<Script>
}

/** A bug in one module: what `change` answers takes the place of its exports. */
const mutant = <M extends object>(
  name: string,
  path: string,
  breaks: RegExp,
  change: (module: M) => Partial<M>,
  where: Partial<Script> = {}
): Mutant => ({
  name,
  path,
  breaks,
  where,
  mutate: async (original) => {
    const module = (await original()) as M
    return { ...module, ...change(module) }
  }
})

/** What is served, or kept, though an acknowledged write has taken its place. */
const outdated = /never NotFound|nothing removed comes back|no value is older|took the place of/

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
    { isFaultless: true }
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
    { isFaultless: false, restarts: false }
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
    /nothing is answered after its expiresAt/,
    () => ({ isExpired: () => false })
  ),
  mutant<typeof UndoModule>(
    "a late write is not undone",
    "../src/internal/undo.ts",
    outdated,
    () => ({ undoIfOvertaken: ({ storeWrites }, _store, write) => Effect.sync(() => storeWrites.end(write)) }),
    { composition: "memory-store", isFaultless: false, restarts: false, streams: false }
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
    outdated,
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
    { composition: "disk-store", streams: true, restarts: false, isFaultless: false }
  )
]

/** Runs until a promise is broken, and answers what was; empty: none was in 2,000 runs. */
const firstBroken = (makeChain: World.MakeChain, where: Partial<Script>) =>
  Effect.gen(function* () {
    for (let batch = 0; batch < 40; batch++) {
      const scripts = yield* Arbitrary.sampleEffect(Arbitrary.schema(Script), { count: 50, size: 60, seed: batch })
      for (const script of scripts) {
        const broken = yield* run({ ...script, ...where }, makeChain)
        if (broken.length > 0) return broken
      }
    }
    return []
  })

describe("the model", () => {
  it.effect.each(mutants)(
    "notices a chain in which $name",
    ({ breaks, mutate, path, where }) =>
      Effect.gen(function* () {
        vi.resetModules()
        vi.doMock(path, mutate)
        const { make } = yield* Effect.promise(() => import("../src/Chain.ts"))
        vi.doUnmock(path)

        const broken = yield* firstBroken(make, where)

        assert.isNotEmpty(broken, "every run kept every promise")
        assert.match(broken.join("; "), breaks)
      }),
    120_000
  )
})
