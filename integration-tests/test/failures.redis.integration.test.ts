/**
 * Redis fails, beside a server whose masters are in a bucket: what the tiers have is served as ever, what only Redis could
 * know is 503 and never 404, and all is mended when it is back.
 */
import { assert, layer } from "@effect/vitest"
import * as RedisServer from "@terrace/testkit/RedisServer"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Backends from "./support/Backends.ts"
import { Server } from "./support/Http.ts"
import { png } from "./support/images.ts"
import { until } from "./support/eventually.ts"
import { refusal } from "./support/TestServer.ts"

const { get, operate, put, recordOf, remove, statusOf, writeRecord } = Backends

const image = (seed: number) => Effect.promise(() => png(60, 40, seed))

interface Trouble {
  readonly name: string
  readonly begin: Effect.Effect<unknown, unknown, Scope.Scope>
  readonly end: Effect.Effect<unknown, unknown>
}

/** The ways in which Redis can be gone. */
const troubles = ({ redis, toRedis }: Backends.Deployment, server: RedisServer.Redis): ReadonlyArray<Trouble> => [
  { name: "refused", begin: toRedis.down, end: toRedis.set({}) },
  { name: "cut", begin: toRedis.set({ toClient: { cutAfter: { bytes: 0, how: "close" } } }), end: toRedis.set({}) },
  {
    name: "password",
    begin: Effect.andThen(
      Effect.promise(() => redis.config("SET", "requirepass", "other")),
      toRedis.cut("reset")
    ),
    end: server.exec(["-a", "other", "config", "set", "requirepass", ""])
  },
  // What was written must be there again: `SAVE` on the way out is what a Redis with the image's settings does.
  { name: "stopped", begin: server.stop, end: server.start },
  { name: "paused", begin: server.pause, end: server.unpause }
]

layer(Backends.backends, { excludeTestServices: true, timeout: 120_000 })("Redis that fails", (it) => {
  it.effect(
    "in the middle of everything - takes no image from readers, never says 404, takes uploads, removes nothing, and is mended without a restart",
    () =>
      Effect.gen(function* () {
        const deployed = yield* Backends.deployment
        const kinds = troubles(deployed, yield* RedisServer.RedisServer)
        const hero = yield* image(1)
        yield* Backends.seed(deployed, Object.fromEntries(kinds.map(({ name }) => [`cold_${name}`, hero])))
        const server = yield* deployed.start(deployed.proxied)
        yield* Effect.gen(function* () {
          assert.strictEqual((yield* put("kept", hero)).status, 201)
          for (const { begin, end, name } of kinds) {
            const old = yield* writeRecord(deployed, `old_${name}`, hero)
            yield* begin

            const known = ["kept", "kept?preset=thumb", "kept/metadata", `cold_${name}`, `cold_${name}?preset=thumb`]
            for (const path of known) assert.strictEqual(yield* statusOf(path), 200, `${name}: ${path}`)
            const onlyRedis = [`old_${name}`, `nobody_${name}`, `old_${name}/metadata`]
            const [answers, stored, removed] = yield* Effect.all(
              [Effect.forEach(onlyRedis, get, { concurrency: "unbounded" }), put(`new_${name}`, hero), remove("kept")],
              { concurrency: "unbounded" }
            )
            for (const { problem, retryAfter, status } of answers) {
              assert.deepStrictEqual([status, problem, retryAfter], [503, "unavailable", "5"], name)
            }
            assert.strictEqual(stored.status, 201, name)
            assert.deepStrictEqual([removed.status, removed.problem], [503, "unavailable"], name)
            assert.isNotNull(removed.retryAfter, name)
            assert.strictEqual(yield* statusOf("kept"), 200, name)
            assert.strictEqual(yield* statusOf(`new_${name}`), 200, name)
            assert.deepStrictEqual(yield* Effect.all([operate("/healthz"), operate("/readyz")]), [200, 200], name)

            yield* end

            yield* until(`${name}: the old image is served`, statusOf(`old_${name}`), (status) => status === 200)
            yield* until(`${name}: it is compacted`, recordOf(deployed, `old_${name}`), (text) => text !== old)
            yield* until(
              `${name}: the record of the upload`,
              recordOf(deployed, `new_${name}`),
              (text) => text !== null
            )
            yield* until(`${name}: 404 again`, statusOf(`nobody_${name}`), (status) => status === 404)
            yield* until(`${name}: removed`, remove(`new_${name}`), ({ status }) => status === 200)
            assert.strictEqual(yield* statusOf(`new_${name}`), 404, name)
          }
        }).pipe(Effect.provideService(Server, server))
      }),
    120_000
  )

  it.effect("when the server starts - it starts, says so, and is mended when Redis comes up", () =>
    Effect.gen(function* () {
      const deployed = yield* Backends.deployment
      const { start, toRedis } = deployed
      const hero = yield* image(1)
      yield* Backends.seed(deployed, { cold: hero })
      yield* writeRecord(deployed, "old", hero)
      yield* toRedis.down

      const server = yield* start(deployed.proxied)

      assert.isTrue(server.log.some((line) => /redis at .* does not answer/.test(line)))
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* statusOf("cold"), 200)
        assert.strictEqual(yield* statusOf("nobody"), 503)
        assert.strictEqual(yield* operate("/readyz"), 200)
        assert.strictEqual((yield* put("new", hero)).status, 201)

        yield* toRedis.set({})

        yield* until("404 again", statusOf("nobody"), (status) => status === 404)
        yield* until("the old image", statusOf("old"), (status) => status === 200)
        yield* until("the record", recordOf(deployed, "new"), (text) => text !== null)
      }).pipe(Effect.provideService(Server, server))
    })
  )

  it.effect("a password that is refused at start - is told in one line, and the exit code is 1", () =>
    Effect.gen(function* () {
      const deployed = yield* Backends.deployment
      const { host, port } = deployed.toRedis
      yield* Effect.acquireRelease(
        Effect.promise(() => deployed.redis.config("SET", "requirepass", "right")),
        () => Effect.promise(() => deployed.redis.config("SET", "requirepass", ""))
      )
      for (const [user, detail] of [
        [":wrong@", "refuses the password"],
        ["", "asks for a password"]
      ] as const) {
        const lines = yield* refusal({
          ...deployed.proxied,
          TERRACE_REDIS_URL: `redis://${user}${host}:${port}`
        })
        assert.deepStrictEqual([lines.length, lines[0]], [2, "exit code 1:"])
        assert.include(lines[1], detail)
        assert.notInclude(lines[1], "wrong@")
      }
    })
  )

  it.effect(
    "without room, without eviction - serves, takes uploads and removes; records are written once there is room",
    () =>
      Effect.gen(function* () {
        const deployed = yield* Backends.deployment
        const { redis } = deployed
        const setting = (name: string, value: string) => Effect.promise(() => redis.config("SET", name, value))
        const hero = yield* image(1)
        const server = yield* deployed.start(deployed.proxied)
        yield* Effect.gen(function* () {
          yield* put("kept", hero)
          const old = yield* writeRecord(deployed, "old", hero)
          yield* Effect.acquireRelease(setting("maxmemory", "1"), () => setting("maxmemory", "0"))

          assert.strictEqual(yield* statusOf("old"), 200)
          assert.strictEqual((yield* put("new", hero)).status, 201)
          assert.strictEqual(yield* statusOf("new"), 200)
          assert.strictEqual((yield* remove("kept")).status, 200)
          assert.deepStrictEqual([yield* statusOf("kept"), yield* statusOf("nobody")], [404, 404])
          assert.isNull(yield* recordOf(deployed, "new"))
          // A record that becomes smaller is written all the same.
          yield* until("compacted", recordOf(deployed, "old"), (text) => text !== null && text !== old)

          yield* setting("maxmemory", "0")

          yield* until("the record", recordOf(deployed, "new"), (text) => text !== null)
        }).pipe(Effect.provideService(Server, server))
      })
  )

  it.effect("as a replica that is only read - old images are served and stay in Redis; a removal is 503", () =>
    Effect.gen(function* () {
      const deployed = yield* Backends.deployment
      const { redis } = deployed
      const hero = yield* image(1)
      const server = yield* deployed.start(deployed.proxied)
      yield* Effect.gen(function* () {
        yield* put("kept", hero)
        const old = yield* writeRecord(deployed, "old", hero)
        yield* writeRecord(deployed, "other", hero)
        const asMaster = Effect.promise(async () => {
          await redis.config("SET", "replica-serve-stale-data", "yes")
          await redis.replicaof("NO", "ONE")
        })
        yield* Effect.acquireRelease(
          Effect.promise(() => redis.replicaof("127.0.0.1", 1)),
          () => asMaster
        )

        assert.strictEqual(yield* statusOf("old"), 200)
        assert.strictEqual(yield* statusOf("nobody"), 404)
        assert.strictEqual((yield* put("new", hero)).status, 201)
        assert.strictEqual((yield* remove("kept")).problem, "unavailable")
        assert.strictEqual(yield* statusOf("kept"), 200)
        assert.strictEqual(yield* recordOf(deployed, "old"), old)
        yield* Effect.promise(() => redis.config("SET", "replica-serve-stale-data", "no"))
        for (const id of ["other", "unknown"]) assert.strictEqual((yield* get(id)).problem, "unavailable", id)

        yield* asMaster

        yield* until("the record", recordOf(deployed, "new"), (text) => text !== null)
        yield* until("the old image", statusOf("other"), (status) => status === 200)
        assert.strictEqual((yield* remove("kept")).status, 200)
      }).pipe(Effect.provideService(Server, server))
    })
  )

  it.effect("while it reads its data - what only it could know is 503, then served", () =>
    Effect.gen(function* () {
      const deployed = yield* Backends.deployment
      const { redis } = deployed
      const hero = yield* image(1)
      const server = yield* deployed.start(deployed.proxied)
      yield* Effect.gen(function* () {
        yield* put("kept", hero)
        yield* writeRecord(deployed, "old", hero)
        const fill = redis.pipeline()
        for (let index = 0; index < 400; index++) fill.set(`filling:${index}`, "x")
        yield* Effect.promise(() => fill.exec())
        yield* Effect.acquireRelease(
          Effect.promise(() => redis.config("SET", "key-load-delay", "5000")),
          () => Effect.promise(() => redis.config("SET", "key-load-delay", "0"))
        )
        yield* Effect.promise(() => redis.config("SET", "loading-process-events-interval-bytes", "1024"))
        const reload = yield* Effect.forkChild((yield* RedisServer.RedisServer).exec(["debug", "reload"]))
        yield* until(
          "it loads",
          Effect.promise(() =>
            redis.get("filling:0").then(
              () => "",
              (error: Error) => error.message
            )
          ),
          (said) => said.startsWith("LOADING")
        )

        const [kept, old, nobody] = yield* Effect.all([get("kept"), get("old"), get("nobody")], {
          concurrency: "unbounded"
        })

        assert.deepStrictEqual([kept.status, old.problem, nobody.problem], [200, "unavailable", "unavailable"])
        yield* Fiber.join(reload)
        yield* until("the old image", statusOf("old"), (status) => status === 200)
        yield* until("404 again", statusOf("nobody"), (status) => status === 404)
      }).pipe(Effect.provideService(Server, server))
    })
  )

  it.effect("and with it the messages of other nodes - what was replaced meanwhile is noticed when it is back", () =>
    Effect.gen(function* () {
      const deployed = yield* Backends.deployment
      const { proxied, start, toRedis } = deployed
      const server = yield* start({ ...proxied, TERRACE_REVALIDATE_AFTER: "1 hour" })
      yield* Effect.gen(function* () {
        const { etag: before } = yield* Effect.andThen(put("hero", yield* image(1)), get("hero"))
        // A node that tells nobody, as one whose messages are lost.
        yield* Backends.seed(deployed, { hero: yield* image(2) })
        const told = yield* get("hero")
        assert.deepStrictEqual([told.etag, told.cacheStatus], [before, "terrace-memory;hit"])

        yield* toRedis.cut("reset")

        const after = yield* until("the other image", get("hero"), ({ etag }) => etag !== before)
        assert.strictEqual(after.status, 200)
        assert.strictEqual(after.etag, Backends.tagOf(after.bytes))
      }).pipe(Effect.provideService(Server, server))
    })
  )
})
