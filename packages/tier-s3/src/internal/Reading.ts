/**
 * Serves blobs.
 */
import { GetObjectCommand, type GetObjectCommandOutput } from "@aws-sdk/client-s3"
import * as Body from "@terrace/core/Body"
import * as Header from "@terrace/core/Header"
import type * as Key from "@terrace/core/Key"
import * as Tier from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"
import * as BodyStream from "./BodyStream.ts"
import { type Bucket, objectOf, trouble } from "./Bucket.ts"
import type { Failure } from "./Failure.ts"
import * as Lookup from "./Lookup.ts"
import * as Request from "./Request.ts"

/** One request for what is in memory, and one more for what is streamed. */
export const get = (bucket: Bucket, key: Key.Key): Effect.Effect<Tier.Read, TierError> =>
  Request.ask(
    bucket,
    (client, options) =>
      client.send(
        new GetObjectCommand({ ...objectOf(bucket, key), Range: `bytes=0-${bucket.settings.inlineBelow - 1}` }),
        options
      ),
    (answer) => received(bucket, key, answer)
  ).pipe(
    Effect.catch((failure) =>
      Lookup.isNoSuchKey(failure)
        ? Effect.succeed(Tier.miss)
        : Effect.flatMap(Lookup.orEmpty(bucket, key, failure), (found) => served(bucket, key, found, noBytes))
    ),
    orBusy(bucket, "get")
  )

const received = (bucket: Bucket, key: Key.Key, answer: GetObjectCommandOutput): Effect.Effect<Tier.Read, Failure> =>
  served(
    bucket,
    key,
    Lookup.foundOf(key, answer),
    Request.promised(bucket, async () => answer.Body?.transformToByteArray() ?? new Uint8Array(0))
  )

const noBytes = Effect.succeed(new Uint8Array(0))

const served = (
  bucket: Bucket,
  key: Key.Key,
  found: Lookup.Found,
  read: Effect.Effect<Uint8Array, Failure>
): Effect.Effect<Tier.Read, Failure> =>
  Effect.gen(function* () {
    const present = yield* Lookup.readable(bucket, key, found)
    if (present === undefined) return Tier.miss
    const { header } = present
    if (!present.isWhole) return yield* Lookup.damaged(bucket, present, "it has another length than its header says")
    if (header.size >= bucket.settings.inlineBelow) {
      const body = Body.streamed(header.size, (range) => BodyStream.open(bucket, present, range))
      return Tier.hit({ header, body })
    }
    const bytes = yield* read
    if (Header.matches(header, bytes)) return Tier.hit({ header, body: Body.inline(bytes) })
    return yield* Lookup.damaged(bucket, present, "a chunk's CRC differs")
  })

export const head = (bucket: Bucket, key: Key.Key): Effect.Effect<Tier.ReadHeader, TierError> =>
  Lookup.look(bucket, key, true).pipe(
    Effect.flatMap((found) => Lookup.readable(bucket, key, found)),
    Effect.map((present) => (present === undefined ? Tier.miss : Tier.hitHeader(present.header))),
    orBusy(bucket, "head")
  )

const orBusy =
  (bucket: Bucket, operation: "get" | "head") =>
  <A>(effect: Effect.Effect<A, Failure>): Effect.Effect<A | typeof skipped, TierError> =>
    Effect.catch(effect, (failure) =>
      failure._tag === "Busy" ? Effect.succeed(skipped) : Effect.fail(trouble(bucket, operation)(failure))
    )

const skipped = Tier.skipped("busy")
