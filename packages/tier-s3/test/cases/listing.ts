/** What is listed, counted, and removed by group. */
import { PutObjectCommand } from "@aws-sdk/client-s3"
import { assert } from "@effect/vitest"
import * as Header from "@terrace/core/Header"
import * as Fixtures from "@terrace/testkit/Fixtures"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as FaultProxy from "@terrace/testkit/FaultProxy"
import * as Fiber from "effect/Fiber"
import * as Gate from "../../src/internal/Gate.ts"
import * as Listing from "../../src/internal/Listing.ts"
import * as Settings from "../../src/internal/Settings.ts"
import { eventually } from "../support/Polling.ts"
import * as Requests from "../support/Requests.ts"
import { fixture, optionsOn } from "../support/Servers.ts"
import type { It } from "../support/Suite.ts"

export const listing = (it: It): void => {
  it.effect("scan and usage - leave out what is outside the prefix and what cannot be a key", () =>
    Effect.gen(function* () {
      const { bucket, client, open } = yield* fixture
      const tier = yield* open({ prefix: "img/" })
      const others = ["img/cat", "img/a/b/c", "img/cat/UPPER", "img/.dot/x", "img/a b/c", "img/", "img2/cat/x", "cat/x"]
      for (const Key of others) {
        yield* Effect.promise(() => client.send(new PutObjectCommand({ Bucket: bucket, Key, Body: "theirs" })))
      }
      yield* tier.put(Fixtures.blob({ group: "cat", name: "..", size: 10 }))
      yield* tier.put(Fixtures.blob({ group: "cat", size: 5 }))

      const listed = yield* Stream.runCollect(tier.scan())

      assert.deepStrictEqual(
        listed.map(({ key, size }) => [key.text, size]),
        [
          ["cat/..", 10],
          ["cat/master", 5]
        ]
      )
      assert.deepStrictEqual(yield* tier.usage, { bytes: 15, entries: 2, exact: true })
    })
  )

  it.effect("two tiers with prefixes that begin alike - see nothing of each other", () =>
    Effect.gen(function* () {
      const { open } = yield* fixture
      const tier = yield* open({ prefix: "img/" })
      const other = yield* open({ prefix: "img/sub/" })
      const blob = Fixtures.blob({ group: "g" })
      yield* tier.put(blob)

      assert.strictEqual((yield* other.get(blob.header.key))._tag, "Miss")
      yield* other.put(blob)
      yield* tier.removeGroup("g", 1)

      assert.strictEqual((yield* other.get(blob.header.key))._tag, "Hit")
      assert.strictEqual((yield* tier.get(blob.header.key))._tag, "Miss")
    })
  )

  it.effect("above 1,000 objects - scan, usage and removeGroup go through all pages", () =>
    Effect.gen(function* () {
      const { bucket, client, open, server } = yield* fixture
      const tier = yield* open({ concurrency: 32 })
      const names = Array.from({ length: 1_005 }, (_, index) => `n${index}`)
      // Past the tier: one request each.
      const put = (name: string) =>
        Effect.gen(function* () {
          const { header } = Fixtures.blob({ group: "g", name, size: 0 })
          const terrace = yield* Effect.orDie(Header.encode(header))
          const command = new PutObjectCommand({
            Bucket: bucket,
            Key: `g/${name}`,
            Body: Buffer.of(),
            Metadata: { terrace }
          })
          yield* Effect.promise(() => client.send(command))
        })
      yield* Effect.forEach(names, put, { concurrency: 16, discard: true })

      const [listed, sent] = yield* Requests.during(Stream.runCollect(tier.scan()))

      assert.sameMembers(
        listed.map(({ key }) => key.name),
        names
      )
      assert.strictEqual(Requests.methods(sent), "GET GET")
      assert.deepStrictEqual(yield* tier.usage, { bytes: 0, entries: 1_005, exact: true })
      const settings = yield* Settings.resolve({ ...optionsOn(server), bucket })
      const connection = { settings, client, calls: Gate.make(1, 0) }
      assert.deepStrictEqual(yield* Listing.usage(connection, 1), { bytes: 0, entries: 1_000, exact: false })
      assert.deepInclude(yield* tier.removeGroup("g", 1), { removed: 1_005, superseded: 0 })
      assert.deepStrictEqual(yield* tier.usage, { bytes: 0, entries: 0, exact: true })
    })
  )

  it.effect("remove - that has looked before the same bytes were put again as something newer leaves them", () =>
    Effect.gen(function* () {
      const { open, server } = yield* fixture
      const proxy = yield* FaultProxy.make({ host: server.host, port: server.port })
      const slow = yield* open({ endpoint: `http://${proxy.host}:${proxy.port}` })
      const quick = yield* open()
      const { key } = Fixtures.blob({ group: "g" }).header
      yield* quick.put(Fixtures.blob({ group: "g", generation: 5, seed: 1 }))
      // The answer to its look is on its way for long enough that the put comes in between.
      yield* proxy.set({ toClient: { latency: "500 millis" } })
      const { passed } = yield* proxy.stats
      const removal = yield* Effect.forkChild(slow.remove(key, 6))
      yield* eventually("the look was sent", proxy.stats, (stats) => stats.passed.toServer > passed.toServer)

      const write = yield* quick.put(Fixtures.blob({ group: "g", generation: 9, seed: 1 }))

      assert.deepStrictEqual(write, { _tag: "Stored" })
      assert.deepStrictEqual(yield* Fiber.join(removal), { _tag: "Superseded", current: 9 })
      assert.strictEqual((yield* quick.head(key))._tag, "Hit")
    })
  )
}
