/**
 * Storage tier in Redis, or in a Redis Cluster: shared by all nodes, for small blobs.
 *
 * One hash per group holds headers and bytes. Writes are scripts, so "newer wins" is atomic among all clients; a read is
 * one command; what Redis evicts it evicts whole. See `internal/Layout.ts` and `docs/decisions/0007`.
 */
import type * as Tier from "@terrace/core/Tier"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Blobs from "./internal/Blobs.ts"
import { Gate } from "./internal/Gate.ts"
import * as Layout from "./internal/Layout.ts"
import * as Reading from "./internal/Reading.ts"
import * as Removal from "./internal/Removal.ts"
import * as Scan from "./internal/Scan.ts"
import * as Usage from "./internal/Usage.ts"
import * as Writing from "./internal/Writing.ts"
import { RedisConnection } from "./RedisConnection.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export interface Options {
  /** Unique in a chain. Default: `redis`. */
  readonly name?: string | undefined
  /** Begins every key: 1 to 64 letters, digits, `:`, `.`, `_` or `-`. Default: `terrace`. */
  readonly prefix?: string | undefined
  /** Largest blob, in bytes; larger ones are declined. Default: 262,144 (256 KiB); at most 16,777,216 (16 MiB). */
  readonly maxBytes?: number | undefined
  /**
   * Bytes under way to and from Redis at the same time; a read counts for `maxBytes`. Above, reads are `Skipped` as
   * `busy` and writes fail with `Throttled`. Default: 256 × `maxBytes`, at most 256 MiB.
   */
  readonly maxBytesUnderWay?: number | undefined
  /**
   * Declare that an acknowledged write survives a power failure. Only true of a server with `appendonly yes`,
   * `appendfsync always` and `maxmemory-policy noeviction`, without failover to replicas. Default: false.
   */
  readonly durable?: boolean | undefined
}

/** What a tier has done since it was built. */
export type Stats = Readonly<Blobs.Stats>

export interface RedisBlobs extends Tier.Tier {
  readonly stats: Effect.Effect<Stats>
}

export class RedisTier extends Context.Service<RedisTier, RedisBlobs>()("@terrace/tier-redis/RedisTier") {}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

const mebibyte = 1_048_576
const largest = 16 * mebibyte

/**
 * Builds a tier on the connection.
 *
 * Behavior:
 * - dies with a `RangeError` that names the option if one is out of range.
 * - a write that is interrupted goes on until Redis has answered it, or the connection has broken: who gave it up can
 *   learn when it really ended. A read is left behind at once.
 * - closing the scope lets nothing more begin, and waits for what Redis has not answered.
 */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<RedisBlobs, never, RedisConnection | Scope.Scope> {
  const { maxBytes, maxBytesUnderWay, name, prefix } = yield* Effect.sync(() => checked(options))
  const gate = yield* Effect.acquireRelease(
    Effect.sync(() => new Gate(maxBytesUnderWay)),
    ({ close }) => close
  )
  const stats: Blobs.Stats = { damaged: 0 }
  const blobs: Blobs.Blobs = { name, prefix, maxBytes, connection: yield* RedisConnection, gate, stats }
  return {
    name,
    capabilities: {
      streaming: false,
      ranges: false,
      atomicPut: "shared",
      durable: options.durable ?? false,
      persistent: true,
      shared: true,
      list: true,
      nativeExpiry: true,
      maxBytes
    },
    get: (key) => Reading.get(blobs, key),
    head: (key) => Reading.head(blobs, key),
    put: (blob, putOptions) => Effect.uninterruptible(Writing.put(blobs, blob, putOptions)),
    remove: (key, generation) => Effect.uninterruptible(Removal.remove(blobs, key, generation)),
    removeGroup: (group, generation) => Effect.uninterruptible(Removal.removeGroup(blobs, group, generation)),
    scan: (scanOptions) => Scan.scan(blobs, scanOptions),
    usage: Usage.usage(blobs),
    stats: Effect.sync(() => ({ ...stats }))
  }
})

/** Provides `RedisTier`; see `make`. */
export const layer = (options?: Options): Layer.Layer<RedisTier, never, RedisConnection> =>
  Layer.effect(RedisTier, make(options))

const checked = (options: Options) => {
  const maxBytes = whole("maxBytes", options.maxBytes ?? mebibyte / 4, largest)
  const maxBytesUnderWay = options.maxBytesUnderWay ?? Math.min(256 * maxBytes, 256 * mebibyte)
  const prefix = options.prefix ?? "terrace"
  Layout.checkPrefix(prefix)
  return {
    name: options.name ?? "redis",
    prefix,
    maxBytes,
    maxBytesUnderWay: whole("maxBytesUnderWay", maxBytesUnderWay, Number.MAX_SAFE_INTEGER)
  }
}

const whole = (name: string, value: number, atMost: number): number => {
  if (Number.isInteger(value) && value >= 1 && value <= atMost) return value
  throw new RangeError(`${name} is ${value}: expected whole bytes from 1 to ${atMost}, for example ${mebibyte / 4}`)
}
