/**
 * Tiers of a deployment, as a file names them: of which kind, and how they are set up.
 *
 * Whether a filesystem tier is a store or a cache is not said here: it follows from where a chain uses it.
 */
import * as Schema from "effect/Schema"
import * as Form from "./internal/Form.ts"
import { documented, optional, required, schemasOf, section, withDefault } from "./internal/field.ts"

/** Smallest budget of a tier, in bytes. */
const smallestBudget = 16_384

const name = (preset: string) =>
  optional(Form.tierName, {
    meaning: `Name of the tier in \`Cache-Status\`, \`/tiers\`, logs and metrics, once in a chain. Without it, the key that it has under \`tiers\`.`,
    example: preset
  })

// -----------------------------------------------------------------------------
// Kinds
// -----------------------------------------------------------------------------

export const memoryFields = {
  name: name("memory"),
  maxBytes: withDefault(Form.byteSize(smallestBudget), "256MiB", {
    meaning: "Budget of images kept in memory.",
    example: "512MB"
  }),
  maxEntries: optional(Form.wholeNumber(1, 100_000_000), {
    meaning: "Most images kept; without it only the bytes count.",
    example: "100000"
  }),
  maxEntryBytes: optional(Form.byteSize(1), {
    meaning: "Largest image kept; without it an eighth of `maxBytes`.",
    example: "4MiB"
  })
}

const size = Form.byteSize(1)

export const filesystemFields = {
  name: name("disk"),
  root: optional(Form.path, {
    meaning: "Directory of the tier; one that is relative begins in `dataDir`. Without it, the key under `tiers`.",
    example: "/var/lib/terrace/masters"
  }),
  maxBytes: optional(Form.byteSize(smallestBudget), {
    meaning:
      "Budget of the files: a store refuses what does not fit, a cache drops the coldest. Without it the disk is the limit.",
    example: "20GiB"
  }),
  minFreeBytes: withDefault(Form.byteSize(0), "64MiB", {
    meaning: "Space that is left free on the device.",
    example: "1GiB"
  }),
  durability: optional(Form.oneOf(["none", "file", "file+directory"]), {
    meaning:
      "What is flushed before a write is acknowledged. Without it, `file+directory` for a store (which needs it), `none` for a cache.",
    example: "file+directory"
  }),
  maxAge: withDefault(Form.duration, "0", {
    meaning: "Age from which a cache drops what nobody has read; 0 keeps it whatever its age.",
    example: "7 days"
  }),
  softMark: optional(Form.share, {
    meaning: "Share of `maxBytes` above which a cache drops in the background. Without it 0.95.",
    example: "0.95"
  }),
  lowMark: optional(Form.share, {
    meaning: "Share of `maxBytes` at which it stops. Without it 0.85.",
    example: "0.85"
  }),
  touchEvery: optional(Form.period, {
    meaning: "How often a read renews the age of a file in a cache, at most. Without it 10 minutes.",
    example: "10 minutes"
  }),
  sweepEvery: withDefault(Form.duration, "6 hours", {
    meaning: "Time between two sweeps, which drop what has expired and clear remains of broken writes; 0 never sweeps.",
    example: "1 hour"
  }),
  inlineBelow: optional(size, {
    meaning:
      "Images of this size and more are streamed from the disk by each reader. Without it 1 MiB; in the store of masters, what memory before it takes, from 1 to 4 MiB.",
    example: "1MiB"
  })
}

export const s3Fields = {
  name: name("s3"),
  bucket: required(Form.bucket, { meaning: "Bucket that keeps the images.", example: "my-images" }),
  region: optional(Form.region, {
    meaning: "Region of the bucket. Without it, what the SDK finds; with `endpoint`, us-east-1.",
    example: "eu-central-1"
  }),
  endpoint: optional(Form.httpUrl, {
    meaning: "Address of an S3 server that is not Amazon's; the bucket's name goes into the path.",
    example: "https://s3.example.com"
  }),
  forcePathStyle: optional(Form.onOff, {
    meaning: "Whether the bucket's name goes into the path instead of the host name. Without it, on with `endpoint`.",
    example: "on"
  }),
  prefix: optional(Form.keyPrefix, {
    meaning: "Begins the names of all objects in the bucket.",
    example: "images/"
  }),
  createBucket: withDefault(Form.onOff, "off", {
    meaning: "Whether a bucket that is missing is made at the start.",
    example: "on"
  }),
  ifUnreachable: withDefault(Form.oneOf(["fail", "warn"]), "warn", {
    meaning: "What a start does if the server does not answer: `fail`, or `warn` and serve what other tiers have.",
    example: "fail"
  }),
  conditionalWrites: withDefault(Form.onOff, "on", {
    meaning:
      "Whether writes depend on what is stored, so that the newest of all writers wins; off for servers that cannot.",
    example: "off"
  }),
  atomicRemovals: optional(Form.onOff, {
    meaning:
      "Whether the server looks at the condition of a removal and removes in one step. Without it, off with `endpoint`.",
    example: "on"
  }),
  inlineBelow: optional(size, {
    meaning:
      "Images of this size and more are streamed. Without it 1 MiB; in the store of masters, what memory before it takes, from 1 to 4 MiB.",
    example: "1MiB"
  }),
  maxBytes: optional(size, { meaning: "Largest image. Without it some 190 MiB.", example: "50MiB" }),
  multipartFrom: optional(size, {
    meaning: "Streams of this size and more are put in parts. Without it 8 MiB.",
    example: "8MiB"
  }),
  partBytes: optional(Form.byteSize(5_242_880, 5_368_709_120), {
    meaning: "Size of a part, which a put holds in memory. Without it 8 MiB.",
    example: "8MiB"
  }),
  concurrency: optional(Form.wholeNumber(1, 10_000), {
    meaning: "Requests in flight at once. Without it 64.",
    example: "64"
  }),
  maxStreams: optional(Form.wholeNumber(1, 10_000), {
    meaning: "Bodies that are being read at once. Without it 64.",
    example: "64"
  }),
  maxWaiting: optional(Form.wholeNumber(0, 1_000_000), {
    meaning: "Requests that may wait for their turn. Without it 256.",
    example: "256"
  }),
  connectTimeout: optional(Form.periodWithin("10 millis", "10 minutes"), {
    meaning: "Time to connect. Without it 3 seconds.",
    example: "3 seconds"
  }),
  requestTimeout: optional(Form.periodWithin("10 millis", "10 minutes"), {
    meaning: "Time for the answer to one request, and for each piece of a body. Without it 20 seconds.",
    example: "20 seconds"
  }),
  publicEndpoint: optional(Form.httpUrl, {
    meaning:
      "Address under which clients reach the server, where that is not `endpoint`: presigned URLs begin with it.",
    example: "https://images.example.com"
  }),
  cdnUrl: optional(Form.publicUrl, {
    meaning: "Address of a CDN that serves this bucket. Without it, `delivery.cdnUrl`.",
    example: "https://cdn.example.com"
  })
}

const credentialsFields = {
  accessKeyId: required(Form.accessKey, { meaning: "Id of the key.", example: "${S3_KEY}" }),
  secretAccessKey: required(Form.accessKey, { meaning: "The key.", example: "${S3_SECRET}" }),
  sessionToken: optional(Form.accessKey, { meaning: "Belongs to temporary keys.", example: "${S3_SESSION}" })
}

export const redisFields = {
  name: name("redis"),
  prefix: withDefault(Form.redisPrefix, "terrace", {
    meaning: "Begins the names of all keys of the tier in Redis.",
    example: "terrace-variants"
  }),
  maxBytes: withDefault(Form.byteSize(1, 16_777_216), "256KiB", {
    meaning: "Largest image kept.",
    example: "64KiB"
  }),
  maxBytesUnderWay: optional(size, {
    meaning: "Bytes under way to and from Redis at once. Without it 256 times `maxBytes`, at most 256 MiB.",
    example: "64MiB"
  })
}

// -----------------------------------------------------------------------------
// Schema
// -----------------------------------------------------------------------------

export const MemoryTier = section("A tier in the memory of the process.", {
  type: Schema.Literal("memory"),
  ...schemasOf(memoryFields)
})

export const FilesystemTier = section("A tier in a directory.", {
  type: Schema.Literal("filesystem"),
  ...schemasOf(filesystemFields)
})

export const S3Tier = section("A tier in a bucket of Amazon S3 or a compatible server.", {
  type: Schema.Literal("s3"),
  ...schemasOf(s3Fields),
  credentials: Schema.optionalKey(
    section(
      "Keys for the bucket. Without them, what the AWS SDK finds, such as `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.",
      schemasOf(credentialsFields)
    )
  )
})

export const RedisTier = section("A tier of small images in the Redis of `redis`.", {
  type: Schema.Literal("redis"),
  ...schemasOf(redisFields)
})

export const kinds = ["memory", "filesystem", "s3", "redis"] as const

/** A tier of any kind; `type` says which. */
export const TierConfig = documented(Schema.Union([MemoryTier, FilesystemTier, S3Tier, RedisTier]), {
  meaning: "A tier.",
  expected: "keys below it with type",
  example: "{ type: memory }",
  discriminator: { key: "type", expected: `one of ${kinds.join(", ")}`, example: "filesystem" }
})

export type TierConfig = typeof TierConfig.Type
