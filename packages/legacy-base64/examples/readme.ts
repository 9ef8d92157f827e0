import { Catalog, LegacyRecord, type Metadata, Records } from "@terrace/legacy-base64"
import { RedisConnection } from "@terrace/tier-redis"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/** Stores an image, reads it back, and says what is stored. */
type Store = (image: Uint8Array) => Effect.Effect<Metadata.Facts>

const convert = Effect.fnUntraced(function* (id: string, store: Store) {
  const records = yield* Records.Records
  const record = yield* records.read(id)
  if (record === undefined) return "there is no record"
  const { image, metadata } = yield* records.decode(record)
  if (image === undefined) return "the record has no image"

  const facts = yield* store(image)
  return yield* records.compact(id, Records.fingerprint(record), LegacyRecord.compacted(metadata, facts))
})

const program = (id: string, store: Store) =>
  Effect.gen(function* () {
    const outcome = yield* convert(id, store)
    const catalog = yield* Catalog.Catalog
    const metadata = yield* catalog.read(id)
    return `${outcome}: ${String(metadata?.fields["title"])}, ${metadata?.facts?.bytes} bytes`
  })

export const main = (url: string, id: string, store: Store) =>
  program(id, store).pipe(
    Effect.provide(Layer.mergeAll(Records.layer(), Catalog.layer()).pipe(Layer.provide(RedisConnection.layer({ url }))))
  )
