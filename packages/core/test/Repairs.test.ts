import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { TestClock } from "effect/testing"
import { Floors } from "../src/Floor.ts"
import * as Header from "../src/Header.ts"
import type { Member } from "../src/internal/member.ts"
import * as Members from "../src/internal/member.ts"
import { Activities } from "../src/internal/activities.ts"
import { Repairs } from "../src/internal/repairs.ts"
import * as Key from "../src/Key.ts"
import { TierError } from "../src/TierError.ts"
import { key, local } from "./support/chains.ts"
import { down } from "./support/shared.ts"

const failed = new TierError({ tier: "memory", operation: "remove", reason: down })

const headerOf = (generation: number, at = key) =>
  Header.describe(at, new Uint8Array(), { contentType: "text/plain", generation, createdAt: 0 })

/** Repairs of one cache; `members` makes more. */
const setup = Effect.gen(function* () {
  const scope = yield* Effect.scope
  const floors = new Floors(10)
  const activities = new Activities(floors)
  const repairs = new Repairs(floors, scope)
  const makeMember = (role: Member["role"] = "cache") =>
    Effect.flatMap(local(), ({ tier }) =>
      Members.make(tier, role, {}, { activities, scope, maxTouched: 1, onCall: () => {} })
    )
  return { floors, makeMember, member: yield* makeMember(), repairs }
})

/** An action that fails until `heal`, and keeps what it was asked for. */
const failing = () => {
  const asked: Array<number> = []
  let isDown = true
  return {
    asked,
    heal: () => void (isDown = false),
    action: (upTo: number) =>
      Effect.suspend(() => {
        asked.push(upTo)
        return isDown ? Effect.fail(failed) : Effect.void
      })
  }
}

describe("a repair", () => {
  it.effect("is tried again until it succeeds, and keeps the copies from serving until then", () =>
    Effect.gen(function* () {
      const { floors, member, repairs } = yield* setup
      const { action, asked, heal } = failing()
      yield* repairs.begin(member, key.text, 5, action)
      yield* TestClock.adjust("10 seconds")
      assert.isAbove(asked.length, 2)
      assert.strictEqual(repairs.pendingIn(member), 1)
      assert.isTrue(floors.discards(headerOf(5)))
      assert.isFalse(floors.discards(headerOf(6)))
      heal()
      yield* TestClock.adjust("1 minute")

      assert.isFalse(floors.discards(headerOf(5)))
      assert.deepStrictEqual([repairs.pendingIn(member), floors.size], [0, 0])
    })
  )

  it.effect("that a later write adds to while it runs is done again, up to that write", () =>
    Effect.gen(function* () {
      const { floors, member, repairs } = yield* setup
      const { action, asked, heal } = failing()
      heal()
      const adding = (upTo: number) =>
        Effect.tap(action(upTo), () => (asked.length === 1 ? repairs.begin(member, key.text, 9, action) : Effect.void))
      yield* repairs.begin(member, key.text, 5, adding)
      yield* TestClock.adjust("1 minute")

      assert.deepStrictEqual(asked, [5, 9])
      assert.deepStrictEqual([repairs.pendingIn(member), floors.size], [0, 0])
    })
  )

  it.effect("is never lowered by what is added to it", () =>
    Effect.gen(function* () {
      const { floors, member, repairs } = yield* setup
      const { action, asked, heal } = failing()
      yield* repairs.begin(member, key.text, 9, action)
      yield* repairs.begin(member, key.text, 5, action)
      heal()
      assert.isTrue(floors.discards(headerOf(9)))
      yield* TestClock.adjust("1 minute")

      assert.isAbove(asked.length, 0)
      assert.isTrue(asked.every((upTo) => upTo === 9))
    })
  )

  it.effect("of one cache keeps the floor of a subject that another cache still needs", () =>
    Effect.gen(function* () {
      const { floors, makeMember, member, repairs } = yield* setup
      const [one, two] = [failing(), failing()]
      yield* repairs.begin(member, key.text, 5, one.action)
      yield* repairs.begin(yield* makeMember(), key.text, 5, two.action)
      one.heal()
      yield* TestClock.adjust("2 minutes")
      assert.isTrue(floors.discards(headerOf(5)))
      two.heal()
      yield* TestClock.adjust("2 minutes")

      assert.strictEqual(floors.size, 0)
    })
  )
})

describe("a thousand repairs", () => {
  const subject = (index: number) => Key.makeUnsafe("hero", `v${index}`).text

  it.effect("are as many as a cache may need: one more, and it is not asked any more, its repairs end", () =>
    Effect.gen(function* () {
      const { floors, makeMember, member, repairs } = yield* setup
      const other = yield* makeMember()
      const { action } = failing()
      for (let index = 0; index < 1_000; index++) yield* repairs.begin(member, subject(index), 5, action)
      // What only adds to one of them is none more.
      yield* repairs.begin(member, subject(0), 6, action)
      assert.deepStrictEqual([member.isDistrusted, repairs.pendingIn(member)], [false, 1_000])
      yield* repairs.begin(member, subject(1_000), 5, action)
      assert.deepStrictEqual([member.isDistrusted, other.isDistrusted], [true, false])
      yield* TestClock.adjust("2 minutes")

      assert.deepStrictEqual([repairs.pendingIn(member), floors.size], [0, 0])
      yield* repairs.begin(member, subject(0), 5, action)
      assert.strictEqual(repairs.pendingIn(member), 0)
    }).pipe(Effect.provide(Logger.layer([])))
  )

  it.effect("of a store leave it in use: it is the truth of everything else", () =>
    Effect.gen(function* () {
      const { makeMember, repairs } = yield* setup
      const store = yield* makeMember("store")
      const { action } = failing()
      for (let index = 0; index < 1_001; index++) yield* repairs.begin(store, subject(index), 5, action)

      assert.isFalse(store.isDistrusted)
      assert.strictEqual(repairs.pendingIn(store), 1_000)
    }).pipe(Effect.provide(Logger.layer([])))
  )
})
