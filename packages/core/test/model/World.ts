/**
 * The tiers of a run, and the processes that use them one after another.
 *
 * Memory is the process's own; disk and store outlive it. Every tier has faults of its own on the way to it. A process
 * that is killed reaches nothing any more, whatever it was doing.
 */
import { ChaosTier } from "@terrace/testkit"
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Blob } from "../../src/Blob.ts"
import * as Body from "../../src/Body.ts"
import type * as Chain from "../../src/Chain.ts"
import type { Policy } from "../../src/Policy.ts"
import { hit, type Tier } from "../../src/Tier.ts"
import { Gone, TierError } from "../../src/TierError.ts"
import type { Script } from "./Script.ts"

export type MakeChain = typeof Chain.make

/** One after another less well: the rates of each fault. */
const levels: ReadonlyArray<number> = [0, 0.03, 0.1, 0.3]

/** What may befall a cache, and a store; a store never forgets. */
const cacheFaults = (rate: number): ChaosTier.Plan => ({
  unavailable: rate,
  throttled: rate / 2,
  noSpace: rate / 2,
  hang: rate / 2,
  lostAnswer: rate,
  lateWrite: rate / 2,
  corrupt: rate / 2,
  forget: rate,
  delay: Math.min(1, rate * 3)
})
/** Process memory does not hang: it is looked at without a deadline. */
const memoryFaults = (rate: number): ChaosTier.Plan => ({ ...cacheFaults(rate), hang: 0 })
const storeFaults = (rate: number): ChaosTier.Plan => ({ ...cacheFaults(rate), corrupt: 0, forget: 0, lateWrite: rate })
/** Of memory, disk and store. */
const faultsOf = [memoryFaults, cacheFaults, storeFaults]

export interface Process {
  readonly chain: Chain.Chain<string>
  readonly faults: ReadonlyArray<ChaosTier.Chaos>
  /** Ends in order: what runs is finished. */
  readonly close: Effect.Effect<void>
  /** Reaches its tiers no more. */
  readonly kill: Effect.Effect<void>
}

export interface World {
  readonly disk: Tier
  readonly store: Tier
  readonly begin: Effect.Effect<Process>
}

export const make = (script: Script, makeChain: MakeChain): Effect.Effect<World> =>
  Effect.gen(function* () {
    const outer = (name: string, shared: boolean) =>
      Effect.map(MemoryTier.make({ name, maxBytes: 1_000_000 }), (tier) =>
        outliving(script.streams ? streaming(tier) : tier, shared)
      )
    const disk = yield* outer("disk", false)
    const store = yield* outer("store", script.isShared)
    let processes = 0
    const hasStore = script.composition !== "memory-disk"

    const policy: Policy = {
      deadline: "50 millis",
      breaker: { openFor: "100 millis" },
      retry: script.retries ? Schedule.max([Schedule.spaced("5 millis"), Schedule.recurs(1)]) : undefined
    }

    const begin = Effect.gen(function* () {
      const number = processes++
      let isKilled = false
      const memory = yield* MemoryTier.make({ maxBytes: 1_000_000 })
      const faults = [memory, disk, store].map((tier, index) =>
        ChaosTier.make(
          untilKilled(tier, () => isKilled),
          {
            seed: script.seed + 31 * number + index,
            faults: {},
            maxDelay: "30 millis",
            lateBy: "200 millis"
          }
        )
      )
      const [faultyMemory, diskTier, storeTier] = faults.map(({ tier }) => tier)
      if (faultyMemory === undefined || diskTier === undefined || storeTier === undefined)
        return yield* Effect.die("tiers")
      const memoryTier: Tier = { ...faultyMemory, peek: script.peeks ? memory.peek : undefined }
      const scope = yield* Scope.make()
      const chain = yield* makeChain<string>({
        name: "model",
        caches: [
          {
            name: "memory",
            tier: memoryTier,
            policy: {
              // Without faults it is used as it is by default, which is without a guard.
              deadline: script.isFaultless ? undefined : "50 millis",
              secondTouch: script.secondTouch
            } satisfies Policy
          },
          { name: "disk", tier: diskTier, policy }
        ].filter(({ name }) => script.composition.split("-").includes(name)),
        store: hasStore ? { tier: storeTier, policy } : undefined,
        producerTimeout: "150 millis",
        revalidateAfter: "1 second",
        maxFloors: 8,
        maxRemembered: 8,
        maxHeaders: 2
      }).pipe(Scope.provide(scope))
      return {
        chain,
        faults,
        close: Scope.close(scope, Exit.void),
        kill: Effect.sync(() => (isKilled = true))
      }
    })
    return { disk, store, begin }
  })

/** Puts the faults of a tier at a level; 4: it is down. */
export const degrade = (chaos: ChaosTier.Chaos, tier: number, level: number): Effect.Effect<void> =>
  level === 4 ? chaos.down : Effect.andThen(chaos.up, chaos.set((faultsOf[tier] ?? cacheFaults)(levels[level] ?? 0)))

/** To a chain, a tier that lies outside the process. */
const outliving = (tier: Tier, shared: boolean): Tier => ({
  ...tier,
  capabilities: { ...tier.capabilities, persistent: true, shared }
})

/** Delivers every body in three chunks, a millisecond apart, as long as the tier has it. */
const streaming = (tier: Tier): Tier => {
  const open = ({ body, header }: Blob): Body.Streamed =>
    Body.streamed(header.size, (range) =>
      Stream.unwrap(
        Effect.map(Effect.orDie(tier.head(header.key)), (head): Stream.Stream<Uint8Array, TierError> => {
          if (head._tag !== "Hit" || head.header.generation !== header.generation) {
            const reason = new Gone({ key: header.key.text })
            return Stream.fail(new TierError({ tier: tier.name, operation: "open", reason }))
          }
          const bytes = body._tag === "Inline" ? body.bytes.subarray(range?.start, range?.end) : new Uint8Array()
          const third = Math.ceil(bytes.byteLength / 3)
          return Stream.fromIterable([0, 1, 2].map((index) => bytes.subarray(index * third, (index + 1) * third))).pipe(
            Stream.rechunk(1),
            Stream.tap(() => Effect.sleep(1))
          )
        })
      )
    )
  return {
    ...tier,
    capabilities: { ...tier.capabilities, streaming: true },
    get: (key) =>
      Effect.map(tier.get(key), (read) =>
        read._tag === "Hit" ? hit({ header: read.blob.header, body: open(read.blob) }) : read
      ),
    put: (blob, options) =>
      Effect.flatMap(Body.toBytes(blob.body), (bytes) =>
        tier.put({ header: blob.header, body: Body.inline(bytes) }, options)
      )
  }
}

/** What a killed process still sends never arrives, and is never answered. */
const untilKilled = (tier: Tier, isKilled: () => boolean): Tier => {
  const gate = <A, E>(call: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => (isKilled() ? Effect.never : call))
  return {
    ...tier,
    get: (key) => gate(tier.get(key)),
    head: (key) => gate(tier.head(key)),
    put: (blob, options) => gate(tier.put(blob, options)),
    remove: (key, generation) => gate(tier.remove(key, generation)),
    removeGroup: (group, generation) => gate(tier.removeGroup(group, generation))
  }
}
