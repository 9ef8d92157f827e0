/** What a put leaves in the bucket, and what becomes of it when others write too. */
import { GetObjectCommand, HeadObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3"
import { assert } from "@effect/vitest"
import * as Body from "@terrace/core/Body"
import * as Header from "@terrace/core/Header"
import type * as Tier from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import * as Fixtures from "@terrace/testkit/Fixtures"
import * as TierSuite from "@terrace/testkit/TierSuite"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import { crc32 } from "node:zlib"
import { fixture } from "../support/Servers.ts"
import * as Requests from "../support/Requests.ts"
import type { It } from "../support/Suite.ts"

const mebibyte = 1_048_576

/** As a chain's policy would: a write that lost too often is sent again. */
const persistently = <A>(write: Effect.Effect<A, TierError>): Effect.Effect<A, TierError> =>
  Effect.retry(write, { times: 20, while: ({ reason }) => reason._tag === "Throttled" })

const streamed = (bytes: Uint8Array, pieceBytes = 300_000): Body.Body =>
  Body.streamed(bytes.byteLength, () =>
    Stream.fromIterable(
      Array.from({ length: Math.ceil(bytes.byteLength / pieceBytes) }, (_, index) =>
        bytes.subarray(index * pieceBytes, (index + 1) * pieceBytes)
      )
    )
  )

export const writing = (it: It): void => {
  it.effect("put - leaves an object that is the payload, with its type, and the header as metadata", () =>
    Effect.gen(function* () {
      const { bucket, client, keys, open } = yield* fixture
      const tier = yield* open({ prefix: "images/hero/" })
      const blob = Fixtures.blob({ group: "Cat_1.x-y", name: "a~b", contentType: "image/webp", size: 3_000 })

      yield* tier.put(blob)

      assert.deepStrictEqual(yield* keys, ["images/hero/Cat_1.x-y/a~b"])
      const Key = "images/hero/Cat_1.x-y/a~b"
      const object = yield* Effect.promise(() => client.send(new GetObjectCommand({ Bucket: bucket, Key })))
      const bytes = yield* Effect.promise(async () => object.Body?.transformToByteArray())
      assert.isTrue(Buffer.from(bytes ?? []).equals(yield* Body.toBytes(blob.body)))
      assert.strictEqual(object.ContentType, "image/webp")
      assert.deepStrictEqual(Object.keys(object.Metadata ?? {}), ["terrace"])
      const header = Option.getOrThrow(Header.decode(object.Metadata?.["terrace"] ?? ""))
      assert.strictEqual(header.digest, blob.header.digest)
    })
  )

  it.effect("put - gives a content type that HTTP cannot carry to readers of the header only", () =>
    Effect.gen(function* () {
      const { bucket, client, open } = yield* fixture
      const tier = yield* open()
      const blob = Fixtures.blob({ group: "g", contentType: "image/webp\r\nx-amz-acl: public-read" })

      yield* tier.put(blob)

      const object = yield* Effect.promise(() =>
        client.send(new HeadObjectCommand({ Bucket: bucket, Key: "g/master" }))
      )
      assert.strictEqual(object.ContentType, "application/octet-stream")
      const read = yield* tier.head(blob.header.key)
      assert.strictEqual(read._tag === "Hit" && read.header.contentType, blob.header.contentType)
    })
  )

  it.effect("put - keeps a header of 1,800 bytes exactly, with all that servers and signatures change", () =>
    Effect.gen(function* () {
      const { open } = yield* fixture
      const tier = yield* open()
      const odd = { ü: "東京 🌋 \ud83c", spaces: "a  b   c    d", word: "=?UTF-8?B?w4Q=?= =?x?=", fill: "" }
      const bare = yield* Header.encode(Fixtures.blob({ group: "g", attributes: odd }).header)
      const attributes = { ...odd, fill: "x".repeat(Header.maxEncodedBytes - bare.length) }
      const blob = Fixtures.blob({ group: "g", attributes })

      assert.deepStrictEqual(yield* tier.put(blob), { _tag: "Stored" })

      const read = yield* tier.get(blob.header.key)
      assert.deepStrictEqual(read._tag === "Hit" ? read.blob.header.attributes : {}, attributes)
    })
  )

  it.effect("put - declines a header whose metadata would be above 2 KB", () =>
    Effect.gen(function* () {
      const { keys, open } = yield* fixture
      const tier = yield* open()
      const blob = Fixtures.blob({ group: "g", attributes: { spaces: " ".repeat(1_000) } })

      assert.deepStrictEqual(yield* tier.put(blob), { _tag: "Declined", why: "too-large" })

      assert.deepStrictEqual(yield* keys, [])
    })
  )

  for (const [how, bodyOf] of [
    ["at once", (bytes: Uint8Array) => Body.inline(bytes)],
    ["in parts", (bytes: Uint8Array) => streamed(bytes)]
  ] as const) {
    it.effect(`put - ${how}, by several clients: the newest stays, and each is told the truth`, () =>
      Effect.gen(function* () {
        const { open, uploads } = yield* fixture
        const tiers = yield* Effect.all(Array.from({ length: 4 }, () => open({ multipartFrom: 1 })))
        for (let round = 0; round < 5; round++) {
          const blobs = [4, 1, 7, 3, 8, 2, 6, 5].map((generation) => {
            const { header, body } = Fixtures.blob({ group: `g${round}`, generation, size: 20_000 })
            return { header, body: body._tag === "Inline" ? bodyOf(body.bytes) : body }
          })

          const writes = yield* Effect.forEach(
            blobs,
            (blob, index) => persistently(tiers[index % 4]?.put(blob) ?? Effect.die("no tier")),
            { concurrency: "unbounded" }
          )

          for (const [index, write] of writes.entries()) {
            const generation = blobs[index]?.header.generation ?? 0
            if (write._tag === "Superseded") assert.isAbove(write.current, generation)
            else assert.strictEqual(write._tag, "Stored")
          }
          const read = yield* tiers[0]?.head(blobs[0]?.header.key ?? assert.fail("no blob")) ?? assert.fail("no tier")
          assert.strictEqual(read._tag === "Hit" && read.header.generation, 8)
        }
        assert.strictEqual(yield* uploads, 0)
      })
    )

    it.effect(`put - ${how}, of one generation by several clients: one is stored, the others are Superseded`, () =>
      Effect.gen(function* () {
        const { open } = yield* fixture
        const tiers = yield* Effect.all(Array.from({ length: 4 }, () => open({ multipartFrom: 1 })))
        for (let round = 0; round < 5; round++) {
          const tags = yield* Effect.forEach(
            tiers,
            (tier, seed) => {
              const { header, body } = Fixtures.blob({ group: `g${round}`, generation: 5, seed, size: 20_000 })
              const write = tier.put({ header, body: body._tag === "Inline" ? bodyOf(body.bytes) : body })
              return Effect.map(persistently(write), ({ _tag }) => _tag)
            },
            { concurrency: "unbounded" }
          )

          assert.deepStrictEqual(tags.toSorted(), ["Stored", "Superseded", "Superseded", "Superseded"])
        }
      })
    )

    it.effect(`put - ${how}, that expects nothing there, by several clients: one is stored, the others conflict`, () =>
      Effect.gen(function* () {
        const { open } = yield* fixture
        const tiers = yield* Effect.all(Array.from({ length: 4 }, () => open({ multipartFrom: 1 })))
        for (let round = 0; round < 5; round++) {
          const tags = yield* Effect.forEach(
            tiers,
            (tier, index) => {
              const { header, body } = Fixtures.blob({ group: `g${round}`, generation: 1 + index, size: 20_000 })
              const write = tier.put(
                { header, body: body._tag === "Inline" ? bodyOf(body.bytes) : body },
                { expected: "absent" }
              )
              return Effect.map(persistently(write), ({ _tag }) => _tag)
            },
            { concurrency: "unbounded" }
          )

          assert.deepStrictEqual(tags.toSorted(), ["Conflict", "Conflict", "Conflict", "Stored"])
        }
      })
    )
  }

  it.effect("put - of the same bytes again changes the ETag every time", () =>
    Effect.gen(function* () {
      const { bucket, client, open } = yield* fixture
      const tier = yield* open()
      const etag = (Key: string) =>
        Effect.promise(async () => (await client.send(new HeadObjectCommand({ Bucket: bucket, Key }))).ETag)
      const large = Fixtures.bytes(1, 17 * mebibyte)

      const etags: Array<readonly [string | undefined, string | undefined]> = []
      for (let generation = 1; generation <= 3; generation++) {
        yield* tier.put(Fixtures.blob({ group: "small", generation, seed: 1, size: 5_000 }))
        const { header } = Fixtures.blob({ group: "large", generation, bytes: large })
        yield* tier.put({ header, body: streamed(large) })
        etags.push([yield* etag("small/master"), yield* etag("large/master")])
      }

      for (const column of [0, 1] as const) {
        const [first, second, third] = etags.map((row) => row[column])
        assert.notStrictEqual(first, second)
        assert.notStrictEqual(second, third)
      }
    })
  )

  it.effect("put - that has looked before the same bytes were put again as something newer does not replace them", () =>
    Effect.gen(function* () {
      const { open } = yield* fixture
      const [slow, quick] = yield* Effect.all([open(), open()])
      const present = Fixtures.blob({ group: "g", generation: 5, seed: 1 })
      const newer = Fixtures.blob({ group: "g", generation: 9, seed: 1 })
      const older = Fixtures.blob({ group: "g", generation: 7, seed: 2 })
      yield* slow.put(present)
      const begun = yield* Deferred.make<void>()
      const resume = yield* Deferred.make<void>()
      const bytes = yield* Body.toBytes(older.body)
      const held = Stream.unwrap(
        Effect.andThen(Deferred.succeed(begun, undefined), Effect.as(Deferred.await(resume), Stream.succeed(bytes)))
      )
      const write = yield* Effect.forkChild(
        slow.put({ header: older.header, body: Body.streamed(bytes.byteLength, () => held) })
      )
      yield* Deferred.await(begun)

      yield* quick.put(newer)
      yield* Deferred.succeed(resume, undefined)

      assert.deepStrictEqual(yield* Fiber.join(write), { _tag: "Superseded", current: 9 })
      const read = yield* quick.head(newer.header.key)
      assert.strictEqual(read._tag === "Hit" && read.header.generation, 9)
    })
  )

  it.effect("put - in parts, of 64 MiB, holds a few parts in memory", () =>
    Effect.gen(function* () {
      const { open, uploads } = yield* fixture
      const tier = yield* open({ partBytes: 5 * mebibyte })
      const piece = Fixtures.bytes(1, mebibyte)
      const count = 64
      const digest = createHash("sha256")
      for (let index = 0; index < count; index++) digest.update(piece)
      const header: Header.Header = {
        ...Fixtures.blob({ group: "g" }).header,
        size: count * mebibyte,
        checksums: Array.from({ length: count }, () => crc32(piece)),
        digest: digest.digest("hex")
      }
      const before = process.memoryUsage().arrayBuffers
      let most = 0
      const watched = Stream.map(Stream.fromIterable(Array.from({ length: count }), { chunkSize: 1 }), () => {
        most = Math.max(most, process.memoryUsage().arrayBuffers)
        return piece
      })

      const write = yield* tier.put({ header, body: Body.streamed(header.size, () => watched) })

      assert.deepStrictEqual(write, { _tag: "Stored" })
      assert.isBelow(most - before, 24 * mebibyte)
      const read = yield* tier.head(header.key)
      assert.strictEqual(read._tag === "Hit" && read.header.size, header.size)
      assert.strictEqual(yield* uploads, 0)
    })
  )

  it.effect("put - in parts, that ends badly while parts are there, leaves no parts and nothing to see", () =>
    Effect.gen(function* () {
      const { keys, open, uploads } = yield* fixture
      const tier = yield* open({ partBytes: 5 * mebibyte })
      const bytes = Fixtures.bytes(1, 12 * mebibyte)
      const { header } = Fixtures.blob({ group: "g", bytes })
      const wrong = bytes.with(11 * mebibyte, (bytes[11 * mebibyte] ?? 0) ^ 1)
      const parts = Stream.succeed(bytes.subarray(0, 11 * mebibyte))
      const begun = yield* Deferred.make<void>()
      const endings: ReadonlyArray<Effect.Effect<unknown>> = [
        Effect.exit(tier.put({ header, body: streamed(wrong) })),
        Effect.exit(
          tier.put({ header, body: Body.streamed(header.size, () => Stream.concat(parts, Stream.die("lost"))) })
        ),
        Effect.gen(function* () {
          const stall = Stream.fromEffect(Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
          const stream = Stream.concat(parts, stall)
          const fiber = yield* Effect.forkChild(tier.put({ header, body: Body.streamed(header.size, () => stream) }))
          yield* Deferred.await(begun)
          assert.strictEqual(yield* uploads, 1, "uploads while the stream is awaited")
          yield* Fiber.interrupt(fiber)
        })
      ]
      for (const [index, ending] of endings.entries()) {
        yield* ending

        assert.strictEqual(yield* uploads, 0, `uploads after ending ${index}`)
        assert.deepStrictEqual(yield* keys, [])
      }
      assert.strictEqual((yield* tier.stats).leftUploads, 0)
    })
  )

  it.effect("put - never replaces an object that the tier has not written", () =>
    Effect.gen(function* () {
      const { bucket, client, open } = yield* fixture
      const tier = yield* open()
      const foreign = { Bucket: bucket, Key: "g/master" }
      yield* Effect.promise(() =>
        client.send(new PutObjectCommand({ ...foreign, Body: "theirs", Metadata: { a: "b" } }))
      )

      for (const body of [Fixtures.blob({ group: "g" }).body, streamed(Fixtures.bytes(1, 256))]) {
        const error = yield* Effect.flip(tier.put({ header: Fixtures.blob({ group: "g" }).header, body }))
        assert.strictEqual(error.reason._tag, "Denied")
        assert.match(error.message, /g\/master was not written by this tier/)
      }

      const object = yield* Effect.promise(() => client.send(new GetObjectCommand(foreign)))
      assert.strictEqual(yield* Effect.promise(async () => object.Body?.transformToString()), "theirs")
    })
  )

  it.effect("without conditional writes - no condition is sent, and newer wins among the writers of the process", () =>
    Effect.gen(function* () {
      const { open } = yield* fixture
      const [tier, sent] = yield* Requests.during(
        Effect.tap(open({ conditionalWrites: false }), (tier) =>
          Effect.gen(function* () {
            for (const generation of [1, 2]) yield* tier.put(Fixtures.blob({ group: "g", generation }))
            yield* tier.remove(Fixtures.blob({ group: "g" }).header.key, 2)
          })
        )
      )

      assert.strictEqual(Requests.methods(sent), "GET HEAD PUT HEAD PUT HEAD DELETE")
      for (const { headers } of sent) {
        assert.notProperty(headers, "if-match")
        assert.notProperty(headers, "if-none-match")
      }
      const racing = TierSuite.cases.filter(({ requires }) => requires.atomicPut === "process")
      assert.isAbove(racing.length, 4)
      for (const self of racing) yield* TierSuite.run(self, tier satisfies Tier.Tier)
    })
  )
}
