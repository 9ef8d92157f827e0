import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { inspect } from "node:util"
import * as ServerConfig from "../src/ServerConfig.ts"

const load = (env: Record<string, string>) =>
  Effect.provideService(ServerConfig.load, ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))

const problemsOf = (env: Record<string, string>) => Effect.map(Effect.flip(load(env)), (error) => error.problems)

describe("ServerConfig.load", () => {
  it.effect("has a default for everything", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* load({}), {
        host: "127.0.0.1",
        port: 8080,
        dataDir: "./data",
        token: undefined,
        memoryMaxBytes: 268_435_456,
        storeMaxBytes: undefined,
        diskMaxBytes: 1_073_741_824,
        diskMaxAge: Duration.days(30),
        sweepEvery: Duration.hours(6),
        keepOriginal: false,
        quality: 85,
        effort: 4,
        maxAge: 3600,
        maxUploadBytes: 52_428_800,
        resourcePolicy: "cross-origin",
        s3Bucket: undefined,
        s3Endpoint: undefined,
        s3Region: undefined,
        s3Prefix: undefined,
        revalidateAfter: Duration.minutes(1),
        delivery: "proxy",
        deliveryAbove: 1_048_576,
        deliveryExpiry: Duration.minutes(5),
        cdnUrl: undefined,
        redisUrl: undefined,
        redisCluster: false,
        recordTtl: 7_200,
        legacyKeepOriginal: true
      })
    })
  )

  it.effect("reads every setting", () =>
    Effect.gen(function* () {
      const config = yield* load({
        TERRACE_HOST: "0.0.0.0",
        TERRACE_PORT: "0",
        TERRACE_DATA_DIR: "/var/lib/terrace images",
        TERRACE_TOKEN: "3f9c2a7e51d84b06",
        TERRACE_MEMORY_MAX_BYTES: "512MB",
        TERRACE_STORE_MAX_BYTES: "1.5 GiB",
        TERRACE_DISK_MAX_BYTES: "1000000",
        TERRACE_DISK_MAX_AGE: "36 hours",
        TERRACE_SWEEP_EVERY: "90 seconds",
        TERRACE_KEEP_ORIGINAL: "on",
        TERRACE_QUALITY: "100",
        TERRACE_EFFORT: "0",
        TERRACE_MAX_AGE: "1 day",
        TERRACE_MAX_UPLOAD_BYTES: "20kB",
        TERRACE_RESOURCE_POLICY: "same-site",
        TERRACE_S3_BUCKET: "my-images",
        TERRACE_S3_ENDPOINT: "https://s3.example.com:9000",
        TERRACE_S3_REGION: "eu-central-1",
        TERRACE_S3_PREFIX: "shop/images/",
        TERRACE_REVALIDATE_AFTER: "10 seconds",
        TERRACE_DELIVERY: "redirect",
        TERRACE_DELIVERY_ABOVE: "0",
        TERRACE_DELIVERY_EXPIRY: "7 days",
        TERRACE_CDN_URL: "https://cdn.example.com:8443/shop/",
        TERRACE_REDIS_URL: "rediss://user:secret@redis.internal:6380/1",
        TERRACE_REDIS_CLUSTER: "on",
        TERRACE_RECORD_TTL: "1 day",
        TERRACE_LEGACY_KEEP_ORIGINAL: "off"
      })
      assert.strictEqual(config.token === undefined ? "" : Redacted.value(config.token), "3f9c2a7e51d84b06")
      const redisUrl = config.redisUrl === undefined ? "" : Redacted.value(config.redisUrl)
      assert.strictEqual(redisUrl, "rediss://user:secret@redis.internal:6380/1")
      assert.deepStrictEqual(
        { ...config, token: undefined, redisUrl: undefined },
        {
          host: "0.0.0.0",
          port: 0,
          dataDir: "/var/lib/terrace images",
          token: undefined,
          memoryMaxBytes: 512_000_000,
          storeMaxBytes: 1_610_612_736,
          diskMaxBytes: 1_000_000,
          diskMaxAge: Duration.hours(36),
          sweepEvery: Duration.seconds(90),
          keepOriginal: true,
          quality: 100,
          effort: 0,
          maxAge: 86_400,
          maxUploadBytes: 20_000,
          resourcePolicy: "same-site",
          s3Bucket: "my-images",
          s3Endpoint: "https://s3.example.com:9000",
          s3Region: "eu-central-1",
          s3Prefix: "shop/images/",
          revalidateAfter: Duration.seconds(10),
          delivery: "redirect",
          deliveryAbove: 0,
          deliveryExpiry: Duration.days(7),
          cdnUrl: "https://cdn.example.com:8443/shop/",
          redisUrl: undefined,
          redisCluster: true,
          recordTtl: 86_400,
          legacyKeepOriginal: false
        }
      )
    })
  )

  it.effect("takes empty and blank values for not set, and trims the others", () =>
    Effect.gen(function* () {
      const config = yield* load({
        TERRACE_PORT: "",
        TERRACE_TOKEN: "  ",
        TERRACE_HOST: " ::1 ",
        TERRACE_QUALITY: " 90\n"
      })
      assert.strictEqual(config.port, 8080)
      assert.isUndefined(config.token)
      assert.strictEqual(config.host, "::1")
      assert.strictEqual(config.quality, 90)
    })
  )

  it.effect("takes 0 for off where a duration may be off", () =>
    Effect.gen(function* () {
      const config = yield* load({ TERRACE_DISK_MAX_AGE: "0", TERRACE_SWEEP_EVERY: "0 days" })
      assert.isUndefined(config.diskMaxAge)
      assert.isUndefined(config.sweepEvery)
    })
  )

  it.effect("takes switches in any of their spellings", () =>
    Effect.gen(function* () {
      for (const on of ["on", "ON", "true", "yes", "1"]) {
        assert.isTrue((yield* load({ TERRACE_KEEP_ORIGINAL: on })).keepOriginal, on)
      }
      for (const off of ["off", "Off", "false", "no", "0"]) {
        assert.isFalse((yield* load({ TERRACE_KEEP_ORIGINAL: off })).keepOriginal, off)
      }
    })
  )

  const bad: ReadonlyArray<readonly [name: string, values: ReadonlyArray<string>]> = [
    [
      "TERRACE_HOST",
      ["not a host", "http://localhost", "127.0.0.256", "127.0.0.1:8080", "a_b", "-a", "[localhost]", "1.2.3"]
    ],
    ["TERRACE_PORT", ["eighty", "-1", "65536", "80.5", "0x50", "8080 8081", "1e3"]],
    ["TERRACE_DATA_DIR", ["a\u0000b"]],
    [
      "TERRACE_MEMORY_MAX_BYTES",
      ["0", "-1", "lots", "512 M", "1.5", "0.5 B", "1e9", "9".repeat(30), `${"9".repeat(30)} GB`]
    ],
    ["TERRACE_STORE_MAX_BYTES", ["0", "unlimited", "0 GB"]],
    ["TERRACE_DISK_MAX_BYTES", ["0", "10%"]],
    ["TERRACE_DISK_MAX_AGE", ["30", "30d", "-1 days", "Infinity", "soon", "P30D", "1"]],
    ["TERRACE_SWEEP_EVERY", ["6", "6h", "-6 hours"]],
    ["TERRACE_KEEP_ORIGINAL", ["maybe", "2", "onn"]],
    ["TERRACE_QUALITY", ["0", "101", "85.5", "high"]],
    ["TERRACE_EFFORT", ["7", "-1", "max"]],
    ["TERRACE_MAX_AGE", ["-1", "31536001", "1.5", "500 millis", "forever", "400 days"]],
    ["TERRACE_MAX_UPLOAD_BYTES", ["0", "1GiB", "268435457"]],
    ["TERRACE_MEMORY_MAX_BYTES", ["1", "16383"]],
    ["TERRACE_SWEEP_EVERY", ["1 nanos", "999 millis"]],
    ["TERRACE_RESOURCE_POLICY", ["everyone", "Same-Site"]],
    ["TERRACE_S3_BUCKET", ["my images", "-images", "s3://images"]],
    ["TERRACE_S3_ENDPOINT", ["s3.example.com", "ftp://s3.example.com", "https://"]],
    ["TERRACE_S3_REGION", ["eu central", "-"]],
    ["TERRACE_S3_PREFIX", ["images", "/images/", "../", "a//b/", "ä/"]],
    ["TERRACE_REVALIDATE_AFTER", ["0", "60", "999 millis", "never"]],
    ["TERRACE_DELIVERY", ["Redirect", "on", "cdn"]],
    ["TERRACE_DELIVERY_ABOVE", ["-1", "all", "1 M"]],
    ["TERRACE_DELIVERY_EXPIRY", ["0", "300", "999 millis", "8 days", "never"]],
    [
      "TERRACE_CDN_URL",
      [
        "cdn.example.com",
        "ftp://cdn.example.com",
        "https://",
        "https://a:b@cdn.example.com",
        "https://a/?b",
        "https://a/#b",
        "https://cdn.example.com/ü"
      ]
    ],
    ["TERRACE_REDIS_CLUSTER", ["maybe"]],
    ["TERRACE_RECORD_TTL", ["-1", "2 fortnights"]],
    ["TERRACE_LEGACY_KEEP_ORIGINAL", ["sometimes"]]
  ]
  for (const [name, values] of bad) {
    it.effect(`${name} - refuses ${values.map((value) => JSON.stringify(value.slice(0, 20))).join(", ")}`, () =>
      Effect.gen(function* () {
        const setting = ServerConfig.settings.find((setting) => setting.name === name) ?? assert.fail(name)
        for (const value of values) {
          assert.deepStrictEqual(yield* problemsOf({ [name]: value }), [
            `${name} is ${JSON.stringify(value)}: expected ${setting.expected}, for example ${setting.example}`
          ])
        }
      })
    )
  }

  it.effect("says what was found, what is expected and an example", () =>
    Effect.gen(function* () {
      assert.strictEqual(
        (yield* Effect.flip(load({ TERRACE_PORT: "eighty" }))).message,
        'TERRACE_PORT is "eighty": expected a whole number from 0 to 65535, for example 8080'
      )
    })
  )

  it.effect("reports all that is wrong at once", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        load({ TERRACE_PORT: "eighty", TERRACE_HOST: "0.0.0.0", TERRACE_SWEEP_EVERY: "6h", TERRACE_EFFORT: "9" })
      )
      assert.deepStrictEqual(
        error.problems.map((problem) => problem.split(" ")[0]),
        ["TERRACE_PORT", "TERRACE_SWEEP_EVERY", "TERRACE_EFFORT", "TERRACE_TOKEN"]
      )
      assert.strictEqual(error.message.split("\n").length, 4)
    })
  )

  it.effect("refuses to listen beyond loopback without a token", () =>
    Effect.gen(function* () {
      for (const host of ["0.0.0.0", "::", "192.168.1.5", "images.example", "terrace.localhost"]) {
        assert.deepStrictEqual(yield* problemsOf({ TERRACE_HOST: host }), [
          `TERRACE_TOKEN is not set, but TERRACE_HOST is "${host}": expected a token when other machines can reach the server, for example the output of "openssl rand -hex 32", or a loopback address, for example TERRACE_HOST=127.0.0.1`
        ])
        assert.strictEqual((yield* load({ TERRACE_HOST: host, TERRACE_TOKEN: "secret" })).host, host)
      }
      for (const host of ["localhost", "127.0.0.1", "127.8.8.8", "::1", "[::1]"]) {
        assert.strictEqual((yield* load({ TERRACE_HOST: host })).host, host.replace(/[[\]]/g, ""))
      }
    })
  )

  it.effect("refuses what is said of a bucket that is not named", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* problemsOf({
          TERRACE_S3_ENDPOINT: "http://127.0.0.1:9000",
          TERRACE_S3_PREFIX: "a/",
          TERRACE_CDN_URL: "https://cdn.example.com"
        }),
        [
          "TERRACE_S3_ENDPOINT is set, but TERRACE_S3_BUCKET is not: expected the name of a bucket, for example my-images",
          "TERRACE_S3_PREFIX is set, but TERRACE_S3_BUCKET is not: expected the name of a bucket, for example my-images",
          "TERRACE_CDN_URL is set, but TERRACE_S3_BUCKET is not: expected the name of a bucket, for example my-images"
        ]
      )
    })
  )

  it.effect("never shows the token", () =>
    Effect.gen(function* () {
      const problems = yield* problemsOf({ TERRACE_TOKEN: "my secret, with blanks" })
      assert.deepStrictEqual(problems, [
        "TERRACE_TOKEN cannot be used as it is: expected letters, digits and -._~+/= without blanks (RFC 6750), for example 3f9c2a7e51d84b06"
      ])
      const config = yield* load({ TERRACE_TOKEN: "topsecret" })
      assert.notInclude(`${JSON.stringify(config)} ${inspect(config)}`, "topsecret")
    })
  )

  it.effect.prop(
    "fails with problems, never otherwise, whatever the values",
    [Schema.String, Schema.String],
    ([a, b]) =>
      Effect.gen(function* () {
        const names = ServerConfig.settings.map((setting) => setting.name)
        for (const name of names) {
          const result = yield* Effect.result(load({ [name]: a, TERRACE_PORT: b }))
          assert.isTrue(result._tag === "Success" || result.failure.problems.length > 0)
        }
      }),
    { arbitrary: { runs: 50 } }
  )
})

describe("ServerConfig.settings", () => {
  it.effect("defaults and examples are values that can be read", () =>
    Effect.gen(function* () {
      for (const setting of ServerConfig.settings) {
        const base = { TERRACE_TOKEN: "secret", TERRACE_S3_BUCKET: "images" }
        yield* load({ ...base, [setting.name]: setting.example })
        if (setting.default !== undefined) {
          assert.deepStrictEqual(
            { ...(yield* load({ ...base, [setting.name]: setting.default })), token: undefined },
            { ...(yield* load(base)), token: undefined },
            setting.name
          )
        }
      }
    })
  )

  it("has the documented names, once each", () => {
    assert.deepStrictEqual(
      ServerConfig.settings.map((setting) => setting.name),
      [
        "TERRACE_HOST",
        "TERRACE_PORT",
        "TERRACE_DATA_DIR",
        "TERRACE_TOKEN",
        "TERRACE_MEMORY_MAX_BYTES",
        "TERRACE_STORE_MAX_BYTES",
        "TERRACE_DISK_MAX_BYTES",
        "TERRACE_DISK_MAX_AGE",
        "TERRACE_SWEEP_EVERY",
        "TERRACE_KEEP_ORIGINAL",
        "TERRACE_QUALITY",
        "TERRACE_EFFORT",
        "TERRACE_MAX_AGE",
        "TERRACE_MAX_UPLOAD_BYTES",
        "TERRACE_RESOURCE_POLICY",
        "TERRACE_S3_BUCKET",
        "TERRACE_S3_ENDPOINT",
        "TERRACE_S3_REGION",
        "TERRACE_S3_PREFIX",
        "TERRACE_REVALIDATE_AFTER",
        "TERRACE_DELIVERY",
        "TERRACE_DELIVERY_ABOVE",
        "TERRACE_DELIVERY_EXPIRY",
        "TERRACE_CDN_URL",
        "TERRACE_REDIS_URL",
        "TERRACE_REDIS_CLUSTER",
        "TERRACE_RECORD_TTL",
        "TERRACE_LEGACY_KEEP_ORIGINAL"
      ]
    )
  })
})

describe("ServerConfig.unknownNames", () => {
  it("finds names that look like settings and are none", () => {
    assert.deepStrictEqual(
      ServerConfig.unknownNames(["PATH", "TERRACE_PORT", "TERRACE_MEMROY_MAX_BYTES", "XTERRACE_A"]),
      ["TERRACE_MEMROY_MAX_BYTES"]
    )
  })
})
