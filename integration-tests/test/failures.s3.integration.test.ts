/**
 * S3 fails, which is the store of masters: what caches have is served, and marked once it should have been compared; what
 * only S3 could know is 503 and never 404; a write is 503, and what it has done is the same on every path.
 */
import { assert, layer } from "@effect/vitest"
import * as S3Server from "@terrace/testkit/S3Server"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { randomBytes } from "node:crypto"
import sharp from "sharp"
import * as Backends from "./support/Backends.ts"
import { jsonOf, send, Server } from "./support/Http.ts"
import { png } from "./support/images.ts"
import { until } from "./support/eventually.ts"
import { refusal } from "./support/TestServer.ts"

const { get, operate, put, recordOf, remove, statusOf, storedTag, tiersOf, writeRecord } = Backends

const image = (seed: number) => Effect.promise(() => png(60, 40, seed))

/** Too large for the smallest memory there is: its copies are on disk. */
const large = (seed: number) => Effect.promise(() => png(500, 400, seed))

/** Memory that takes small masters only. */
const smallMemory = { TERRACE_MEMORY_MAX_BYTES: "16KiB" }

/** How a server without room for a second look sees its copies: as confirmed, for as long as any test lasts. */
const forLong = { TERRACE_REVALIDATE_AFTER: "1 hour" }

/** What every path says of an image: one tag, whoever is asked how. */
const pathsOf = (id: string): Effect.Effect<ReadonlyArray<string | null>, never, Server> =>
  Effect.gen(function* () {
    const read = yield* get(id)
    const headed = yield* send(`/images/${id}`, { method: "HEAD" })
    const { etag } = yield* Effect.flatMap(send(`/images/${id}/metadata`), jsonOf)
    assert.strictEqual(read.etag, read.status === 200 ? Backends.tagOf(read.bytes) : null)
    return [read.etag, headed.headers.get("etag"), etag ?? null]
  })

const isOne = (paths: ReadonlyArray<string | null>): boolean => new Set(paths).size === 1

layer(Backends.backends, { excludeTestServices: true, timeout: 120_000 })("S3 that fails", (it) => {
  it.effect(
    "in the middle of everything - memory and disk serve, not marked before it is due; the rest is 503, never 404; no write is taken; all is mended without a restart",
    () =>
      Effect.gen(function* () {
        const deployed = yield* Backends.deployment
        const { alone, start, toS3 } = deployed
        const server = yield* S3Server.S3Server
        const kinds = [
          { name: "refused", begin: toS3.down, end: toS3.set({}) },
          { name: "cut", begin: toS3.set({ toClient: { cutAfter: { bytes: 100, how: "close" } } }), end: toS3.set({}) },
          { name: "paused", begin: server.pause, end: server.unpause }
        ]
        const [small, wide] = [yield* image(1), yield* large(1)]
        yield* Backends.seed(deployed, Object.fromEntries(kinds.map(({ name }) => [`cold_${name}`, small])))
        const node = yield* start({ ...alone, ...smallMemory, ...forLong })
        yield* Effect.gen(function* () {
          for (const [id, body] of [
            ["memory", small],
            ["disk", wide]
          ] as const)
            assert.strictEqual((yield* put(id, body)).status, 201)
          const before = yield* Effect.all([pathsOf("memory"), pathsOf("disk")])
          for (const { begin, end, name } of kinds) {
            yield* begin

            const unknown = [`cold_${name}`, `nobody_${name}`, `cold_${name}/metadata`, `cold_${name}?preset=thumb`]
            const others = ["one", "two", "three"].map((id) => `${id}_${name}`)
            const answers = yield* Effect.forEach([...unknown, ...others], get, { concurrency: "unbounded" })
            for (const { problem, retryAfter, status } of answers) {
              assert.deepStrictEqual([status, problem, retryAfter], [503, "unavailable", "5"], name)
            }
            for (const [id, tier] of [
              ["memory", "terrace-memory;hit"],
              ["disk", "terrace-filesystem;hit, terrace-memory;fwd=miss"]
            ] as const) {
              const { cacheStatus, status } = yield* get(id)
              assert.deepStrictEqual([status, cacheStatus], [200, tier], name)
            }
            for (const write of [put("memory", wide), put(`new_${name}`, small), remove("disk"), put("disk", small)]) {
              const { problem, retryAfter } = yield* write
              assert.strictEqual(problem, "unavailable", name)
              assert.isNotNull(retryAfter, name)
            }
            for (const id of ["memory", "disk"]) assert.strictEqual(yield* statusOf(id), 200, name)
            assert.strictEqual(yield* statusOf("memory?preset=thumb"), 200, name)
            assert.deepStrictEqual(yield* Effect.all([operate("/healthz"), operate("/readyz")]), [200, 503], name)

            yield* end

            yield* until(`${name}: ready`, operate("/readyz"), (status) => status === 200)
            yield* until(`${name}: the cold image`, statusOf(`cold_${name}`), (status) => status === 200)
            yield* until(`${name}: 404 again`, statusOf(`nobody_${name}`), (status) => status === 404)
            assert.deepStrictEqual(yield* Effect.all([pathsOf("memory"), pathsOf("disk")]), before, name)
            assert.strictEqual(yield* statusOf(`new_${name}`), 404, name)
            assert.strictEqual((yield* put(`new_${name}`, small)).status, 201, name)
          }
          assert.sameMembers(
            [...(yield* Backends.objects(deployed))],
            ["memory", "disk", ...kinds.flatMap(({ name }) => [`cold_${name}`, `new_${name}`])].map(
              (id) => `${id}/master`
            )
          )
        }).pipe(Effect.provideService(Server, node))
      }),
    120_000
  )

  it.effect("for longer than copies count as confirmed - they are served, and marked", () =>
    Effect.gen(function* () {
      const { alone, start, toS3 } = yield* Backends.deployment
      const node = yield* start({ ...alone, ...smallMemory, TERRACE_REVALIDATE_AFTER: "1 second" })
      yield* Effect.gen(function* () {
        yield* put("memory", yield* image(1))
        yield* put("disk", yield* large(1))
        yield* toS3.down

        for (const id of ["memory", "disk", "memory?preset=thumb"]) {
          const { status } = yield* until(
            id,
            get(id),
            ({ cacheStatus }) => cacheStatus?.includes("unconfirmed") === true
          )
          assert.strictEqual(status, 200)
        }
        const answers = yield* Effect.all([get("memory"), get("disk")])
        assert.deepStrictEqual(
          answers.map(({ cacheStatus }) => cacheStatus),
          [
            "terrace-memory;hit;detail=unconfirmed",
            "terrace-filesystem;hit;detail=unconfirmed, terrace-memory;fwd=miss"
          ]
        )

        yield* toS3.set({})

        for (const id of ["memory", "disk"]) {
          yield* until(id, get(id), ({ cacheStatus }) => cacheStatus?.includes("unconfirmed") === false)
        }
      }).pipe(Effect.provideService(Server, node))
    })
  )

  it.effect("when the server starts - it starts, warns, serves what its disk has, and is mended when S3 comes up", () =>
    Effect.gen(function* () {
      const deployed = yield* Backends.deployment
      const { alone, start, toS3 } = deployed
      const node = yield* start(alone)
      const dataDir = node.dataDir.replace(/\/data$/, "")
      const kept = yield* Effect.andThen(put("kept", yield* image(1)), get("kept")).pipe(
        Effect.provideService(Server, node)
      )
      yield* Effect.promise(() => node.end("SIGTERM"))
      yield* Backends.seed(deployed, { cold: yield* image(2) })
      yield* toS3.down

      const again = yield* start(alone, dataDir)

      assert.isTrue(again.log.some((line) => /level=WARN .*s3: started without its bucket/.test(line)))
      yield* Effect.gen(function* () {
        const { cacheStatus, etag } = yield* get("kept")
        assert.deepStrictEqual(
          [etag, cacheStatus],
          [kept.etag, "terrace-filesystem;hit;detail=unconfirmed, terrace-memory;fwd=miss"]
        )
        assert.strictEqual((yield* get("cold")).problem, "unavailable")
        assert.strictEqual((yield* put("new", yield* image(3))).problem, "unavailable")

        yield* toS3.set({})

        yield* until("the cold image", statusOf("cold"), (status) => status === 200)
        yield* until("uploads are taken", put("new", yield* image(3)), ({ status }) => status === 201)
        assert.strictEqual(yield* operate("/readyz"), 200)
      }).pipe(Effect.provideService(Server, again))
    })
  )

  it.effect(
    "a bucket that is missing, or keys that are refused, at start - are told in one line, and the exit code is 1",
    () =>
      Effect.gen(function* () {
        const { direct } = yield* Backends.deployment
        const { stranger } = yield* S3Server.S3Server
        for (const [settings, expected] of [
          [
            { TERRACE_S3_BUCKET: "no-such-bucket" },
            /cannot use s3:\/\/no-such-bucket\/.*there is no bucket no-such-bucket/
          ],
          [{ AWS_SECRET_ACCESS_KEY: "wrong" }, /the server refuses: .*SignatureDoesNotMatch/],
          [
            { AWS_ACCESS_KEY_ID: stranger.accessKeyId, AWS_SECRET_ACCESS_KEY: stranger.secretAccessKey },
            /the server refuses: .*AccessDenied/
          ]
        ] as const) {
          const lines = yield* refusal({ ...direct, ...settings })
          assert.deepStrictEqual([lines.length, lines[0]], [2, "exit code 1:"], lines.join("\n"))
          assert.match(lines[1] ?? "", expected)
        }
      })
  )

  it.effect("a connection that is cut while an image is read - never ends as if it were whole", () =>
    Effect.gen(function* () {
      const deployed = yield* Backends.deployment
      const { alone, start, toS3 } = deployed
      // Noise, of which WebP makes more than three megabytes.
      const noise = { raw: { width: 2_400, height: 2_400, channels: 3 } } as const
      const streamed = yield* Effect.promise(() =>
        sharp(randomBytes(2_400 * 2_400 * 3), noise)
          .png()
          .toBuffer()
      )
      yield* Backends.seed(deployed, { whole: yield* large(1), streamed })
      const node = yield* start({ ...alone, ...smallMemory })
      yield* Effect.gen(function* () {
        yield* toS3.set({ toClient: { cutAfter: { bytes: 10_000 } } })
        assert.strictEqual((yield* get("whole")).problem, "unavailable")
        // More than a look at the first mebibyte and a whole chunk, so that an answer has begun.
        yield* toS3.set({ toClient: { cutAfter: { bytes: 2_500_000 } } })
        const { url } = node
        const read = Effect.promise(async () => {
          const response = await fetch(`${url}/images/streamed`)
          const body = await response.arrayBuffer().then(
            () => "whole",
            () => "broken"
          )
          return [response.status, body] as const
        })
        const [, body] = yield* until("an answer begins", read, ([status]) => status === 200)
        assert.strictEqual(body, "broken")
        yield* toS3.set({})
        for (const id of ["whole", "streamed"]) {
          const { bytes, etag } = yield* until(id, get(id), ({ status }) => status === 200)
          assert.strictEqual(etag, Backends.tagOf(bytes))
          if (id === "streamed") assert.isAbove(bytes.byteLength, 3_000_000)
        }
      }).pipe(Effect.provideService(Server, node))
    })
  )

  it.effect(
    "a connection that is reset while an upload is sent - nothing was written, and the old image is on every path",
    () =>
      Effect.gen(function* () {
        const deployed = yield* Backends.deployment
        const { alone, start, toS3 } = deployed
        const node = yield* start({ ...alone, ...forLong })
        yield* Effect.gen(function* () {
          yield* put("hero", yield* image(1))
          const before = yield* pathsOf("hero")
          const tag = yield* storedTag(deployed, "hero")
          for (const id of ["hero", "new"]) {
            yield* toS3.set({ toServer: { cutAfter: { bytes: 10_000 } } })

            assert.strictEqual((yield* put(id, yield* large(2))).problem, "unavailable")

            yield* toS3.set({})
          }
          yield* until("every path", pathsOf("hero"), isOne)
          assert.deepStrictEqual(yield* pathsOf("hero"), before)
          assert.strictEqual(yield* storedTag(deployed, "hero"), tag)
          assert.strictEqual(yield* statusOf("new"), 404)
        }).pipe(Effect.provideService(Server, node))
      })
  )

  it.effect(
    "a connection that breaks after S3 has taken a write - what S3 has is acknowledged if it says so, else 503; then every path says it",
    () =>
      Effect.gen(function* () {
        const deployed = yield* Backends.deployment
        const { alone, start, toS3 } = deployed
        const node = yield* start({ ...alone, ...forLong })
        const late = { toClient: { latency: "700 millis" } } as const
        // Healed of its latency, the proxy would pass on what is under way.
        const isGone = Effect.andThen(toS3.set({ ...late, connect: "refuse" }), toS3.cut("reset"))
        /** `breaks`: how the connection ends; the write is made again over the next one, if there is one. */
        const loseAnswer = <A, E, R>(write: Effect.Effect<A, E, R>, breaks: Effect.Effect<void, unknown>) =>
          Effect.gen(function* () {
            const tag = yield* storedTag(deployed, "hero")
            yield* toS3.set(late)
            const writing = yield* Effect.forkChild(write)
            yield* until("S3 has taken it", storedTag(deployed, "hero"), (now) => now !== tag)
            yield* Effect.orDie(breaks)
            const answer = yield* Fiber.join(writing)
            yield* toS3.set({})
            return answer
          })
        yield* Effect.gen(function* () {
          yield* put("hero", yield* image(1))
          const [before] = yield* pathsOf("hero")

          const taken = yield* loseAnswer(put("hero", yield* image(3)), toS3.cut("reset"))
          assert.strictEqual(taken.status, 200)
          const [acknowledged] = yield* pathsOf("hero")
          assert.notStrictEqual(acknowledged, before)

          const lost = yield* loseAnswer(put("hero", yield* image(2)), isGone)
          assert.strictEqual(lost.problem, "unavailable")
          const [after] = yield* until("every path has the new one", pathsOf("hero"), isOne)
          assert.isString(after)
          assert.notStrictEqual(after, acknowledged)

          assert.strictEqual((yield* loseAnswer(remove("hero"), isGone)).problem, "unavailable")
          yield* until("it is gone", pathsOf("hero"), (paths) => paths.every((tag) => tag === null))
          assert.strictEqual(yield* statusOf("hero"), 404)
        }).pipe(Effect.provideService(Server, node))
      })
  )

  it.effect("that asks for fewer requests - copies are served, the rest is 503, and nothing is written", () =>
    Effect.gen(function* () {
      const deployed = yield* Backends.deployment
      const { alone, bucket, start } = deployed
      const { admin } = yield* S3Server.S3Server
      const scope = ["--ratelimit-scope=bucket", `--bucket=${bucket}`]
      const ids = Array.from({ length: 6 }, (_, index) => index)
      const hero = yield* image(1)
      yield* Backends.seed(deployed, Object.fromEntries(ids.map((index) => [`cold_${index}`, hero])))
      const node = yield* start({ ...alone, ...forLong })
      yield* Effect.gen(function* () {
        yield* put("kept", hero)
        yield* admin(["ratelimit", "set", ...scope, "--max-read-ops=1", "--max-write-ops=1"])
        yield* admin(["ratelimit", "enable", ...scope])

        const reads = yield* Effect.forEach(ids, (index) => get(`cold_${index}`))
        const writes = yield* Effect.forEach(ids, (index) => put(`new_${index}`, hero))

        for (const answers of [reads, writes]) {
          const refused = answers.filter(({ status }) => status >= 300)
          assert.isAbove(refused.length, 0)
          for (const { problem, retryAfter } of refused) {
            assert.strictEqual(problem, "unavailable")
            assert.isNotNull(retryAfter)
          }
        }
        assert.strictEqual((yield* get("kept")).cacheStatus, "terrace-memory;hit")

        yield* admin(["ratelimit", "disable", ...scope])

        for (const index of ids) {
          yield* until("the cold image", statusOf(`cold_${index}`), (status) => status === 200)
          const isThere = writes[index]?.status === 201
          yield* until("what was taken", statusOf(`new_${index}`), (status) => status === (isThere ? 200 : 404))
        }
      }).pipe(Effect.provideService(Server, node))
    })
  )

  it.effect(
    "old records - are 503 as long as S3 could have a newer image, and stay whole in Redis, whatever is asked",
    () =>
      Effect.gen(function* () {
        const deployed = yield* Backends.deployment
        const { proxied, start, toS3 } = deployed
        const hero = yield* image(1)
        const node = yield* start({ ...proxied, ...forLong })
        yield* Effect.gen(function* () {
          const old = yield* writeRecord(deployed, "old", hero)
          yield* put("stored", hero)
          const record = yield* recordOf(deployed, "stored")
          yield* toS3.down

          for (const path of ["old", "old/metadata", "old?preset=thumb"]) {
            assert.strictEqual((yield* get(path)).problem, "unavailable", path)
          }
          for (const write of [remove("old"), put("old", hero), remove("stored")]) {
            assert.strictEqual((yield* write).problem, "unavailable")
          }
          assert.strictEqual(yield* recordOf(deployed, "old"), old)

          yield* toS3.set({})

          yield* until("the old image", statusOf("old"), (status) => status === 200)
          yield* until("it is compacted", recordOf(deployed, "old"), (text) => text !== old)
          yield* until("the record of what stayed", recordOf(deployed, "stored"), (text) => text === record)
          assert.strictEqual(yield* statusOf("stored"), 200)
        }).pipe(Effect.provideService(Server, node))
      })
  )
})

layer(Backends.backends, { excludeTestServices: true, timeout: 120_000 })(
  "S3 that takes three seconds for each call",
  (it) => {
    it.effect(
      "is not asked any more after five reads; memory serves without it; it is asked again when it is well",
      () =>
        Effect.gen(function* () {
          const deployed = yield* Backends.deployment
          const { alone, start, toS3 } = deployed
          const ids = Array.from({ length: 5 }, (_, index) => `cold_${index}`)
          const hero = yield* image(1)
          yield* Backends.seed(deployed, Object.fromEntries(ids.map((id) => [id, hero])))
          const node = yield* start({ ...alone, ...forLong })
          yield* Effect.gen(function* () {
            yield* put("kept", hero)
            yield* toS3.set({ toClient: { latency: "3 seconds" } })

            const cold = yield* Effect.forEach(ids, get, { concurrency: "unbounded" })

            for (const { problem } of cold) assert.strictEqual(problem, "unavailable")
            // `GET /tiers` asks what the bucket holds, unless it is not to be asked.
            assert.notStrictEqual((yield* tiersOf("masters"))["s3"]?.breaker, "closed")
            const { passed: before } = yield* toS3.stats
            for (let count = 0; count < 100; count++) {
              const { cacheStatus, status } = yield* get("kept")
              assert.deepStrictEqual([status, cacheStatus], [200, "terrace-memory;hit"])
            }
            const refused = yield* Effect.forEach([put("new", hero), remove("kept"), get("nobody")], (one) => one)
            for (const { problem } of refused) assert.strictEqual(problem, "unavailable")
            assert.isBelow((yield* toS3.stats).passed.toServer - before.toServer, 20_000)

            yield* toS3.set({})

            for (const id of ids) yield* until(id, statusOf(id), (status) => status === 200)
            const { s3 } = yield* tiersOf("masters")
            assert.deepStrictEqual([s3?.breaker, s3?.counters["hits"]], ["closed", 5])
            assert.deepStrictEqual([yield* statusOf("new"), yield* statusOf("kept")], [404, 200])
          }).pipe(Effect.provideService(Server, node))
        })
    )
  }
)
