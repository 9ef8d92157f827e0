import { assert, describe, it } from "@effect/vitest"
import * as Body from "@terrace/core/Body"
import type * as Tier from "@terrace/core/Tier"
import * as Fixtures from "@terrace/testkit/Fixtures"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { readdirSync } from "node:fs"
import * as FilesystemTier from "../src/FilesystemTier.ts"
import { blobFiles, directory, temporaryFiles, tier as tierIn } from "./support/Directory.ts"
import { layer, Watch } from "./support/WatchedFileSystem.ts"

const watched = (watch: Watch, options: Omit<FilesystemTier.Options, "root">) =>
  Effect.gen(function* () {
    const root = yield* directory
    const tier = yield* FilesystemTier.make({ root, minFreeBytes: 0, ...options }).pipe(Effect.provide(layer(watch)))
    watch.clear()
    return { root, tier }
  })

const old = Fixtures.blob({ generation: 1, size: 3_000 })
const next = Fixtures.blob({ generation: 2, size: 4_000 })

const streamed = (blob: typeof old): typeof old => ({
  header: blob.header,
  body: Body.streamed(blob.header.size, () => Stream.rechunk(Body.toStream(blob.body), 1))
})

const bytesOf = (tier: Tier.Tier) =>
  Effect.flatMap(tier.get(old.header.key), (read) =>
    read._tag === "Hit" ? Body.toBytes(read.blob.body) : Effect.succeed(undefined)
  )

const changes = (watch: Watch) => watch.calls.filter((call) => /^(write|sync|rename|mkdir|remove)/.test(call))

describe("durability", () => {
  it.effect("put - flushes the file before the rename, then its directory, then the parents that are new", () =>
    Effect.gen(function* () {
      const watch = new Watch()
      const { tier } = yield* watched(watch, { role: "store" })

      yield* tier.put(old)
      assert.deepEqual(changes(watch), [
        "mkdir inner",
        "mkdir outer",
        "mkdir inner",
        "write temporary",
        "write temporary",
        "sync temporary",
        "rename temporary",
        "sync inner",
        "sync outer",
        "sync root"
      ])
      const written = watch.calls.lastIndexOf("closed temporary")
      assert.isTrue(written < watch.calls.indexOf("rename temporary"), "the file is closed before the rename")

      watch.clear()
      yield* tier.put(next)
      assert.deepEqual(changes(watch), [
        "write temporary",
        "write temporary",
        "sync temporary",
        "rename temporary",
        "sync inner"
      ])
    })
  )

  it.effect("put - with the durability `file` flushes the file only, with `none` nothing", () =>
    Effect.gen(function* () {
      for (const durability of ["file", "none"] as const) {
        const watch = new Watch()
        const { tier } = yield* watched(watch, { role: "cache", durability })
        yield* tier.put(old)
        assert.deepEqual(
          watch.calls.filter((call) => call.startsWith("sync")),
          durability === "file" ? ["sync temporary"] : []
        )
        assert.isFalse(tier.capabilities.durable)
      }
    })
  )

  it.effect("remove and removeGroup - flush the directory after the removal", () =>
    Effect.gen(function* () {
      const watch = new Watch()
      const { tier } = yield* watched(watch, { role: "store" })
      yield* tier.put(old)
      watch.clear()
      yield* tier.remove(old.header.key, 1)
      assert.deepEqual(changes(watch), ["remove blob", "sync inner"])
      yield* tier.put(next)
      watch.clear()
      yield* tier.removeGroup("fixture", 2)
      assert.deepEqual(changes(watch), ["remove blob", "sync inner"])
    })
  )

  it.effect("put - that finds its work done flushes what another call could not", () =>
    Effect.gen(function* () {
      const watch = new Watch()
      const { tier } = yield* watched(watch, { role: "store" })
      watch.fault = (call) => (call === "sync inner" ? "EIO" : undefined)
      const first = yield* Effect.flip(tier.put(old))
      assert.isTrue(first.isUnknownOutcome)
      const second = yield* Effect.flip(tier.put(old))
      assert.isTrue(second.isUnknownOutcome)

      watch.fault = () => undefined
      watch.clear()
      assert.strictEqual((yield* tier.put(old))._tag, "Stored")
      assert.deepEqual(changes(watch), ["sync inner", "sync outer", "sync root"])
      watch.clear()
      assert.strictEqual((yield* tier.put(old))._tag, "Stored")
      assert.deepEqual(changes(watch), [])
    })
  )

  const errnos = {
    ENOSPC: "NoSpace",
    EDQUOT: "NoSpace",
    EROFS: "Denied",
    EACCES: "Denied",
    EMFILE: "Unavailable",
    EIO: "Unavailable",
    EINVAL: "Unknown"
  } as const

  for (const [code, reason] of Object.entries(errnos)) {
    for (const [kind, blob] of [
      ["inline", next],
      ["streamed", streamed(next)]
    ] as const) {
      it.effect(
        `put - ${code} at any step of an ${kind} overwrite leaves the old blob, no file and no reservation`,
        () =>
          Effect.gen(function* () {
            const watch = new Watch()
            const { root, tier } = yield* watched(watch, { role: "store", maxBytes: 1_000_000 })
            yield* tier.put(old)
            const before = yield* tier.usage
            watch.clear()
            const probe = Fixtures.blob({ generation: 2, size: 4_000, group: "probe" })
            yield* tier.put(old)
            yield* tier.put(probe)
            yield* tier.remove(probe.header.key, 2)

            let committed = false
            for (let step = 0; !committed; step++) {
              watch.clear()
              let failed = ""
              watch.fault = (call, index) => {
                if (index !== step || call.startsWith("remove")) return undefined
                failed = call
                return code
              }
              const result = yield* Effect.result(tier.put(blob))
              watch.fault = () => undefined
              const isAfterRename = watch.calls.slice(0, step).includes("rename temporary")
              assert.deepEqual(temporaryFiles(root), [], `after ${failed}`)
              if (isAfterRename) {
                committed = true
                if (result._tag === "Failure") {
                  assert.strictEqual(result.failure.reason._tag, "Unavailable", `after ${failed}`)
                  assert.isTrue(result.failure.isUnknownOutcome)
                }
                assert.deepEqual(yield* bytesOf(tier), yield* Body.toBytes(next.body))
              } else {
                if (result._tag === "Success") assert.fail(`a failed ${failed} was not noticed`)
                assert.strictEqual(result.failure.reason._tag, reason, `after ${failed}`)
                assert.deepEqual(yield* bytesOf(tier), yield* Body.toBytes(old.body), `after ${failed}`)
                assert.deepEqual(yield* tier.usage, before, `after ${failed}`)
              }
            }
            assert.strictEqual((yield* tier.usage).bytes - before.bytes, 1_000)
            const filling = Fixtures.blob({ group: "filling", size: 1_000_000 - (yield* tier.usage).bytes - 600 })
            assert.strictEqual((yield* tier.put(filling))._tag, "Stored", "nothing stays reserved")
          })
      )
    }
  }

  it.effect("get - an errno is kept, a missing file is a Miss", () =>
    Effect.gen(function* () {
      const watch = new Watch()
      const { tier } = yield* watched(watch, { role: "store" })
      yield* tier.put(old)
      for (const [code, reason] of Object.entries(errnos)) {
        watch.fault = (call) => (call === "open blob" ? code : undefined)
        if (reason === "NoSpace") continue
        const failure = yield* Effect.flip(tier.get(old.header.key))
        assert.strictEqual(failure.reason._tag, reason)
        assert.include(failure.message, code)
      }
      watch.fault = (call) => (call === "open blob" ? "ENOENT" : undefined)
      assert.strictEqual((yield* tier.get(old.header.key))._tag, "Miss")
    })
  )

  it.effect("put - interrupted while it waits for its bytes leaves no file and no reservation", () =>
    Effect.gen(function* () {
      const watch = new Watch()
      const { root, tier } = yield* watched(watch, { role: "store", maxBytes: 10_000 })
      yield* tier.put(old)
      const waiting = yield* Deferred.make<void>()
      const body = Body.streamed(next.header.size, () =>
        Stream.concat(
          Stream.take(Stream.rechunk(Body.toStream(next.body), 1), 1),
          Stream.fromEffect(Effect.andThen(Deferred.succeed(waiting, undefined), Effect.never))
        )
      )
      const fiber = yield* Effect.forkChild(tier.put({ header: next.header, body }))
      yield* Deferred.await(waiting)
      assert.strictEqual(temporaryFiles(root).length, 1)

      yield* Fiber.interrupt(fiber)

      assert.deepEqual(temporaryFiles(root), [])
      assert.deepEqual(yield* bytesOf(tier), yield* Body.toBytes(old.body))
      assert.strictEqual((yield* tier.put(Fixtures.blob({ group: "other", size: 6_000 })))._tag, "Stored")
    })
  )

  it.effect("put - interrupted at any call is done or undone when the interruption returns", () =>
    Effect.gen(function* () {
      const watch = new Watch()
      const { root, tier } = yield* watched(watch, { role: "store", maxBytes: 100_000 })
      for (let step = 0, generation = 1; step < 16; step++, generation++) {
        const blob = Fixtures.blob({ generation, size: 2_000 })
        const reached = yield* Deferred.make<void>()
        const goOn = yield* Deferred.make<void>()
        watch.clear()
        watch.before = () =>
          watch.calls.length === step + 1
            ? Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(goOn))
            : Effect.void
        const fiber = yield* Effect.forkChild(tier.put(blob))
        yield* Effect.raceFirst(Deferred.await(reached), Fiber.await(fiber))
        const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
        yield* Deferred.succeed(goOn, undefined)
        yield* Fiber.join(interruption)
        watch.before = () => Effect.void

        assert.deepEqual(temporaryFiles(root), [])
        const usage = yield* tier.usage
        const bytes = yield* bytesOf(tier)
        assert.strictEqual(usage.entries, blobFiles(root).length)
        if (bytes !== undefined) assert.strictEqual(bytes.byteLength, 2_000)
        yield* tier.put(blob)
        assert.deepEqual(yield* bytesOf(tier), yield* Body.toBytes(blob.body))
      }
    })
  )

  it.effect("closing the scope finishes writes under way and undoes those that wait for bytes", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const watch = new Watch()
      const scope = yield* Scope.make()
      const tier = yield* FilesystemTier.make({ root, role: "store", minFreeBytes: 0 }).pipe(
        Effect.provide(layer(watch)),
        Scope.provide(scope)
      )
      const waiting = yield* Deferred.make<void>()
      const writing = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      const endless = Fixtures.blob({ group: "endless", size: 10 })
      const body = Body.streamed(10, () =>
        Stream.fromEffect(Effect.andThen(Deferred.succeed(waiting, undefined), Effect.never))
      )
      const first = yield* Effect.forkChild(Effect.result(tier.put({ header: endless.header, body })))
      yield* Deferred.await(waiting)
      watch.before = (call) =>
        call === "sync temporary"
          ? Effect.andThen(Deferred.succeed(writing, undefined), Deferred.await(goOn))
          : Effect.void
      const second = yield* Effect.forkChild(Effect.result(tier.put(old)))
      yield* Deferred.await(writing)

      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* Deferred.succeed(goOn, undefined)
      yield* Fiber.join(closing)

      const undone = yield* Fiber.join(first)
      assert.strictEqual(undone._tag, "Failure")
      assert.strictEqual((yield* Fiber.join(second))._tag, "Success")
      assert.deepEqual(temporaryFiles(root), [])
      assert.isFalse(readdirSync(root).includes("lock"))
      assert.strictEqual((yield* tier.get(old.header.key))._tag, "Skipped")
      assert.strictEqual((yield* Effect.flip(tier.put(next))).reason._tag, "Unavailable")
      const again = yield* tierIn({ root, role: "store" })
      assert.deepEqual(yield* bytesOf(again), yield* Body.toBytes(old.body))
      assert.deepInclude(yield* again.usage, { entries: 1, exact: true })
    })
  )
})
