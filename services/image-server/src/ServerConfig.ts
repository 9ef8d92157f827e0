/**
 * Settings of the server, read from environment variables when it starts.
 *
 * `settings` is the one table of them: default, meaning, expected form and example stand beside the function that reads the
 * value, and the README is compared with it. A value that cannot be read stops the start; all such values are reported
 * at once, one line each. A variable that is empty or blank counts as not set.
 */
import * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Access from "./Access.ts"
import * as Form from "./internal/settingForm.ts"

export interface ServerConfig {
  /** Address or name to listen on. */
  readonly host: string
  /** Port to listen on; 0: any free one. */
  readonly port: number
  /** Directory of the images, absolute or relative to the working directory. */
  readonly dataDir: string
  /** Bearer token; undefined: none, and `host` is a loopback address. */
  readonly token: Redacted.Redacted | undefined
  /** Budget of the memory tiers, in bytes. */
  readonly memoryMaxBytes: number
  /** Budget of the store of masters, in bytes; undefined: the disk. */
  readonly storeMaxBytes: number | undefined
  /** Budget of the disk cache of variants, in bytes. */
  readonly diskMaxBytes: number
  /** Age from which the disk cache drops a variant; undefined: none. */
  readonly diskMaxAge: Duration.Duration | undefined
  /** Time between two sweeps of the data directory; undefined: no sweeps. */
  readonly sweepEvery: Duration.Duration | undefined
  /** Whether the bytes of an upload are kept beside its master. */
  readonly keepOriginal: boolean
  /** WebP quality of masters, 1 to 100. */
  readonly quality: number
  /** WebP effort of masters, 0 (fast) to 6 (small). */
  readonly effort: number
  /** `Cache-Control: max-age` of images, in seconds. */
  readonly maxAge: number
  /** Largest upload after decoding, in bytes. */
  readonly maxUploadBytes: number
  /** Who may embed images: `Cross-Origin-Resource-Policy`. */
  readonly resourcePolicy: "cross-origin" | "same-site" | "same-origin"
  /** Bucket that is the store of masters; undefined: the data directory is. */
  readonly s3Bucket: string | undefined
  /** Address of the S3 server; undefined: Amazon's. */
  readonly s3Endpoint: string | undefined
  /** Region of the bucket; undefined: what the SDK finds. */
  readonly s3Region: string | undefined
  /** Begins the names of all objects; ends with `/`. */
  readonly s3Prefix: string | undefined
  /** How long a cached master counts as what a shared store has. */
  readonly revalidateAfter: Duration.Duration
  /** Whether images of at least `deliveryAbove` bytes are answered by a redirect to where they lie. */
  readonly delivery: "proxy" | "redirect"
  /** Size from which on images are redirected, in bytes; 0: all. */
  readonly deliveryAbove: number
  /** How long a signed URL is good for. */
  readonly deliveryExpiry: Duration.Duration
  /** Address of a CDN in front of the bucket; undefined: there is none. */
  readonly cdnUrl: string | undefined
  /** Redis that has the catalog and old records, and joins nodes; undefined: there are none. */
  readonly redisUrl: Redacted.Redacted | undefined
  /** Whether that is a Redis Cluster. */
  readonly redisCluster: boolean
  /** Time that a catalog record lives, in seconds. */
  readonly recordTtl: number
  /** Whether the decoded bytes of an old record are kept beside the master that is made of them. */
  readonly legacyKeepOriginal: boolean
}

/** The settings are not usable; the message has one line for each that is wrong. */
export class InvalidConfig extends Schema.TaggedError<InvalidConfig>(
  "@terrace/image-server/ServerConfig/InvalidConfig"
)("InvalidConfig", { problems: Schema.Array(Schema.String) }) {
  override get message(): string {
    return this.problems.join("\n")
  }
}

/** One setting, as data for documentation. */
export interface Setting {
  /** Name of the environment variable. */
  readonly name: string
  /** Value that is used if it is not set, as one would write it; undefined: none. */
  readonly default: string | undefined
  readonly meaning: string
  /** What a value looks like. */
  readonly expected: string
  readonly example: string
}

// -----------------------------------------------------------------------------
// The table
// -----------------------------------------------------------------------------

interface Definition<A> extends Setting {
  readonly form: Form.Form<A>
}

const define = <A>(
  name: string,
  form: Form.Form<A>,
  documentation: { readonly default?: string; readonly meaning: string; readonly example: string }
): Definition<A> => ({
  name,
  default: documentation.default,
  meaning: documentation.meaning,
  expected: form.expected,
  example: documentation.example,
  form
})

/** Smallest budget of a tier, in bytes. */
const smallestBudget = 16_384

const definitions = {
  host: define("TERRACE_HOST", Form.address, {
    default: "127.0.0.1",
    meaning: "Address to listen on. Without TERRACE_TOKEN it must be a loopback address.",
    example: "0.0.0.0"
  }),
  port: define("TERRACE_PORT", Form.wholeNumber(0, 65_535), {
    default: "8080",
    meaning: "Port to listen on; 0 takes any free one.",
    example: "8080"
  }),
  dataDir: define("TERRACE_DATA_DIR", Form.path, {
    default: "./data",
    meaning:
      "Directory of the images, kept between starts and created if missing; a relative path begins at the working directory.",
    example: "/var/lib/terrace"
  }),
  token: define("TERRACE_TOKEN", Form.secret, {
    meaning: "Secret that writes and operations need, sent as Authorization: Bearer; without one, loopback only.",
    example: "3f9c2a7e51d84b06"
  }),
  memoryMaxBytes: define("TERRACE_MEMORY_MAX_BYTES", Form.byteSize(smallestBudget), {
    default: "256MiB",
    meaning: "Budget of images kept in memory.",
    example: "512MB"
  }),
  storeMaxBytes: define("TERRACE_STORE_MAX_BYTES", Form.byteSize(smallestBudget), {
    meaning: "Budget of the stored masters; when it is used up, uploads are refused. Without it the disk is the limit.",
    example: "20GiB"
  }),
  diskMaxBytes: define("TERRACE_DISK_MAX_BYTES", Form.byteSize(smallestBudget), {
    default: "1GiB",
    meaning: "Budget of the disk cache of variants; when it is used up, the coldest are dropped.",
    example: "5GiB"
  }),
  diskMaxAge: define("TERRACE_DISK_MAX_AGE", Form.duration, {
    default: "30 days",
    meaning: "Age from which the disk cache drops variants; 0 keeps them whatever their age.",
    example: "7 days"
  }),
  sweepEvery: define("TERRACE_SWEEP_EVERY", Form.duration, {
    default: "6 hours",
    meaning: "Time between two sweeps, which drop what has expired and clear remains of broken writes; 0 never sweeps.",
    example: "1 hour"
  }),
  keepOriginal: define("TERRACE_KEEP_ORIGINAL", Form.onOff, {
    default: "off",
    meaning: "Whether the uploaded bytes are kept beside the WebP master.",
    example: "on"
  }),
  quality: define("TERRACE_QUALITY", Form.wholeNumber(1, 100), {
    default: "85",
    meaning: "WebP quality of masters.",
    example: "90"
  }),
  effort: define("TERRACE_EFFORT", Form.wholeNumber(0, 6), {
    default: "4",
    meaning: "WebP effort of masters: 0 is fast, 6 gives the smallest files.",
    example: "6"
  }),
  maxAge: define("TERRACE_MAX_AGE", Form.seconds(31_536_000), {
    default: "3600",
    meaning: "Seconds that browsers and proxies may keep an image without asking (Cache-Control: max-age).",
    example: "86400"
  }),
  maxUploadBytes: define("TERRACE_MAX_UPLOAD_BYTES", Form.byteSize(1, 268_435_456), {
    default: "50MiB",
    meaning: "Largest upload, decoded; a larger one is refused before it is read.",
    example: "20MB"
  }),
  resourcePolicy: define("TERRACE_RESOURCE_POLICY", Form.oneOf(["cross-origin", "same-site", "same-origin"]), {
    default: "cross-origin",
    meaning: "Which pages may embed images: all, those of the same site, those of the same origin.",
    example: "same-site"
  }),
  s3Bucket: define("TERRACE_S3_BUCKET", Form.bucket, {
    meaning:
      "S3 bucket that keeps the masters, for any number of nodes; the data directory is a cache then. Credentials as the AWS SDK finds them, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
    example: "my-images"
  }),
  s3Endpoint: define("TERRACE_S3_ENDPOINT", Form.httpUrl, {
    meaning: "Address of an S3 server that is not Amazon's; the bucket's name goes into the path.",
    example: "https://s3.example.com"
  }),
  s3Region: define("TERRACE_S3_REGION", Form.region, {
    meaning: "Region of the bucket. Without it, what the SDK finds; with TERRACE_S3_ENDPOINT, us-east-1.",
    example: "eu-central-1"
  }),
  s3Prefix: define("TERRACE_S3_PREFIX", Form.keyPrefix, {
    meaning: "Begins the names of all objects in the bucket.",
    example: "images/"
  }),
  revalidateAfter: define("TERRACE_REVALIDATE_AFTER", Form.period, {
    default: "1 minute",
    meaning:
      "How long a cached master counts as what the bucket has: the longest that this node serves an image after another has replaced it, when a message was lost.",
    example: "10 seconds"
  }),
  delivery: define("TERRACE_DELIVERY", Form.oneOf(["proxy", "redirect"]), {
    default: "proxy",
    meaning:
      "How large images reach clients: through this server, or by a redirect to the CDN or to a signed URL of the bucket.",
    example: "redirect"
  }),
  deliveryAbove: define("TERRACE_DELIVERY_ABOVE", Form.byteSize(0), {
    default: "1MiB",
    meaning: "Size from which on images are redirected, where they are; smaller ones come from here. 0 redirects all.",
    example: "256KiB"
  }),
  deliveryExpiry: define("TERRACE_DELIVERY_EXPIRY", Form.signedPeriod, {
    default: "5 minutes",
    meaning: "How long a signed URL is good for.",
    example: "1 hour"
  }),
  cdnUrl: define("TERRACE_CDN_URL", Form.publicUrl, {
    meaning: "Address of a CDN in front of the bucket: redirects go there, without a signature.",
    example: "https://cdn.example.com"
  }),
  redisUrl: define("TERRACE_REDIS_URL", Form.redisUrl, {
    meaning:
      "Redis that has a small record of each image, and still has old images as base64; it also tells the nodes of each other's writes.",
    example: "redis://127.0.0.1:6379"
  }),
  redisCluster: define("TERRACE_REDIS_CLUSTER", Form.onOff, {
    default: "off",
    meaning: "Whether TERRACE_REDIS_URL names a node of a Redis Cluster.",
    example: "on"
  }),
  recordTtl: define("TERRACE_RECORD_TTL", Form.seconds(31_536_000), {
    default: "7200",
    meaning: "Seconds that the record of an upload stays in Redis; what it says, the stored image says too.",
    example: "1 day"
  }),
  legacyKeepOriginal: define("TERRACE_LEGACY_KEEP_ORIGINAL", Form.onOff, {
    default: "on",
    meaning:
      "Whether the decoded bytes of an old record are kept beside the WebP: the base64, which goes, is the only original.",
    example: "off"
  })
}

/** Every setting, in the order of the documentation. */
export const settings: ReadonlyArray<Setting> = Object.values(definitions)

/** Names of this shape that are no setting: probably mistyped. */
export const unknownNames = (names: Iterable<string>): ReadonlyArray<string> =>
  Array.from(names).filter((name) => name.startsWith("TERRACE_") && !settings.some((setting) => setting.name === name))

// -----------------------------------------------------------------------------
// Reading
// -----------------------------------------------------------------------------

type Read<A> = Config.Config<Result.Result<A, string>>

/** The value of a setting that may be left out. */
const optional = <A>(definition: Definition<A>): Read<A | undefined> =>
  Config.map(Config.option(Config.String(definition.name)), (given) => {
    const text = Option.getOrElse(given, () => "").trim() || (definition.default ?? "")
    if (text === "") return Result.succeed(undefined)
    return Result.fromOption(definition.form.read(text), () => problemOf(definition, text))
  })

/** The value of a setting that has a default. */
const required = <A>(definition: Definition<A>): Read<A> =>
  Config.map(optional(definition), (read) =>
    Result.flatMap(read, (value) =>
      value === undefined ? Result.fail(problemOf(definition, "")) : Result.succeed(value)
    )
  )

/** The value of a duration that `0` switches off. */
const unlessOff = (definition: Definition<Duration.Duration | "off">): Read<Duration.Duration | undefined> =>
  Config.map(
    required(definition),
    Result.map((value) => (value === "off" ? undefined : value))
  )

const problemOf = (definition: Definition<unknown>, text: string): string => {
  const found =
    definition.form.isSecret === true ? "cannot be used as it is" : `is ${JSON.stringify(text.slice(0, 100))}`
  return `${definition.name} ${found}: expected ${definition.expected}, for example ${definition.example}`
}

/** The settings, or what is wrong with each. */
export const config: Config.Config<Result.Result<ServerConfig, InvalidConfig>> = Config.map(
  Config.all({
    host: required(definitions.host),
    port: required(definitions.port),
    dataDir: required(definitions.dataDir),
    token: optional(definitions.token),
    memoryMaxBytes: required(definitions.memoryMaxBytes),
    storeMaxBytes: optional(definitions.storeMaxBytes),
    diskMaxBytes: required(definitions.diskMaxBytes),
    diskMaxAge: unlessOff(definitions.diskMaxAge),
    sweepEvery: unlessOff(definitions.sweepEvery),
    keepOriginal: required(definitions.keepOriginal),
    quality: required(definitions.quality),
    effort: required(definitions.effort),
    maxAge: required(definitions.maxAge),
    maxUploadBytes: required(definitions.maxUploadBytes),
    resourcePolicy: required(definitions.resourcePolicy),
    s3Bucket: optional(definitions.s3Bucket),
    s3Endpoint: optional(definitions.s3Endpoint),
    s3Region: optional(definitions.s3Region),
    s3Prefix: optional(definitions.s3Prefix),
    revalidateAfter: required(definitions.revalidateAfter),
    delivery: required(definitions.delivery),
    deliveryAbove: required(definitions.deliveryAbove),
    deliveryExpiry: required(definitions.deliveryExpiry),
    cdnUrl: optional(definitions.cdnUrl),
    redisUrl: optional(definitions.redisUrl),
    redisCluster: required(definitions.redisCluster),
    recordTtl: required(definitions.recordTtl),
    legacyKeepOriginal: required(definitions.legacyKeepOriginal)
  } satisfies { readonly [K in keyof ServerConfig]: Read<ServerConfig[K]> }),
  (reads) => {
    const problems = Object.values<Result.Result<unknown, string>>(reads).flatMap((read) =>
      Result.isFailure(read) ? [read.failure] : []
    )
    const exposed = exposure(reads.host, reads.token)
    if (exposed !== undefined) problems.push(exposed)
    problems.push(...withoutBucket(reads))
    const values = Result.all(reads)
    return problems.length > 0 || Result.isFailure(values)
      ? Result.fail(new InvalidConfig({ problems }))
      : Result.succeed(values.success)
  }
)

/** A server that other machines reach needs a token. */
const exposure = (
  host: Result.Result<string, string>,
  token: Result.Result<Redacted.Redacted | undefined, string>
): string | undefined =>
  Result.isSuccess(host) && Result.isSuccess(token) && token.success === undefined
    ? Access.isLoopbackAddress(host.success)
      ? undefined
      : `TERRACE_TOKEN is not set, but TERRACE_HOST is ${JSON.stringify(host.success)}: expected a token when other machines can reach the server, for example the output of "openssl rand -hex 32", or a loopback address, for example TERRACE_HOST=127.0.0.1`
    : undefined

/** What is said of a bucket that is not named. */
const withoutBucket = (reads: {
  readonly [K in "s3Bucket" | "s3Endpoint" | "s3Region" | "s3Prefix" | "cdnUrl"]: Result.Result<
    string | undefined,
    string
  >
}): ReadonlyArray<string> =>
  Result.isSuccess(reads.s3Bucket) && reads.s3Bucket.success === undefined
    ? (["s3Endpoint", "s3Region", "s3Prefix", "cdnUrl"] as const).flatMap((field) => {
        const read = reads[field]
        return Result.isSuccess(read) && read.success !== undefined
          ? [
              `${definitions[field].name} is set, but ${definitions.s3Bucket.name} is not: expected the name of a bucket, for example ${definitions.s3Bucket.example}`
            ]
          : []
      })
    : []

/** Reads the settings from the current `ConfigProvider`. */
export const load: Effect.Effect<ServerConfig, InvalidConfig> = config.pipe(
  Effect.mapError((error) => new InvalidConfig({ problems: [error.message] })),
  Effect.flatMap(Effect.fromResult)
)
