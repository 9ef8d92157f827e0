import { ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3"
import { assert, describe, it } from "@effect/vitest"
import * as RedisServer from "@terrace/testkit/RedisServer"
import * as S3Server from "@terrace/testkit/S3Server"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Redis } from "ioredis"
import { execFile } from "node:child_process"
import { readdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { until } from "./support/eventually.ts"
import { example, refusal, startConfigured } from "./support/ConfiguredServer.ts"
import { bytesOf, jsonOf, problemOf, send, Server } from "./support/Http.ts"
import { png } from "./support/images.ts"
import * as OldRecords from "./support/OldRecords.ts"
import { temporaryDirectory, type TestServer } from "./support/TestServer.ts"

const picture = Effect.promise(() => png(300, 200))

/** Requests to one server; with the token, if it has one. */
const client = (server: TestServer, token?: string) => {
  const headers = token === undefined ? undefined : { authorization: `Bearer ${token}` }
  const sent = (path: string, init: RequestInit = {}) =>
    Effect.provideService(send(path, { ...init, ...(headers === undefined ? {} : { headers }) }), Server, server)
  return {
    put: (id: string, image: Uint8Array) =>
      Effect.map(sent(`/images/${id}`, { method: "PUT", body: new Uint8Array(image) }), ({ status }) => status),
    /** The tier that answered, or the status of another answer. */
    get: (path: string) =>
      Effect.flatMap(sent(`/images/${path}`), (response) =>
        Effect.map(bytesOf(response), (bytes) => {
          if (response.status !== 200) return response.status
          assert.strictEqual(bytes.subarray(8, 12).toString(), "WEBP")
          const members = (response.headers.get("cache-status") ?? "").split(", ")
          return members.find((member) => /;hit/.test(member))?.replace(/^terrace-|;.*/g, "") ?? "made"
        })
      ),
    remove: (id: string) => Effect.flatMap(sent(`/images/${id}`, { method: "DELETE" }), jsonOf),
    tiers: Effect.flatMap(sent("/tiers"), jsonOf)
  }
}

const eventually = <A, E, R>(look: Effect.Effect<A, E, R>, expected: NoInfer<A>) =>
  until(`is ${String(expected)}`, look, (found) => found === expected)

const redisClient = Effect.gen(function* () {
  const { url } = yield* RedisServer.RedisServer
  return yield* Effect.acquireRelease(
    Effect.sync(() => new Redis(url)),
    (open) => Effect.sync(() => open.disconnect())
  )
})

/** A bucket of its own, as variables of the examples and of the SDK, and how to list it. */
const bucket = Effect.gen(function* () {
  const { accessKeyId, createBucket, endpoint, region, secretAccessKey } = yield* S3Server.S3Server
  const name = yield* createBucket
  const s3 = yield* Effect.acquireRelease(
    Effect.sync(
      () => new S3Client({ endpoint, region, forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } })
    ),
    (open) => Effect.sync(() => open.destroy())
  )
  return {
    environment: {
      BUCKET: name,
      S3_ENDPOINT: endpoint,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey
    },
    keys: Effect.promise(async () =>
      ((await s3.send(new ListObjectsV2Command({ Bucket: name }))).Contents ?? []).map(({ Key }) => Key ?? "")
    )
  }
})

const servers = Layer.mergeAll(RedisServer.layer(), S3Server.layer())

it.layer(servers, { excludeTestServices: true, timeout: "120 seconds" })("examples", (it) => {
  it.effect("embedded.yaml - keeps images on the disk over a restart", () =>
    Effect.gen(function* () {
      const environment = { IMAGES: join(yield* temporaryDirectory, "data") }
      const file = example("embedded.yaml")
      const server = yield* startConfigured(file, environment)
      const first = client(server)
      assert.strictEqual(yield* first.put("bottle", yield* picture), 201)
      assert.strictEqual(yield* first.get("bottle"), "memory")
      assert.strictEqual(yield* first.get("bottle?preset=thumb"), "made")
      assert.sameMembers(yield* Effect.promise(() => readdir(environment.IMAGES)), ["masters", "variants"])
      assert.strictEqual(yield* Effect.promise(() => server.end("SIGTERM")), 0)

      const second = client(yield* startConfigured(file, environment))
      assert.strictEqual(yield* second.get("bottle"), "masters")
      yield* eventually(second.get("bottle"), "memory")
      assert.strictEqual(yield* second.get("bottle?preset=thumb"), "variants")

      assert.deepInclude(yield* second.remove("bottle"), { masters: { masters: "removed", memory: "removed" } })
      assert.strictEqual(yield* second.get("bottle"), 404)
      assert.strictEqual(yield* second.get("bottle?preset=thumb"), 404)
    })
  )

  it.effect("single-node-redis.yaml - serves an old image, shrinks its record, and renders its own preset", () =>
    Effect.gen(function* () {
      const redis = yield* redisClient
      const { url } = yield* RedisServer.RedisServer
      const record = (id: string) => Effect.promise(() => redis.get(OldRecords.keyOf(id)))
      yield* Effect.promise(async () => OldRecords.write(redis, "old", OldRecords.record(await png(400, 300))))
      const environment = { IMAGES: join(yield* temporaryDirectory, "data"), REDIS_URL: url }
      const file = example("single-node-redis.yaml")
      const server = yield* startConfigured(file, environment)
      const first = client(server)

      assert.strictEqual(yield* first.get("old"), "made")
      yield* eventually(
        Effect.map(record("old"), (text) => (text ?? "").includes("base64_data")),
        false
      )
      assert.strictEqual(yield* first.get("old?preset=card"), "made")
      assert.strictEqual(yield* first.put("new", yield* picture), 201)
      yield* eventually(
        Effect.map(record("new"), (text) => text !== null),
        true
      )
      assert.strictEqual(yield* Effect.promise(() => server.end("SIGTERM")), 0)

      const second = client(yield* startConfigured(file, environment))
      assert.strictEqual(yield* second.get("old"), "masters")
      assert.strictEqual(yield* second.get("old?preset=card"), "variants")
      assert.strictEqual((yield* second.remove("old")).record, true)
      assert.strictEqual(yield* second.get("old"), 404)
      assert.isNull(yield* record("old"))
    })
  )

  it.effect(
    "memory-disk-s3-redis.yaml - keeps masters in the bucket, copies on the disk, small variants in Redis",
    () =>
      Effect.gen(function* () {
        const redis = yield* redisClient
        const { url } = yield* RedisServer.RedisServer
        const { environment: ofBucket, keys } = yield* bucket
        const directory = yield* temporaryDirectory
        const environment = { IMAGES: join(directory, "first"), REDIS_URL: url, TOKEN: "secret", ...ofBucket }
        const file = example("memory-disk-s3-redis.yaml")
        const server = yield* startConfigured(file, environment)
        const first = client(server, "secret")
        assert.strictEqual(yield* client(server).put("bottle", yield* picture), 401)
        assert.strictEqual(yield* first.put("bottle", yield* picture), 201)
        assert.strictEqual(yield* first.get("bottle"), "memory")
        assert.strictEqual(yield* first.get("bottle?preset=thumb"), "made")
        assert.deepStrictEqual(yield* keys, ["images/bottle/master"])
        const variantsInRedis = Effect.promise(async () => (await redis.keys("terrace-variants:*{bottle}*")).length > 0)
        yield* eventually(variantsInRedis, true)
        assert.strictEqual(yield* Effect.promise(() => server.end("SIGTERM")), 0)

        // The same disk: what is there was written to the bucket by another process, and is compared with it.
        const again = yield* startConfigured(file, environment)
        const second = client(again, "secret")
        assert.strictEqual(yield* second.get("bottle"), "disk")
        assert.strictEqual(yield* second.get("bottle?preset=thumb"), "disk")
        assert.strictEqual(yield* Effect.promise(() => again.end("SIGTERM")), 0)

        // Another disk, as on another node.
        const third = client(
          yield* startConfigured(file, { ...environment, IMAGES: join(directory, "third") }),
          "secret"
        )
        assert.strictEqual(yield* third.get("bottle?preset=thumb"), "small")
        assert.strictEqual(yield* third.get("bottle"), "bucket")
        yield* eventually(third.get("bottle"), "memory")
        assert.strictEqual((yield* third.remove("bottle")).masters?.["bucket"], "removed")
        assert.strictEqual(yield* third.get("bottle"), 404)
        assert.deepStrictEqual(yield* keys, [])
        assert.isFalse(yield* variantsInRedis)
      })
  )

  it.effect("stateless-nodes.yaml - is any number of nodes, and nothing on a disk", () =>
    Effect.gen(function* () {
      const { url } = yield* RedisServer.RedisServer
      const { environment: ofBucket, keys } = yield* bucket
      const environment = { REDIS_URL: url, TOKEN: "secret", ...ofBucket }
      const file = example("stateless-nodes.yaml")
      const [one, other] = yield* Effect.all([startConfigured(file, environment), startConfigured(file, environment)], {
        concurrency: 2
      })
      const a = client(one, "secret")
      const b = client(other, "secret")
      assert.strictEqual(yield* a.put("bottle", yield* picture), 201)
      assert.strictEqual(yield* b.get("bottle"), "masters")
      yield* eventually(b.get("bottle"), "memory")
      assert.strictEqual(yield* a.get("bottle?preset=thumb"), "made")
      yield* eventually(
        Effect.map(keys, (all) => all.filter((key) => key.startsWith("variants/bottle/")).length),
        1
      )
      assert.strictEqual(yield* b.get("bottle?preset=thumb"), "variants")
      assert.strictEqual(yield* Effect.promise(() => one.end("SIGTERM")), 0)

      const c = client(yield* startConfigured(file, environment), "secret")
      assert.strictEqual(yield* c.get("bottle?preset=thumb"), "variants")
      const { chains } = yield* c.tiers
      assert.deepStrictEqual(
        chains?.map(({ chain, tiers }) => [chain, ...tiers.map(({ role, tier }) => `${tier} ${role}`)]),
        [
          ["masters", "memory cache", "masters store"],
          ["variants", "memory cache", "variants cache"]
        ]
      )
      assert.strictEqual((yield* c.remove("bottle")).masters?.["masters"], "removed")
      yield* eventually(b.get("bottle"), 404)
      assert.deepStrictEqual(yield* keys, [])
    })
  )

  it.effect("old records and the catalog are switched apart; a removed image never comes back from its record", () =>
    Effect.gen(function* () {
      const redis = yield* redisClient
      const { url } = yield* RedisServer.RedisServer
      const has = (id: string) => Effect.promise(async () => (await redis.exists(OldRecords.keyOf(id))) === 1)
      const write = (id: string) =>
        Effect.promise(async () => OldRecords.write(redis, id, OldRecords.record(await png(40, 30))))
      const start = (parts: string) =>
        Effect.gen(function* () {
          const directory = yield* temporaryDirectory
          const path = join(directory, "terrace.yaml")
          const text = `{ dataDir: "\${IMAGES}", server: { port: "\${PORT}" }, redis: { url: "\${REDIS_URL}" }, ${parts} }`
          yield* Effect.promise(() => writeFile(path, text))
          return client(yield* startConfigured(path, { IMAGES: join(directory, "data"), REDIS_URL: url }))
        })

      const legacyOnly = yield* start("catalog: off")
      yield* Effect.andThen(write("apart_a"), write("apart_b"))
      assert.strictEqual(yield* legacyOnly.get("apart_a"), "made")
      assert.strictEqual((yield* legacyOnly.remove("apart_b")).record, true)
      assert.deepStrictEqual([yield* has("apart_b"), yield* legacyOnly.get("apart_b")], [false, 404])
      assert.strictEqual(yield* legacyOnly.put("apart_new", yield* picture), 201)
      assert.isFalse(yield* has("apart_new"))

      const catalogOnly = yield* start("legacy: off")
      yield* write("apart_c")
      assert.strictEqual(yield* catalogOnly.get("apart_c"), 404)
      assert.strictEqual(yield* catalogOnly.put("apart_new", yield* picture), 201)
      yield* eventually(has("apart_new"), true)

      const neither = yield* start("legacy: off, catalog: off")
      assert.strictEqual(yield* neither.get("apart_c"), 404)
      assert.strictEqual(yield* neither.put("apart_d", yield* picture), 201)
      assert.isUndefined((yield* neither.remove("apart_c")).record)
      assert.deepStrictEqual([yield* has("apart_c"), yield* has("apart_d")], [true, false])
    })
  )

  it.effect("a preset of a file says whether it is redirected to the bucket that has its variants", () =>
    Effect.gen(function* () {
      const { environment } = yield* bucket
      const place = { type: "s3", bucket: "${BUCKET}", endpoint: "${S3_ENDPOINT}" }
      const path = join(yield* temporaryDirectory, "terrace.json")
      const deployment = {
        server: { port: "${PORT}" },
        tiers: {
          memory: { type: "memory" },
          masters: { ...place, prefix: "masters/" },
          variants: { ...place, prefix: "variants/" }
        },
        chains: { masters: { caches: ["memory"], store: "masters" }, variants: { caches: ["memory", "variants"] } },
        delivery: { above: 0 },
        presets: { wide: { width: 200, delivery: "redirect" } }
      }
      yield* Effect.promise(() => writeFile(path, JSON.stringify(deployment)))
      const server = yield* startConfigured(path, environment)
      assert.strictEqual(yield* client(server).put("bottle", yield* picture), 201)
      const get = (query: string) => Effect.provideService(send(`/images/bottle${query}`), Server, server)

      const statusOf = (query: string) => Effect.map(get(query), ({ status }) => status)
      yield* eventually(statusOf("?preset=wide"), 302)
      const location = (yield* get("?preset=wide")).headers.get("location") ?? ""
      assert.isTrue(location.startsWith(`${environment.S3_ENDPOINT}/${environment.BUCKET}/variants/bottle/`), location)
      const redirected = yield* Effect.promise(() => fetch(location))
      assert.strictEqual(redirected.headers.get("content-type"), "image/webp")
      assert.deepStrictEqual([yield* statusOf("?preset=thumb"), yield* statusOf("")], [200, 200])
    })
  )

  it.effect("a bucket that is not there stops the start in one line, which never shows the key", () =>
    Effect.gen(function* () {
      const { url } = yield* RedisServer.RedisServer
      const { environment } = yield* bucket
      const message = yield* refusal(example("stateless-nodes.yaml"), {
        REDIS_URL: url,
        TOKEN: "secret",
        ...environment,
        BUCKET: "nowhere"
      })

      assert.include(message, "exit code 1")
      assert.match(message, /level=FATAL .*cannot use s3:\/\/nowhere\/masters\//)
      assert.strictEqual(message.match(/level=FATAL/g)?.length, 1)
      assert.notInclude(message, environment.AWS_SECRET_ACCESS_KEY)
    })
  )
})

describe("--config", () => {
  const withFile = (name: string, text: string) =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const path = join(directory, name)
      yield* Effect.promise(() => writeFile(path, text))
      return { directory, path }
    })

  it.live("stops the start of a file that is wrong, with everything that is", () =>
    Effect.gen(function* () {
      const { path } = yield* withFile(
        "terrace.yaml",
        "server: { port: eighty, token: my secret }\nimages: { quality: 101 }\nlegacy: on\nprots: {}\n"
      )

      const message = yield* refusal(path, { TERRACE_EFFORT: "9" })

      assert.include(message, "exit code 1")
      const lines = message.split("\n").filter((line) => line.includes("level=FATAL"))
      assert.strictEqual(lines.length, 6)
      for (const place of ["server.port", "server.token", "images.quality", "legacy", "prots"]) {
        assert.isTrue(
          lines.some((line) => line.includes(`${path}: ${place}: found `)),
          place
        )
      }
      assert.isTrue(lines.some((line) => line.includes("TERRACE_EFFORT is")))
      assert.notInclude(message, "my secret")
    })
  )

  it.live("is overridden by the environment", () =>
    Effect.gen(function* () {
      const { directory, path } = yield* withFile(
        "terrace.json",
        JSON.stringify({ dataDir: "${IMAGES}", server: { port: "${PORT}" }, limits: { uploadBytes: "10MB" } })
      )
      const environment = { IMAGES: join(directory, "data") }
      const image = yield* picture
      assert.strictEqual(yield* client(yield* startConfigured(path, environment)).put("bottle", image), 201)

      const other = { IMAGES: join(directory, "other"), TERRACE_MAX_UPLOAD_BYTES: "1 kB" }
      assert.strictEqual(yield* client(yield* startConfigured(path, other)).put("bottle", image), 413)
    })
  )

  it.live("says the limits of uploads and of variants", () =>
    Effect.gen(function* () {
      const { directory, path } = yield* withFile(
        "terrace.yaml",
        `dataDir: \${IMAGES}
server:
  port: \${PORT}
limits: { inputPixels: 20000, outputSide: 100 }
presets: { wide: { width: 120, enlarge: on }, small: { width: 10 } }
`
      )
      const server = yield* startConfigured(path, { IMAGES: join(directory, "data") })
      const asked = (at: string, init?: RequestInit) =>
        Effect.flatMap(Effect.provideService(send(at, init), Server, server), problemOf)
      const { get, put } = client(server)
      const large = new Uint8Array(yield* Effect.promise(() => png(200, 101)))

      assert.strictEqual(yield* asked("/images/large", { method: "PUT", body: large }), "too-many-pixels")
      assert.strictEqual(yield* put("dot", yield* Effect.promise(() => png(100, 100))), 201)
      assert.strictEqual(yield* asked("/images/dot?preset=wide"), "too-many-pixels")
      assert.strictEqual(yield* get("dot?preset=small"), "made")
    })
  )

  const main = fileURLToPath(new URL("../../services/image-server/src/main.ts", import.meta.url))
  const run = (options: ReadonlyArray<string>, cwd: string) =>
    Effect.promise(() =>
      promisify(execFile)(process.execPath, ["--conditions=@terrace/source", main, ...options], {
        cwd,
        env: { PATH: process.env["PATH"] }
      }).then(
        ({ stdout }) => ({ code: 0, output: stdout }),
        (error: { code: number; stdout: string; stderr: string }) => ({
          code: error.code,
          output: error.stdout + error.stderr
        })
      )
    )

  it.live("is not needed for the file of the working directory", () =>
    Effect.gen(function* () {
      const { directory } = yield* withFile("terrace.yml", "server: { port: eighty }")

      const { code, output } = yield* run([], directory)

      assert.strictEqual(code, 1)
      assert.include(output, "terrace.yml: server.port: found ")

      yield* Effect.promise(() => writeFile(join(directory, "terrace.json"), "{}"))
      const ambiguous = yield* run([], directory)
      assert.strictEqual(ambiguous.code, 1)
      assert.include(ambiguous.output, "found terrace.yml and terrace.json, expected one of them, or --config")
    })
  )

  it.live("is told of by --help; an option that is none is refused", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const help = yield* run(["--help"], directory)
      assert.strictEqual(help.code, 0)
      assert.include(help.output, "--config")

      const mistyped = yield* run(["--confg", "terrace.yaml"], directory)
      assert.strictEqual(mistyped.code, 1)
      assert.include(mistyped.output, "--confg")

      const missing = yield* run(["--config", "nowhere.yaml"], directory)
      assert.strictEqual(missing.code, 1)
      assert.include(missing.output, "nowhere.yaml: cannot be read (NotFound)")
    })
  )
})
