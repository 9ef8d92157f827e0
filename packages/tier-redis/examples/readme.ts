import { Blob, Key } from "@terrace/core"
import { RedisConnection, RedisTier } from "@terrace/tier-redis"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

const program = Effect.gen(function* () {
  const tier = yield* RedisTier.RedisTier
  const key = yield* Effect.fromResult(Key.make("hero", "w320"))

  yield* tier.put(Blob.make(key, Buffer.from("pixels"), { contentType: "image/webp", generation: 1, createdAt: 0 }))

  const read = yield* tier.get(key)
  const removal = yield* tier.removeGroup("hero", 1)
  return removal._tag === "Removed" ? `${read._tag}, then ${removal.removed} removed` : read._tag
})

export const main = (url: string) =>
  program.pipe(Effect.provide(RedisTier.layer().pipe(Layer.provide(RedisConnection.layer({ url })))))
