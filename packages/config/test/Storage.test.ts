import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Blob from "@terrace/core/Blob"
import * as Key from "@terrace/core/Key"
import { Throttled, TierError, TimedOut } from "@terrace/core/TierError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { mkdtemp, readdir, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as ChainConfig from "../src/ChainConfig.ts"
import type * as Load from "../src/Load.ts"
import * as Storage from "../src/Storage.ts"
import { deploymentOf } from "./support/decoding.ts"

const directory = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "terrace-storage-"))),
  (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
)

const open = (text: string, environment: Load.Environment = {}) =>
  Effect.gen(function* () {
    const dataDir = yield* directory
    const storage = yield* Storage.make(deploymentOf(text, { TERRACE_DATA_DIR: dataDir, ...environment }))
    return { dataDir, storage }
  }).pipe(Effect.provide(NodeFileSystem.layer))

/** Nothing listens there. */
const nowhere = "127.0.0.1:1"

const inBuckets = `
tiers:
  memory: { type: memory, maxBytes: 1MiB }
  a: { type: s3, bucket: images, endpoint: "http://${nowhere}", prefix: a/, credentials: { accessKeyId: a, secretAccessKey: b } }
  b: { type: s3, bucket: images, endpoint: "http://${nowhere}", prefix: b/, cdnUrl: "https://b.example.com", credentials: { accessKeyId: a, secretAccessKey: b } }
chains:
  masters: { caches: [memory], store: a, revalidateAfter: 5 seconds }
  variants: { caches: [memory, b] }
delivery: { cdnUrl: "https://cdn.example.com" }
`

describe("Storage.make", () => {
  it.effect("opens the tiers of each chain, one that stands in both once", () =>
    Effect.gen(function* () {
      const { dataDir, storage } = yield* open("")

      assert.deepStrictEqual(
        storage.masters.caches.map(({ tier }) => tier.name),
        ["memory"]
      )
      assert.deepStrictEqual(
        storage.variants.caches.map(({ tier }) => tier.name),
        ["memory", "filesystem"]
      )
      assert.strictEqual(storage.masters.caches[0]?.tier, storage.variants.caches[0]?.tier)
      assert.deepStrictEqual(storage.masters.revalidateAfter, Duration.minutes(1))
      assert.isUndefined(storage.shared)
      assert.isUndefined(storage.masters.s3)
      assert.sameMembers(yield* Effect.promise(() => readdir(dataDir)), ["masters", "variants"])
    })
  )

  it.effect("makes a filesystem tier a store or a cache by where it stands", () =>
    Effect.gen(function* () {
      const { storage } = yield* open(`
tiers: { a: { type: filesystem, maxBytes: 1MiB }, b: { type: filesystem, maxBytes: 2MiB } }
chains: { masters: { caches: [b], store: a }, variants: { caches: [b] } }
`)
      const { tier: store } = storage.masters.store
      const { tier: cache } = storage.masters.caches[0] ?? assert.fail("no cache")
      assert.deepStrictEqual([store.name, store.capabilities.durable, store.capabilities.shared], ["a", true, false])
      assert.deepStrictEqual([cache.name, cache.capabilities.durable, cache.capabilities.shared], ["b", false, true])
      assert.isUndefined(store.evictions)
      assert.isDefined(cache.evictions)
    })
  )

  it.effect("shows what is a bucket, with the address of its CDN", () =>
    Effect.gen(function* () {
      const { storage } = yield* open(inBuckets)
      const key = { group: "bottle", name: "master", text: "bottle/master" }

      assert.strictEqual(storage.masters.s3, storage.masters.store.tier)
      assert.strictEqual(storage.variants.s3, storage.variants.caches[1]?.tier)
      assert.strictEqual(storage.masters.s3?.publicUrl(key), "https://cdn.example.com/a/bottle/master")
      assert.strictEqual(storage.variants.s3?.publicUrl(key), "https://b.example.com/b/bottle/master")
    })
  )

  it.effect("has the bucket's name in the path where the server is not Amazon's, unless a file says otherwise", () =>
    Effect.gen(function* () {
      const key = Key.makeUnsafe("bottle", "master")
      const urlWith = (more: string) =>
        Effect.gen(function* () {
          const text = inBuckets.replace("prefix: a/", `prefix: a/, publicEndpoint: "https://s3.example.com"${more}`)
          const { storage } = yield* open(text)
          const { s3 } = storage.masters
          return s3 === undefined ? assert.fail("no bucket") : (yield* s3.presign(key)).url
        })
      assert.isTrue((yield* urlWith("")).startsWith("https://s3.example.com/images/a/bottle/master?"))
      assert.isTrue(
        (yield* urlWith(", forcePathStyle: off")).startsWith("https://images.s3.example.com/a/bottle/master?")
      )
    })
  )

  it.effect("reads masters whole that memory takes, up to 4 MiB; larger ones are streams", () =>
    Effect.gen(function* () {
      const kindOf = (memory: string, size: number) =>
        Effect.gen(function* () {
          const { storage } = yield* open(`
tiers: { memory: { type: memory, maxBytes: ${memory} }, disk: { type: filesystem, durability: file+directory } }
chains: { masters: { caches: [memory], store: disk }, variants: { caches: [memory] } }
`)
          const { tier } = storage.masters.store
          const key = Key.makeUnsafe("bottle", "master")
          yield* tier.put(
            Blob.make(key, Buffer.alloc(size), { contentType: "image/webp", generation: 1, createdAt: 0 })
          )
          const read = yield* tier.get(key)
          return read._tag === "Hit" ? read.blob.body._tag : read._tag
        })
      assert.strictEqual(yield* kindOf("256MiB", 3_000_000), "Inline")
      assert.strictEqual(yield* kindOf("256MiB", 5_000_000), "Streamed")
      assert.strictEqual(yield* kindOf("16MiB", 3_000_000), "Streamed")
    })
  )

  it.live("has of Redis what is on, also while none answers", () =>
    Effect.gen(function* () {
      const sharedOf = (text: string) =>
        Effect.map(open(text, { TERRACE_REDIS_URL: `redis://${nowhere}` }), ({ storage }) => storage.shared)

      const all = yield* sharedOf("")
      assert.isDefined(all?.bus)
      assert.isDefined(all?.leases)
      const none = yield* sharedOf("{ bus: off, leases: off }")
      assert.isDefined(none?.connection)
      assert.isUndefined(none?.bus)
      assert.isUndefined(none?.leases)
    })
  )

  it.effect("fails with what the tier says, in one line", () =>
    Effect.gen(function* () {
      const failing = inBuckets.replaceAll("type: s3,", "type: s3, ifUnreachable: fail,")
      const error = yield* Effect.flip(open(failing))

      assert.strictEqual(error._tag, "StartError")
      assert.include(error.message, "cannot use s3://images/a/ at http://127.0.0.1:1")
      assert.notInclude(error.message, "\n")
    })
  )
})

describe("ChainConfig.policyOf", () => {
  it("leaves to the chain what a file does not say", () => {
    for (const value of Object.values(ChainConfig.policyOf("filesystem", { tier: "a" }))) assert.isUndefined(value)
  })

  it("gives a bucket a short time to answer readers and a long one for the rest, and asks it again if it answers at once", () => {
    const { deadline, readDeadline, retry } = ChainConfig.policyOf("s3", { tier: "a" })
    assert.deepStrictEqual([deadline, readDeadline], [Duration.seconds(20), Duration.seconds(2)])
    assert.isDefined(retry)
    const hasty = ChainConfig.policyOf("s3", { tier: "a", deadline: Duration.seconds(1), retry: "off" })
    assert.deepStrictEqual([hasty.deadline, hasty.readDeadline], [Duration.seconds(1), Duration.seconds(1)])
    assert.isUndefined(hasty.retry)
    const patient = ChainConfig.policyOf("s3", { tier: "a", readDeadline: Duration.seconds(9) })
    assert.deepStrictEqual([patient.deadline, patient.readDeadline], [Duration.seconds(20), Duration.seconds(9)])
  })

  it.effect("asks a bucket again that is busy or unreachable, and not one that has not answered in time", () =>
    Effect.gen(function* () {
      const { retry } = ChainConfig.policyOf("s3", { tier: "a" })
      if (retry === undefined) return assert.fail("no retries")
      for (const [reason, times] of [
        [new Throttled({ cause: "SlowDown" }), 3],
        [new TimedOut({ millis: 2_000 }), 1]
      ] as const) {
        let calls = 0
        const call = Effect.suspend(() => {
          calls += 1
          return Effect.fail(new TierError({ tier: "a", operation: "get", reason }))
        })
        const running = yield* Effect.forkChild(Effect.flip(Effect.retry(call, retry)))
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(running)
        assert.strictEqual(calls, times)
      }
    })
  )

  it("is what a file says", () => {
    const { retry, ...policy } = ChainConfig.policyOf("filesystem", {
      tier: "a",
      deadline: Duration.seconds(2),
      retry: { times: 3, delay: Duration.millis(100) },
      breaker: { failures: 9 },
      maxBytes: 5,
      secondTouch: true
    })
    assert.deepStrictEqual(policy, {
      deadline: Duration.seconds(2),
      readDeadline: undefined,
      breaker: { failures: 9 },
      maxBytes: 5,
      secondTouch: true
    })
    assert.isDefined(retry)
    assert.deepInclude(ChainConfig.policyOf("filesystem", { tier: "a", retry: "off", breaker: "off" }), {
      retry: undefined,
      breaker: false
    })
  })

  it.effect("calls again as often as a file says, later every time", () =>
    Effect.gen(function* () {
      const { retry } = ChainConfig.policyOf("filesystem", {
        tier: "a",
        retry: { times: 3, delay: Duration.millis(100) }
      })
      if (retry === undefined) return assert.fail("no retries")
      let calls = 0
      const call = Effect.fail(
        new TierError({ tier: "a", operation: "get", reason: new TimedOut({ millis: 1 }) })
      ).pipe(Effect.tapError(() => Effect.sync(() => calls++)))

      const running = yield* Effect.forkChild(Effect.flip(Effect.retry(call, retry)))
      yield* TestClock.adjust("79 millis")
      assert.strictEqual(calls, 1)
      yield* TestClock.adjust("41 millis")
      assert.strictEqual(calls, 2)
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(running)
      assert.strictEqual(calls, 4)
    })
  )
})
