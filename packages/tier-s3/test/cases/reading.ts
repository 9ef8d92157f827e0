/** What a read costs, and what is never served. */
import { HeadObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3"
import { assert } from "@effect/vitest"
import * as Body from "@terrace/core/Body"
import * as Fixtures from "@terrace/testkit/Fixtures"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { eventually } from "../support/Polling.ts"
import { bodyOf } from "../support/Proxied.ts"
import * as Requests from "../support/Requests.ts"
import { type Fixture, fixture } from "../support/Servers.ts"
import type { It } from "../support/Suite.ts"

const mebibyte = 1_048_576

/** Replaces the bytes of an object and keeps its metadata, as a tool that optimises images in place does. */
const tamper = ({ bucket, client }: Fixture, Key: string, bytes: Uint8Array) =>
  Effect.promise(async () => {
    const { Metadata } = await client.send(new HeadObjectCommand({ Bucket: bucket, Key }))
    await client.send(new PutObjectCommand({ Bucket: bucket, Key, Metadata, Body: bytes }))
  })

export const reading = (it: It): void => {
  it.effect(
    "get and head - cost one request; what is streamed costs one more, and so does an empty or absent one",
    () =>
      Effect.gen(function* () {
        const { open } = yield* fixture
        const tier = yield* open()
        const small = Fixtures.blob({ group: "small", size: mebibyte - 1 })
        const empty = Fixtures.blob({ group: "empty", size: 0 })
        const large = Fixtures.blob({ group: "large", size: mebibyte })
        const absent = Fixtures.blob({ group: "absent" })
        for (const blob of [small, empty, large]) yield* tier.put(blob)
        const cost = <A, E>(effect: Effect.Effect<A, E>) =>
          Effect.map(Requests.during(effect), ([, sent]) => Requests.methods(sent))

        assert.strictEqual(yield* cost(tier.get(small.header.key)), "GET")
        assert.strictEqual(yield* cost(tier.get(empty.header.key)), "GET HEAD")
        assert.strictEqual(yield* cost(tier.get(absent.header.key)), "GET")
        assert.strictEqual(yield* cost(Effect.flatMap(bodyOf(tier, large), Body.toBytes)), "GET GET")
        assert.strictEqual(yield* cost(tier.head(small.header.key)), "HEAD")
        assert.strictEqual(yield* cost(tier.head(absent.header.key)), "HEAD GET")
      })
  )

  it.effect("open - asks for the chunks of the range only, and leaves its connection to the next request", () =>
    Effect.gen(function* () {
      const { open } = yield* fixture
      const tier = yield* open()
      const blob = Fixtures.blob({ group: "g", size: 5 * mebibyte })
      yield* tier.put(blob)
      const body = yield* bodyOf(tier, blob)
      const part = { start: 2 * mebibyte + 5, end: 2 * mebibyte + 9 }

      const [, sent] = yield* Requests.during(
        Effect.gen(function* () {
          yield* Stream.runDrain(Body.toStream(body, part))
          yield* Stream.runDrain(Body.toStream(body))
          yield* tier.get(Fixtures.blob({ group: "absent" }).header.key)
        })
      )

      assert.deepStrictEqual(
        sent.map(({ headers, isReused }) => [headers["range"], isReused]),
        [
          [`bytes=${2 * mebibyte}-${3 * mebibyte - 1}`, false],
          [`bytes=0-${5 * mebibyte - 1}`, true],
          [`bytes=0-${mebibyte - 1}`, true]
        ]
      )
    })
  )

  it.effect("open - of a blob whose bytes were put again as another generation is Gone", () =>
    Effect.gen(function* () {
      const { open } = yield* fixture
      const tier = yield* open()
      const size = 2 * mebibyte
      const blob = Fixtures.blob({ group: "g", generation: 1, seed: 1, size })
      yield* tier.put(blob)
      const body = yield* bodyOf(tier, blob)
      // Twice, so that the ETag is that of the first again.
      for (const generation of [2, 3]) yield* tier.put(Fixtures.blob({ group: "g", generation, seed: 1, size }))

      const error = yield* Effect.flip(Stream.runDrain(Body.toStream(body)))

      assert.strictEqual(error.reason._tag, "Gone")
    })
  )

  it.effect("open - a reader that stops early ends the request", () =>
    Effect.gen(function* () {
      const { open } = yield* fixture
      const tier = yield* open()
      const blob = Fixtures.blob({ group: "g", size: 16 * mebibyte })
      yield* tier.put(blob)
      const body = yield* bodyOf(tier, blob)

      for (let round = 0; round < 20; round++) yield* Stream.runDrain(Stream.take(Body.toStream(body), 1))

      yield* eventually("no request is in flight", Effect.sync(Requests.inFlight), (count) => count === 0)
    })
  )

  it.effect("objects that the tier has not written - read as Miss, are counted, and stay", () =>
    Effect.gen(function* () {
      const { bucket, client, keys, open } = yield* fixture
      const tier = yield* open()
      yield* tier.put(Fixtures.blob({ group: "original" }))
      const { Metadata } = yield* Effect.promise(() =>
        client.send(new HeadObjectCommand({ Bucket: bucket, Key: "original/master" }))
      )
      const foreign = [
        ["none", undefined],
        ["garbage", { terrace: "{}" }],
        // A copy under another key.
        ["copied", Metadata]
      ] as const
      for (const [group, metadata] of foreign) {
        const command = new PutObjectCommand({ Bucket: bucket, Key: `${group}/master`, Body: "x", Metadata: metadata })
        yield* Effect.promise(() => client.send(command))
      }

      for (const [group] of foreign) {
        const { key } = Fixtures.blob({ group }).header
        assert.deepStrictEqual(yield* tier.get(key), { _tag: "Miss" })
        assert.deepStrictEqual(yield* tier.head(key), { _tag: "Miss" })
        assert.deepStrictEqual(yield* tier.remove(key, Number.MAX_SAFE_INTEGER), { _tag: "Absent" })
        const removal = yield* tier.removeGroup(group, Number.MAX_SAFE_INTEGER)
        assert.deepInclude(removal, { removed: 0, superseded: 0 })
      }

      assert.strictEqual((yield* tier.stats).foreign, 6)
      assert.sameMembers([...(yield* keys)], ["original/master", ...foreign.map(([group]) => `${group}/master`)])
    })
  )

  it.effect(
    "bytes that are not those of the header - are Corrupt at every read, and counted; a put heals, of the same blob too",
    () =>
      Effect.gen(function* () {
        const self = yield* fixture
        const tier = yield* self.open()
        const blob = Fixtures.blob({ group: "g", size: 3_000 })
        for (const wrong of [Fixtures.bytes(9, 3_000), Fixtures.bytes(9, 2_999), new Uint8Array(0)]) {
          const before = (yield* tier.stats).damaged
          yield* tier.removeGroup("g", 9)
          yield* tier.put(blob)
          yield* tamper(self, "g/master", wrong)

          for (const count of [1, 2]) {
            assert.strictEqual((yield* Effect.flip(tier.get(blob.header.key))).reason._tag, "Corrupt")
            assert.deepStrictEqual([(yield* tier.stats).damaged, tier.corrupted?.()], [before + count, before + count])
          }
          // Whoever writes must learn what is there.
          assert.deepStrictEqual(yield* tier.head(blob.header.key), { _tag: "Hit", header: blob.header })

          for (const next of [blob, Fixtures.blob({ group: "g", generation: 2, size: 3_000 })]) {
            assert.deepStrictEqual(yield* tier.put(next), { _tag: "Stored" })
            assert.strictEqual((yield* tier.get(blob.header.key))._tag, "Hit")
          }
        }
      })
  )

  it.effect("a streamed body with a damaged chunk - fails with Corrupt before any byte of that chunk", () =>
    Effect.gen(function* () {
      const self = yield* fixture
      const tier = yield* self.open()
      const bytes = Fixtures.bytes(1, 3 * mebibyte)
      const blob = Fixtures.blob({ group: "g", bytes })
      yield* tier.put(blob)
      yield* tamper(self, "g/master", bytes.with(2 * mebibyte + 9, (bytes[2 * mebibyte + 9] ?? 0) ^ 1))
      const body = yield* bodyOf(tier, blob)
      let delivered = 0

      const error = yield* Effect.flip(
        Stream.runForEach(Body.toStream(body), (run) => Effect.sync(() => void (delivered += run.byteLength)))
      )

      assert.strictEqual(error.reason._tag, "Corrupt")
      assert.strictEqual(delivered, 2 * mebibyte)
      assert.strictEqual((yield* tier.stats).damaged, 1)
    })
  )
}
