/**
 * The process is killed in the middle of uploads to S3: what was acknowledged is there, whole, for whoever asks next.
 */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Backends from "./support/Backends.ts"
import { Server } from "./support/Http.ts"
import { png } from "./support/images.ts"
import { temporaryDirectory } from "./support/TestServer.ts"

const { get, put, statusOf } = Backends

const kills = 3
const lanes = 4

layer(Backends.backends, { excludeTestServices: true, timeout: 120_000 })("a process that is killed", (it) => {
  it.effect(
    "in the middle of uploads - has lost none that was acknowledged, and left each image whole or absent",
    () =>
      Effect.gen(function* () {
        const deployed = yield* Backends.deployment
        const { alone, start, toS3 } = deployed
        const images = yield* Effect.promise(() => Promise.all([png(160, 120, 1), png(120, 160, 2), png(300, 300, 3)]))
        const dataDir = yield* temporaryDirectory
        /** By id, what was acknowledged last: nothing older may come back. */
        const acknowledged = new Map<string, string>()
        const tried = new Set<string>()
        const once = new Set<string>()

        for (let kill = 0; kill < kills; kill++) {
          const node = yield* start(alone, dataDir)
          // So that there is a middle to be killed in.
          yield* toS3.set({ bytesPerSecond: 40_000 + kill * 60_000 })
          const { passed: before } = yield* toS3.stats
          const lane = (offset: number) =>
            Effect.gen(function* () {
              for (let count = 0; ; count++) {
                const id = `image_${offset}_${(kill + count) % 3}`
                const body = images[(count + offset + kill) % images.length] ?? Buffer.alloc(0)
                tried.add(id)
                // Until it is acknowledged, or not, either may be there.
                acknowledged.delete(id)
                const sent = yield* Effect.exit(put(id, body))
                if (sent._tag === "Failure") return
                const answer = sent.value
                assert.isTrue([200, 201].includes(answer.status), `${answer.status} ${answer.bytes.toString()}`)
                const { etag } = JSON.parse(answer.bytes.toString()) as { readonly etag: string }
                acknowledged.set(id, etag)
                once.add(id)
              }
            })
          const killer = Effect.gen(function* () {
            // At another number of bytes each time: while a look, a body, or an answer is under way.
            const bytes = 15_000 + kill * 37_000
            while ((yield* toS3.stats).passed.toServer < before.toServer + bytes) yield* Effect.yieldNow
            yield* Effect.promise(() => node.end("SIGKILL"))
          })
          yield* Effect.all([killer, ...Array.from({ length: lanes }, (_, offset) => lane(offset))], {
            concurrency: "unbounded"
          }).pipe(Effect.provideService(Server, node))
          yield* toS3.set({})
        }

        assert.isAbove(acknowledged.size, 0)
        const uploads = yield* Backends.uploads(deployed)
        // As the README of the tier tells: parts of what was being written, which a lifecycle rule removes.
        assert.isAtMost(uploads.length, kills * lanes)
        for (const key of uploads) assert.isTrue(tried.has(key.replace("/master", "")), key)

        // One that has seen it all, and one that has never seen anything.
        for (const directory of [dataDir, undefined]) {
          const node = yield* start(alone, directory)
          assert.isFalse(node.log.some((line) => /level=(ERROR|FATAL)/.test(line)))
          yield* Effect.gen(function* () {
            for (const id of tried) {
              const { bytes, etag, status } = yield* get(id)
              assert.isTrue(status === 200 || (status === 404 && !once.has(id)), `${id}: ${status}`)
              if (status === 200) assert.strictEqual(etag, Backends.tagOf(bytes), id)
              const last = acknowledged.get(id)
              if (last !== undefined) assert.strictEqual(etag, last, id)
            }
            assert.strictEqual(yield* statusOf("nobody"), 404)
          }).pipe(Effect.provideService(Server, node))
          yield* Effect.promise(() => node.end("SIGKILL"))
        }
      }),
    120_000
  )
})
