import { assert, describe, it } from "@effect/vitest"
import * as RedisCluster from "@terrace/testkit/RedisCluster"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { Cluster } from "ioredis"

const clientOf = (nodes: ReadonlyArray<RedisCluster.Node>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const client = new Cluster(
        nodes.map(({ host, port }) => ({ host, port })),
        { retryDelayOnFailover: 20, redisOptions: { commandTimeout: 1_000 } }
      )
      client.on("error", () => undefined)
      return client
    }),
    (client) => Effect.sync(() => client.disconnect())
  )

describe("RedisCluster", () => {
  it.layer(RedisCluster.layer(), { timeout: "60 seconds" })((it) => {
    it.effect("divides the slots, and refers to the node that has a key", () =>
      Effect.gen(function* () {
        const { exec, nodes } = yield* RedisCluster.RedisCluster
        const [first, , third] = nodes

        // CRC16 of "foo" is in slot 12182, of the third node (redis.io, cluster specification).
        const error = yield* Effect.flip(exec(first.port, ["get", "foo"]))

        assert.include(error.message, `MOVED 12182 127.0.0.1:${third.port}`)
        assert.strictEqual(yield* exec(third.port, ["get", "foo"]), "")
      })
    )

    it.effect("a client that knows one node reaches them all", () =>
      Effect.gen(function* () {
        const { exec, nodes } = yield* RedisCluster.RedisCluster
        const client = yield* clientOf([nodes[1]])
        const keys = Array.from({ length: 60 }, (_, index) => `key-${index}`)

        yield* Effect.promise(() => Promise.all(keys.map((key) => client.set(key, `value of ${key}`))))

        const values = yield* Effect.promise(() => Promise.all(keys.map((key) => client.get(key))))
        assert.deepStrictEqual(
          values,
          keys.map((key) => `value of ${key}`)
        )
        for (const { port } of nodes) assert.isAbove(Number(yield* exec(port, ["dbsize"])), 0)
      })
    )

    it.effect("stop, start - the cluster is whole again, with its data", () =>
      Effect.gen(function* () {
        const { nodes, start, stop } = yield* RedisCluster.RedisCluster
        const client = yield* clientOf(nodes)
        yield* Effect.promise(() => client.set("{kept}", "over a stop"))

        yield* stop
        yield* start

        const value = yield* Effect.retry(
          Effect.tryPromise(() => client.get("{kept}")),
          Schedule.spaced("20 millis")
        )
        assert.strictEqual(value, "over a stop")
      })
    )
  })

  it.live("takes settings for every node", () =>
    Effect.gen(function* () {
      const { exec, nodes } = yield* RedisCluster.make({ config: { maxmemory: "7mb" } })
      for (const { port } of nodes) {
        assert.strictEqual(yield* exec(port, ["config", "get", "maxmemory"]), "maxmemory\n7340032")
      }
    })
  )
})
