import { assert, describe, it } from "@effect/vitest"
import * as Preset from "@terrace/image/Preset"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { Deployment } from "../src/Deployment.ts"
import { deploymentOf } from "./support/decoding.ts"

const decode = Schema.decodeUnknownSync(Deployment, { onExcessProperty: "error" })
const encode = Schema.encodeSync(Deployment)

describe("Deployment", () => {
  it("of nothing is a node with its images in memory and on the disk", () => {
    assert.deepStrictEqual(decode({}), deploymentOf(undefined))
    assert.deepStrictEqual(deploymentOf(""), deploymentOf(undefined))
  })

  it("takes a tier by its name, or with its policy", () => {
    const { chains } = deploymentOf(`
tiers: { memory: { type: memory }, disk: { type: filesystem }, bucket: { type: s3, bucket: images } }
chains:
  masters:
    caches:
      - memory
      - { tier: disk, deadline: 500 millis, retry: { times: 3 }, breaker: { failures: 9, openFor: 2 seconds } }
    store: { tier: bucket, retry: off, breaker: no }
  variants:
    caches: [{ tier: disk, maxBytes: 1MiB, secondTouch: on }]
`)
    assert.deepStrictEqual(chains.masters.caches, [
      { tier: "memory" },
      {
        tier: "disk",
        deadline: Duration.millis(500),
        retry: { times: 3, delay: Duration.millis(100) },
        breaker: { failures: 9, openFor: Duration.seconds(2) }
      }
    ])
    assert.deepStrictEqual(chains.masters.store, { tier: "bucket", retry: "off", breaker: "off" })
    assert.deepStrictEqual(chains.variants.caches, [{ tier: "disk", maxBytes: 1_048_576, secondTouch: true }])
  })

  it("has a section that may be on, off, or written out", () => {
    const of = (text: string) => {
      const { catalog, legacy } = deploymentOf(`{ redis: { url: "redis://there" }, ${text} }`)
      return [catalog, legacy]
    }
    assert.deepStrictEqual(of("catalog: on"), [{ ttl: 7_200 }, { keepOriginal: true }])
    assert.deepStrictEqual(of("catalog: {}, legacy: yes"), [{ ttl: 7_200 }, { keepOriginal: true }])
    assert.deepStrictEqual(of("catalog: { ttl: 1 day }, legacy: { keepOriginal: off }"), [
      { ttl: 86_400 },
      { keepOriginal: false }
    ])
    assert.deepStrictEqual(of("catalog: off, legacy: false"), ["off", "off"])
  })

  it("has the preset thumb, unless it has its own", () => {
    const { presets } = deploymentOf("presets: { card: { width: 480, delivery: redirect } }")
    assert.deepStrictEqual(presets, {
      thumb: Preset.thumb,
      card: { width: 480, fit: "inside", quality: 80, format: "webp", enlarge: false, delivery: "redirect" }
    })
    assert.strictEqual(deploymentOf("presets: { thumb: { width: 64 } }").presets["thumb"]?.width, 64)
  })

  it("takes every preset that the renderer takes", () => {
    const numbers = [1, 100, 16_383]
    for (const fit of Preset.Fit.literals) {
      for (const format of Preset.OutputFormat.literals) {
        for (const width of numbers) {
          const preset = { width, height: 1, fit, format, quality: Math.min(width, 100), enlarge: true }
          assert.deepStrictEqual(decode({ presets: { preset } }).presets["preset"], Preset.make(preset))
        }
      }
    }
  })

  it("has keys for a bucket that are not shown", () => {
    const { tiers } = deploymentOf(
      `
tiers: { s3: { type: s3, bucket: images, credentials: { accessKeyId: "\${ID}", secretAccessKey: "\${KEY}" } } }
chains: { masters: { store: s3 }, variants: {} }
`,
      { ID: "AKIA", KEY: "topsecret" }
    )
    const { s3 } = tiers
    assert.strictEqual(s3?.type, "s3")
    const credentials = s3?.type === "s3" ? s3.credentials : undefined
    assert.strictEqual(credentials && Redacted.value(credentials.secretAccessKey), "topsecret")
    assert.notInclude(JSON.stringify(tiers), "topsecret")
  })

  /** Parts of files, of which any selection makes one that can be used. */
  const parts: ReadonlyArray<Readonly<Record<string, unknown>>> = [
    { dataDir: "/var/lib/terrace" },
    { server: { host: "::1", port: 0, token: "secret", maxAge: "1 day", resourcePolicy: "same-site" } },
    { images: { quality: 1, effort: "6", keepOriginal: true } },
    { limits: { uploadBytes: "10MB", imageTime: "500 millis", queue: 0, queueTime: "1.5 seconds" } },
    { redis: { url: "rediss://:secret@there", cluster: "yes" } },
    { catalog: { ttl: 0 }, bus: "off" },
    { catalog: "off", legacy: false, leases: 0 },
    { delivery: { mode: "redirect", above: 0, expiry: "7 days", cdnUrl: "https://cdn.example.com" } },
    { presets: { card: { width: "480", fit: "cover" }, thumb: { height: 10, delivery: "proxy" } } },
    {
      tiers: {
        memory: { type: "memory", maxBytes: "1GB", maxEntries: 5, maxEntryBytes: 1 },
        disk: { type: "filesystem", name: "d", root: "x", softMark: 0.5, lowMark: ".25", touchEvery: "1 hour" },
        bucket: {
          type: "s3",
          bucket: "images",
          requestTimeout: "1500 millis",
          credentials: { accessKeyId: "a", secretAccessKey: "b" }
        },
        small: { type: "redis", maxBytes: 1 }
      },
      chains: {
        masters: {
          caches: [
            "memory",
            { tier: "disk" },
            { tier: "small", deadline: "1 millis", retry: "off", secondTouch: false }
          ],
          store: { tier: "bucket", retry: { times: 1 }, breaker: {} },
          revalidateAfter: "1 second"
        },
        variants: { caches: [] }
      }
    }
  ]

  it.effect.prop("is the same again once it was written down", [Schema.Array(Schema.Int)], ([choices]) =>
    Effect.sync(() => {
      const text = Object.assign({}, ...choices.map((choice) => parts[Math.abs(choice) % parts.length]))
      const deployment = decode(text)
      const written = encode(deployment)
      // As a file would have it.
      assert.deepStrictEqual(decode(JSON.parse(JSON.stringify(written))), deployment)
      assert.deepStrictEqual(encode(decode(written)), written)
    })
  )
})
