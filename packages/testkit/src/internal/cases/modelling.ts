/** Any calls in any order, compared with a model: a map and the rules of the contract. */
import { assert } from "@effect/vitest"
import type { Blob } from "@terrace/core/Blob"
import * as Tier from "@terrace/core/Tier"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Fixtures from "../../Fixtures.ts"
import * as Case from "../Case.ts"
import * as expect from "../expect.ts"
import { mulberry32 } from "../mulberry32.ts"

const calls = 250
const generations = 6

/** Puts into the model by the rule of the contract, as a tier must. */
const put = (model: Map<string, Blob>, blob: Blob, options: Tier.PutOptions): Tier.Write => {
  const { text } = blob.header.key
  const refusal = Tier.refusal(blob.header, model.get(text)?.header, options.expected)
  if (refusal === undefined) model.set(text, blob)
  return refusal ?? Tier.stored
}

const remove = (model: Map<string, Blob>, text: string, generation: number): Tier.Removal => {
  const header = model.get(text)?.header
  if (header === undefined) return Tier.absent
  if (header.generation > generation) return { _tag: "Superseded", current: header.generation }
  model.delete(text)
  return Tier.removed
}

export const modelling: ReadonlyArray<Case.Case> = [
  Case.make(
    "any calls - answer as the rules of the contract say, and leave what they say",
    {},
    Effect.gen(function* () {
      const { tier, group, groupPrefix, seed } = yield* Case.Subject
      const next = mulberry32(seed)
      const model = new Map<string, Blob>()

      const step = Effect.gen(function* () {
        const group_ = group(`g${next() % 3}`)
        const name = `n${next() % 3}`
        const generation = 1 + (next() % generations)
        const blob = Fixtures.blob({ group: group_, name, generation, seed: next() % 2, size: next() % 3_000 })
        const { key } = blob.header
        const drawn = next() % 16
        if (drawn < 6) {
          const expected = [undefined, undefined, "absent", 1 + (next() % generations)] as const
          const options = { expected: expected[next() % expected.length] }
          assert.deepStrictEqual(
            yield* tier.put(blob, options),
            put(model, blob, options),
            `put ${key.text} ${generation}`
          )
        } else if (drawn < 8) {
          const answer = remove(model, key.text, generation)
          assert.deepStrictEqual(yield* tier.remove(key, generation), answer, `remove ${key.text} ${generation}`)
        } else if (drawn < 9) {
          const members = [...model.values()].filter(({ header }) => header.key.group === group_)
          const answers = members.map(({ header }) => remove(model, header.key.text, generation))
          const removal = yield* tier.removeGroup(group_, generation)
          const newer = answers.flatMap((answer) => (answer._tag === "Superseded" ? [answer.current] : []))
          assert.strictEqual(removal.removed, answers.length - newer.length, `removeGroup ${group_} ${generation}`)
          assert.strictEqual(removal.superseded, newer.length)
          assert.strictEqual(removal.current, newer.length === 0 ? undefined : Math.max(...newer))
        } else if (drawn < 10 && tier.capabilities.list) {
          const entries = yield* Stream.runCollect(tier.scan({ groupPrefix }))
          const sizes = entries.map(({ key, size }) => `${key.text} ${size}`)
          const all = [...model.values()].map(({ header }) => `${header.key.text} ${header.size}`)
          assert.deepStrictEqual([...new Set(sizes)].sort(), all.sort())
        } else {
          const kept = model.get(key.text)
          yield* kept === undefined ? expect.misses(tier, key) : expect.holds(tier, kept)
        }
      })

      yield* expect.seeded(
        seed,
        Effect.gen(function* () {
          const before = yield* expect.counted(tier)
          for (let call = 0; call < calls; call++) yield* step
          if (before === undefined) return
          assert.strictEqual((yield* tier.usage).entries, before.entries + model.size, "entries")
          for (let index = 0; index < 3; index++) yield* tier.removeGroup(group(`g${index}`), generations)
          assert.deepStrictEqual(yield* expect.counted(tier), before, "usage once all is removed")
        })
      )
    })
  )
]
