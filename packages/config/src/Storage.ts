/**
 * What a deployment stores images in: opens its tiers, its Redis, and what its nodes share.
 */
import type { Bus } from "@terrace/core/Bus"
import type * as Chain from "@terrace/core/Chain"
import type { Leases } from "@terrace/core/Leases"
import type { Tier } from "@terrace/core/Tier"
import * as FilesystemTier from "@terrace/tier-filesystem/FilesystemTier"
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as RedisBus from "@terrace/tier-redis/RedisBus"
import * as RedisConnection from "@terrace/tier-redis/RedisConnection"
import * as RedisLeases from "@terrace/tier-redis/RedisLeases"
import * as RedisTier from "@terrace/tier-redis/RedisTier"
import * as S3Tier from "@terrace/tier-s3/S3Tier"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Path from "node:path"
import * as ChainConfig from "./ChainConfig.ts"
import type { Deployment } from "./Deployment.ts"
import type { TierConfig } from "./TierConfig.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export interface Storage {
  readonly masters: {
    readonly caches: ReadonlyArray<Chain.Link>
    readonly store: Chain.Link
    readonly revalidateAfter: Duration.Duration
    /** The store, if it is a bucket. */
    readonly s3: S3Tier.S3 | undefined
  }
  readonly variants: {
    readonly caches: ReadonlyArray<Chain.Link>
    /** The first of the caches that is a bucket. */
    readonly s3: S3Tier.S3 | undefined
  }
  /** Undefined: there is no Redis. */
  readonly shared: Shared | undefined
}

/** What nodes share besides the store. */
export interface Shared {
  readonly connection: RedisConnection.Connection
  /** A connection of its own for old records: on another, messages and leases would wait behind megabytes. Undefined: switched off. */
  readonly legacy: RedisConnection.Connection | undefined
  /** Undefined: switched off. */
  readonly bus: Bus | undefined
  /** Undefined: switched off. */
  readonly leases: Leases | undefined
}

/** Why storage cannot be opened; the message is one line that says what to do. */
export type StartError = FilesystemTier.StartError | RedisConnection.StartError | S3Tier.StartError

/** An open tier, and how it was configured; `s3` again, if it is a bucket. */
interface Opened {
  readonly config: TierConfig
  readonly tier: Tier
  readonly s3?: S3Tier.S3
}

type Open<A> = Effect.Effect<A, StartError, FileSystem.FileSystem | Scope.Scope>

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Opens everything for as long as the scope lives.
 *
 * Behavior:
 * - a tier that stands in two chains is opened once, and has one budget: the names of their blobs never meet.
 * - a filesystem tier is a store or a cache by where it stands.
 * - fails with what the tier or Redis says that cannot be used.
 */
export const make = (deployment: Deployment): Open<Storage> =>
  Effect.gen(function* () {
    const connection = deployment.redis && (yield* RedisConnection.make(deployment.redis))
    const opened = new Map<string, Opened>()
    for (const [name, config] of Object.entries(deployment.tiers)) {
      opened.set(name, { config, ...(yield* open(deployment, name, config, connection)) })
    }
    const { masters, variants } = deployment.chains
    const linkOf = (link: ChainConfig.Link): Chain.Link => {
      const { config, tier } = tierOf(opened, link)
      return { tier, policy: ChainConfig.policyOf(config.type, link) }
    }
    return {
      masters: {
        caches: masters.caches.map(linkOf),
        store: linkOf(masters.store),
        revalidateAfter: masters.revalidateAfter,
        s3: tierOf(opened, masters.store).s3
      },
      variants: {
        caches: variants.caches.map(linkOf),
        s3: variants.caches.map((link) => tierOf(opened, link).s3).find((s3) => s3 !== undefined)
      },
      shared: connection && (yield* shared(deployment, connection))
    }
  })

/** The names in chains were checked when the deployment was read. */
const tierOf = (opened: ReadonlyMap<string, Opened>, { tier }: ChainConfig.Link): Opened => {
  const found = opened.get(tier)
  if (found === undefined) throw new RangeError(`no tier is called ${JSON.stringify(tier)}`)
  return found
}

const shared = (
  { bus, leases, legacy, redis }: Deployment,
  connection: RedisConnection.Connection
): Effect.Effect<Shared, RedisConnection.StartError, Scope.Scope> =>
  Effect.gen(function* () {
    return {
      connection,
      legacy: legacy === "off" || redis === undefined ? undefined : yield* RedisConnection.make(redis),
      bus: bus ? yield* RedisBus.make() : undefined,
      leases: leases ? yield* RedisLeases.make() : undefined
    }
  }).pipe(Effect.provideService(RedisConnection.RedisConnection, connection))

const open = (
  deployment: Deployment,
  key: string,
  config: TierConfig,
  connection: RedisConnection.Connection | undefined
): Open<Omit<Opened, "config">> => {
  const name = config.name ?? key
  const isStore = deployment.chains.masters.store.tier === key
  const inlineBelow = isStore ? inlineBelowOf(deployment) : undefined
  switch (config.type) {
    case "memory":
      return Effect.map(MemoryTier.make({ ...config, name }), (tier) => ({ tier }))
    case "filesystem": {
      const { maxAge, root, sweepEvery } = config
      return Effect.map(
        FilesystemTier.make({
          inlineBelow,
          ...config,
          name,
          root: Path.resolve(deployment.dataDir, root ?? key),
          role: isStore ? "store" : "cache",
          maxAge: maxAge === "off" ? undefined : maxAge,
          sweepEvery: sweepEvery === "off" ? Duration.infinity : sweepEvery
        }),
        (tier) => ({ tier })
      )
    }
    case "s3": {
      const { credentials, endpoint, forcePathStyle } = config
      return Effect.map(
        S3Tier.make({
          inlineBelow,
          cdnUrl: deployment.delivery.cdnUrl,
          ...config,
          name,
          // Few servers but Amazon's have a name for each bucket.
          forcePathStyle: forcePathStyle ?? endpoint !== undefined,
          credentials: credentials && { ...credentials, accessKeyId: Redacted.value(credentials.accessKeyId) }
        }),
        (s3) => ({ tier: s3, s3 })
      )
    }
    case "redis":
      return connection === undefined
        ? Effect.die(new RangeError(`${key} is a tier in Redis, and there is no Redis`))
        : RedisTier.make({ ...config, name }).pipe(
            Effect.provideService(RedisConnection.RedisConnection, connection),
            Effect.map((tier) => ({ tier }))
          )
  }
}

/** Masters below this many bytes are read whole and shared by their readers, if memory takes them; larger ones stream. */
const inlineBelowOf = ({ chains, tiers }: Deployment): number => {
  const memory = chains.masters.caches.map(({ tier }) => tiers[tier]).find((tier) => tier?.type === "memory")
  const takes = memory?.maxEntryBytes ?? (memory?.maxBytes ?? 0) / 8
  return Math.max(1_048_576, Math.min(4_194_304, Math.floor(takes)))
}
