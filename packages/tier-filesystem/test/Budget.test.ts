import { assert, describe, it } from "@effect/vitest"
import type * as Tier from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import * as Fixtures from "@terrace/testkit/Fixtures"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs"
import * as FilesystemTier from "../src/FilesystemTier.ts"
import { DiskSpace } from "../src/internal/DiskSpace.ts"
import { blobFiles, directory, fresh, temporaryFiles, tier as tierIn } from "./support/Directory.ts"
import { layer, Watch } from "./support/WatchedFileSystem.ts"

const bytesOnDisk = (root: string): number =>
  blobFiles(root).reduce((sum, path) => sum + statSync(`${root}/${path}`).size, 0)

/** Waits for something that happens in the background, by letting it run. */
const eventually = (isSo: Effect.Effect<boolean>) =>
  Effect.gen(function* () {
    for (let turn = 0; turn < 100_000; turn++) {
      if (yield* isSo) return
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    }
    assert.fail("it did not happen")
  })

const isExact = (tier: Tier.Tier) => Effect.map(Effect.orDie(tier.usage), (usage) => usage.exact)

describe("a store with a budget", () => {
  it.effect("put - above `maxBytes` fails with NoSpace and loses nothing; removal makes room", () =>
    Effect.gen(function* () {
      const { root, tier } = yield* fresh({ role: "store", maxBytes: 10_000 })
      const first = Fixtures.blob({ group: "first", size: 6_000 })
      const second = Fixtures.blob({ group: "second", size: 6_000 })
      yield* tier.put(first)
      const failure = yield* Effect.flip(tier.put(second))
      assert.strictEqual(failure.reason._tag, "NoSpace")
      assert.isFalse(failure.isUnknownOutcome)
      assert.deepEqual(temporaryFiles(root), [])
      assert.strictEqual((yield* tier.get(first.header.key))._tag, "Hit")
      yield* tier.remove(first.header.key, 1)
      assert.strictEqual((yield* tier.put(second))._tag, "Stored")
      assert.deepEqual(yield* tier.usage, { bytes: bytesOnDisk(root), entries: 1, limit: 10_000, exact: true })
    })
  )

  it.effect("put - over a blob is charged the difference; one that does not fit leaves the old blob", () =>
    Effect.gen(function* () {
      const { root, tier } = yield* fresh({ role: "store", maxBytes: 10_000 })
      yield* tier.put(Fixtures.blob({ size: 9_000, generation: 1 }))
      const tooLarge = Fixtures.blob({ size: 12_000, generation: 2 })
      assert.strictEqual((yield* Effect.flip(tier.put(tooLarge))).reason._tag, "NoSpace")
      const found = yield* tier.get(tooLarge.header.key)
      assert.strictEqual(found._tag === "Hit" ? found.blob.header.generation : 0, 1)
      assert.strictEqual((yield* tier.put(Fixtures.blob({ size: 9_100, generation: 3 })))._tag, "Stored")
      assert.strictEqual((yield* tier.put(Fixtures.blob({ size: 100, generation: 4 })))._tag, "Stored")
      assert.strictEqual((yield* tier.usage).bytes, bytesOnDisk(root))
    })
  )

  it.effect("put - keeps the budget when the blob that it replaces goes, and its room is taken, meanwhile", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const watch = new Watch()
      const tier = yield* FilesystemTier.make({ root, role: "store", maxBytes: 10_000, minFreeBytes: 0 }).pipe(
        Effect.provide(layer(watch))
      )
      const old = Fixtures.blob({ size: 8_000, generation: 1 })
      yield* tier.put(old)
      const writing = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      watch.before = (call) =>
        call === "sync temporary"
          ? Effect.andThen(Deferred.succeed(writing, undefined), Deferred.await(goOn))
          : Effect.void
      const overwrite = yield* Effect.forkChild(Effect.result(tier.put(Fixtures.blob({ size: 8_500, generation: 2 }))))
      yield* Deferred.await(writing)
      watch.before = () => Effect.void
      yield* tier.remove(old.header.key, 1)
      yield* tier.put(Fixtures.blob({ group: "other", size: 5_000 }))
      yield* Deferred.succeed(goOn, undefined)
      const result = yield* Fiber.join(overwrite)
      assert.strictEqual(result._tag === "Failure" ? result.failure.reason._tag : "Stored", "NoSpace")
      assert.isAtMost(bytesOnDisk(root), 10_000)
      assert.deepEqual(temporaryFiles(root), [])
    })
  )

  it.effect("put - many at once never exceed the budget", () =>
    Effect.gen(function* () {
      const { root, tier } = yield* fresh({ role: "store", maxBytes: 50_000 })
      const results = yield* Effect.forEach(
        Array.from({ length: 40 }, (_, index) => Fixtures.blob({ group: `g${index}`, size: 4_000 })),
        (blob) => Effect.result(tier.put(blob)),
        { concurrency: "unbounded" }
      )
      const stored = results.filter((result) => result._tag === "Success").length
      assert.strictEqual(stored, Math.floor(50_000 / (bytesOnDisk(root) / stored)))
      assert.isAtMost(bytesOnDisk(root), 50_000)
      assert.deepEqual(yield* tier.usage, { bytes: bytesOnDisk(root), entries: stored, limit: 50_000, exact: true })
    })
  )

  it.effect("put - leaves `minFreeBytes` on the device, counting writes under way", () =>
    Effect.gen(function* () {
      const root = yield* directory
      let free = 100_000
      const tier = yield* tierIn({ root, role: "store", minFreeBytes: 90_000 }).pipe(
        Effect.provideService(DiskSpace, () => Effect.sync(() => free))
      )
      const [one, two] = yield* Effect.forEach(
        ["one", "two"],
        (group) => Effect.result(tier.put(Fixtures.blob({ group, size: 6_000 }))),
        { concurrency: 2 }
      )
      assert.deepEqual([one?._tag, two?._tag].sort(), ["Failure", "Success"])
      free = 90_000
      assert.strictEqual((yield* Effect.flip(tier.put(Fixtures.blob({ size: 1 })))).reason._tag, "NoSpace")
      free = 110_000
      assert.strictEqual((yield* tier.put(Fixtures.blob({ size: 1 })))._tag, "Stored")
    })
  )

  it.effect("a device that does not tell its free space is written to", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const tier = yield* tierIn({ root, role: "store", minFreeBytes: 90_000 }).pipe(
        Effect.provideService(DiskSpace, () => Effect.succeed(undefined))
      )
      assert.strictEqual((yield* tier.put(Fixtures.blob()))._tag, "Stored")
    })
  )
})

describe("a cache with a budget", () => {
  const blobs = Array.from({ length: 12 }, (_, index) => Fixtures.blob({ group: `g${index}`, size: 10_000 }))

  it.effect("put - above the budget drops what was read longest ago, down to the low mark", () =>
    Effect.gen(function* () {
      const { root, tier } = yield* fresh({ role: "cache", maxBytes: 110_000, softMark: 1, lowMark: 0.5 })
      for (const blob of blobs.slice(0, 10)) yield* tier.put(blob)
      for (const path of blobFiles(root)) {
        const index = Number(/g(\d+)~/.exec(path)?.[1])
        utimesSync(`${root}/${path}`, 1_000, index === 3 ? 9_000 : 1_000 + index)
      }
      assert.strictEqual((yield* tier.put(blobs[11] ?? assert.fail()))._tag, "Stored")
      const kept = blobFiles(root).map((path) => Number(/g(\d+)~/.exec(path)?.[1]))
      assert.sameMembers(kept, [3, 6, 7, 8, 9, 11])
      assert.isAtMost(bytesOnDisk(root), 110_000)
      assert.strictEqual((yield* tier.usage).bytes, bytesOnDisk(root))
      assert.isAbove((yield* tier.stats).evicted, 0)
    })
  )

  it.effect("evictions - counts what was dropped to make room, and nothing that went otherwise", () =>
    Effect.gen(function* () {
      const { root, tier } = yield* fresh({ role: "cache", maxBytes: 110_000, softMark: 1, lowMark: 0.5 })
      for (const blob of blobs.slice(0, 10)) yield* tier.put(blob)
      yield* tier.put(Fixtures.blob({ group: "g0", size: 10_000, generation: 2 }))
      yield* tier.remove((blobs[1] ?? assert.fail()).header.key, 1)
      yield* tier.put(Fixtures.blob({ group: "passing", expiresAt: 1_000 }))
      yield* TestClock.setTime(1_000)
      yield* tier.sweep
      yield* tier.put(blobs[1] ?? assert.fail())
      assert.strictEqual(blobFiles(root).length, 10)
      assert.strictEqual(tier.evictions?.(), 0)

      yield* tier.put(blobs[11] ?? assert.fail())

      assert.strictEqual(tier.evictions?.(), 11 - blobFiles(root).length)
      assert.strictEqual(tier.evictions?.(), (yield* tier.stats).evicted)
      const store = yield* fresh({ role: "store" })
      assert.isUndefined(store.tier.evictions)
    })
  )

  it.effect("put - above the soft mark is stored at once; eviction runs behind it", () =>
    Effect.gen(function* () {
      const { root, tier } = yield* fresh({ role: "cache", maxBytes: 110_000, softMark: 0.9, lowMark: 0.5 })
      for (const blob of blobs.slice(0, 10)) yield* tier.put(blob)
      yield* eventually(Effect.map(Effect.orDie(tier.usage), (usage) => usage.bytes <= 55_000))
      assert.strictEqual((yield* tier.usage).bytes, bytesOnDisk(root))
      assert.strictEqual((yield* tier.get((blobs[9] ?? assert.fail()).header.key))._tag, "Hit")
    })
  )

  it.effect("put - a thousand blobs keep the budget, and none is torn", () =>
    Effect.gen(function* () {
      const { root, tier } = yield* fresh({ role: "cache", maxBytes: 200_000 })
      yield* Effect.forEach(
        Array.from({ length: 1_000 }, (_, index) => Fixtures.blob({ group: `g${index}`, size: 3_000 })),
        (blob) => tier.put(blob),
        { concurrency: 16, discard: true }
      )
      assert.isAtMost(bytesOnDisk(root), 200_000)
      assert.isAbove(bytesOnDisk(root), 100_000)
      yield* tier.sweep
      assert.strictEqual((yield* tier.usage).bytes, bytesOnDisk(root))
      assert.strictEqual((yield* tier.stats).quarantined, 0)
    })
  )

  it.effect("put - of a large cache drops mostly what is cold, and nothing that was just read", () =>
    Effect.gen(function* () {
      const { root, tier } = yield* fresh({ role: "cache", maxBytes: 400_000, softMark: 1, lowMark: 0.6 })
      const count = 600
      for (let index = 0; index < count; index++) {
        yield* tier.put(Fixtures.blob({ group: `g${index}`, size: 300 }))
      }
      const indexOf = (path: string) => Number(/g(\d+)~/.exec(path)?.[1])
      for (const path of blobFiles(root)) utimesSync(`${root}/${path}`, 1_000, 1_000 + indexOf(path))
      yield* tier.put(Fixtures.blob({ group: "large", size: 400_000 - bytesOnDisk(root) }))
      const kept = new Set(blobFiles(root).map(indexOf))
      const evicted = Array.from({ length: count }, (_, index) => index).filter((index) => !kept.has(index))
      assert.isAbove(evicted.length, 100)
      const hottest = evicted.filter((index) => index > count * 0.8).length
      assert.isBelow(hottest / evicted.length, 0.05)
    })
  )

  it.effect("put - of a blob that can never fit is declined, and what was there stays", () =>
    Effect.gen(function* () {
      const { root, tier } = yield* fresh({ role: "cache", maxBytes: 20_000 })
      yield* tier.put(Fixtures.blob({ size: 1_000 }))
      const limit = tier.capabilities.maxBytes ?? 0
      assert.deepEqual(yield* tier.put(Fixtures.blob({ generation: 2, size: limit + 1 })), {
        _tag: "Declined",
        why: "too-large"
      })
      assert.strictEqual(blobFiles(root).length, 1)
      assert.strictEqual((yield* tier.put(Fixtures.blob({ generation: 2, size: limit })))._tag, "Stored")
    })
  )

  it.effect("put - on a device below `minFreeBytes` evicts, and fails with NoSpace if that does not help", () =>
    Effect.gen(function* () {
      const root = yield* directory
      let used = 0
      const tier = yield* tierIn({ root, role: "cache", minFreeBytes: 40_000 }).pipe(
        Effect.provideService(DiskSpace, () => Effect.sync(() => 100_000 - used - bytesOnDisk(root)))
      )
      for (const blob of blobs) assert.strictEqual((yield* tier.put(blob))._tag, "Stored")
      assert.isAtLeast(100_000 - bytesOnDisk(root), 40_000)
      used = 70_000
      assert.strictEqual(
        (yield* Effect.flip(
          tier.put(blobs[0] ?? assert.fail()).pipe(Effect.andThen(tier.put(Fixtures.blob({ group: "new" }))))
        )).reason._tag,
        "NoSpace"
      )
    })
  )

  it.effect("put - an eviction that fails does not fail the put that fits", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const watch = new Watch()
      const tier = yield* FilesystemTier.make({
        root,
        role: "cache",
        maxBytes: 60_000,
        softMark: 0.5,
        minFreeBytes: 0,
        lowMark: 0.4
      }).pipe(Effect.provide(layer(watch)))
      watch.fault = (call) => (call === "remove blob" ? "EIO" : undefined)
      for (const blob of blobs.slice(0, 5)) assert.strictEqual((yield* tier.put(blob))._tag, "Stored")
      assert.strictEqual((yield* Effect.flip(tier.put(blobs[6] ?? assert.fail()))).reason._tag, "NoSpace")
    })
  )
})

describe("usage", () => {
  const seed = (root: string) =>
    Effect.scoped(
      Effect.gen(function* () {
        const tier = yield* tierIn({ root, role: "store" })
        for (let index = 0; index < 20; index++) yield* tier.put(Fixtures.blob({ group: `g${index}`, size: 1_000 }))
        return yield* tier.usage
      })
    )

  it.effect("is exact at once after a clean end, without a look at any directory", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const before = yield* seed(root)
      const watch = new Watch()
      const tier = yield* FilesystemTier.make({ root, role: "store" }).pipe(Effect.provide(layer(watch)))
      assert.deepEqual(yield* tier.usage, before)
      assert.isTrue(before.exact)
      assert.notInclude(watch.calls, "readdir outer")
      assert.notInclude(watch.calls, "readdir inner")
    })
  )

  it.effect("is an estimate after a crash, until the blobs are counted behind the start", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const before = yield* seed(root)
      writeFileSync(
        `${root}/usage.json`,
        JSON.stringify({ version: 1, role: "store", bytes: 77, entries: 7, clean: false })
      )
      const tier = yield* tierIn({ root, role: "store" })
      assert.deepInclude(yield* tier.usage, { bytes: 77, exact: false })
      yield* eventually(isExact(tier))
      assert.deepEqual(yield* tier.usage, before)
    })
  )

  for (const content of ["", "{}", "null", `{"version":1,"role":"store","bytes":-5,"entries":1,"clean":true}`]) {
    it.effect(`a store without a usable usage.json (${JSON.stringify(content)}) counts before it judges a put`, () =>
      Effect.gen(function* () {
        const root = yield* directory
        const before = yield* seed(root)
        writeFileSync(`${root}/usage.json`, content)
        const tier = yield* tierIn({ root, role: "store", maxBytes: before.bytes + 500 })
        assert.strictEqual(
          (yield* Effect.flip(tier.put(Fixtures.blob({ group: "new", size: 600 })))).reason._tag,
          "NoSpace"
        )
        assert.strictEqual((yield* tier.put(Fixtures.blob({ group: "new", size: 1 })))._tag, "Stored")
      })
    )
  }

  it.effect("a count is exact although blobs come and go meanwhile", () =>
    Effect.gen(function* () {
      const root = yield* directory
      yield* seed(root)
      rmSync(`${root}/usage.json`)
      const tier = yield* tierIn({ root, role: "store" })
      yield* Effect.all(
        [
          Effect.forEach(Array.from({ length: 6 }), () => tier.sweep, { discard: true }),
          Effect.forEach(
            Array.from({ length: 300 }, (_, index) => index),
            (index): Effect.Effect<unknown, TierError> =>
              index % 3 === 2
                ? tier.removeGroup(`g${index - 1}`, 10)
                : tier.put(Fixtures.blob({ group: `g${index}`, size: 100 + index, generation: 5 })),
            { concurrency: 4, discard: true }
          )
        ],
        { concurrency: 2 }
      )
      yield* eventually(isExact(tier))
      assert.deepInclude(yield* tier.usage, { bytes: bytesOnDisk(root), entries: blobFiles(root).length, exact: true })
    })
  )

  it.effect("is saved while the tier runs, as an estimate", () =>
    Effect.gen(function* () {
      const { root, tier } = yield* fresh({ role: "store" })
      yield* tier.put(Fixtures.blob())
      yield* TestClock.adjust("2 minutes")
      const saved = (): unknown => JSON.parse(readFileSync(`${root}/usage.json`, "utf8"))
      yield* eventually(Effect.sync(() => JSON.stringify(saved()).includes(`"bytes":${bytesOnDisk(root)}`)))
      assert.deepInclude(saved(), { clean: false, entries: 1 })
    })
  )
})

describe("sweep", () => {
  it.effect("removes expired blobs and keeps the others", () =>
    Effect.gen(function* () {
      const { root, tier } = yield* fresh({ role: "store" })
      for (let index = 0; index < 10; index++) {
        yield* tier.put(Fixtures.blob({ group: `g${index}`, expiresAt: index % 2 === 0 ? 1_000 : 5_000 }))
      }
      yield* TestClock.setTime(1_000)
      yield* tier.sweep
      assert.strictEqual(blobFiles(root).length, 5)
      assert.deepInclude(yield* tier.usage, { bytes: bytesOnDisk(root), entries: 5, exact: true })
      assert.strictEqual((yield* tier.stats).expired, 5)
    })
  )

  it.effect("runs a minute after the start and every `sweepEvery`", () =>
    Effect.gen(function* () {
      const { root, tier } = yield* fresh({ role: "store", sweepEvery: "1 hour" })
      yield* tier.put(Fixtures.blob({ group: "soon", expiresAt: 1_000 }))
      yield* tier.put(Fixtures.blob({ group: "later", expiresAt: 600_000 }))
      yield* TestClock.setTime(61_000)
      yield* eventually(Effect.sync(() => blobFiles(root).length === 1))
      yield* eventually(isExact(tier))
      yield* eventually(Effect.map(TestClock.adjust("1 hour"), () => blobFiles(root).length === 0))
    })
  )

  it.effect("of a cache removes what nobody has read for `maxAge`; of a store never", () =>
    Effect.gen(function* () {
      for (const role of ["cache", "store"] as const) {
        const { root, tier } = yield* fresh({ role, maxAge: "1 day" })
        const now = 1_800_000_000
        yield* TestClock.setTime(now * 1_000)
        yield* tier.put(Fixtures.blob({ group: "read" }))
        yield* tier.put(Fixtures.blob({ group: "unread" }))
        for (const path of blobFiles(root)) {
          const age = path.includes("unread") ? 86_401 : 80_000
          utimesSync(`${root}/${path}`, now - age, now - age)
        }
        yield* tier.sweep
        assert.strictEqual(blobFiles(root).length, role === "cache" ? 1 : 2)
      }
    })
  )

  it.effect("removes temporary files of dead writers, keeps those of living ones", () =>
    Effect.gen(function* () {
      const now = 1_800_000_000
      yield* TestClock.setTime(now * 1_000)
      for (const role of ["cache", "store"] as const) {
        const root = yield* directory
        mkdirSync(`${root}/ab/cd`, { recursive: true })
        const plant = (path: string, age: number) => {
          writeFileSync(`${root}/${path}`, "half a blob")
          utimesSync(`${root}/${path}`, now - age, now - age)
        }
        plant("ab/cd/.tmp-0011223344556677-1", 10)
        plant("ab/cd/.tmp-0011223344556677-2", 4_000)
        plant(".tmp-0011223344556677-3", 4_000)
        const tier = yield* tierIn({ root, role })
        yield* tier.sweep
        assert.deepEqual(temporaryFiles(root), role === "cache" ? ["ab/cd/.tmp-0011223344556677-1"] : [])
        assert.strictEqual((yield* Stream.runCollect(tier.scan())).length, 0)
      }
    })
  )

  it.effect("closing the scope stops a sweep", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const scope = yield* Scope.make()
      const tier = yield* Scope.provide(tierIn({ root, role: "cache" }), scope)
      yield* tier.put(Fixtures.blob())
      const sweep = yield* Effect.forkChild(Effect.result(tier.sweep), { startImmediately: true })
      yield* Scope.close(scope, Exit.void)
      assert.isDefined(sweep)
      assert.strictEqual((yield* Effect.flip(tier.sweep)).reason._tag, "Unavailable")
    })
  )
})
