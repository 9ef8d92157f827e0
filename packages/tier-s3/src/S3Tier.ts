/**
 * Storage tier on Amazon S3 and compatible servers.
 *
 * One object per blob: the payload is the object, the header is its metadata, so any S3 client opens the image. Newer wins
 * among all writers of the bucket, by the conditions of S3's writes; nothing is indexed or kept beside the objects.
 */
import type * as Key from "@terrace/core/Key"
import * as Tier from "@terrace/core/Tier"
import type { Operation, TierError } from "@terrace/core/TierError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type Bucket, closed, type Connection, type Stats as Counted } from "./internal/Bucket.ts"
import * as Client from "./internal/Client.ts"
import * as Conditions from "./internal/Conditions.ts"
import * as Gate from "./internal/Gate.ts"
import * as KeyLocks from "./internal/KeyLocks.ts"
import * as Listing from "./internal/Listing.ts"
import * as Operations from "./internal/Operations.ts"
import * as Presigning from "./internal/Presigning.ts"
import * as Reading from "./internal/Reading.ts"
import * as Removal from "./internal/Removal.ts"
import * as Settings from "./internal/Settings.ts"
import * as Start from "./internal/Start.ts"
import * as Writing from "./internal/Writing.ts"
import type { Options } from "./Options.ts"
import type { Presigned, PresignError, PresignOptions } from "./Presign.ts"
import type { StartError } from "./StartError.ts"

export type { Credentials, Options } from "./Options.ts"
export { type Presigned, PresignError, type PresignOptions } from "./Presign.ts"
export { StartError } from "./StartError.ts"

/** What a tier has met with since it started. */
export type Stats = Readonly<Counted>

export interface S3 extends Tier.Tier {
  /**
   * Makes a URL under which a client reads the object of a key from the server itself.
   *
   * Behavior:
   * - good for one method and until `expiresAt`, at most 7 days; nothing is asked of the server, so the object may be absent.
   * - what is past `expiresAt` of its header is served under it all the same: the server does not know headers.
   * - fails with `PresignError`.
   */
  readonly presign: (key: Key.Key, options?: PresignOptions) => Effect.Effect<Presigned, PresignError>
  /** Where the CDN of `cdnUrl` serves the object of a key; undefined without one. */
  readonly publicUrl: (key: Key.Key) => string | undefined
  readonly stats: Effect.Effect<Stats>
}

export class S3Tier extends Context.Service<S3Tier, S3>()("@terrace/tier-s3/S3Tier") {}

/**
 * Starts a tier that lives as long as the scope.
 *
 * Behavior:
 * - fails with `StartError` if the bucket cannot be used with these credentials, or if the server ignores the conditions of
 *   writes; that the server cannot be reached is a warning only, if `ifUnreachable` says so.
 * - the bucket is made only if `createBucket` says so.
 * - closing the scope waits for requests that change something, ends the others, and closes all connections.
 */
export const make = (options: Options): Effect.Effect<S3, StartError, Scope.Scope> =>
  Effect.gen(function* () {
    const settings = yield* Settings.resolve(options)
    const { concurrency, maxStreams, maxWaiting } = settings
    const client = yield* Client.make(settings, settings.endpoint)
    const connection: Connection = { client, settings, calls: Gate.make(concurrency, maxWaiting) }
    const conditions = Conditions.make(connection)
    yield* Start.check(connection, conditions)
    const signer = yield* Client.signing(client, settings)

    const scope = yield* Effect.scope
    const bucket: Bucket = {
      ...connection,
      conditions,
      streams: Gate.make(maxStreams, maxWaiting),
      locks: KeyLocks.make(),
      stats: { damaged: 0, foreign: 0, leftUploads: 0 },
      spoiled: new Set(),
      warned: new Set(),
      isClosed: () => scope.state._tag === "Closed"
    }
    const run = <A>(operation: Operation, effect: Effect.Effect<A, TierError>) =>
      Operations.run(scope, effect, Effect.fail(closed(bucket, operation)))
    const ifOpen = <A>(operation: Operation, stream: () => Stream.Stream<A, TierError>) =>
      Stream.suspend(() => (bucket.isClosed() ? Stream.fail(closed(bucket, operation)) : stream()))

    return {
      name: settings.name,
      capabilities: capabilitiesOf(settings),
      get: (key) => Operations.run(scope, Reading.get(bucket, key), Effect.succeed(Tier.skipped("closed"))),
      head: (key) => Operations.run(scope, Reading.head(bucket, key), Effect.succeed(Tier.skipped("closed"))),
      put: (blob, putOptions) => run("put", Writing.put(bucket, blob, putOptions)),
      remove: (key, generation) => run("remove", Removal.remove(bucket, key, generation)),
      removeGroup: (group, generation) => run("removeGroup", Removal.removeGroup(bucket, group, generation)),
      scan: (scanOptions) => ifOpen("scan", () => Listing.scan(bucket, scanOptions)),
      usage: run("usage", Listing.usage(bucket)),
      corrupted: () => bucket.stats.damaged,
      presign: (key, presignOptions = {}) => Presigning.presign(settings, signer, key, presignOptions),
      publicUrl: (key) => Presigning.publicUrl(settings, key),
      stats: Effect.sync(() => ({ ...bucket.stats }))
    }
  })

const capabilitiesOf = ({ atomicRemovals, conditionalWrites, maxBytes }: Settings.Settings): Tier.Capabilities => ({
  streaming: true,
  ranges: true,
  atomicPut: conditionalWrites && atomicRemovals ? "shared" : "process",
  durable: true,
  persistent: true,
  shared: true,
  list: true,
  nativeExpiry: false,
  maxBytes
})

/** The tier as a service; see `make`. */
export const layer = (options: Options): Layer.Layer<S3Tier, StartError> => Layer.effect(S3Tier, make(options))
