import * as RedisCluster from "@terrace/testkit/RedisCluster"
import * as TierSuite from "@terrace/testkit/TierSuite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as RedisConnection from "../src/RedisConnection.ts"
import * as RedisTier from "../src/RedisTier.ts"
import { shared, sharedServer, uniquePrefix } from "./support/Redis.ts"

const single: Effect.Effect<RedisConnection.Options> = Effect.map(sharedServer(), ({ url }) => ({
  url,
  required: true
}))

const clusterContext = shared(RedisCluster.layer())
const cluster: Effect.Effect<RedisConnection.Options> = Effect.map(
  Effect.orDie(Effect.provide(RedisCluster.RedisCluster, Layer.effectContext(clusterContext))),
  ({ nodes }) => ({ url: nodes.map(({ host, port }) => `redis://${host}:${port}`), cluster: true, required: true })
)

/** The tier reads expiry from its header by the client's clock, which is the test's; Redis' own only comes later. */
const suite = (name: string, connection: Effect.Effect<RedisConnection.Options>, options: RedisTier.Options = {}) => {
  // Every storage is a prefix of its own on the same server.
  const storage = Effect.map(connection, (where) =>
    RedisTier.layer({ ...options, prefix: uniquePrefix() }).pipe(Layer.provide(RedisConnection.layer(where)))
  )
  TierSuite.suite(name, {
    tier: RedisTier.RedisTier,
    fresh: false,
    layer: Layer.unwrap(storage),
    storage,
    // What Redis has evicted, nobody counts.
    usage: "approximate"
  })
}

suite("a tier in Redis", single)
suite("a tier in Redis that takes 16 MiB", single, { maxBytes: 16_777_216 })
suite("a tier in a Redis Cluster", cluster)
