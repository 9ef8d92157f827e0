/** What passes with time: `expiresAt`, and a clock that jumps. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import * as Fixtures from "../../Fixtures.ts"
import * as Case from "../Case.ts"
import * as expect from "../expect.ts"

const day = 86_400_000
/** Where the clock of these cases begins, in Unix milliseconds. */
const start = 1_700_000_000_000

export const expiring: ReadonlyArray<Case.Case> = [
  Case.make(
    "get - never answers a blob that is put when already past `expiresAt`",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const now = yield* Clock.currentTimeMillis
      const blob = Fixtures.blob({ group: group("g"), expiresAt: now })

      yield* tier.put(blob)

      yield* expect.misses(tier, blob.header.key)
    })
  ),

  Case.make(
    "get - answers a blob up to the millisecond before `expiresAt`, and Miss from then on",
    { testClock: true },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      yield* TestClock.setTime(start)
      const blob = Fixtures.blob({ group: group("g"), createdAt: start, expiresAt: start + 1_000 })
      yield* expect.stores(tier, blob)

      yield* expect.holds(tier, blob)
      yield* TestClock.setTime(start + 999)
      yield* expect.holds(tier, blob)
      yield* TestClock.setTime(start + 1_000)
      yield* expect.misses(tier, blob.header.key)
    })
  ),

  Case.make(
    "get - answers a stale blob: past `freshUntil`, before `expiresAt`",
    { testClock: true },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      yield* TestClock.setTime(start)
      const blob = Fixtures.blob({ group: group("g"), freshUntil: start + 1_000, expiresAt: start + 2_000 })
      yield* expect.stores(tier, blob)

      yield* TestClock.setTime(start + 1_500)

      yield* expect.holds(tier, blob)
    })
  ),

  Case.make(
    "get - keeps lifetimes above 25 days, where timers of 32 bits overflow",
    { testClock: true },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      yield* TestClock.setTime(start)
      const blob = Fixtures.blob({ group: group("g"), expiresAt: start + 60 * day })
      yield* expect.stores(tier, blob)

      yield* expect.holds(tier, blob)
      yield* TestClock.setTime(start + 26 * day)
      yield* expect.holds(tier, blob)
      yield* TestClock.setTime(start + 60 * day - 1)
      yield* expect.holds(tier, blob)
      yield* TestClock.setTime(start + 60 * day)
      yield* expect.misses(tier, blob.header.key)
    })
  ),

  Case.make(
    "get - answers while the clock goes back, and Miss when it has come to `expiresAt` again",
    { testClock: true },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      yield* TestClock.setTime(start)
      const lasting = Fixtures.blob({ group: group("g"), name: "lasting", createdAt: start })
      const passing = Fixtures.blob({ group: group("g"), name: "passing", createdAt: start, expiresAt: start + 1_000 })
      for (const blob of [lasting, passing]) yield* expect.stores(tier, blob)

      yield* TestClock.setTime(start - day)

      for (const blob of [lasting, passing]) yield* expect.holds(tier, blob)
      yield* TestClock.setTime(start + 1_000)
      yield* expect.holds(tier, lasting)
      yield* expect.misses(tier, passing.header.key)
    })
  ),

  Case.make(
    "put - a blob past `expiresAt` counts as absent",
    { testClock: true },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      yield* TestClock.setTime(start)
      const passing = Fixtures.blob({ group: group("g"), generation: 7, expiresAt: start + 1_000 })
      const next = Fixtures.blob({ group: group("g"), generation: 8 })
      yield* expect.stores(tier, passing)
      yield* TestClock.setTime(start + 1_000)

      yield* expect.stores(tier, next, { expected: "absent" })

      yield* expect.holds(tier, next)
    })
  ),

  Case.make(
    "put - of a newer blob replaces the lifetime of the old one",
    { testClock: true },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      yield* TestClock.setTime(start)
      const passing = Fixtures.blob({ group: group("g"), generation: 7, expiresAt: start + 1_000 })
      const lasting = Fixtures.blob({ group: group("g"), generation: 8 })
      yield* expect.stores(tier, passing)
      yield* expect.stores(tier, lasting)

      yield* TestClock.setTime(start + 5_000)

      yield* expect.holds(tier, lasting)
    })
  )
]
