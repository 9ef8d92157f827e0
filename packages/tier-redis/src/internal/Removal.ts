/**
 * `remove` and `removeGroup`: one script each.
 */
import type { Generation } from "@terrace/core/Generation"
import type * as Key from "@terrace/core/Key"
import * as Tier from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Blobs from "./Blobs.ts"
import * as Layout from "./Layout.ts"
import * as scripts from "./scripts.ts"

export const remove = Effect.fnUntraced(function* (
  blobs: Blobs.Blobs,
  { group, name }: Key.Key,
  generation: Generation
): Effect.fn.Return<Tier.Removal, TierError> {
  const now = yield* Clock.currentTimeMillis
  const groupKey = Layout.groupKey(blobs.prefix, group)
  const answer = yield* Blobs.run(blobs, "remove", 0, scripts.remove, groupKey, [name, generation, now])
  return removalOf(answer) ?? (yield* Blobs.unexpected(blobs, "remove", answer))
})

const removalOf = (answer: unknown): Tier.Removal | undefined => {
  const [tag, current] = Array.isArray(answer) ? (answer as ReadonlyArray<unknown>) : []
  if (tag === "removed") return Tier.removed
  if (tag === "absent") return Tier.absent
  return tag === "superseded" ? { _tag: "Superseded", current: Number(current) } : undefined
}

export const removeGroup = Effect.fnUntraced(function* (
  blobs: Blobs.Blobs,
  group: string,
  generation: Generation
): Effect.fn.Return<Tier.GroupRemoval, TierError> {
  const now = yield* Clock.currentTimeMillis
  const groupKey = Layout.groupKey(blobs.prefix, group)
  const answer = yield* Blobs.run(blobs, "removeGroup", 0, scripts.removeGroup, groupKey, ["", generation, now])
  return groupRemovalOf(answer) ?? (yield* Blobs.unexpected(blobs, "removeGroup", answer))
})

const groupRemovalOf = (answer: unknown): Tier.GroupRemoval | undefined => {
  if (!Array.isArray(answer)) return undefined
  const [removed, superseded, current] = answer as ReadonlyArray<unknown>
  return typeof removed === "number" && typeof superseded === "number"
    ? { _tag: "Removed", removed, superseded, current: superseded === 0 ? undefined : Number(current) }
    : undefined
}
