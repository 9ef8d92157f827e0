import { assert, describe, it } from "@effect/vitest"
import type { Blob } from "@terrace/core/Blob"
import * as Body from "@terrace/core/Body"
import * as Fixtures from "@terrace/testkit/Fixtures"
import * as RedisServer from "@terrace/testkit/RedisServer"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { clientOf, tierAt } from "./support/Redis.ts"

const megabytes = 6
const groups = 50
const names = ["master", "w320", "w640"]
const generations = 3

const made = new Map<string, Blob>()

const blob = (group: number, name: string, generation: number): Blob => {
  const id = `${group} ${name} ${generation}`
  const known = made.get(id)
  if (known !== undefined) return known
  const size = 30_000 + group * 100
  const blob = Fixtures.blob({ group: `g${group}`, name, generation, seed: made.size, size })
  made.set(id, blob)
  return blob
}

describe.each(["allkeys-lru", "volatile-ttl"])("RedisTier in a Redis that evicts by %s", (policy) => {
  it.live("under pressure, every read is whole and newest, or a miss; removals leave nothing; puts begin anew", () =>
    Effect.gen(function* () {
      const server = yield* RedisServer.make({
        config: { save: "", maxmemory: `${megabytes}mb`, "maxmemory-policy": policy }
      })
      const admin = yield* clientOf(server)
      const { prefix, tier } = yield* tierAt({ url: server.url, required: true })
      const { tier: other } = yield* tierAt({ url: server.url, required: true }, { prefix })
      const expiresAt = policy === "volatile-ttl" ? 4_100_000_000_000 : undefined
      const newest = new Map<string, number>()
      const writing = yield* Ref.make(true)
      let hits = 0
      let misses = 0

      const write = Effect.gen(function* () {
        for (let generation = 1; generation <= generations; generation++) {
          for (let group = 0; group < groups; group++) {
            for (const name of names) {
              const { body, header } = blob(group, name, generation)
              const result = yield* Effect.result(tier.put({ header: { ...header, expiresAt }, body }))
              // A policy that finds nothing to evict refuses.
              if (result._tag === "Failure") assert.strictEqual(result.failure.reason._tag, "NoSpace")
              else if (result.success._tag === "Stored") newest.set(header.key.text, generation)
              else assert.fail(result.success._tag)
            }
          }
        }
      }).pipe(Effect.ensuring(Ref.set(writing, false)))
      const readAll = (tier: typeof other) =>
        Effect.gen(function* () {
          for (let group = 0; group < groups; group++) {
            for (const name of names) {
              const { key } = blob(group, name, 1).header
              const atLeast = newest.get(key.text) ?? 0
              const read = yield* tier.get(key)
              if (read._tag !== "Hit") {
                assert.strictEqual(read._tag, "Miss")
                misses++
                continue
              }
              hits++
              const { header, body } = read.blob
              const expected = blob(group, name, header.generation)
              assert.isAtLeast(header.generation, atLeast, `${key.text} has gone back`)
              assert.strictEqual(header.digest, expected.header.digest, key.text)
              const bytes = yield* Body.toBytes(body)
              assert.isTrue(Buffer.compare(bytes, yield* Body.toBytes(expected.body)) === 0, `bytes of ${key.text}`)
            }
          }
        })
      const readOn: Effect.Effect<void, Effect.Error<ReturnType<typeof readAll>>> = Effect.flatMap(readAll(other), () =>
        Effect.flatMap(Ref.get(writing), (on) => (on ? readOn : Effect.void))
      )
      yield* Effect.all([write, readOn, readOn], { concurrency: "unbounded", discard: true })

      yield* readAll(tier)
      const stats = yield* Effect.promise(() => admin.info("stats"))
      assert.isAbove(Number(/evicted_keys:(\d+)/.exec(stats)?.[1]), 0)
      assert.isTrue(hits > 0 && misses > 0, `${hits} hits, ${misses} misses`)
      assert.deepStrictEqual([yield* tier.stats, yield* other.stats], [{ damaged: 0 }, { damaged: 0 }])

      for (let group = 0; group < groups; group++) yield* tier.removeGroup(`g${group}`, generations)
      misses = 0
      hits = 0
      yield* readAll(other)
      assert.deepStrictEqual({ hits, misses }, { hits: 0, misses: groups * names.length })
      assert.strictEqual(yield* Effect.promise(() => admin.dbsize()), 0)
      assert.deepStrictEqual(yield* tier.put(blob(1, "master", 1), { expected: "absent" }), { _tag: "Stored" })
    })
  )
})
