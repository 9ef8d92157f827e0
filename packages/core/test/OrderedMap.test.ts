import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { OrderedMap } from "../src/internal/OrderedMap.ts"

const Key = Schema.Literals(["a", "b", "c", "d"])
const Step = Schema.Union([
  Schema.Struct({ _tag: Schema.tag("Set"), key: Key, value: Schema.Int }),
  Schema.Struct({ _tag: Schema.tag("Set"), key: Key, value: Schema.Int }),
  Schema.Struct({ _tag: Schema.tag("Delete"), key: Key }),
  Schema.Struct({ _tag: Schema.tag("DeleteOldest") }),
  Schema.Struct({ _tag: Schema.tag("DeleteWhileIterating"), key: Key }),
  Schema.Struct({ _tag: Schema.tag("Clear") })
])

const entriesOf = (map: OrderedMap<string, number>) => [...map].map(({ key, value }) => [key, value])

describe("OrderedMap", () => {
  it.effect.prop(
    "is a Map in which what is set again goes to the end",
    { steps: Schema.Array(Step) },
    ({ steps }) =>
      Effect.sync(() => {
        const map = new OrderedMap<string, number>()
        const plain = new Map<string, number>()
        for (const step of steps) {
          switch (step._tag) {
            case "Set":
              map.set(step.key, step.value)
              plain.delete(step.key)
              plain.set(step.key, step.value)
              break
            case "Delete":
              assert.strictEqual(map.delete(step.key), plain.delete(step.key))
              break
            case "DeleteOldest": {
              const oldest = map.oldest()
              if (oldest !== undefined) map.delete(oldest.key)
              for (const key of [...plain.keys()].slice(0, 1)) plain.delete(key)
              break
            }
            case "DeleteWhileIterating":
              for (const { key } of map) if (key === step.key) map.delete(key)
              plain.delete(step.key)
              break
            case "Clear":
              map.clear()
              plain.clear()
          }
          assert.deepStrictEqual(entriesOf(map), [...plain])
          assert.strictEqual(map.size, plain.size)
          assert.deepStrictEqual(map.oldest()?.key, [...plain.keys()][0])
          for (const key of Key.literals) assert.strictEqual(map.get(key), plain.get(key))
        }
      }),
    { arbitrary: { runs: 500 } }
  )
})
