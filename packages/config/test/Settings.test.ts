import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { inspect } from "node:util"
import * as Load from "../src/Load.ts"
import * as Settings from "../src/Settings.ts"
import { deploymentOf, problemsOf } from "./support/decoding.ts"

const fromEnvironment = (environment: Load.Environment) => deploymentOf(undefined, environment)

/** A file with one tier of each kind, over a bucket. */
const bucketFile = `
redis: { url: "redis://there" }
tiers:
  memory: { type: memory }
  disk: { type: filesystem }
  s3: { type: s3, bucket: of-the-file }
chains:
  masters: { caches: [memory, disk], store: s3 }
  variants: { caches: [memory, disk] }
`

describe("the environment without a file", () => {
  it("is a node with its images in memory and on the disk", () => {
    assert.deepStrictEqual(fromEnvironment({}), {
      dataDir: "./data",
      server: { host: "127.0.0.1", port: 8080, maxAge: 3600, resourcePolicy: "cross-origin" },
      images: { quality: 85, effort: 4, keepOriginal: false },
      limits: {
        uploadBytes: 52_428_800,
        uploadsUnderWay: 268_435_456,
        inputPixels: 50_000_000,
        frames: 1_000,
        outputPixels: 25_000_000,
        outputSide: 8_192,
        imageTime: Duration.seconds(10),
        queue: 512,
        queueTime: Duration.seconds(20)
      },
      tiers: {
        memory: { type: "memory", maxBytes: 268_435_456 },
        masters: {
          type: "filesystem",
          name: "filesystem",
          minFreeBytes: 67_108_864,
          maxAge: "off",
          sweepEvery: Duration.hours(6)
        },
        variants: {
          type: "filesystem",
          name: "filesystem",
          maxBytes: 1_073_741_824,
          minFreeBytes: 67_108_864,
          maxAge: Duration.days(30),
          sweepEvery: Duration.hours(6)
        }
      },
      chains: {
        masters: {
          caches: [{ tier: "memory" }],
          store: { tier: "masters" },
          revalidateAfter: Duration.minutes(1)
        },
        variants: { caches: [{ tier: "memory" }, { tier: "variants" }] }
      },
      catalog: { ttl: 7_200 },
      legacy: { keepOriginal: true },
      bus: true,
      leases: true,
      delivery: { mode: "proxy", above: 1_048_576, expiry: Duration.minutes(5) },
      presets: { thumb: { width: 256, height: 256, fit: "inside", quality: 80, format: "webp", enlarge: false } }
    })
  })

  it("has the disk as a cache over a bucket, if it names one", () => {
    const { chains, delivery, tiers } = fromEnvironment({
      TERRACE_S3_BUCKET: "my-images",
      TERRACE_CDN_URL: "https://cdn.example.com",
      TERRACE_S3_ENDPOINT: "https://s3.example.com:9000",
      TERRACE_S3_REGION: "eu-central-1",
      TERRACE_S3_PREFIX: "shop/images/",
      TERRACE_DISK_MAX_BYTES: "5GiB",
      // Of a store on the disk, which there is none of.
      TERRACE_STORE_MAX_BYTES: "20GiB"
    })

    assert.deepInclude(tiers["s3"], {
      bucket: "my-images",
      endpoint: "https://s3.example.com:9000",
      region: "eu-central-1",
      prefix: "shop/images/",
      ifUnreachable: "warn"
    })
    assert.deepInclude(tiers["disk"], { root: "cache", maxBytes: 5_368_709_120, maxAge: Duration.days(30) })
    assert.strictEqual(delivery.cdnUrl, "https://cdn.example.com")
    assert.deepStrictEqual(chains.masters.caches, [{ tier: "memory" }, { tier: "disk" }])
    assert.deepStrictEqual(chains.masters.store, { tier: "s3" })
    assert.deepStrictEqual(chains.variants.caches, [{ tier: "memory" }, { tier: "disk" }])
  })

  it("sets every place that a variable is bound to", () => {
    const { catalog, chains, dataDir, delivery, images, legacy, limits, redis, server, tiers } = fromEnvironment({
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
      TERRACE_MAX_UPLOAD_BYTES: "20 kB",
      TERRACE_RESOURCE_POLICY: "same-site",
      TERRACE_REVALIDATE_AFTER: "10 seconds",
      TERRACE_REDIS_URL: "redis://127.0.0.1:6379",
      TERRACE_REDIS_CLUSTER: "on",
      TERRACE_RECORD_TTL: "1 day",
      TERRACE_LEGACY_KEEP_ORIGINAL: "off",
      TERRACE_DELIVERY: "redirect",
      TERRACE_DELIVERY_ABOVE: "256KiB",
      TERRACE_DELIVERY_EXPIRY: "15 minutes"
    })

    assert.strictEqual(dataDir, "/var/lib/terrace images")
    assert.deepInclude(server, { host: "0.0.0.0", port: 0, maxAge: 86_400, resourcePolicy: "same-site" })
    assert.strictEqual(server.token && Redacted.value(server.token), "3f9c2a7e51d84b06")
    assert.deepStrictEqual(images, { keepOriginal: true, quality: 100, effort: 0 })
    assert.strictEqual(limits.uploadBytes, 20_000)
    assert.deepInclude(tiers["memory"], { maxBytes: 512_000_000 })
    assert.deepInclude(tiers["masters"], { maxBytes: 1_610_612_736, maxAge: "off", sweepEvery: Duration.seconds(90) })
    assert.deepInclude(tiers["variants"], {
      maxBytes: 1_000_000,
      maxAge: Duration.hours(36),
      sweepEvery: Duration.seconds(90)
    })
    assert.deepStrictEqual(chains.masters.revalidateAfter, Duration.seconds(10))
    assert.strictEqual(redis && Redacted.value(redis.url), "redis://127.0.0.1:6379")
    assert.isTrue(redis?.cluster)
    assert.deepStrictEqual(catalog, { ttl: 86_400 })
    assert.deepStrictEqual(legacy, { keepOriginal: false })
    assert.deepStrictEqual(delivery, {
      mode: "redirect",
      above: 262_144,
      expiry: Duration.minutes(15)
    })
  })

  it("takes empty and blank values for not set, and trims the others", () => {
    const { images, server } = fromEnvironment({
      TERRACE_PORT: "",
      TERRACE_TOKEN: "  ",
      TERRACE_HOST: " ::1 ",
      TERRACE_QUALITY: " 90\n"
    })
    assert.strictEqual(server.port, 8080)
    assert.isUndefined(server.token)
    assert.strictEqual(server.host, "::1")
    assert.strictEqual(images.quality, 90)
  })

  it("takes 0 for off where a duration may be off", () => {
    const { tiers } = fromEnvironment({ TERRACE_DISK_MAX_AGE: "0", TERRACE_SWEEP_EVERY: "0 days" })
    assert.deepInclude(tiers["variants"], { maxAge: "off", sweepEvery: "off" })
  })

  it("takes switches in any of their spellings", () => {
    for (const on of ["on", "ON", "true", "yes", "1"]) {
      assert.isTrue(fromEnvironment({ TERRACE_KEEP_ORIGINAL: on }).images.keepOriginal, on)
    }
    for (const off of ["off", "Off", "false", "no", "0"]) {
      assert.isFalse(fromEnvironment({ TERRACE_KEEP_ORIGINAL: off }).images.keepOriginal, off)
    }
  })

  const bad: ReadonlyArray<readonly [name: string, values: ReadonlyArray<string>, beside?: Load.Environment]> = [
    [
      "TERRACE_HOST",
      ["not a host", "http://localhost", "127.0.0.256", "127.0.0.1:8080", "a_b", "-a", "[localhost]", "1.2.3"]
    ],
    ["TERRACE_PORT", ["eighty", "-1", "65536", "80.5", "0x50", "8080 8081", "1e3"]],
    ["TERRACE_DATA_DIR", ["a\u0000b"]],
    [
      "TERRACE_MEMORY_MAX_BYTES",
      ["0", "-1", "lots", "512 M", "1.5", "0.5 B", "1e9", "9".repeat(30), `${"9".repeat(30)} GB`, "1", "16383"]
    ],
    ["TERRACE_STORE_MAX_BYTES", ["0", "unlimited", "0 GB"]],
    ["TERRACE_STORE_MAX_BYTES", ["unlimited"], { TERRACE_S3_BUCKET: "images" }],
    ["TERRACE_DISK_MAX_BYTES", ["0", "10%"]],
    ["TERRACE_DISK_MAX_AGE", ["30", "30d", "-1 days", "Infinity", "soon", "P30D", "1"]],
    ["TERRACE_SWEEP_EVERY", ["6", "6h", "-6 hours", "1 nanos", "999 millis"]],
    ["TERRACE_KEEP_ORIGINAL", ["maybe", "2", "onn"]],
    ["TERRACE_QUALITY", ["0", "101", "85.5", "high"]],
    ["TERRACE_EFFORT", ["7", "-1", "max"]],
    ["TERRACE_MAX_AGE", ["-1", "31536001", "1.5", "500 millis", "forever", "400 days"]],
    ["TERRACE_MAX_UPLOAD_BYTES", ["0", "1GiB", "268435457"]],
    ["TERRACE_RESOURCE_POLICY", ["everyone", "Same-Site"]],
    ["TERRACE_S3_BUCKET", ["my images", "-images", "s3://images"]],
    ["TERRACE_S3_ENDPOINT", ["s3.example.com", "ftp://s3.example.com", "https://"]],
    ["TERRACE_S3_REGION", ["eu central", "-"]],
    ["TERRACE_S3_PREFIX", ["images", "/images/", "../", "a//b/", "ä/"]],
    ["TERRACE_REVALIDATE_AFTER", ["0", "60", "999 millis", "never"]],
    ["TERRACE_REDIS_CLUSTER", ["maybe"]],
    ["TERRACE_REDIS_CLUSTER", ["maybe"], { TERRACE_REDIS_URL: "redis://there" }],
    ["TERRACE_RECORD_TTL", ["-1", "2 fortnights"]],
    ["TERRACE_LEGACY_KEEP_ORIGINAL", ["sometimes"]],
    ["TERRACE_DELIVERY", ["Redirect", "cdn"]],
    ["TERRACE_DELIVERY_ABOVE", ["-1", "big"]],
    ["TERRACE_DELIVERY_EXPIRY", ["5", "999 millis", "8 days"]],
    ["TERRACE_CDN_URL", ["cdn.example.com", "https://user@cdn", "https://cdn?a"], { TERRACE_S3_BUCKET: "images" }],
    ["TERRACE_CDN_URL", ["cdn.example.com"]]
  ]
  for (const [name, values, beside = {}] of bad) {
    it(`${name} - refuses ${values.map((value) => JSON.stringify(value.slice(0, 20))).join(", ")}${Object.keys(beside).join()}`, () => {
      const setting = Settings.settings.find((setting) => setting.name === name) ?? assert.fail(name)
      for (const value of values) {
        assert.deepStrictEqual(problemsOf(undefined, { ...beside, [name]: value }), [
          `${name} is ${JSON.stringify(value)}: expected ${setting.expected}, for example ${setting.example}`
        ])
      }
    })
  }

  it("says what was found, what is expected and an example", () => {
    assert.deepStrictEqual(problemsOf(undefined, { TERRACE_PORT: "eighty" }), [
      'TERRACE_PORT is "eighty": expected a whole number from 0 to 65535, for example 8080'
    ])
  })

  it("reports all that is wrong at once", () => {
    const problems = problemsOf(undefined, {
      TERRACE_PORT: "eighty",
      TERRACE_HOST: "0.0.0.0",
      TERRACE_SWEEP_EVERY: "6h",
      TERRACE_EFFORT: "9"
    })
    assert.deepStrictEqual(problems.map((problem) => problem.split(" ")[0]).sort(), [
      "TERRACE_EFFORT",
      "TERRACE_PORT",
      "TERRACE_SWEEP_EVERY",
      "TERRACE_TOKEN"
    ])
  })

  it("refuses to listen beyond loopback without a token", () => {
    for (const host of ["0.0.0.0", "::", "192.168.1.5", "images.example", "terrace.localhost"]) {
      assert.deepStrictEqual(problemsOf(undefined, { TERRACE_HOST: host }), [
        `TERRACE_TOKEN is not set, but TERRACE_HOST is "${host}": expected a token when other machines can reach the server, for example the output of "openssl rand -hex 32", or a loopback address, for example TERRACE_HOST=127.0.0.1`
      ])
      assert.strictEqual(fromEnvironment({ TERRACE_HOST: host, TERRACE_TOKEN: "secret" }).server.host, host)
    }
    for (const host of ["localhost", "127.0.0.1", "127.8.8.8", "::1", "[::1]"]) {
      assert.strictEqual(fromEnvironment({ TERRACE_HOST: host }).server.host, host.replace(/[[\]]/g, ""))
    }
  })

  it("refuses what is said of a bucket that is not named", () => {
    assert.deepStrictEqual(
      problemsOf(undefined, {
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

  it("never shows a secret", () => {
    assert.deepStrictEqual(problemsOf(undefined, { TERRACE_TOKEN: "my secret, with blanks" }), [
      "TERRACE_TOKEN cannot be used as it is: expected letters, digits and -._~+/= without blanks (RFC 6750), for example 3f9c2a7e51d84b06"
    ])
    assert.notInclude(problemsOf(undefined, { TERRACE_REDIS_URL: "http://:topsecret@there" }).join("\n"), "topsecret")
    const deployment = fromEnvironment({ TERRACE_TOKEN: "topsecret", TERRACE_REDIS_URL: "redis://:topsecret@there" })
    assert.notInclude(`${JSON.stringify(deployment)} ${inspect(deployment, { depth: 9 })}`, "topsecret")
  })

  it.effect.prop(
    "fails with problems, never otherwise, whatever the values",
    [Schema.String, Schema.String],
    ([a, b]) =>
      Effect.sync(() => {
        for (const { name } of Settings.settings) {
          const result = Load.decode(undefined, { [name]: a, TERRACE_PORT: b })
          assert.isTrue(Result.isSuccess(result) || result.failure.problems.length > 0)
        }
      }),
    { arbitrary: { runs: 50 } }
  )
})

describe("the environment over a file", () => {
  it("wins", () => {
    const { images, server, tiers } = deploymentOf(
      `server: { port: 1234, maxAge: 60 }
images:
  quality: 50
${bucketFile}`,
      { TERRACE_PORT: "8081", TERRACE_QUALITY: "90", TERRACE_S3_BUCKET: "of-the-environment" }
    )

    assert.deepInclude(server, { port: 8081, maxAge: 60 })
    assert.strictEqual(images.quality, 90)
    assert.deepInclude(tiers["s3"], { bucket: "of-the-environment" })
  })

  it("wins over what is wrong in the file", () => {
    const { server } = deploymentOf("server: { port: eighty, token: '${NOT_SET}' }", {
      TERRACE_PORT: "8081",
      TERRACE_TOKEN: "secret"
    })
    assert.strictEqual(server.port, 8081)
  })

  it("switches a bucket on if the file names no tiers, and Redis in any case", () => {
    const { chains, redis } = deploymentOf("server: { port: 1234 }", {
      TERRACE_S3_BUCKET: "my-images",
      TERRACE_REDIS_URL: "redis://there"
    })
    assert.deepStrictEqual(chains.masters.store, { tier: "s3" })
    assert.isDefined(redis)
  })

  it("names the variable whose value is wrong, not the place in the file", () => {
    assert.deepStrictEqual(problemsOf(bucketFile, { TERRACE_DISK_MAX_BYTES: "10%", TERRACE_SWEEP_EVERY: "6h" }), [
      'TERRACE_DISK_MAX_BYTES is "10%": expected a size of at least 16384 bytes, with or without a unit such as kB, MB, KiB or MiB, for example 5GiB',
      'TERRACE_SWEEP_EVERY is "6h": expected at least a second, as a number with a unit such as seconds, minutes, hours or days, or 0 for never, for example 1 hour'
    ])
  })

  it("refuses a variable for a tier that the file has not, or has several of", () => {
    assert.deepStrictEqual(problemsOf(bucketFile, { TERRACE_STORE_MAX_BYTES: "1GiB" }), [
      "TERRACE_STORE_MAX_BYTES is set, but terrace.yaml has none to apply it to: expected a tier of the type filesystem as the store of masters, or the value in the file, for example tiers.<store>.maxBytes: 20GiB"
    ])
    const twoDisks = `
tiers:
  memory: { type: memory }
  a: { type: filesystem }
  b: { type: filesystem }
  c: { type: filesystem }
chains:
  masters: { caches: [memory], store: a }
  variants: { caches: [b, c] }
`
    assert.deepStrictEqual(problemsOf(twoDisks, { TERRACE_DISK_MAX_AGE: "1 day" }), [
      "TERRACE_DISK_MAX_AGE is set, but terrace.yaml has b and c to apply it to: expected one filesystem tier that is a cache, or the value in the file, for example tiers.<disk cache>.maxAge: 7 days"
    ])
  })

  it("leaves off what the file switches off", () => {
    const { catalog, legacy } = deploymentOf("{ redis: { url: 'redis://there' }, catalog: off, legacy: false }", {
      TERRACE_RECORD_TTL: "1 day",
      TERRACE_LEGACY_KEEP_ORIGINAL: "on"
    })
    assert.deepStrictEqual([catalog, legacy], ["off", "off"])
  })

  it("is not read as a reference to a variable", () => {
    assert.strictEqual(deploymentOf("{}", { TERRACE_DATA_DIR: "${HOME}" }).dataDir, "${HOME}")
  })
})

describe("Settings.settings", () => {
  it("defaults and examples are values that can be read", () => {
    for (const { default: preset, example, name } of Settings.settings) {
      const base = { TERRACE_TOKEN: "secret", TERRACE_S3_BUCKET: "images", TERRACE_REDIS_URL: "redis://there" }
      fromEnvironment({ ...base, [name]: example })
      if (preset === undefined) continue
      const { redis: _, server, ...given } = fromEnvironment({ ...base, [name]: preset })
      const { redis: __, server: serverOfBase, ...expected } = fromEnvironment(base)
      assert.deepStrictEqual(given, expected, name)
      assert.deepStrictEqual({ ...server, token: undefined }, { ...serverOfBase, token: undefined }, name)
    }
  })

  it("has the documented names, once each", () => {
    assert.deepStrictEqual(
      Settings.settings.map((setting) => setting.name),
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
        "TERRACE_REDIS_URL",
        "TERRACE_REDIS_CLUSTER",
        "TERRACE_RECORD_TTL",
        "TERRACE_LEGACY_KEEP_ORIGINAL",
        "TERRACE_DELIVERY",
        "TERRACE_DELIVERY_ABOVE",
        "TERRACE_DELIVERY_EXPIRY",
        "TERRACE_CDN_URL"
      ]
    )
  })
})

describe("Settings.unknownNames", () => {
  it("finds names that look like settings, are none, and are used in no file", () => {
    assert.deepStrictEqual(
      Settings.unknownNames(
        ["PATH", "TERRACE_PORT", "TERRACE_MEMROY_MAX_BYTES", "XTERRACE_A", "TERRACE_OWN"],
        new Set(["TERRACE_OWN"])
      ),
      ["TERRACE_MEMROY_MAX_BYTES"]
    )
  })
})
