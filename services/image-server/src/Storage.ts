/**
 * What a deployment stores images in: its tiers, and what its nodes share.
 *
 * Without a bucket masters are in memory over the disk, which is the store. With one, the bucket is the store, and the disk a
 * cache. Variants are in memory over the disk. A Redis tells the nodes of each other's writes, and lends leases.
 */
import type { Bus } from "@terrace/core/Bus"
import type * as Chain from "@terrace/core/Chain"
import type { Leases } from "@terrace/core/Leases"
import * as FilesystemTier from "@terrace/tier-filesystem/FilesystemTier"
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as RedisBus from "@terrace/tier-redis/RedisBus"
import * as RedisConnection from "@terrace/tier-redis/RedisConnection"
import * as RedisLeases from "@terrace/tier-redis/RedisLeases"
import * as S3Tier from "@terrace/tier-s3/S3Tier"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { join } from "node:path"
import { bucketPolicy } from "./BucketPolicy.ts"
import type { ServerConfig } from "./ServerConfig.ts"

export interface Storage {
  readonly masters: {
    readonly caches: ReadonlyArray<Chain.Link>
    readonly store: Chain.Link
    readonly revalidateAfter: Duration.Duration
    /** The tier among them that can sign URLs. */
    readonly s3: S3Tier.S3 | undefined
  }
  readonly variants: {
    readonly caches: ReadonlyArray<Chain.Link>
    /** As for masters. */
    readonly s3: S3Tier.S3 | undefined
  }
  /** Undefined: this node is alone. */
  readonly shared: Shared | undefined
}

/** What nodes share besides the store. */
export interface Shared {
  readonly connection: RedisConnection.Connection
  readonly bus: Bus
  readonly leases: Leases
}

/** Masters below this many bytes are read whole and shared by their readers, if memory takes them; larger ones stream. */
const inlineBelow = (config: ServerConfig): number =>
  Math.max(1_048_576, Math.min(4_194_304, Math.floor(config.memoryMaxBytes / 8)))

/** Opens everything for as long as the scope lives. */
export const make = Effect.fnUntraced(function* (config: ServerConfig) {
  // One budget for both chains: their names never meet.
  const memory = yield* MemoryTier.make({ maxBytes: config.memoryMaxBytes })
  const { caches, s3, store, variants } =
    config.s3Bucket === undefined ? yield* onDisk(config) : yield* inBucket(config, config.s3Bucket)
  const storage: Storage = {
    masters: {
      caches: [{ tier: memory }, ...caches],
      store,
      revalidateAfter: config.revalidateAfter,
      s3
    },
    variants: { caches: [{ tier: memory }, { tier: variants }], s3: undefined },
    shared: yield* sharedBy(config)
  }
  return storage
})

const onDisk = Effect.fnUntraced(function* (config: ServerConfig) {
  const store = yield* FilesystemTier.make({
    root: join(config.dataDir, "masters"),
    role: "store",
    maxBytes: config.storeMaxBytes,
    inlineBelow: inlineBelow(config),
    sweepEvery: sweepEvery(config)
  })
  return { caches: [], store: { tier: store }, s3: undefined, variants: yield* diskCache(config, "variants") }
})

const inBucket = Effect.fnUntraced(function* (config: ServerConfig, bucket: string) {
  const store = yield* S3Tier.make({
    bucket,
    region: config.s3Region,
    endpoint: config.s3Endpoint,
    // Few servers but Amazon's have a name for each bucket.
    forcePathStyle: config.s3Endpoint !== undefined,
    prefix: config.s3Prefix,
    cdnUrl: config.cdnUrl,
    inlineBelow: inlineBelow(config),
    // What is on the disk is served without it.
    ifUnreachable: "warn"
  })
  // One budget for both chains: their names never meet.
  const disk = yield* diskCache(config, "cache")
  return { caches: [{ tier: disk }], store: { tier: store, policy: bucketPolicy }, s3: store, variants: disk }
})

const diskCache = (config: ServerConfig, directory: string) =>
  FilesystemTier.make({
    root: join(config.dataDir, directory),
    role: "cache",
    maxBytes: config.diskMaxBytes,
    maxAge: config.diskMaxAge,
    sweepEvery: sweepEvery(config)
  })

const sweepEvery = (config: ServerConfig): Duration.Duration => config.sweepEvery ?? Duration.infinity

const sharedBy = Effect.fnUntraced(function* (config: ServerConfig) {
  if (config.redisUrl === undefined) return undefined
  const connection = yield* RedisConnection.make({ url: config.redisUrl, cluster: config.redisCluster })
  return yield* Effect.gen(function* () {
    return { connection, bus: yield* RedisBus.make(), leases: yield* RedisLeases.make() }
  }).pipe(Effect.provideService(RedisConnection.RedisConnection, connection))
})
