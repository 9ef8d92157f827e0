/**
 * A Terrace chain: the memory tier in front of a filesystem store, filled by `chain.put`.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Chain from "@terrace/core/Chain"
import * as Key from "@terrace/core/Key"
import * as FilesystemTier from "@terrace/tier-filesystem/FilesystemTier"
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import { awaited, type Contender, notAHit, type Opened, plain, yielded } from "./Contender.ts"
import { indices, keyCount, text, valueBytes, type Workload } from "./workload.ts"

const parsed = (text: string): Key.Key => Result.getOrThrow(Key.parse(text))

const key = (index: number): Key.Key => parsed(text(index))

type Answer = Effect.Success<ReturnType<Chain.Chain["get"]>>

const bytes = (answer: Answer): Uint8Array | undefined =>
  answer._tag === "Found" && answer.blob.body._tag === "Inline" ? answer.blob.body.bytes : undefined

const filled = (workload: Workload, directory: string) =>
  Effect.gen(function* () {
    // What the entries take, and as much again: nothing is evicted.
    const memory = yield* MemoryTier.make({ maxBytes: 2 * keyCount * (valueBytes + 2_048) })
    const store = yield* FilesystemTier.make({ root: directory, role: "store", durability: "file" })
    const chain = yield* Chain.make({ name: "images", caches: [{ tier: memory }], store: { tier: store } })
    yield* Effect.forEach(
      indices,
      (index) => chain.put(key(index), { bytes: workload.value(index), contentType: "image/webp" }),
      { concurrency: 16, discard: true }
    )
    yield* chain.idle
    return chain
  })

/** Reads that the memory tier of the chain had nothing for. */
const misses = (chain: Chain.Chain): Effect.Effect<number> =>
  Effect.map(chain.status, (tiers) => tiers.find(({ tier }) => tier === "memory")?.counters.misses ?? Number.NaN)

const contender = (name: string, reads: (workload: Workload, chain: Chain.Chain) => Opened): Contender => ({
  name,
  open: async (workload, directory) => {
    const scope = Effect.runSync(Scope.make())
    const chain = await Effect.runPromise(
      filled(workload, directory).pipe(Scope.provide(scope), Effect.provide(NodeFileSystem.layer))
    )
    const before = await Effect.runPromise(misses(chain))
    return {
      ...reads(workload, chain),
      end: async () => {
        const after = await Effect.runPromise(misses(chain))
        await Effect.runPromise(Scope.close(scope, Exit.void))
        if (after !== before) throw new Error(`${after - before} reads were no hits`)
      }
    }
  }
})

export const terrace: ReadonlyArray<Contender> = [
  contender("Terrace `chain.get`, in a program", (workload, chain) =>
    yielded(workload, { key, get: (key) => chain.get(key), bytes })
  ),
  contender("Terrace `chain.getOrMake`, in a program", (workload, chain) => {
    const producer = Effect.sync(notAHit)
    return yielded(workload, { key, get: (key) => chain.getOrMake(key, producer), bytes })
  }),
  contender("Terrace `Key.parse` and `chain.get`, in a program", (workload, chain) =>
    yielded(workload, { key: text, get: (text) => chain.get(parsed(text)), bytes })
  ),
  contender("Terrace `chain.get`, `runSync` each", (workload, chain) =>
    plain(workload, { key, get: (key) => Effect.runSync(chain.get(key)), bytes })
  ),
  contender("Terrace `chain.get`, `runPromise` each", (workload, chain) =>
    awaited(workload, { key, get: (key) => Effect.runPromise(chain.get(key)), bytes })
  )
]
