/**
 * Removes blobs, each on the condition that it is still the one that was looked at.
 *
 * The members of a group are removed one by one too: only their headers tell how new they are, and a removal costs nothing
 * beside that look.
 */
import { DeleteObjectCommand } from "@aws-sdk/client-s3"
import type { Generation } from "@terrace/core/Generation"
import * as Header from "@terrace/core/Header"
import type * as Key from "@terrace/core/Key"
import * as Tier from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { type Bucket, objectOf } from "./Bucket.ts"
import * as Contention from "./Contention.ts"
import * as Listing from "./Listing.ts"
import * as Lookup from "./Lookup.ts"
import * as Request from "./Request.ts"

/** Members of a group that are removed at once. */
const groupConcurrency = 8

export const remove = (bucket: Bucket, key: Key.Key, generation: Generation): Effect.Effect<Tier.Removal, TierError> =>
  Effect.andThen(bucket.conditions.heeded("remove"), removeOne(bucket, "remove", key, generation))

const removeOne = (
  bucket: Bucket,
  operation: "remove" | "removeGroup",
  key: Key.Key,
  generation: Generation
): Effect.Effect<Tier.Removal, TierError> =>
  bucket.locks.withLock(key.text)(
    Contention.settle(bucket, operation, key.text, Lookup.look(bucket, key, true), undefined, (found) =>
      Effect.gen(function* () {
        if (found._tag !== "Present") return Tier.absent
        const { header } = found
        const isLive = !Header.isExpired(header, yield* Clock.currentTimeMillis)
        if (isLive && header.generation > generation) return { _tag: "Superseded", current: header.generation } as const
        const command = new DeleteObjectCommand({ ...objectOf(bucket, key), ...Contention.conditionOf(bucket, found) })
        const request = Request.change(bucket, (client, options) => client.send(command, options))
        return yield* Contention.orChanged(
          bucket,
          operation,
          found,
          Effect.as(request, isLive ? Tier.removed : Tier.absent)
        )
      })
    )
  )

export const removeGroup = (
  bucket: Bucket,
  group: string,
  generation: Generation
): Effect.Effect<Tier.GroupRemoval, TierError> =>
  Effect.gen(function* () {
    yield* bucket.conditions.heeded("removeGroup")
    let removed = 0
    let superseded = 0
    let current: Generation | undefined
    yield* Stream.runForEach(Listing.pages(bucket, "removeGroup", { prefix: `${group}/` }), (page) =>
      Effect.forEach(
        page,
        ({ key }) =>
          Effect.map(removeOne(bucket, "removeGroup", key, generation), (removal) => {
            if (removal._tag === "Removed") removed++
            if (removal._tag !== "Superseded") return
            superseded++
            current = Math.max(current ?? 0, removal.current)
          }),
        { concurrency: groupConcurrency, discard: true }
      )
    )
    return { _tag: "Removed", removed, superseded, ...(current === undefined ? {} : { current }) } as const
  })
