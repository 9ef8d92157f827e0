/**
 * Chains for tests of streamed bodies: caches that stream before a store that does, and readers that go chunk by chunk.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Pull from "effect/Pull"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Blob from "../../src/Blob.ts"
import * as Body from "../../src/Body.ts"
import * as Chain from "../../src/Chain.ts"
import type { Tier } from "../../src/Tier.ts"
import type { TierError } from "../../src/TierError.ts"
import { key } from "./chains.ts"
import * as StreamingTier from "./StreamingTier.ts"

/** Chunks of a body; the last one is shorter. */
export const chunks = 8

export interface Setup {
  readonly chunkBytes?: number
  /** The tiers deliver a body in one piece. */
  readonly isOnePiece?: boolean
  readonly near?: Chain.Link["policy"]
  readonly far?: Chain.Link["policy"]
  readonly capabilities?: StreamingTier.Options["capabilities"]
  readonly options?: Partial<Chain.Options>
}

/** A test whose metrics are its own and count fibers. */
export const test = <E>(name: string, effect: () => Effect.Effect<unknown, E, Scope.Scope>) =>
  it.effect(name, () =>
    effect().pipe(Metric.enableRuntimeMetrics, Effect.provideService(Metric.MetricRegistry, new Map()))
  )

/** Bytes of which no two chunks are alike: the pattern is as long as a prime. */
export const content = (seed: number, size: number): Buffer =>
  Buffer.alloc(
    size,
    Uint8Array.from({ length: 251 }, (_, index) => index + seed)
  )

/** The blob of a generation, with bytes of its own. */
export const blobAt = (generation: number, { chunkBytes = 1_000, at = key, seed = generation } = {}) =>
  Blob.make(at, content(seed, chunks * chunkBytes - 10), { contentType: "image/webp", generation, createdAt: 0 })

/** near (cache) → far (store), both streaming; the store has generation 1. */
export const nearAndFar = ({
  capabilities = {},
  chunkBytes = 1_000,
  far: farPolicy,
  isOnePiece = false,
  near: nearPolicy,
  options
}: Setup = {}) =>
  Effect.gen(function* () {
    const pieceBytes = isOnePiece ? chunks * chunkBytes : chunkBytes
    const near = yield* StreamingTier.make({ name: "near", chunkBytes: pieceBytes, capabilities })
    const far = yield* StreamingTier.make({ name: "far", chunkBytes: pieceBytes })
    const blob = blobAt(1, { chunkBytes })
    yield* far.tier.put(blob)
    const chain = yield* Chain.make<string>({
      name: "test",
      caches: [{ tier: near.tier, policy: nearPolicy }],
      store: { tier: far.tier, policy: farPolicy },
      ...options
    })
    return { blob, bytes: Buffer.from(yield* Body.toBytes(blob.body)), chain, far, near }
  })

/** What the chain finds, which must be streamed. */
export const find = (chain: Chain.Chain<string>, at = key) =>
  Effect.flatMap(chain.get(at), (found) =>
    found._tag === "Found" && found.blob.body._tag === "Streamed"
      ? Effect.succeed(found)
      : Effect.die(new Error(`expected a streamed body of ${at.text}`))
  )

/** A reader that takes a chunk when it is told to, and leaves when it is told to. */
export interface Reader {
  /** The next chunk; undefined: the end. */
  readonly next: Effect.Effect<Uint8Array | undefined, TierError>
  /** All that is left. */
  readonly rest: Effect.Effect<Buffer, TierError>
  readonly leave: Effect.Effect<void>
}

export const reader = (blob: Blob.Blob, range?: Body.Range): Effect.Effect<Reader, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const pull = yield* Scope.provide(Stream.toPull(Body.toStream(blob.body, range)), scope)
    const next = Pull.catchDone(
      Effect.map(pull, (runs): Uint8Array | undefined => Buffer.concat(runs)),
      () => Effect.undefined
    )
    const rest: Effect.Effect<Buffer, TierError> = Effect.flatMap(next, (chunk) =>
      chunk === undefined ? Effect.succeed(Buffer.alloc(0)) : Effect.map(rest, (more) => Buffer.concat([chunk, more]))
    )
    const leave = Scope.close(scope, Exit.void)
    return { next, rest: Effect.tap(rest, () => leave), leave }
  })

/** Reads everything. */
export const readAll = (blob: Blob.Blob): Effect.Effect<Buffer, TierError> =>
  Effect.map(Body.toBytes(blob.body), (bytes) => Buffer.from(bytes))

/** The sum of what the series of a metric say. */
export const metric = (id: string): Effect.Effect<number> =>
  Effect.map(Metric.snapshot, (all) =>
    all
      .filter((series) => series.id === id)
      .reduce((sum, { state }) => sum + Number("value" in state ? state.value : "count" in state ? state.count : 0), 0)
  )

export const fibers = metric("child_fibers_active")

/** What must be back where it was: bytes held, floors in force, what runs. */
export const remains = Effect.all({
  held: metric("terrace_held_bytes"),
  floors: metric("terrace_floors"),
  running: metric("terrace_running")
})

export const nothing = { held: 0, floors: 0, running: 0 }

export const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkChild(effect, { startImmediately: true })

/** Lets others run so many times. */
export const steps = (count: number): Effect.Effect<void> =>
  Effect.gen(function* () {
    for (let step = 0; step < count; step++) yield* Effect.yieldNow
  })

/** Lets everything run that can. */
export const settled = steps(100)

/** What `nearAndFar` makes. */
export type Made = Effect.Success<ReturnType<typeof nearAndFar>>

export const tierOf = (name: string, chunkBytes = 1_000) => StreamingTier.make({ name, chunkBytes })

/** Whether a tier has a blob, of whatever generation. */
export const has = (tier: Tier, at = key) => Effect.map(tier.get(at), (read) => read._tag === "Hit")

/** Whether a tier has the first generation. */
export const isOldIn = (tier: Tier) =>
  Effect.map(tier.get(key), (read) => read._tag === "Hit" && read.blob.header.generation === 1)

/** The generation that the chain answers; undefined: it has none. */
export const generationOf = (chain: Chain.Chain<string>) =>
  Effect.map(chain.get(key), (found) => (found._tag === "Found" ? found.blob.header.generation : undefined))

/** Nothing of a copy is left, and nothing stands in the way of another one. */
export const leavesNothing = ({ bytes, chain, far, near }: Made, before: number) =>
  Effect.gen(function* () {
    yield* chain.idle
    yield* settled
    assert.isFalse(yield* has(near.tier))
    assert.deepStrictEqual(yield* remains, nothing)
    assert.strictEqual(yield* fibers, before)
    assert.strictEqual(far.counts.closed, far.counts.opened)
    near.onTake = () => Effect.void
    near.onCommit = Effect.void
    near.answer = undefined
    far.onDeliver = () => Effect.void
    far.alter = (chunk) => [chunk]
    assert.isTrue((yield* readAll((yield* find(chain)).blob)).equals(bytes))
    yield* chain.idle
    assert.isTrue(yield* has(near.tier))
  })

// -----------------------------------------------------------------------------
// Step by step
// -----------------------------------------------------------------------------

/** How far a reader goes at a time: a name, operations of a fiber before it lets others run, and steps between two cases. */
export const granularities = [
  ["steps", 2_048, 1],
  ["small steps", 4, 1]
] as const

export interface Stepping {
  readonly made: Made
  readonly reading: Fiber.Fiber<Buffer, TierError>
  /** Fibers before there was a reader. */
  readonly before: number
}

/**
 * Lets a reader of the whole go 0 steps, then `stride`, then twice that, until it and its copy are done, and acts each time,
 * every time on a chain of its own. All that takes part lets others run in between.
 */
export const atEachStep = (
  opsBeforeYield: number,
  stride: number,
  act: (stepping: Stepping) => Effect.Effect<void, unknown>
) => {
  const from = (taken: number): Effect.Effect<void, unknown> =>
    Effect.gen(function* () {
      const made = yield* nearAndFar({ isOnePiece: true })
      made.far.onDeliver = () => Effect.yieldNow
      made.near.onTake = () => Effect.yieldNow
      made.near.onCommit = Effect.yieldNow
      const { blob } = yield* find(made.chain)
      yield* made.chain.idle
      yield* settled
      const before = yield* fibers
      const reading = yield* fork(Effect.provideService(readAll(blob), References.MaxOpsBeforeYield, opsBeforeYield))
      yield* steps(taken)
      const isDone = reading.pollUnsafe() !== undefined && (yield* metric("terrace_running")) === 0
      yield* act({ before, made, reading })
      return isDone
    }).pipe(
      Effect.scoped,
      Effect.flatMap((isDone) => (isDone ? Effect.void : from(taken + stride)))
    )
  return from(0)
}
