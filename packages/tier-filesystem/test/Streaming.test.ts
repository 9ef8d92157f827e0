import { assert, describe, it } from "@effect/vitest"
import type * as Blob from "@terrace/core/Blob"
import * as Body from "@terrace/core/Body"
import * as Chain from "@terrace/core/Chain"
import type { WriteError } from "@terrace/core/ChainError"
import { chunkBytes } from "@terrace/core/Header"
import type { Tier } from "@terrace/core/Tier"
import * as Fixtures from "@terrace/testkit/Fixtures"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { openSync, closeSync, writeSync } from "node:fs"
import * as FilesystemTier from "../src/FilesystemTier.ts"
import { blobFiles } from "./support/Directory.ts"
import * as Leaks from "./support/Leaks.ts"
import { layer, Watch } from "./support/WatchedFileSystem.ts"

const chunks = 16
const blob = Fixtures.blob({ size: chunks * chunkBytes - 1, contentType: "image/webp" })
const { key } = blob.header
const bytes = Fixtures.bytes(1, chunks * chunkBytes - 1)

const watched = (role: "store" | "cache") =>
  Effect.gen(function* () {
    const root = yield* Leaks.directory
    const watch = new Watch()
    const tier = yield* FilesystemTier.make({ name: role, root, role, minFreeBytes: 0 }).pipe(
      Effect.provide(layer(watch))
    )
    return { root, tier, watch, opened: () => watch.calls.filter((call) => call === "open blob").length }
  })

const chainOf = (cache: Tier, store: Tier) =>
  Chain.make({ name: "test", caches: [{ tier: cache }], store: { tier: store } })

/** cache → store on two directories; the store has the blob. */
const cacheAndStore = Effect.gen(function* () {
  const cache = yield* watched("cache")
  const store = yield* watched("store")
  yield* store.tier.put(blob)
  return { cache, store, chain: yield* chainOf(cache.tier, store.tier) }
})

const find = (chain: Chain.Chain) =>
  Effect.flatMap(chain.get(key), (found) =>
    found._tag === "Found" && found.blob.body._tag === "Streamed"
      ? Effect.succeed(found)
      : Effect.die(new Error("expected a streamed body"))
  )

const answeredBy = ({ trail }: Chain.Found) => trail.steps.findLast(({ outcome }) => outcome._tag === "Hit")?.tier

const readAll = (found: Blob.Blob) => Effect.map(Body.toBytes(found.body), (read) => Buffer.from(read))

/** Reads so many chunks, and leaves. */
const readSome = (found: Blob.Blob, count: number) =>
  Effect.map(Stream.runCollect(Stream.take(Body.toStream(found.body), count)), (runs) => Buffer.concat(runs))

const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkChild(effect, { startImmediately: true })

const flip = (path: string, position: number): void => {
  const file = openSync(path, "r+")
  writeSync(file, Uint8Array.of((bytes[position] ?? 0) ^ 0xff), 0, 1, position)
  closeSync(file)
}

const onlyFile = (root: string): string => `${root}/${blobFiles(root)[0] ?? assert.fail("no blob file")}`

/** Runs `use` with a chain of its own; when that is closed, nothing is under way any more. */
const withChain = <A, E>(
  { cache, store }: Pick<Effect.Success<typeof cacheAndStore>, "cache" | "store">,
  use: (chain: Chain.Chain) => Effect.Effect<A, E>
): Effect.Effect<A, E> => Effect.scoped(Effect.flatMap(chainOf(cache.tier, store.tier), use))

describe("a chain of a filesystem cache and a filesystem store", () => {
  it.effect("copies a large body on its way, and answers the next read without the store", () =>
    Effect.gen(function* () {
      const { cache, chain, store } = yield* cacheAndStore
      store.watch.clear()
      const first = yield* find(chain)
      assert.isTrue((yield* readAll(first.blob)).equals(bytes))
      yield* chain.idle
      assert.strictEqual(answeredBy(first), "store")
      // One look, one body.
      assert.strictEqual(store.opened(), 2)
      assert.strictEqual(blobFiles(cache.root).length, 1)

      store.watch.clear()
      cache.watch.clear()
      const second = yield* find(chain)
      assert.isTrue((yield* readAll(second.blob)).equals(bytes))
      assert.strictEqual(answeredBy(second), "cache")
      assert.deepStrictEqual([cache.opened(), store.opened()], [2, 0])
      assert.strictEqual(yield* Leaks.count, 0)
    })
  )

  it.effect("opens a file for each reader, and copies once", () =>
    Effect.gen(function* () {
      const { cache, chain, store } = yield* cacheAndStore
      const found = yield* find(chain)
      cache.watch.clear()
      store.watch.clear()
      const all = yield* Effect.all(
        Array.from({ length: 5 }, () => readAll(found.blob)),
        { concurrency: "unbounded" }
      )
      yield* chain.idle

      assert.isTrue(all.every((read) => read.equals(bytes)))
      assert.strictEqual(store.opened(), 5)
      assert.strictEqual(cache.watch.calls.filter((call) => call === "rename temporary").length, 1)
      assert.strictEqual(yield* Leaks.count, 0)
    })
  )

  it.effect("reads no more of the file than the chunks of a range, and does not copy them", () =>
    Effect.gen(function* () {
      const { chain, cache, store } = yield* cacheAndStore
      const found = yield* find(chain)
      if (found.blob.body._tag === "Inline") return assert.fail("expected a streamed body")
      store.watch.clear()
      const range = { start: 5 * chunkBytes - 10, end: 6 * chunkBytes + 10 }
      const runs = yield* Stream.runCollect(found.blob.body.open(range))
      yield* chain.idle

      assert.isTrue(Buffer.concat(runs).equals(bytes.subarray(range.start, range.end)))
      const reads = store.watch.calls.filter((call) => call === "read blob").length
      // The trailer takes one read, each chunk another one.
      assert.strictEqual(reads, 1 + 3)
      assert.deepStrictEqual(blobFiles(cache.root), [])
    })
  )

  it.effect("keeps nothing of what a reader leaves, at whichever chunk, and holds no file open", () =>
    Effect.gen(function* () {
      const made = yield* cacheAndStore
      for (const count of [1, 2, 8, 15]) {
        const read = yield* withChain(made, (chain) =>
          Effect.flatMap(find(chain), (found) => readSome(found.blob, count))
        )

        assert.isTrue(read.equals(bytes.subarray(0, count * chunkBytes)))
        assert.deepStrictEqual(blobFiles(made.cache.root), [])
        assert.strictEqual(yield* Leaks.count, 0)
      }
    })
  )

  for (const call of ["mkdir inner", "open temporary", "write temporary", "closed temporary", "rename temporary"]) {
    it.effect(`keeps a whole copy or none if the reader is interrupted when the cache comes to "${call}"`, () =>
      Effect.gen(function* () {
        const { cache, chain } = yield* cacheAndStore
        const reached = Deferred.makeUnsafe<void>()
        const gate = Deferred.makeUnsafe<void>()
        cache.watch.before = (made) =>
          made === call ? Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(gate)) : Effect.void
        const reading = yield* fork(readAll((yield* find(chain)).blob))
        yield* Deferred.await(reached)
        const leaving = yield* fork(Fiber.interrupt(reading))
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(leaving)
        yield* chain.idle
        cache.watch.before = () => Effect.void
        const found = yield* find(chain)

        assert.isTrue((yield* readAll(found.blob)).equals(bytes))
        yield* chain.idle
        assert.strictEqual(yield* Leaks.count, 0)
      })
    )
  }

  it.effect("gives all bytes to the reader when the cache's disk is full", () =>
    Effect.gen(function* () {
      const made = yield* cacheAndStore
      let writes = 0
      made.cache.watch.fault = (call) => (call === "write temporary" && ++writes === 6 ? "ENOSPC" : undefined)

      const read = yield* withChain(made, (chain) => Effect.flatMap(find(chain), (found) => readAll(found.blob)))

      assert.isTrue(read.equals(bytes))
      assert.deepStrictEqual(blobFiles(made.cache.root), [])
      assert.strictEqual(yield* Leaks.count, 0)
    })
  )

  for (const [name, write] of [
    [
      "put",
      (chain) => Effect.asVoid(chain.put(key, { bytes: Fixtures.bytes(2, 2_000_000), contentType: "image/webp" }))
    ],
    ["remove", (chain) => Effect.asVoid(chain.remove(key))],
    ["removeGroup", (chain) => Effect.asVoid(chain.removeGroup(key.group))]
  ] satisfies ReadonlyArray<readonly [string, (chain: Chain.Chain) => Effect.Effect<void, WriteError>]>) {
    it.effect(`never reads the old blob again after a ${name} in mid-stream, whose reader goes on to the end`, () =>
      Effect.gen(function* () {
        const { cache, chain } = yield* cacheAndStore
        const { body } = (yield* find(chain)).blob
        let seen = 0
        const read = yield* Stream.runCollect(
          Stream.tap(Body.toStream(body), () => (++seen === 9 ? Effect.orDie(write(chain)) : Effect.void))
        )
        yield* chain.idle

        assert.isTrue(Buffer.concat(read).equals(bytes))
        const cached = yield* cache.tier.get(key)
        assert.isTrue(cached._tag === "Miss" || (cached._tag === "Hit" && cached.blob.header.generation > 1))
        const now = yield* chain.get(key)
        assert.isTrue(
          name === "put" ? now._tag === "Found" && now.blob.header.size === 2_000_000 : now._tag === "NotFound"
        )
        assert.strictEqual(yield* Leaks.count, 0)
      })
    )
  }

  it.effect("goes on to the store when the first chunk in the cache is damaged, and fails when a later one is", () =>
    Effect.gen(function* () {
      const { cache, chain, store } = yield* cacheAndStore
      yield* cache.tier.put(blob)
      const early = yield* find(chain)
      assert.strictEqual(answeredBy(early), "cache")
      flip(onlyFile(cache.root), 100)
      assert.isTrue((yield* readAll(early.blob)).equals(bytes))
      assert.deepStrictEqual(blobFiles(cache.root), [])

      yield* cache.tier.put(blob)
      const late = yield* find(chain)
      flip(onlyFile(cache.root), 9 * chunkBytes)
      store.watch.clear()
      let delivered = 0
      const failure = yield* Effect.flip(
        Stream.runForEach(Body.toStream(late.blob.body), (run) => Effect.sync(() => (delivered += run.byteLength)))
      )
      assert.strictEqual(failure.reason._tag, "Corrupt")
      assert.strictEqual(delivered, 9 * chunkBytes)
      assert.strictEqual(store.opened(), 0)

      // The damaged file is gone: the next reader has the copy of the store, and leaves one in the cache.
      const next = yield* find(chain)
      assert.strictEqual(answeredBy(next), "store")
      assert.isTrue((yield* readAll(next.blob)).equals(bytes))
      yield* chain.idle
      assert.strictEqual(answeredBy(yield* find(chain)), "cache")
      assert.strictEqual(yield* Leaks.count, 0)
    })
  )

  it.effect("lets a reader finish when it is closed, and leaves no temporary file", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const made = yield* Scope.provide(cacheAndStore, scope)
      const { body } = (yield* find(made.chain)).blob
      let seen = 0
      const read = yield* Stream.runCollect(
        Stream.tap(Body.toStream(body), () => (++seen === 5 ? Scope.close(scope, Exit.void) : Effect.void))
      )

      assert.isTrue(Buffer.concat(read).equals(bytes))
      assert.strictEqual(yield* Leaks.count, 0)
    })
  )
})
