/**
 * Makes a tier with a budget push out what it holds.
 */
import { assert } from "@effect/vitest"
import type { Blob } from "@terrace/core/Blob"
import type { Tier } from "@terrace/core/Tier"
import * as Effect from "effect/Effect"
import * as Fixtures from "../Fixtures.ts"

const largestBody = 1_048_576
/** Put into a tier that names no limit, or one above `maxLimit`. */
const bytesWithoutLimit = 4 * largestBody
/** A budget above that takes too long to fill. */
const maxLimit = 134_217_728

/**
 * Puts, under groups that begin with `groupPrefix`, one and a half times of what the tier's budget allows, then removes
 * it again. A store may refuse with `NoSpace`, anyone may decline; but what fitted before fits again afterwards, and what a
 * budget pushes out is counted.
 */
export const fill = Effect.fnUntraced(function* (tier: Tier, groupPrefix: string) {
  const { limit } = yield* tier.usage
  const size = Math.min(largestBody, Math.floor((tier.capabilities.maxBytes ?? largestBody) / 2))
  const total = limit === undefined || limit > maxLimit ? bytesWithoutLimit : 1.5 * limit
  const bytes = Fixtures.bytes(size, size)
  const blobs = Array.from({ length: Math.ceil(total / size) }, (_, index) =>
    Fixtures.blob({ group: `${groupPrefix}${index}`, bytes })
  )
  const put = Effect.fnUntraced(function* (blob: Blob) {
    const result = yield* Effect.result(tier.put(blob))
    if (result._tag === "Success") return result.success._tag
    assert.strictEqual(result.failure.reason._tag, "NoSpace", result.failure.message)
    return "Declined"
  })
  const evictionsBefore = tier.evictions?.() ?? 0
  const answers = yield* Effect.forEach(blobs, put)
  const evictions = (tier.evictions?.() ?? 0) - evictionsBefore
  const heads = yield* Effect.forEach(blobs, ({ header }) => tier.head(header.key))
  const lost = heads.filter((head, index) => answers[index] === "Stored" && head._tag === "Miss").length
  for (const { header } of blobs) yield* tier.removeGroup(header.key.group, 1)

  if (limit !== undefined) assert.isAtLeast(evictions, lost, "evictions that were counted")
  for (const answer of answers) assert.include(["Stored", "Declined"], answer)
  const fitting = blobs[answers.indexOf("Stored")]
  if (fitting === undefined) return
  assert.strictEqual(yield* put(fitting), "Stored", "a body that fitted, after all that came later was removed")
  yield* tier.removeGroup(fitting.header.key.group, 1)
})
