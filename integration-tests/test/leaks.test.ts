/**
 * What a chain leaves behind after a hundred thousand operations on real files, with faults: nothing. Counted in the heap
 * and in the process, not guessed from its growth.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Body from "@terrace/core/Body"
import * as Chain from "@terrace/core/Chain"
import * as Key from "@terrace/core/Key"
import { ChaosTier, Fixtures } from "@terrace/testkit"
import * as FilesystemTier from "@terrace/tier-filesystem/FilesystemTier"
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { randomInt } from "node:crypto"
import { readdirSync } from "node:fs"
import { getHeapSnapshot, queryObjects } from "node:v8"

const operations = 100_000
/** Operations that run at the same time. */
const concurrency = 64
const seed = Number(process.env["TERRACE_LEAKS_SEED"] ?? randomInt(2 ** 31))

/** Streams from 4 KiB on, so that bodies are open files. */
const inlineBelow = 4_096

const faults: ChaosTier.Plan = {
  unavailable: 0.01,
  throttled: 0.005,
  hang: 0.000_5,
  lostAnswer: 0.005,
  lateWrite: 0.000_5,
  delay: 0.05,
  corrupt: 0.002,
  gone: 0.01,
  breakStream: 0.01
}

/** What is alive in this process, after a collection. */
const census = Effect.gen(function* () {
  const fiber = yield* Effect.fiber
  return {
    fibers: queryObjects(fiber.constructor, { format: "count" }),
    scopes: yield* Effect.promise(scopes),
    descriptors: readdirSync("/proc/self/fd").length
  }
})

const counted = ["fibers", "scopes", "descriptors"] as const

/** Objects in the heap that say that they are scopes. */
const scopes = async (): Promise<number> => {
  const chunks: Array<Buffer> = []
  for await (const chunk of getHeapSnapshot()) chunks.push(Buffer.from(chunk))
  const { edges, snapshot, strings }: HeapSnapshot = JSON.parse(Buffer.concat(chunks).toString())
  const { edge_fields: fields, edge_types: types } = snapshot.meta
  const name = strings.indexOf("~effect/Scope/Closeable")
  const property = types[0]?.indexOf("property")
  let count = 0
  for (let edge = 0; edge < edges.length; edge += fields.length) {
    if (edges[edge] === property && edges[edge + 1] === name) count += 1
  }
  return count
}

/** The part of V8's heap snapshot that is looked at: edges are runs of type, name and target. */
interface HeapSnapshot {
  readonly snapshot: {
    readonly meta: {
      readonly edge_fields: ReadonlyArray<string>
      readonly edge_types: ReadonlyArray<ReadonlyArray<string>>
    }
  }
  readonly edges: ReadonlyArray<number>
  readonly strings: ReadonlyArray<string>
}

const gauge = (name: string) =>
  Effect.map(Metric.snapshot, (snapshot) =>
    snapshot
      .filter(({ attributes, id }) => id === name && attributes?.["chain"] === "leaks")
      .reduce((sum, { state }) => sum + ("value" in state ? Number(state.value) : 0), 0)
  )

/** Copies that a cache could not drop; they are tried again at most a minute apart. */
const underRepair = gauge("terrace_repairs")

/** A generator of its own, so that the seed alone decides what is asked. */
const dice = (from: number) => {
  let words: Uint32Array = new Uint32Array()
  let position = 0
  let block = from
  return (below: number): number => {
    if (position >= words.length) {
      words = new Uint32Array(Fixtures.bytes(block++, 65_536).buffer)
      position = 0
    }
    return (words[position++] ?? 0) % below
  }
}

describe("a chain", () => {
  it.live(
    `leaves no fiber, scope or file descriptor behind after 100,000 operations with faults (seed ${seed})`,
    () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const directory = yield* fs.makeTempDirectoryScoped({ prefix: "terrace-leaks-" })
        const tier = (name: string, role: "cache" | "store") =>
          FilesystemTier.make({
            name,
            root: `${directory}/${name}`,
            role,
            durability: "none",
            minFreeBytes: 0,
            inlineBelow,
            maxBytes: role === "cache" ? 400_000 : undefined
          })
        const memory = yield* MemoryTier.make({ maxBytes: 600_000, maxEntryBytes: 10_000 })
        const chaos = [yield* tier("cache", "cache"), yield* tier("store", "store")].map((inner, index) =>
          ChaosTier.make(inner, { seed: seed + index, faults: {}, maxDelay: "2 millis", lateBy: "50 millis" })
        )
        const [cache, store] = chaos
        if (cache === undefined || store === undefined) return yield* Effect.die("no tiers")
        const policy = { deadline: "250 millis", breaker: { failures: 30, openFor: "20 millis" } } as const
        const chain = yield* Chain.make<string>({
          name: "leaks",
          caches: [{ tier: memory }, { tier: cache.tier, policy }],
          store: { tier: store.tier, policy },
          negativeTtl: "10 millis",
          producerTimeout: "100 millis"
        })

        const roll = dice(seed)
        const bodies = [200, 2_000, 6_000, 20_000].map((size, index) => Fixtures.bytes(index, size))
        const draft = () => ({ bytes: bodies[roll(4)] ?? new Uint8Array(), contentType: "application/octet-stream" })
        const keys = Array.from({ length: 100 }, (_, index) => Key.makeUnsafe(`g${index % 50}`, `n${index}`))
        const key = () => keys[roll(keys.length)] ?? Key.makeUnsafe("g", "n")
        const consume = (found: Chain.Found | Chain.NotFound) =>
          found._tag === "NotFound"
            ? Effect.void
            : roll(4) === 0
              ? Stream.runDrain(Stream.take(Body.toStream(found.blob.body), 1))
              : Effect.asVoid(Body.toBytes(found.blob.body))
        const operation = Effect.suspend((): Effect.Effect<unknown, unknown> => {
          const dice = roll(100)
          if (dice < 65) return Effect.flatMap(chain.get(key()), consume)
          if (dice < 77) {
            const made = roll(10) === 0 ? Effect.fail("origin down") : Effect.delay(Effect.succeed(draft()), roll(3))
            return Effect.flatMap(chain.getOrMake(key(), made), consume)
          }
          if (dice < 87) return chain.head(key())
          if (dice < 95) return chain.put(key(), draft())
          return dice < 99 ? chain.remove(key()) : chain.removeGroup(key().group)
        })
        /** One in ten is left by who asked. */
        const left = Effect.suspend((): Effect.Effect<unknown> => {
          const exit = Effect.exit(operation)
          return roll(10) === 0 ? Effect.timeoutOption(exit, roll(3)) : exit
        })
        const run = (count: number) =>
          Effect.forEach(Array.from({ length: count }), () => left, { concurrency, discard: true })

        const under = (plan: ChaosTier.Plan) => Effect.forEach(chaos, ({ set }) => set(plan), { discard: true })
        /** Heals everything and waits until nothing is left to do. */
        const settle = Effect.gen(function* () {
          yield* under({})
          yield* chain.idle
          yield* Effect.repeat(underRepair, {
            until: (repairs) => repairs === 0,
            schedule: Schedule.spaced("50 millis")
          })
          yield* chain.idle
        })

        // What is made once, at the first use, is no leak.
        yield* under(faults)
        yield* run(3_000)
        yield* settle
        const before = yield* census

        yield* under(faults)
        yield* run(operations)
        yield* settle
        // What is leaked stays; what a tier does in the background now and then does not.
        const after = yield* Effect.repeat(census, {
          until: (now) => counted.every((what) => now[what] <= before[what]),
          schedule: Schedule.max([Schedule.spaced("500 millis"), Schedule.recurs(20)])
        })

        assert.isAbove(store.injected.unavailable, 100)
        assert.isAbove(store.injected.hang, 5)
        for (const what of counted) assert.isAtMost(after[what], before[what], what)
        for (const name of ["terrace_running", "terrace_floors", "terrace_held_bytes"]) {
          assert.strictEqual(yield* gauge(name), 0, name)
        }
      }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer), Effect.provide(Logger.layer([]))),
    300_000
  )
})
