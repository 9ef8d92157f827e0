/** What passes with time: `expiresAt`, and a clock that jumps. */
import { assert } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import * as Fixtures from "../../Fixtures.ts"
import * as Case from "../Case.ts"
import * as expect from "../expect.ts"

const day = 86_400_000
/** Of a blob that expires while the case waits, in milliseconds; a put must be over by then. */
const shortLifetime = 1_500
/** How long after that a backend may take to notice. */
const patience = 4_000
/** By how much the clocks of the machine and the backend may differ. */
const clockSkew = 500
const endOfYear9999 = 253_402_300_799_999
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
    "put - of a newer blob that is already past `expiresAt` keeps the old one",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const old = Fixtures.blob({ group: group("g"), generation: 7 })
      const past = (yield* Clock.currentTimeMillis) - clockSkew
      const expired = Fixtures.blob({ group: group("g"), generation: 8, expiresAt: past })
      yield* expect.stores(tier, old)

      assert.deepStrictEqual(yield* tier.put(expired), { _tag: "Declined", why: "expired" })

      yield* expect.holds(tier, old)
    })
  ),

  Case.make(
    "get - answers Miss once a short lifetime has passed, by the backend's clock",
    { clock: "live" },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const lasting = Fixtures.blob({
        group: group("g"),
        name: "lasting",
        expiresAt: (yield* Clock.currentTimeMillis) + day
      })
      yield* expect.stores(tier, lasting)
      const expiresAt = (yield* Clock.currentTimeMillis) + shortLifetime
      const passing = Fixtures.blob({ group: group("g"), name: "passing", expiresAt })
      yield* expect.stores(tier, passing)

      const read = Effect.map(tier.get(passing.header.key), ({ _tag }) => _tag)
      yield* expect.eventually("get of what has expired", read, (tag) => tag === "Miss", shortLifetime + patience)

      const early = expiresAt - (yield* Clock.currentTimeMillis)
      assert.isAtMost(early, clockSkew, "milliseconds before `expiresAt` at which the blob was gone")
      yield* expect.misses(tier, passing.header.key)
      yield* expect.stores(tier, Fixtures.blob({ group: group("g"), name: "passing" }), { expected: "absent" })
      yield* expect.holds(tier, lasting)
    })
  ),

  ...(["test", "live"] as const).map((clock) =>
    Case.make(
      `usage - counts nothing of what has expired, soon, where nativeExpiry is declared (${clock} clock)`,
      { nativeExpiry: true, exactUsage: true, clock },
      Effect.gen(function* () {
        const { tier, group } = yield* Case.Subject
        const before = yield* expect.counted(tier)
        const expiresAt = (yield* Clock.currentTimeMillis) + shortLifetime
        yield* expect.stores(tier, Fixtures.blob({ group: group("g"), expiresAt }))

        if (clock === "test") yield* TestClock.adjust(shortLifetime)

        const entries = Effect.map(expect.counted(tier), (usage) => usage?.entries)
        const isGone = (now: number | undefined) => now === before?.entries
        yield* expect.eventually("entries once one has expired", entries, isGone, shortLifetime + patience)
      })
    )
  ),

  Case.make(
    "get - answers a blob up to the millisecond before `expiresAt`, and Miss from then on",
    { clock: "test" },
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
    { clock: "test" },
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
    { clock: "test" },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      yield* TestClock.setTime(start)
      const blob = Fixtures.blob({ group: group("g"), expiresAt: start + 60 * day })
      const lasting = Fixtures.blob({ group: group("lasting"), expiresAt: endOfYear9999 })
      for (const some of [blob, lasting]) yield* expect.stores(tier, some)

      yield* expect.holds(tier, blob)
      yield* TestClock.setTime(start + 26 * day)
      yield* expect.holds(tier, blob)
      yield* TestClock.setTime(start + 60 * day - 1)
      yield* expect.holds(tier, blob)
      yield* TestClock.setTime(start + 60 * day)
      yield* expect.misses(tier, blob.header.key)
      yield* expect.holds(tier, lasting)
    })
  ),

  Case.make(
    "get - answers while the clock goes back, and Miss when it has come to `expiresAt` again",
    { clock: "test" },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      yield* TestClock.setTime(start)
      const lasting = Fixtures.blob({ group: group("g"), name: "lasting", createdAt: start })
      const passing = Fixtures.blob({ group: group("g"), name: "passing", createdAt: start, expiresAt: start + 1_000 })
      const later = Fixtures.blob({ group: group("g"), name: "later", createdAt: start - day, expiresAt: start + 900 })
      for (const blob of [lasting, passing]) yield* expect.stores(tier, blob)

      yield* TestClock.setTime(start - day)
      yield* expect.stores(tier, later)

      for (const blob of [lasting, passing, later]) yield* expect.holds(tier, blob)
      yield* TestClock.setTime(start + 899)
      for (const blob of [lasting, passing, later]) yield* expect.holds(tier, blob)
      yield* TestClock.setTime(start + 1_000)
      yield* expect.holds(tier, lasting)
      yield* expect.misses(tier, passing.header.key)
      yield* expect.misses(tier, later.header.key)
    })
  ),

  Case.make(
    "put - a blob past `expiresAt` counts as absent",
    { clock: "test" },
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
    "put - over a blob past `expiresAt` takes any generation",
    { clock: "test" },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      yield* TestClock.setTime(start)
      const passing = Fixtures.blob({ group: group("g"), generation: 7, expiresAt: start + 1_000 })
      const older = Fixtures.blob({ group: group("g"), generation: 6 })
      yield* expect.stores(tier, passing)
      yield* TestClock.setTime(start + 1_000)

      yield* expect.stores(tier, older)

      yield* expect.holds(tier, older)
    })
  ),

  Case.make(
    "put - of the same blob once it is past `expiresAt` does not bring it back",
    { clock: "test" },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      yield* TestClock.setTime(start)
      const passing = Fixtures.blob({ group: group("g"), generation: 7, expiresAt: start + 1_000 })
      yield* expect.stores(tier, passing)
      yield* TestClock.setTime(start + 1_000)

      yield* tier.put(passing)

      yield* expect.misses(tier, passing.header.key)
    })
  ),

  Case.make(
    "remove and removeGroup - count a blob past `expiresAt` as absent, of whatever generation",
    { clock: "test" },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      yield* TestClock.setTime(start)
      const passing = ["a", "b"].map((name) =>
        Fixtures.blob({ group: group("g"), name, generation: 7, expiresAt: start + 1_000 })
      )
      const lasting = Fixtures.blob({ group: group("g"), name: "lasting", generation: 5 })
      for (const blob of [...passing, lasting]) yield* expect.stores(tier, blob)
      yield* TestClock.setTime(start + 1_000)

      for (const blob of passing.slice(0, 1)) {
        assert.deepStrictEqual(yield* tier.remove(blob.header.key, 6), { _tag: "Absent" })
      }
      const removal = yield* tier.removeGroup(group("g"), 6)

      assert.deepInclude(removal, { removed: 1, superseded: 0 })
      for (const blob of [...passing, lasting]) yield* expect.misses(tier, blob.header.key)
    })
  ),

  Case.make(
    "put - of a newer blob replaces the lifetime of the old one",
    { clock: "test" },
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
