/**
 * The tiers of a run, and the processes that use them: one after another, on one node or on two.
 *
 * Memory is the process's own, the disk the node's; it and the store outlive the process. Every tier has faults of its own on the way to it. A process
 * that is killed reaches nothing any more, whatever it was doing.
 */
import { ChaosTier } from "@terrace/testkit"
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Bus from "../../src/Bus.ts"
import type { Blob } from "../../src/Blob.ts"
import * as Body from "../../src/Body.ts"
import type * as Chain from "../../src/Chain.ts"
import type { Key } from "../../src/Key.ts"
import type { OriginError } from "../../src/Origin.ts"
import type { Policy } from "../../src/Policy.ts"
import { hit, type Tier } from "../../src/Tier.ts"
import { Gone, TierError } from "../../src/TierError.ts"
import * as Offers from "./Offers.ts"
import { hasOrigin, hasStore, isTwofold, type Script } from "./Script.ts"

export type MakeChain = typeof Chain.make

/** Milliseconds that another node's write may stay unnoticed by who has a copy, and by who has found nothing. */
export const revalidateAfter = 1_000
export const negativeTtl = 500

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
const storeFaults = (rate: number): ChaosTier.Plan => ({ ...cacheFaults(rate), corrupt: 0, forget: 0, lateWrite: rate })

/** What is asked of a chain, with an origin or without. */
type Driven = Pick<
  Chain.Chain<string, OriginError<string>>,
  "get" | "head" | "getOrMake" | "put" | "remove" | "removeGroup" | "idle"
>

export interface Process {
  readonly chain: Driven
  readonly faults: ReadonlyArray<ChaosTier.Chaos>
  /** The metrics of its chain. */
  readonly registry: Metric.MetricRegistry
  /** Ends in order: what runs is finished. */
  readonly close: Effect.Effect<void>
  /** Reaches its tiers no more. */
  readonly kill: Effect.Effect<void>
}

export interface World {
  /** By node; past its faults. */
  readonly disks: ReadonlyArray<Tier>
  readonly store: Tier
  readonly offers: Offers.Offers
  /** Share of the messages between the nodes that is lost. */
  losses: number
  readonly begin: (node: number) => Effect.Effect<Process>
}

/** How the run that the world is for counts, and what it has done. */
export interface Book {
  readonly count: () => number
  readonly wasWritten: (key: Key, since: number) => boolean
}

export const make = (script: Script, makeChain: MakeChain, { count, wasWritten }: Book): Effect.Effect<World> =>
  Effect.gen(function* () {
    const isShared = script.isShared || isTwofold(script)
    const kept = (name: string) => MemoryTier.make({ name, maxBytes: 1_000_000 })
    const outer = (tier: Tier, shared: boolean) =>
      outliving(script.streams ? streaming(tier, script.chunkMillis) : tier, shared)
    const disks = yield* Effect.all([kept("disk"), kept("disk")])
    const store = yield* kept("store")
    const offers = Offers.make(store, dice(script.seed + 1), count, wasWritten)
    const bus = Bus.makeLocal()
    let processes = 0

    const policy: Policy = {
      deadline: "50 millis",
      breaker: { openFor: "100 millis" },
      retry: script.retries ? Schedule.max([Schedule.spaced("5 millis"), Schedule.recurs(1)]) : undefined
    }

    const begin = (node: number) =>
      Effect.gen(function* () {
        const number = processes++
        let isKilled = false
        const memory = yield* MemoryTier.make({ maxBytes: 1_000_000 })
        const disk = disks[node] ?? disks[0]
        const faults = [memory, outer(disk, false), outer(store, isShared)].map((tier, index) =>
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
        const registry: Metric.MetricRegistry = new Map()
        const options: Chain.Options = {
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
            { name: "disk", tier: diskTier, policy: { ...policy, secondTouch: script.secondTouch } }
          ].filter(({ name }) => script.composition.split("-").includes(name)),
          store: hasStore(script) ? { tier: storeTier, policy } : undefined,
          producerTimeout: "150 millis",
          revalidateAfter,
          negativeTtl,
          bus: isTwofold(script)
            ? losing(
                bus,
                dice(script.seed + 2 + number),
                () => self.losses,
                () => isKilled
              )
            : undefined,
          maxFloors: 8,
          maxRemembered: 8,
          maxHeaders: 2
        }
        const made: Effect.Effect<Driven, never, Scope.Scope> = hasOrigin(script)
          ? makeChain<string, string>({ ...options, origin: offers.untilKilled(() => isKilled) })
          : makeChain<string>(options)
        const chain = yield* made.pipe(Scope.provide(scope), Effect.provideService(Metric.MetricRegistry, registry))
        return {
          chain,
          faults,
          registry,
          close: Scope.close(scope, Exit.void),
          kill: Effect.sync(() => (isKilled = true))
        }
      })
    const self: World = { disks, store, offers, losses: 0, begin }
    return self
  })

/** Numbers from 0 to below 1, the same for the same seed (a linear congruential generator). */
const dice = (seed: number) => {
  let state = seed >>> 0
  return (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 4_294_967_296
  }
}

/** A node's end of a bus that loses messages, tells of some of that as a gap, and now and then sends nothing. */
const losing = (bus: Bus.Bus, roll: () => number, rate: () => number, isKilled: () => boolean): Bus.Bus => ({
  publish: (invalidation) =>
    Effect.suspend(() => {
      if (isKilled()) return Effect.never
      return roll() < rate() / 3 ? Effect.fail(new Bus.BusError({ cause: "injected" })) : bus.publish(invalidation)
    }),
  events: Stream.flatMap(bus.events, (event) =>
    roll() >= rate() ? Stream.succeed(event) : roll() < 0.5 ? Stream.empty : Stream.succeed<Bus.Event>({ _tag: "Gap" })
  )
})

/** Puts the faults of a tier at a level; 4: it is down. */
export const degrade = (chaos: ChaosTier.Chaos, tier: number, level: number): Effect.Effect<void> =>
  level === 4
    ? chaos.down
    : Effect.andThen(chaos.up, chaos.set((tier === 2 ? storeFaults : cacheFaults)(levels[level] ?? 0)))

/** To a chain, a tier that lies outside the process. */
const outliving = (tier: Tier, shared: boolean): Tier => ({
  ...tier,
  capabilities: { ...tier.capabilities, persistent: true, durable: true, shared }
})

/** Delivers every body in three chunks, some time apart, as long as the tier has it. */
const streaming = (tier: Tier, chunkMillis: number): Tier => {
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
            Stream.tap(() => Effect.sleep(chunkMillis))
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
