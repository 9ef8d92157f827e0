import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { StoreWrites } from "../src/internal/StoreWrites.ts"
import * as Key from "../src/Key.ts"
import { key } from "./support/chains.ts"
import { fork } from "./support/shared.ts"

const sibling = Key.makeUnsafe("hero", "other")

describe("an undo", () => {
  it.effect("waits for the callers' writes of the key and of its group, and those that come now wait for it", () =>
    Effect.gen(function* () {
      const writes = new StoreWrites()
      const log: Array<string> = []
      const step = (name: string) => Effect.sync(() => void log.push(name))
      const gate = Deferred.makeUnsafe<void>()
      const early = yield* fork(
        Effect.all(
          [key.text, key.group].map((subject) =>
            writes.during(subject, Effect.andThen(Deferred.await(gate), step("early")))
          ),
          { concurrency: "unbounded" }
        )
      )
      const undo = yield* fork(writes.undoing(key, Effect.andThen(Effect.yieldNow, step("undo"))))
      const late = yield* fork(writes.during(key.text, step("late")))
      yield* writes.during(sibling.text, step("of another key"))
      yield* Effect.replicateEffect(Effect.yieldNow, 10)
      assert.deepStrictEqual(log, ["of another key"])
      yield* Deferred.succeed(gate, undefined)
      yield* Effect.forEach([early, undo, late], Fiber.await)

      assert.deepStrictEqual(log, ["of another key", "early", "early", "undo", "late"])
    })
  )
})

describe("a write on its way", () => {
  it("is overtaken by a newer one, of its key or its group, and what was made by any of this node", () => {
    for (const [isMade, generation, isElsewhere, expected] of [
      [false, 4, false, false],
      [false, 6, false, true],
      [false, 6, true, true],
      [true, 4, false, true],
      [true, 4, true, false],
      [true, 6, true, true]
    ] as const) {
      for (const overtake of ["key", "group"] as const) {
        const writes = new StoreWrites()
        const write = writes.begin(key, 5, isMade)
        const apart = writes.begin(Key.makeUnsafe("villain", "master"), 5, isMade)
        if (overtake === "key") writes.overtake(key, generation, isElsewhere)
        else writes.overtakeGroup(key.group, generation, isElsewhere)

        assert.strictEqual(write.isOvertaken, expected)
        assert.strictEqual(writes.isOvertaken(key, 5), expected)
        assert.isFalse(writes.isOvertaken(key, 4))
        assert.isFalse(apart.isOvertaken)
      }
    }
  })

  it("counts until whoever holds it has ended it, and not while another try of the same blob does not", () => {
    const writes = new StoreWrites()
    const write = writes.hold(writes.begin(key, 5, true))
    writes.overtake(key, 6, false)
    const again = writes.begin(key, 5, true)
    assert.isFalse(writes.isOvertaken(key, 5))
    writes.end(again)
    assert.isTrue(writes.isOvertaken(key, 5))
    writes.end(write)
    assert.isTrue(writes.isOvertaken(key, 5))
    writes.end(write)

    assert.isFalse(writes.isOvertaken(key, 5))
  })
})
