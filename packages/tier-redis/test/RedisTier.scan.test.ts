import { assert, describe, it } from "@effect/vitest"
import type { Blob } from "@terrace/core/Blob"
import type * as Tier from "@terrace/core/Tier"
import * as Fixtures from "@terrace/testkit/Fixtures"
import * as RedisServer from "@terrace/testkit/RedisServer"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { clientOf, eventually, sharedServer, tierAt } from "./support/Redis.ts"

const server = sharedServer()

const setUp = Effect.gen(function* () {
  const up = yield* server
  const admin = yield* clientOf(up)
  const { prefix, tier } = yield* tierAt({ url: up.url, required: true })
  return { admin, prefix, tier }
})

const listed = (tier: Tier.Tier, options?: Tier.ScanOptions) =>
  Effect.map(Stream.runCollect(tier.scan(options)), (entries) => entries.map(({ key }) => key.text).sort())

const putAll = (tier: Tier.Tier, blobs: ReadonlyArray<Blob>) =>
  Effect.forEach(blobs, (blob) => tier.put(blob), { concurrency: 32, discard: true })

/** Enough groups for several pages. */
const many = (count: number, group = (index: number) => `g${index}`): ReadonlyArray<Blob> =>
  Array.from({ length: count }, (_, index) => Fixtures.blob({ group: group(index), size: 100 + (index % 7) }))

describe("RedisTier scan", () => {
  it.live("lists groups over many pages, each once, without KEYS", () =>
    Effect.gen(function* () {
      const { admin, tier } = yield* setUp
      const blobs = many(700)
      yield* putAll(tier, blobs)
      yield* Effect.promise(() => admin.config("RESETSTAT"))

      const texts = yield* listed(tier)

      assert.deepStrictEqual(texts, blobs.map(({ header }) => header.key.text).sort())
      const stats = yield* Effect.promise(() => admin.info("commandstats"))
      assert.match(stats, /cmdstat_scan:/)
      assert.notMatch(stats, /cmdstat_keys:/)
    })
  )

  it.live("takes what a pattern of Redis would read as more than text for text", () =>
    Effect.gen(function* () {
      const { tier } = yield* setUp
      yield* putAll(
        tier,
        many(4, (index) => ["abc", "a-c", "a.c", "axc"][index] ?? "none")
      )

      assert.deepStrictEqual(yield* listed(tier, { groupPrefix: "a-" }), ["a-c/master"])
      assert.deepStrictEqual(yield* listed(tier, { groupPrefix: "a." }), ["a.c/master"])
      for (const groupPrefix of ["*", "a*", "?bc", "a[.-]c", "[a]", String.raw`a\bc`, "a[^b]c"]) {
        assert.deepStrictEqual(yield* listed(tier, { groupPrefix }), [], groupPrefix)
      }
    })
  )

  it.live("leaves out keys of others that look alike", () =>
    Effect.gen(function* () {
      const { admin, prefix, tier } = yield* setUp
      yield* putAll(tier, many(1))
      yield* Effect.promise(async () => {
        await admin.set(`${prefix}:b:{text}`, "no hash")
        await admin.hset(`${prefix}:b:{no group!}`, "h:master", "x")
        await admin.hset(`${prefix}:b:{g}:more`, "h:master", "x")
        await admin.hset(`${prefix}:b:{foreign}`, "field", "x", "h:UPPER", "x", "h:", "1 1 - 1 ab {}")
        await admin.hset(`x${prefix}:b:{g9}`, "h:master", "x")
      })

      assert.deepStrictEqual(yield* listed(tier), ["g0/master"])
    })
  )

  it.live("read in parts while groups come and go, misses none that stays", () =>
    Effect.gen(function* () {
      const { tier } = yield* setUp
      const staying = many(400)
      yield* putAll(tier, staying)
      const seen = new Set<string>()
      let after: Tier.Cursor | undefined
      for (let part = 0; ; part++) {
        const entries = yield* Stream.runCollect(Stream.take(tier.scan({ after }), 23))
        const last = entries.at(-1)
        if (last === undefined) break
        assert.isBelow(part, 200, "it makes no headway")
        for (const { key } of entries) seen.add(key.text)
        after = last.cursor
        // A table that grows, then shrinks: Redis moves keys between the places that it lists.
        if (part < 8)
          yield* putAll(
            tier,
            many(150, (index) => `passing${part}-${index}`)
          )
        else {
          yield* Effect.forEach(
            many(150, (index) => `passing${part - 8}-${index}`),
            ({ header }) => tier.removeGroup(header.key.group, 1)
          )
        }
      }

      for (const { header } of staying) assert.isTrue(seen.has(header.key.text), header.key.text)
    })
  )

  it.live("a cursor takes at most some hundred characters, and is good in another process of ours", () =>
    Effect.gen(function* () {
      const { prefix, tier } = yield* setUp
      const { url } = yield* server
      const { tier: other } = yield* tierAt({ url, required: true }, { prefix })
      yield* putAll(tier, many(300))
      const entries = yield* Stream.runCollect(tier.scan())
      const longest = Math.max(...entries.map(({ cursor }) => cursor.length))

      assert.isBelow(longest, 1_200)
      const middle = entries[150]?.cursor
      const rest = yield* listed(other, { after: middle })
      assert.deepStrictEqual(
        rest,
        entries
          .slice(151)
          .map(({ key }) => key.text)
          .sort()
      )
    })
  )

  it.live("a cursor of a server that was restarted is BadCursor: its keys lie in another order", () =>
    Effect.gen(function* () {
      const up = yield* RedisServer.make({ config: { appendonly: "yes" } })
      const { tier } = yield* tierAt({ url: up.url, required: true })
      yield* putAll(tier, many(100))
      const [first] = yield* Stream.runCollect(Stream.take(tier.scan(), 1))
      assert.lengthOf(yield* listed(tier, { after: first?.cursor }), 99)

      yield* up.restart
      yield* eventually("scan", Effect.option(listed(tier)), (all) => all._tag === "Some" && all.value.length === 100)

      const error = yield* Effect.flip(listed(tier, { after: first?.cursor }))
      assert.strictEqual(error.reason._tag, "BadCursor")
    })
  )

  it.live("a restart in the midst of a scan fails it, instead of leaving out keys", () =>
    Effect.gen(function* () {
      const up = yield* RedisServer.make({ config: { appendonly: "yes" } })
      const { tier } = yield* tierAt({ url: up.url, required: true })
      yield* putAll(tier, many(300))
      let entries = 0
      const restart = Effect.andThen(
        up.restart,
        eventually("head", Effect.option(tier.usage), ({ _tag }) => _tag === "Some")
      )

      const error = yield* tier.scan().pipe(
        Stream.rechunk(1),
        Stream.runForEach(() => (++entries === 10 ? restart : Effect.void)),
        Effect.flip
      )

      assert.isTrue("reason" in error && error.reason._tag === "Unavailable", String(error))
      assert.isBelow(entries, 300)
    })
  )
})

describe("RedisTier usage", () => {
  it.live("counts all where there is little, and says that it is no exact count", () =>
    Effect.gen(function* () {
      const { tier } = yield* setUp
      assert.deepStrictEqual(yield* tier.usage, { bytes: 0, entries: 0, exact: false })
      const blobs = Array.from({ length: 60 }, (_, index) =>
        Fixtures.blob({ group: `g${index % 20}`, name: `n${index}`, size: 500 })
      )
      yield* putAll(tier, blobs)

      assert.deepStrictEqual(yield* tier.usage, { bytes: 30_000, entries: 60, exact: false })
    })
  )

  it.live("estimates where there is much, at a bounded number of commands", () =>
    Effect.gen(function* () {
      const up = yield* RedisServer.make({ config: { save: "" } })
      const admin = yield* clientOf(up)
      const { tier } = yield* tierAt({ url: up.url, required: true })
      yield* putAll(tier, many(9_000))
      yield* Effect.promise(() => admin.eval("for i = 1, 9000 do redis.call('SET', 'other' .. i, 'x') end", 0))
      yield* Effect.promise(() => admin.config("RESETSTAT"))

      const { bytes, entries, exact } = yield* tier.usage

      assert.isFalse(exact)
      assert.isTrue(entries > 7_500 && entries < 10_500, `${entries} of 9,000`)
      assert.isTrue(bytes > 7_500 * 100 && bytes < 10_500 * 107, `${bytes} of about 927,000`)
      const stats = yield* Effect.promise(() => admin.info("commandstats"))
      const calls = (command: string) => Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0)
      assert.isTrue(calls("scan") > 0 && calls("scan") <= 8, stats)
      assert.isTrue(calls("evalsha") > 0 && calls("evalsha") <= 128, stats)
    })
  )
})
