import { Chain, type Key } from "@terrace/core"
import { MemoryTier } from "@terrace/tier-memory"
import { RedisBus, RedisConnection, RedisLeases, RedisTier } from "@terrace/tier-redis"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"

/** What every node of a deployment has. */
export const layer = (url: string) =>
  Layer.mergeAll(RedisTier.layer(), RedisBus.layer(), RedisLeases.layer()).pipe(
    Layer.provide(RedisConnection.layer({ url }))
  )

/** Each node serves from memory, and hears what the others write. */
export const makeNode = Effect.gen(function* () {
  const store = yield* RedisTier.RedisTier
  const bus = yield* RedisBus.RedisBus
  const leases = yield* RedisLeases.RedisLeases
  const memory = yield* MemoryTier.make({ maxBytes: 268_435_456 })
  const chain = yield* Chain.make({ name: "thumbnails", caches: [{ tier: memory }], store: { tier: store }, bus })

  /** Asked of all nodes at once, one renders; the others wait and find it in the store. */
  const thumbnail = (key: Key.Key, render: Effect.Effect<Chain.Draft>) =>
    leases.withLease(
      { chain: chain.name, key },
      {
        find: Effect.map(store.head(key), (read) => (read._tag === "Hit" ? Option.some(read.header) : Option.none())),
        make: Effect.map(
          Effect.flatMap(render, (draft) => chain.put(key, draft)),
          ({ header }) => header
        )
      }
    )
  return { chain, thumbnail }
})
