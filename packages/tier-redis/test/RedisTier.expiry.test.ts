import { assert, describe, it } from "@effect/vitest"
import * as Fixtures from "@terrace/testkit/Fixtures"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Redis } from "ioredis"
import { graceMillis } from "../src/internal/Layout.ts"
import { clientOf, eventually, sharedServer, tierAt, uniquePrefix } from "./support/Redis.ts"

const server = sharedServer()

const setUp = Effect.gen(function* () {
  const up = yield* server
  const admin = yield* clientOf(up)
  const { prefix, tier } = yield* tierAt({ url: up.url, required: true })
  return { admin, hash: `${prefix}:b:{g}`, tier }
})

/** A tier whose user may not set a time for a field: so answers a Redis before 7.4. */
const setUpOld = Effect.gen(function* () {
  const up = yield* server
  const admin = yield* clientOf(up)
  const prefix = uniquePrefix()
  yield* Effect.promise(() => admin.acl("SETUSER", "old", "on", ">p", "~*", "+@all", "-hpexpire"))
  const { tier } = yield* tierAt({ url: `redis://old:p@${up.host}:${up.port}`, required: true }, { prefix })
  return { admin, hash: `${prefix}:b:{g}`, tier }
})

const second = 1_000

const blob = (name: string, expiresAt?: number, generation = 1) =>
  Fixtures.blob({ group: "g", name, generation, expiresAt })

/** Milliseconds that fields have left; -1: for ever. */
const fieldsLeft = (admin: Redis, hash: string, ...fields: ReadonlyArray<string>) =>
  Effect.map(
    Effect.promise(() => admin.call("HPTTL", hash, "FIELDS", fields.length, ...fields)),
    (times) => (Array.isArray(times) ? times.map(Number) : assert.fail(String(times)))
  )

const left = (admin: Redis, hash: string) => Effect.promise(() => admin.pttl(hash))

const isAbout = (actual: number | undefined, expected: number) => {
  assert.isAtMost(actual ?? 0, expected)
  assert.isAbove(actual ?? 0, expected - 20 * second)
}

describe("RedisTier expiry", () => {
  it.live("Redis forgets header and bytes a minute after the blob expires, and nothing else of the group", () =>
    Effect.gen(function* () {
      const { admin, hash, tier } = yield* setUp
      const now = yield* Clock.currentTimeMillis
      yield* tier.put(blob("passing", now + 100 * second))
      yield* tier.put(blob("lasting"))

      const [header, bytes, ...others] = yield* fieldsLeft(
        admin,
        hash,
        "h:passing",
        "p:passing",
        "h:lasting",
        "p:lasting"
      )

      isAbout(header, 100 * second + graceMillis)
      assert.strictEqual(bytes, header)
      assert.deepStrictEqual(others, [-1, -1])
    })
  )

  it.live("what Redis has forgotten is absent, and a group with nothing left is no key", () =>
    Effect.gen(function* () {
      const { admin, hash, tier } = yield* setUp
      const now = yield* Clock.currentTimeMillis
      yield* tier.put(blob("passing", now + 100 * second))
      yield* Effect.promise(() => admin.call("HPEXPIRE", hash, 1, "FIELDS", 2, "h:passing", "p:passing"))

      yield* eventually(
        "the key",
        Effect.promise(() => admin.exists(hash)),
        (count) => count === 0
      )

      assert.strictEqual((yield* tier.get(blob("passing").header.key))._tag, "Miss")
      assert.deepStrictEqual(yield* tier.put(blob("passing"), { expected: "absent" }), { _tag: "Stored" })
    })
  )

  it.live("a blob without an end takes the end from the one that it replaces", () =>
    Effect.gen(function* () {
      const { admin, hash, tier } = yield* setUp
      const now = yield* Clock.currentTimeMillis
      yield* tier.put(blob("a", now + 100 * second))
      yield* tier.put(blob("a", undefined, 2))

      assert.deepStrictEqual(yield* fieldsLeft(admin, hash, "h:a", "p:a"), [-1, -1])
    })
  )

  it.live("a blob with an end that replaces one without, alone in its group, gives the group an end", () =>
    Effect.gen(function* () {
      const { admin, hash, tier } = yield* setUpOld
      yield* tier.put(blob("a"))
      assert.strictEqual(yield* left(admin, hash), -1)

      yield* tier.put(blob("a", (yield* Clock.currentTimeMillis) + 100 * second, 2))

      isAbout(yield* left(admin, hash), 100 * second + graceMillis)
    })
  )

  it.live("an end further away than a hundred years is left to the header", () =>
    Effect.gen(function* () {
      const { admin, hash, tier } = yield* setUp
      for (const [index, expiresAt] of [253_402_300_799_999, 1e18, 1e300].entries()) {
        const far = blob("far", expiresAt, index + 1)
        assert.deepStrictEqual(yield* tier.put(far), { _tag: "Stored" })
        assert.deepStrictEqual(yield* fieldsLeft(admin, hash, "h:far"), [-1])
        const read = yield* tier.get(far.header.key)
        assert.isTrue(read._tag === "Hit" && read.blob.header.expiresAt === expiresAt)
      }
    })
  )

  for (const [where, setting] of [
    ["fields have times", setUp],
    ["only keys have times", setUpOld]
  ] as const) {
    it.live(`where ${where}, the hash expires with the last of its blobs, and never with one that lasts`, () =>
      Effect.gen(function* () {
        const { admin, hash, tier } = yield* setting
        const now = yield* Clock.currentTimeMillis

        yield* tier.put(blob("a", now + 200 * second))
        isAbout(yield* left(admin, hash), 200 * second + graceMillis)
        yield* tier.put(blob("b", now + 100 * second))
        isAbout(yield* left(admin, hash), 200 * second + graceMillis)
        yield* tier.put(blob("c", now + 400 * second))
        isAbout(yield* left(admin, hash), 400 * second + graceMillis)
        yield* tier.put(blob("d"))
        assert.strictEqual(yield* left(admin, hash), -1)
        yield* tier.put(blob("e", now + 100 * second))
        assert.strictEqual(yield* left(admin, hash), -1)
      })
    )
  }

  describe("where only keys have times", () => {
    it.live("writes of a group drop what has expired in it", () =>
      Effect.gen(function* () {
        const { admin, hash, tier } = yield* setUpOld
        const now = yield* Clock.currentTimeMillis
        yield* tier.put(blob("lasting"))
        const passing = ["a", "b", "c", "d", "e"]
        for (const name of passing) yield* tier.put(blob(name, now + 600))
        const isOver = Effect.map(Clock.currentTimeMillis, (millis) => millis > now + 600)
        yield* eventually("the end", isOver, (over) => over)

        let generation = 1
        const write = Effect.suspend(() => tier.put(blob("lasting", undefined, ++generation)))
        yield* eventually(
          "fields",
          Effect.andThen(
            write,
            Effect.promise(() => admin.hlen(hash))
          ),
          (count) => count === 2
        )

        assert.strictEqual((yield* tier.get(blob("lasting").header.key))._tag, "Hit")
      })
    )
  })
})
