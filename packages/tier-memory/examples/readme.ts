import { Blob, Key } from "@terrace/core"
import { MemoryTier } from "@terrace/tier-memory"
import * as Effect from "effect/Effect"

const program = Effect.gen(function* () {
  const tier = yield* MemoryTier.MemoryTier
  const key = yield* Effect.fromResult(Key.make("hero", "master"))

  yield* tier.put(Blob.make(key, Buffer.from("pixels"), { contentType: "image/webp", generation: 1, createdAt: 0 }))

  const read = yield* tier.get(key)
  const { bytes, entries, limit } = yield* tier.usage
  return `${read._tag}: ${entries} entry, ${bytes} of ${limit} bytes`
})

export const main = Effect.provide(program, MemoryTier.layer({ maxBytes: 268_435_456 }))
