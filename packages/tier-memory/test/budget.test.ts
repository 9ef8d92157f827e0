import { assert, describe, it } from "@effect/vitest"
import type * as Tier from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import { Fixtures } from "@terrace/testkit"
import { MemoryTier } from "@terrace/tier-memory"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

const entryCharge = 2_048
const limits = { maxBytes: 20_000, maxEntries: 6, maxEntryBytes: 9_000 }

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** One of 12 keys in 4 groups. */
const key = integer(0, 11)
const generation = integer(1, 5)

const Step = Schema.Union([
  Schema.Struct({ call: Schema.Literal("put"), key, generation, size: integer(0, 10_000) }),
  Schema.Struct({ call: Schema.Literal("get"), key }),
  Schema.Struct({ call: Schema.Literal("remove"), key, generation }),
  Schema.Struct({ call: Schema.Literal("removeGroup"), key, generation })
])
type Step = typeof Step.Type

const blobOf = (key: number, generation = 1, size = 0) =>
  Fixtures.blob({ group: `g${key % 4}`, name: `n${key}`, generation, size })

interface Kept {
  readonly key: number
  readonly generation: number
  readonly size: number
}

/** What the tier must hold after the step, least recently used first: the contract with an array. */
const model = (before: ReadonlyArray<Kept>, step: Step): ReadonlyArray<Kept> => {
  const there = before.find((kept) => kept.key === step.key)
  const others = before.filter((kept) => kept !== there)
  if (step.call === "get") return there === undefined ? before : [...others, there]
  if (step.call === "remove") return there === undefined || there.generation > step.generation ? before : others
  if (step.call === "removeGroup") {
    return before.filter((kept) => kept.key % 4 !== step.key % 4 || kept.generation > step.generation)
  }
  const isRefused = step.size > limits.maxEntryBytes || (there !== undefined && there.generation >= step.generation)
  if (isRefused) return before
  const after = [...others, step]
  while (after.length > limits.maxEntries || bytesOf(after) > limits.maxBytes) after.shift()
  return after
}

const bytesOf = (kept: ReadonlyArray<Kept>): number => kept.reduce((sum, { size }) => sum + size + entryCharge, 0)

const perform = (tier: Tier.Tier, step: Step): Effect.Effect<unknown, TierError> => {
  const { header } = blobOf(step.key)
  if (step.call === "get") return tier.get(header.key)
  if (step.call === "remove") return tier.remove(header.key, step.generation)
  if (step.call === "removeGroup") return tier.removeGroup(header.key.group, step.generation)
  return tier.put(blobOf(step.key, step.generation, step.size))
}

describe("MemoryTier", () => {
  it.effect.prop(
    "holds what the least-recently-used model holds, and never more than its budget, after any calls",
    { steps: Schema.Array(Step).check(Schema.isMaxLength(80)) },
    Effect.fnUntraced(function* ({ steps }) {
      const tier = yield* MemoryTier.make(limits)
      let expected: ReadonlyArray<Kept> = []
      for (const step of steps) {
        yield* perform(tier, step)
        expected = model(expected, step)

        const usage = yield* tier.usage
        assert.deepInclude(usage, { bytes: bytesOf(expected), entries: expected.length })
        assert.isAtMost(usage.bytes, limits.maxBytes)
        const listed = yield* Stream.runCollect(tier.scan())
        assert.sameMembers(
          listed.map((entry) => `${entry.key.text} ${entry.size}`),
          expected.map((kept) => `${blobOf(kept.key).header.key.text} ${kept.size}`)
        )
      }
    }),
    { arbitrary: { runs: 300, size: 80 } }
  )
})
