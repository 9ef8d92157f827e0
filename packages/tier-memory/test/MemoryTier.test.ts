import { assert, describe, it } from "@effect/vitest"
import * as Body from "@terrace/core/Body"
import * as Tier from "@terrace/core/Tier"
import { Fixtures } from "@terrace/testkit"
import { MemoryTier } from "@terrace/tier-memory"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"

/** What one entry is charged besides its payload, as the README says. */
const entryCharge = 2_048
const mebibyte = 1_048_576

const a = Fixtures.blob({ group: "a" })
const b = Fixtures.blob({ group: "b" })
const c = Fixtures.blob({ group: "c" })

/** The groups that the tier holds, in the order of a scan. */
const groups = (tier: Tier.Tier) =>
  Effect.map(Stream.runCollect(tier.scan()), (entries) => entries.map((entry) => entry.key.group))

const bytesOf = (read: Tier.Read): Uint8Array =>
  read._tag === "Hit" && read.blob.body._tag === "Inline" ? read.blob.body.bytes : assert.fail("expected bytes")

describe("MemoryTier", () => {
  it.effect("put - forgets the least recently read entry first", () =>
    Effect.gen(function* () {
      const tier = yield* MemoryTier.make({ maxBytes: mebibyte, maxEntries: 2 })
      yield* tier.put(a)
      yield* tier.put(b)
      yield* tier.get(a.header.key)

      yield* tier.put(c)

      assert.deepStrictEqual(yield* groups(tier), ["a", "c"])
    })
  )

  it.effect("put - counts as a use, and head does not", () =>
    Effect.gen(function* () {
      const tier = yield* MemoryTier.make({ maxBytes: mebibyte, maxEntries: 2 })
      yield* tier.put(a)
      yield* tier.put(b)
      yield* tier.put(Fixtures.blob({ group: "a", generation: 2 }))
      yield* tier.head(b.header.key)

      yield* tier.put(c)

      assert.deepStrictEqual(yield* groups(tier), ["a", "c"])
    })
  )

  it.effect("put - forgets as many entries as the new one needs, and no more", () =>
    Effect.gen(function* () {
      const size = 10_000
      const tier = yield* MemoryTier.make({ maxBytes: 4 * (size + entryCharge), maxEntryBytes: 3 * size })
      for (const group of ["a", "b", "c", "d"]) yield* tier.put(Fixtures.blob({ group, size }))
      assert.deepStrictEqual(yield* groups(tier), ["a", "b", "c", "d"])

      yield* tier.put(Fixtures.blob({ group: "e", size: size + 1 }))

      assert.deepStrictEqual(yield* groups(tier), ["c", "d", "e"])
    })
  )

  it.effect("put - of a larger blob over a smaller one does not forget others if the difference fits", () =>
    Effect.gen(function* () {
      const tier = yield* MemoryTier.make({ maxBytes: 2 * (10_000 + entryCharge), maxEntryBytes: 20_000 })
      yield* tier.put(Fixtures.blob({ group: "a", size: 5_000 }))
      yield* tier.put(Fixtures.blob({ group: "b", size: 10_000 }))

      yield* tier.put(Fixtures.blob({ group: "a", size: 10_000, generation: 2 }))

      assert.deepStrictEqual(yield* groups(tier), ["a", "b"])
    })
  )

  it.effect("put - declines a payload above maxEntryBytes and keeps what it had, under this key and others", () =>
    Effect.gen(function* () {
      const tier = yield* MemoryTier.make({ maxBytes: mebibyte, maxEntryBytes: 1_000 })
      yield* tier.put(a)
      yield* tier.put(b)

      const write = yield* tier.put(Fixtures.blob({ group: "a", generation: 2, size: 1_001 }))

      assert.deepStrictEqual(write, { _tag: "Declined", why: "too-large" })
      assert.deepStrictEqual(yield* groups(tier), ["a", "b"])
      assert.strictEqual((yield* tier.put(Fixtures.blob({ group: "a", generation: 2, size: 1_000 })))._tag, "Stored")
    })
  )

  it.effect("put - takes an eighth of the budget unless told otherwise, and declares it", () =>
    Effect.gen(function* () {
      const tier = yield* MemoryTier.make({ maxBytes: mebibyte })

      assert.strictEqual(tier.capabilities.maxBytes, mebibyte / 8)
      assert.strictEqual((yield* tier.put(Fixtures.blob({ size: mebibyte / 8 + 1 })))._tag, "Declined")
      assert.strictEqual((yield* tier.put(Fixtures.blob({ size: mebibyte / 8 })))._tag, "Stored")
    })
  )

  it.effect("put - takes one entry that fills the budget, and declines one byte more", () =>
    Effect.gen(function* () {
      const tier = yield* MemoryTier.make({ maxBytes: mebibyte, maxEntryBytes: 2 * mebibyte })
      yield* tier.put(a)
      const most = mebibyte - entryCharge

      assert.strictEqual((yield* tier.put(Fixtures.blob({ group: "z", size: most + 1 })))._tag, "Declined")
      assert.deepStrictEqual(yield* groups(tier), ["a"])
      assert.strictEqual((yield* tier.put(Fixtures.blob({ group: "z", size: most })))._tag, "Stored")
      assert.deepStrictEqual(yield* groups(tier), ["z"])
    })
  )

  it.effect("put - answers Unsupported to a streamed body without opening it", () =>
    Effect.gen(function* () {
      const tier = yield* MemoryTier.make({ maxBytes: mebibyte })

      const error = yield* Effect.flip(
        tier.put({
          header: a.header,
          body: Body.streamed(256, () => Stream.die("opened"))
        })
      )

      assert.deepInclude(error.reason, { _tag: "Unsupported", capability: "streaming" })
    })
  )

  it.effect("put - declines a blob that is past `expiresAt`", () =>
    Effect.gen(function* () {
      const tier = yield* MemoryTier.make({ maxBytes: mebibyte })
      yield* TestClock.setTime(5_000)

      const write = yield* tier.put(Fixtures.blob({ expiresAt: 5_000 }))

      assert.deepStrictEqual(write, { _tag: "Declined", why: "expired" })
    })
  )

  it.effect("put - fails with Corrupt for bytes that are not those of the header", () =>
    Effect.gen(function* () {
      const tier = yield* MemoryTier.make({ maxBytes: mebibyte, name: "ram" })

      const error = yield* Effect.flip(tier.put(Fixtures.withBytes(a, Fixtures.bytes(9, 256))))

      assert.strictEqual(error.message, "ram.put: Corrupt: the bytes of a/master are not those of its header")
    })
  )

  it.effect("get - hands out the bytes that were put, not a copy, in an answer made once", () =>
    Effect.gen(function* () {
      const tier = yield* MemoryTier.make({ maxBytes: mebibyte })
      const blob = Fixtures.blob({ group: "a", size: 10_000 })
      yield* tier.put(blob)

      const read = yield* tier.get(blob.header.key)

      assert.strictEqual(bytesOf(read), yield* Body.toBytes(blob.body))
      assert.strictEqual(yield* tier.get(blob.header.key), read)
    })
  )

  it.effect("get - does not keep a large buffer alive for a small view of it", () =>
    Effect.gen(function* () {
      const tier = yield* MemoryTier.make({ maxBytes: mebibyte })
      const large = Fixtures.bytes(1, 100_000)
      const thumbnail = Fixtures.blob({ group: "small", bytes: large.subarray(100, 1_100) })
      const trimmed = Fixtures.blob({ group: "most", bytes: large.subarray(0, 95_000) })
      yield* tier.put(thumbnail)
      yield* tier.put(trimmed)

      assert.strictEqual(bytesOf(yield* tier.get(thumbnail.header.key)).buffer.byteLength, 1_000)
      assert.strictEqual(bytesOf(yield* tier.get(trimmed.header.key)).buffer, large.buffer)
    })
  )

  it.effect("get - reads the clock only for a blob that expires", () =>
    Effect.gen(function* () {
      const tier = yield* MemoryTier.make({ maxBytes: mebibyte })
      yield* tier.put(a)
      yield* tier.put(Fixtures.blob({ group: "passing", expiresAt: 1_000 }))
      const clock = yield* Clock.Clock
      const broken = new Proxy(clock, { get: () => () => assert.fail("the clock was read") })
      const get = (group: string) =>
        Effect.exit(Effect.provideService(tier.get(Fixtures.blob({ group }).header.key), Clock.Clock, broken))

      assert.strictEqual((yield* get("a"))._tag, "Success")
      assert.strictEqual((yield* get("passing"))._tag, "Failure")
    })
  )

  it.effect("get - gives back the bytes of an expired blob when it finds it", () =>
    Effect.gen(function* () {
      const tier = yield* MemoryTier.make({ maxBytes: mebibyte })
      const blob = Fixtures.blob({ expiresAt: 1_000 })
      yield* tier.put(blob)
      yield* TestClock.setTime(1_000)
      assert.deepInclude(yield* tier.usage, { entries: 1 })
      assert.deepStrictEqual(yield* groups(tier), [])

      yield* tier.get(blob.header.key)

      assert.deepInclude(yield* tier.usage, { entries: 0, bytes: 0 })
    })
  )

  it.effect("usage - counts payloads and 2,048 bytes per entry through overwrite, remove and removeGroup", () =>
    Effect.gen(function* () {
      const tier = yield* MemoryTier.make({ maxBytes: mebibyte })
      const usage = (entries: number, payload: number) =>
        Effect.map(tier.usage, (actual) =>
          assert.deepStrictEqual(actual, {
            entries,
            bytes: payload + entries * entryCharge,
            limit: mebibyte,
            exact: true
          })
        )

      yield* usage(0, 0)
      yield* tier.put(Fixtures.blob({ group: "g", name: "x", size: 100 }))
      yield* tier.put(Fixtures.blob({ group: "g", name: "y", size: 0, generation: 5 }))
      yield* tier.put(Fixtures.blob({ group: "h", name: "x", size: 7 }))
      yield* usage(3, 107)
      yield* tier.put(Fixtures.blob({ group: "g", name: "x", size: 30, generation: 2 }))
      yield* usage(3, 37)
      yield* tier.put(Fixtures.blob({ group: "g", name: "x", size: 90, generation: 1 }))
      yield* usage(3, 37)
      yield* tier.remove(Fixtures.blob({ group: "h", name: "x" }).header.key, 1)
      yield* tier.remove(Fixtures.blob({ group: "h", name: "x" }).header.key, 1)
      yield* usage(2, 30)
      yield* tier.removeGroup("g", 2)
      yield* usage(1, 0)
      yield* tier.removeGroup("g", 5)
      yield* usage(0, 0)
    })
  )

  it.effect("usage - counts the same after 20,000 distinct keys as after the last that fit", () =>
    Effect.gen(function* () {
      const tier = yield* MemoryTier.make({ maxBytes: mebibyte, maxEntries: 50 })
      for (let index = 0; index < 20_000; index++) {
        yield* tier.put(Fixtures.blob({ group: `g${index}`, size: 10, seed: 1 }))
      }

      assert.deepInclude(yield* tier.usage, { entries: 50, bytes: 50 * (10 + entryCharge) })
      assert.strictEqual((yield* groups(tier)).length, 50)
    })
  )

  it.effect("scan - resumes after any key, and answers BadCursor to what is none", () =>
    Effect.gen(function* () {
      const tier = yield* MemoryTier.make({ maxBytes: mebibyte })
      for (const blob of [a, c]) yield* tier.put(blob)

      const rest = yield* Stream.runCollect(tier.scan({ after: "b/never-there" }))
      assert.deepStrictEqual(
        rest.map((entry) => entry.key.group),
        ["c"]
      )
      for (const after of ["", "a", "a/", "/master", "a/UPPER", "../a", "a/master/x"]) {
        const result = yield* Effect.result(Stream.runCollect(tier.scan({ after })))
        if (result._tag === "Success") assert.fail(`after ${JSON.stringify(after)}: expected BadCursor, got entries`)
        assert.strictEqual(result.failure.reason._tag, "BadCursor")
      }
    })
  )

  it.effect("evictions - counts what was dropped to make room, and nothing that went otherwise", () =>
    Effect.gen(function* () {
      const tier = yield* MemoryTier.make({ maxBytes: mebibyte, maxEntries: 2 })
      const evictions = () => tier.evictions?.()
      yield* tier.put(a)
      yield* tier.put(Fixtures.blob({ group: "a", generation: 2 }))
      yield* tier.put(Fixtures.blob({ group: "passing", expiresAt: 1_000 }))
      yield* TestClock.setTime(1_000)
      yield* tier.get(Fixtures.blob({ group: "passing" }).header.key)
      yield* tier.put(b)
      yield* tier.remove(b.header.key, 1)
      yield* tier.put(Fixtures.blob({ group: "large", size: mebibyte }))
      assert.strictEqual(evictions(), 0)

      yield* tier.put(b)
      yield* tier.put(c)
      assert.strictEqual(evictions(), 1)
      yield* tier.put(a)

      assert.strictEqual(evictions(), 2)
    })
  )

  it.effect("evictions - are those of the whole tier in every view of it", () =>
    Effect.gen(function* () {
      const tier = yield* MemoryTier.make({ maxBytes: mebibyte, maxEntries: 1 })
      const view = Tier.within(tier, "view")
      yield* view.put(a)
      yield* tier.put(b)

      yield* view.put(c)

      assert.deepStrictEqual([view.evictions?.(), Tier.readOnly(view).evictions?.(), tier.evictions?.()], [2, 2, 2])
    })
  )

  it.effect("scan - lists by group, then name, whatever the order of the puts", () =>
    Effect.gen(function* () {
      const tier = yield* MemoryTier.make({ maxBytes: mebibyte })
      for (const [group, name] of [
        ["b", "x"],
        ["a-b", "x"],
        ["a", "y"],
        ["a", "x"]
      ] as const) {
        yield* tier.put(Fixtures.blob({ group, name }))
      }

      const entries = yield* Stream.runCollect(tier.scan())

      assert.deepStrictEqual(
        entries.map((entry) => entry.cursor),
        ["a/x", "a/y", "a-b/x", "b/x"]
      )
    })
  )

  it.effect("make - dies naming the option, the expected form and an example", () =>
    Effect.gen(function* () {
      const messages = yield* Effect.forEach(
        [{ maxBytes: 4_095 }, { maxBytes: 1e6, maxEntries: 0 }, { maxBytes: 1e6, maxEntryBytes: 0.5 }],
        (options) => Effect.map(Effect.sandbox(MemoryTier.make(options)).pipe(Effect.flip), (cause) => String(cause))
      )

      assert.include(messages[0], "maxBytes is 4095: expected an integer of at least 4096, for example 268435456")
      assert.include(messages[1], "maxEntries is 0: expected an integer of at least 1, for example 100000")
      assert.include(messages[2], "maxEntryBytes is 0.5: expected an integer of at least 0, for example 4194304")
    })
  )
})
