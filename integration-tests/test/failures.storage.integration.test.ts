/**
 * What becomes of images in a bucket and of their copies: a disk cache that fails, bytes that are wrong, a crowd that asks
 * for what is cold, uploads that are none.
 */
import { GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3"
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { open, readdir, rename, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import * as Backends from "./support/Backends.ts"
import { send, Server } from "./support/Http.ts"
import { jpeg, png } from "./support/images.ts"
import { until } from "./support/eventually.ts"

const { get, put, remove, statusOf, tiersOf } = Backends

const image = (seed: number) => Effect.promise(() => png(60, 40, seed))

/** Too large for the smallest memory there is: its copies are on disk. */
const large = (seed: number) => Effect.promise(() => png(500, 400, seed))

const smallMemory = { TERRACE_MEMORY_MAX_BYTES: "16KiB" }

/** Makes one bit of a file another. */
const flip = async (directory: string, name: string): Promise<void> => {
  const found = (await readdir(directory, { recursive: true })).find((path) => path.endsWith(name))
  const file = await open(join(directory, found ?? `no ${name}`), "r+")
  const byte = Buffer.alloc(1)
  await file.read(byte, 0, 1, 1_000)
  await file.write(
    byte.map((value) => value ^ 1),
    0,
    1,
    1_000
  )
  await file.close()
}

layer(Backends.backends, { excludeTestServices: true, timeout: 120_000 })("images in a bucket", (it) => {
  it.effect(
    "whose disk cache is gone - are served by S3 and written as ever; what the cache has when it is back is not believed",
    () =>
      Effect.gen(function* () {
        const { alone, start } = yield* Backends.deployment
        const node = yield* start({ ...alone, ...smallMemory })
        const [cache, away] = [join(node.dataDir, "cache"), join(node.dataDir, "away")]
        yield* Effect.gen(function* () {
          for (const id of ["hero", "other"]) yield* put(id, yield* large(1))
          const { etag: before } = yield* get("hero")
          yield* Effect.promise(async () => {
            await rename(cache, away)
            await writeFile(cache, "in its place")
          })

          const { cacheStatus, status } = yield* get("hero")
          assert.strictEqual(status, 200)
          assert.match(cacheStatus ?? "", /^terrace-s3;hit, terrace-filesystem;fwd=miss;detail=unavailable/)
          assert.strictEqual(yield* statusOf("hero?preset=thumb"), 200)
          assert.strictEqual((yield* put("new", yield* image(1))).status, 201)
          assert.strictEqual(yield* statusOf("new"), 200)
          assert.strictEqual((yield* put("hero", yield* large(2))).status, 200)
          assert.strictEqual((yield* remove("other")).status, 200)
          const { filesystem } = yield* tiersOf("masters")
          assert.isAbove(Number(filesystem?.counters["writeFailed"]), 0)

          yield* Effect.promise(async () => {
            await rm(cache)
            await rename(away, cache)
          })

          const after = yield* get("hero")
          assert.strictEqual(after.etag, Backends.tagOf(after.bytes))
          assert.notStrictEqual(after.etag, before)
          for (const read of [1, 2]) assert.strictEqual(yield* statusOf("other"), 404, `read ${read}`)
          const again = yield* until(
            "copies are kept again",
            get("hero"),
            ({ cacheStatus: said }) => said?.startsWith("terrace-filesystem;hit") === true
          )
          assert.strictEqual(again.etag, after.etag)
        }).pipe(Effect.provideService(Server, node))
      })
  )

  it.effect("whose disk cache is full - are served and written as ever, and it is counted", () =>
    Effect.gen(function* () {
      const { alone, start } = yield* Backends.deployment
      const node = yield* start({ ...alone, ...smallMemory, TERRACE_DISK_MAX_BYTES: "20KiB" })
      yield* Effect.gen(function* () {
        const ids = Array.from({ length: 30 }, (_, index) => `small_${index}`)
        yield* Effect.forEach(["large", ...ids], (id, index) =>
          Effect.gen(function* () {
            const body = id === "large" ? yield* large(1) : yield* image(index)
            assert.strictEqual((yield* put(id, body)).status, 201, id)
          })
        )

        for (const path of ["large", "large?preset=thumb", ...ids]) assert.strictEqual(yield* statusOf(path), 200, path)

        assert.match((yield* get("large")).cacheStatus ?? "", /^terrace-s3;hit/)
        const { filesystem } = yield* tiersOf("masters")
        const declined = filesystem?.counters["declined"] as Readonly<Record<string, number>> | undefined
        assert.isAbove(declined?.["too-large"] ?? 0, 0)
        assert.isAbove(filesystem?.evictions ?? 0, 0)
        assert.isAtMost(filesystem?.usage?.bytes ?? Number.NaN, 20_480)
      }).pipe(Effect.provideService(Server, node))
    })
  )

  it.effect("a bit of whose copy on disk has changed - are served by S3, and the copy is made anew", () =>
    Effect.gen(function* () {
      const { alone, start } = yield* Backends.deployment
      const node = yield* start({ ...alone, ...smallMemory })
      yield* Effect.gen(function* () {
        yield* put("hero", yield* large(1))
        const { etag } = yield* get("hero")
        yield* Effect.promise(() => flip(join(node.dataDir, "cache"), "hero~master"))

        const healed = yield* get("hero")

        assert.deepStrictEqual([healed.status, healed.etag, Backends.tagOf(healed.bytes)], [200, etag, etag])
        assert.match(healed.cacheStatus ?? "", /^terrace-s3;hit/)
        const kept = yield* until(
          "a copy on disk",
          get("hero"),
          ({ cacheStatus }) => cacheStatus?.startsWith("terrace-filesystem;hit") === true
        )
        assert.strictEqual(Backends.tagOf(kept.bytes), etag)
      }).pipe(Effect.provideService(Server, node))
    })
  )

  it.effect(
    "whose object has other bytes - are a 500 that says so, never those bytes and never 404; an upload heals",
    () =>
      Effect.gen(function* () {
        const deployed = yield* Backends.deployment
        const { alone, bucket, s3, start } = deployed
        const hero = yield* large(1)
        yield* Backends.seed(deployed, { flipped: hero, cut: hero })
        yield* Effect.promise(async () => {
          for (const id of ["flipped", "cut"]) {
            const Key = `${id}/master`
            const { Body, Metadata } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key }))
            const bytes = (await Body?.transformToByteArray()) ?? new Uint8Array(0)
            const wrong = id === "cut" ? bytes.subarray(0, 5_000) : bytes.with(5_000, (bytes[5_000] ?? 0) ^ 1)
            await s3.send(new PutObjectCommand({ Bucket: bucket, Key, Metadata, Body: wrong }))
          }
          await s3.send(new PutObjectCommand({ Bucket: bucket, Key: "foreign/master", Body: "not of this server" }))
        })
        const node = yield* start(alone)
        yield* Effect.gen(function* () {
          for (const path of ["flipped", "flipped", "flipped?preset=thumb", "cut"]) {
            const { problem, status } = yield* get(path)
            assert.deepStrictEqual([status, problem], [500, "damaged"], path)
          }
          for (const id of ["flipped", "cut"]) {
            assert.strictEqual((yield* put(id, hero)).status, 200)
            const { bytes, etag, status } = yield* get(id)
            assert.deepStrictEqual([status, etag], [200, Backends.tagOf(bytes)])
          }
          assert.strictEqual((yield* get("foreign")).problem, "image-not-found")
          assert.strictEqual((yield* put("foreign", hero)).problem, "unavailable")
          const foreign = yield* Effect.promise(async () =>
            (await s3.send(new GetObjectCommand({ Bucket: bucket, Key: "foreign/master" }))).Body?.transformToString()
          )
          assert.strictEqual(foreign, "not of this server")
        }).pipe(Effect.provideService(Server, node))
      })
  )

  it.effect("that are cold and asked for by five hundred clients at once - are read from S3 once", () =>
    Effect.gen(function* () {
      const deployed = yield* Backends.deployment
      const { alone, start, toS3 } = deployed
      yield* Backends.seed(deployed, { hero: yield* large(1) })
      const node = yield* start(alone)
      yield* Effect.gen(function* () {
        const { passed: before } = yield* toS3.stats
        const clients = Array.from({ length: 500 }, () => "hero")

        const answers = yield* Effect.forEach(clients, get, { concurrency: "unbounded" })

        const [first] = answers
        for (const { bytes, etag, status } of answers) {
          assert.deepStrictEqual([status, etag], [200, first?.etag])
          assert.strictEqual(Backends.tagOf(bytes), etag)
        }
        const { passed } = yield* toS3.stats
        const bytes = passed.toClient - before.toClient
        const size = first?.bytes.byteLength ?? 0
        assert.isTrue(bytes > size && bytes < size + 5_000, `${bytes} bytes from S3 for an image of ${size}`)
        assert.strictEqual((yield* tiersOf("masters"))["s3"]?.counters["hits"], 1)
      }).pipe(Effect.provideService(Server, node))
    })
  )

  it.effect("that are none - are refused, nothing of them is in the bucket, and the server goes on", () =>
    Effect.gen(function* () {
      const deployed = yield* Backends.deployment
      const { alone, start } = deployed
      const photo = yield* Effect.promise(() => jpeg(400, 300))
      const hostile = {
        text: [Buffer.from("not an image"), 415],
        svg: [Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>`), 415],
        cut: [photo.subarray(0, 3_000), 422],
        large: [yield* Effect.promise(() => png(1_000, 1_000)), 413]
      } as const
      const node = yield* start({ ...alone, TERRACE_MAX_UPLOAD_BYTES: "1MB" })
      yield* Effect.gen(function* () {
        for (const [id, [body, status]] of Object.entries(hostile)) {
          assert.strictEqual((yield* put(id, body)).status, status, id)
          assert.strictEqual(yield* statusOf(id), 404, id)
        }
        assert.deepStrictEqual(yield* Backends.objects(deployed), [])
        assert.strictEqual((yield* put("photo", photo)).status, 201)
        assert.strictEqual((yield* send("/healthz")).status, 200)
        assert.deepStrictEqual(yield* Backends.objects(deployed), ["photo/master"])
      }).pipe(Effect.provideService(Server, node))
    })
  )
})
