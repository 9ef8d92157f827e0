import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Fixtures from "@terrace/testkit/Fixtures"
import * as Deferred from "effect/Deferred"
import type { TierError } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync
} from "node:fs"
import { hostname } from "node:os"
import * as FilesystemTier from "../src/FilesystemTier.ts"
import * as LockFile from "../src/internal/LockFile.ts"
import * as ProcessIdentity from "../src/internal/ProcessIdentity.ts"
import * as Child from "./support/Child.ts"
import { directory, tier as tierIn } from "./support/Directory.ts"
import { layer, Watch } from "./support/WatchedFileSystem.ts"

const blob = Fixtures.blob()

const refusal = (options: FilesystemTier.Options) =>
  Effect.map(Effect.flip(Effect.scoped(tierIn(options))), (error) => {
    assert.instanceOf(error, FilesystemTier.StartError)
    return error
  })

const lockFiles = (root: string): ReadonlyArray<string> => readdirSync(root).filter((name) => name.startsWith("lock"))

/** The lock of another holder, written so many seconds ago. */
const plant = (root: string, change: Partial<ProcessIdentity.ProcessIdentity>, secondsAgo: number) =>
  Effect.map(ProcessIdentity.own, (own) => {
    const path = `${root}/lock`
    writeFileSync(path, ProcessIdentity.encode({ ...own, ...change }))
    const then = Date.now() / 1_000 - secondsAgo
    utimesSync(path, then, then)
  })

/** Lets a fiber go on through its file calls and sleeps until it has ended; `meanwhile` runs between them. */
const driven = <A, E>(fiber: Fiber.Fiber<A, E>, meanwhile: Effect.Effect<void> = Effect.void) =>
  Effect.gen(function* () {
    while (fiber.pollUnsafe() === undefined) {
      yield* meanwhile
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      yield* TestClock.adjust("100 millis")
    }
    return yield* Fiber.join(fiber)
  })

describe("the lock of a store", () => {
  it.effect("refuses a second tier of this process, and is given back when the first ends", () =>
    Effect.gen(function* () {
      const root = yield* directory
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* tierIn({ root, role: "store" })
          const error = yield* refusal({ root, role: "store" })
          assert.strictEqual(error.reason, "in-use")
          assert.strictEqual(error.holder?.pid, process.pid)
          assert.strictEqual(error.holder?.host, hostname())
        })
      )
      assert.deepEqual(lockFiles(root), [])
      yield* tierIn({ root, role: "store" })
      assert.deepEqual(lockFiles(root), ["lock"])
    })
  )

  it.live("refuses a second process, names it and says what to do; takes over when it was killed", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const child = yield* Child.start("lock-holder.ts", root)
      yield* child.printed(1)
      assert.deepEqual(child.lines, ["held"])

      const error = yield* refusal({ root, role: "store" })
      assert.strictEqual(error.reason, "in-use")
      assert.deepInclude(error.holder, { pid: child.process.pid ?? 0, host: hostname() })
      assert.include(error.message, `process ${child.process.pid} on ${hostname()}`)
      assert.match(error.message, /since \d{4}-\d\d-\d\dT/)
      assert.include(error.message, "stop that process")

      yield* child.kill
      const tier = yield* tierIn({ root, role: "store" })
      assert.strictEqual((yield* tier.put(blob))._tag, "Stored")
    })
  )

  it.live("of a dead holder goes to one of several contenders", () =>
    Effect.gen(function* () {
      const root = yield* directory
      for (let round = 0; round < 3; round++) {
        yield* plant(root, { pid: 4_194_303, nonce: `00000000000000${round}0` }, 5)
        if (round === 1)
          writeFileSync(
            `${root}/lock.claim-0000000000000010`,
            readFileSync(`${root}/lock`, "utf8").replace("0000000000000010", "1111111111111111")
          )
        yield* Effect.scoped(
          Effect.gen(function* () {
            const children = yield* Effect.forEach(
              Array.from({ length: 4 }),
              () => Child.start("lock-holder.ts", root),
              {
                concurrency: "unbounded"
              }
            )
            yield* Effect.forEach(children, (child) => child.printed(1), { concurrency: "unbounded" })
            const answers = children.map((child) => child.lines[0]).sort()
            assert.deepEqual(answers, ["held", "refused: in-use", "refused: in-use", "refused: in-use"])
          })
        )
        rmSync(`${root}/lock`)
        assert.deepEqual(lockFiles(root), [])
      }
    })
  )

  it.effect("of many contenders in one process goes to one", () =>
    Effect.gen(function* () {
      const root = yield* directory
      for (let round = 0; round < 20; round++) {
        yield* plant(root, { pid: 4_194_303, nonce: `0000000000000${100 + round}` }, 5)
        const outcomes = yield* Effect.forEach(
          Array.from({ length: 8 }),
          () =>
            Effect.gen(function* () {
              const fs = yield* FileSystem.FileSystem
              const self = yield* ProcessIdentity.own
              return yield* LockFile.acquire(fs, `${root}/lock`, self)
            }).pipe(Effect.provide(NodeFileSystem.layer)),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(outcomes.filter((outcome) => outcome._tag === "Held").length, 1)
        assert.deepEqual(lockFiles(root), ["lock"])
      }
    })
  )

  it.effect("is not taken by a contender who judged its holder before another one took over", () =>
    Effect.gen(function* () {
      const root = yield* directory
      yield* plant(root, { pid: 4_194_303, nonce: "00112233445566ff" }, 5)
      const watch = new Watch()
      const judged = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      let links = 0
      watch.before = (call) =>
        call === "link lock" && ++links === 2
          ? Effect.andThen(Deferred.succeed(judged, undefined), Deferred.await(goOn))
          : Effect.void
      const late = yield* Effect.forkChild(
        Effect.result(FilesystemTier.make({ root, role: "store" }).pipe(Effect.provide(layer(watch))))
      )
      yield* Deferred.await(judged)
      const tier = yield* tierIn({ root, role: "store" })
      const content = readFileSync(`${root}/lock`, "utf8")

      yield* Deferred.succeed(goOn, undefined)

      const result = yield* Fiber.join(late)
      assert.strictEqual(result._tag === "Failure" ? result.failure.reason : "started", "in-use")
      assert.strictEqual(readFileSync(`${root}/lock`, "utf8"), content)
      assert.deepEqual(lockFiles(root), ["lock"])
      assert.strictEqual((yield* tier.put(blob))._tag, "Stored")
    })
  )

  it.effect("is taken from a process that had our id, or whose id another one has now", () =>
    Effect.gen(function* () {
      const root = yield* directory
      for (const pid of [process.pid, process.ppid]) {
        yield* plant(root, { pid, processStart: "1", nonce: "00112233445566ff" }, 0)
        yield* Effect.scoped(tierIn({ root, role: "store" }))
      }
    })
  )

  it.effect("of another machine is taken when its heartbeat is 30 seconds old", () =>
    Effect.gen(function* () {
      const root = yield* directory
      yield* plant(root, { host: "elsewhere", nonce: "00112233445566ff" }, 31)
      yield* tierIn({ root, role: "store" })
    })
  )

  for (const [what, change] of [
    ["machine", { host: "elsewhere" }],
    ["boot", { bootId: "another" }],
    ["container", { pidNamespace: "pid:[1]" }]
  ] as const) {
    it.effect(`of another ${what} is watched: a heartbeat refuses, silence gives it away`, () =>
      Effect.gen(function* () {
        const root = yield* directory
        yield* plant(root, { ...change, nonce: "00112233445566ff" }, 10)
        const first = yield* Effect.forkChild(refusal({ root, role: "store" }))
        const beat = plant(root, { ...change, nonce: "00112233445566ff" }, 0)
        assert.strictEqual((yield* driven(first, beat)).reason, "in-use")

        const second = yield* Effect.forkChild(Effect.scoped(tierIn({ root, role: "store" })))
        yield* driven(second)
        assert.deepEqual(lockFiles(root), [])
      })
    )
  }

  it.effect("that nobody can read is taken once it is old", () =>
    Effect.gen(function* () {
      const root = yield* directory
      for (const content of ["", "{", `{"pid":1,"nonce":"../../etc"}`]) {
        writeFileSync(`${root}/lock`, content)
        utimesSync(`${root}/lock`, 1_000, 1_000)
        yield* Effect.scoped(tierIn({ root, role: "store" }))
      }
      writeFileSync(`${root}/lock`, "")
      const waiting = yield* Effect.forkChild(Effect.scoped(tierIn({ root, role: "store" })))
      yield* driven(waiting)
    })
  )

  it.effect("when lost stops writes, and misses prove nothing; reads go on", () =>
    Effect.gen(function* () {
      for (const lose of [
        (root: string) => rmSync(`${root}/lock`),
        (root: string) => writeFileSync(`${root}/lock`, "somebody else")
      ]) {
        const root = yield* directory
        const tier = yield* tierIn({ root, role: "store" })
        yield* tier.put(blob)
        lose(root)
        yield* TestClock.adjust("1 minute")

        const failure = yield* Effect.flip(tier.put(Fixtures.blob({ generation: 2 })))
        assert.strictEqual(failure.reason._tag, "Unavailable")
        assert.include(failure.message, "lock")
        assert.strictEqual((yield* Effect.flip(tier.remove(blob.header.key, 1))).reason._tag, "Unavailable")
        assert.strictEqual((yield* tier.get(blob.header.key))._tag, "Hit")
        const missing = Fixtures.blob({ group: "missing" }).header.key
        assert.strictEqual((yield* Effect.flip(tier.get(missing))).reason._tag, "Unavailable")
      }
    })
  )

  it.effect("that another one has taken is not removed at the end", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const scope = yield* Scope.make()
      yield* Scope.provide(tierIn({ root, role: "store" }), scope)
      yield* plant(root, { pid: 1, nonce: "00112233445566ff" }, 0)
      yield* Scope.close(scope, Exit.void)
      assert.deepEqual(lockFiles(root), ["lock"])
    })
  )

  it.effect("works on file systems without hard links", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const watch = new Watch()
      watch.fault = (call) => (call.startsWith("link") ? "EPERM" : undefined)
      const start = FilesystemTier.make({ root, role: "store" }).pipe(Effect.provide(layer(watch)))
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* start
          assert.strictEqual((yield* Effect.flip(start)).reason, "in-use")
        })
      )
      yield* plant(root, { pid: 4_194_303, nonce: "00112233445566ff" }, 5)
      yield* start
      assert.deepEqual(lockFiles(root), ["lock"])
    })
  )

  it.effect("a vanished root is not made again: writes and misses are errors", () =>
    Effect.gen(function* () {
      const parent = yield* directory
      const root = `${parent}/mount`
      const tier = yield* tierIn({ root, role: "store" })
      yield* tier.put(blob)
      rmSync(root, { recursive: true })
      assert.strictEqual((yield* Effect.flip(tier.get(blob.header.key))).reason._tag, "Unavailable")
      assert.strictEqual((yield* Effect.flip(tier.put(blob))).reason._tag, "Unavailable")
      assert.isFalse(existsSync(root))
    })
  )

  it.effect(
    "of a cache neither: while it is out of reach nothing is said to be absent, and nothing to be removed",
    () =>
      Effect.gen(function* () {
        const parent = yield* directory
        const root = `${parent}/mount`
        const tier = yield* tierIn({ root, role: "cache" })
        yield* tier.put(blob)
        const { key } = blob.header
        renameSync(root, `${parent}/away`)
        for (const inItsPlace of [() => undefined, () => writeFileSync(root, "")]) {
          inItsPlace()
          const calls: ReadonlyArray<Effect.Effect<unknown, TierError>> = [
            tier.get(key),
            tier.head(key),
            tier.remove(key, 9),
            tier.removeGroup(key.group, 9)
          ]
          for (const call of calls) assert.strictEqual((yield* Effect.flip(call)).reason._tag, "Unavailable")
        }
        rmSync(root)
        renameSync(`${parent}/away`, root)

        assert.strictEqual((yield* tier.get(key))._tag, "Hit")
        assert.strictEqual((yield* tier.remove(key, 9))._tag, "Removed")
      })
  )
})

describe("start", () => {
  it.effect("makes the root with its parents", () =>
    Effect.gen(function* () {
      const parent = yield* directory
      const tier = yield* tierIn({ root: `${parent}/a/b/c`, role: "store" })
      assert.strictEqual((yield* tier.put(blob))._tag, "Stored")
    })
  )

  it.effect("refuses a file where a directory is expected, at the root or on the way", () =>
    Effect.gen(function* () {
      const parent = yield* directory
      writeFileSync(`${parent}/file`, "")
      for (const root of [`${parent}/file`, `${parent}/file/below`]) {
        for (const role of ["store", "cache"] as const) {
          const error = yield* refusal({ root, role })
          assert.strictEqual(error.reason, "not-a-directory")
          assert.include(error.message, root)
        }
      }
    })
  )

  for (const [code, reason] of [
    ["EACCES", "not-writable"],
    ["EROFS", "not-writable"],
    ["ENOSPC", "no-space"],
    ["EIO", "unavailable"]
  ] as const) {
    it.effect(`says what is wrong and what to do when the root answers ${code}`, () =>
      Effect.gen(function* () {
        for (const role of ["store", "cache"] as const) {
          const root = yield* directory
          const watch = new Watch()
          watch.fault = (call) => (call.startsWith("open") ? code : undefined)
          const error = yield* Effect.flip(
            Effect.scoped(FilesystemTier.make({ root, role }).pipe(Effect.provide(layer(watch))))
          )
          assert.strictEqual(error.reason, reason)
          assert.include(error.message, root)
          assert.include(error.message, code)
          if (reason === "not-writable") assert.match(error.message, /user .*uid \d+/)
          assert.deepEqual(readdirSync(root), [])
        }
      })
    )
  }

  it.effect("refuses impossible options, naming the setting and an example", () =>
    Effect.gen(function* () {
      const root = "/nowhere"
      const impossible: ReadonlyArray<FilesystemTier.Options> = [
        { root: "", role: "cache" },
        { root, role: "cache", maxBytes: 0 },
        { root, role: "cache", maxBytes: 1.5 },
        { root, role: "cache", minFreeBytes: -1 },
        { root, role: "cache", inlineBelow: Number.NaN },
        { root, role: "cache", softMark: 1.5 },
        { root, role: "cache", lowMark: 0.99 },
        { root, role: "cache", sweepEvery: 0 }
      ]
      for (const options of impossible) {
        const error = yield* refusal(options)
        assert.strictEqual(error.reason, "invalid-option")
        assert.match(error.message, /for example|up to/)
      }
    })
  )

  it.effect("refuses a cache on the directory of a store; two caches may share one", () =>
    Effect.gen(function* () {
      const root = yield* directory
      yield* Effect.scoped(tierIn({ root, role: "store" }))
      assert.strictEqual((yield* refusal({ root, role: "cache" })).reason, "in-use")

      const shared = yield* directory
      mkdirSync(`${shared}/x`)
      const one = yield* tierIn({ root: shared, role: "cache", name: "one" })
      const two = yield* tierIn({ root: shared, role: "cache", name: "two" })
      yield* one.put(blob)
      assert.strictEqual((yield* two.get(blob.header.key))._tag, "Hit")
    })
  )
})
