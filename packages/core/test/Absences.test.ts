import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Floors } from "../src/Floor.ts"
import { Absences } from "../src/internal/Absences.ts"
import { Confirmations } from "../src/internal/Confirmations.ts"
import * as Key from "../src/Key.ts"
import { key } from "./support/chains.ts"

const make = (limit = 10) => {
  const floors = new Floors(10)
  const confirmations = new Confirmations(Number.POSITIVE_INFINITY, false, { confirmed: 10, suspicions: 10 })
  return { absences: new Absences(floors, confirmations, Duration.seconds(2), limit, undefined), floors }
}

const of = (index: number) => Key.makeUnsafe("other", `v${index}`)

describe("what was looked up before a key was there", () => {
  it.effect("proves nothing, though so many others have come since that the key is not remembered by itself", () =>
    Effect.gen(function* () {
      const { absences, floors } = make()
      const since = floors.mark()
      absences.delete(key)
      for (let index = 0; index < 1_000; index++) absences.delete(of(index))
      yield* absences.remember(key, since)
      assert.isUndefined(absences.find(key, 0n))

      yield* absences.remember(key, floors.mark())
      assert.isDefined(absences.find(key, 0n))
    })
  )

  it.effect("still proves that another key is not there", () =>
    Effect.gen(function* () {
      const { absences, floors } = make()
      const since = floors.mark()
      absences.delete(of(1))
      yield* absences.remember(key, since)

      assert.isDefined(absences.find(key, 0n))
    })
  )
})

describe("deleteGroup", () => {
  it.effect("forgets the absences of a group, and of no other", () =>
    Effect.gen(function* () {
      const { absences, floors } = make()
      yield* absences.remember(key, floors.mark())
      yield* absences.remember(of(1), floors.mark())
      absences.deleteGroup(key.group)

      assert.isUndefined(absences.find(key, 0n))
      assert.isDefined(absences.find(of(1), 0n))
    })
  )
})
