import * as Bus from "@terrace/core/Bus"
import * as Chain from "@terrace/core/Chain"
import * as Key from "@terrace/core/Key"
import type * as Origin from "@terrace/core/Origin"
import type * as Tier from "@terrace/core/Tier"
import * as Trail from "@terrace/core/Trail"
import * as FilesystemTier from "@terrace/tier-filesystem/FilesystemTier"
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

/** What people wrote: the disk is the truth. */
export const makeNotes = (directory: string) =>
  Effect.gen(function* () {
    const memory = yield* MemoryTier.make({ maxBytes: 64_000_000 })
    const disk = yield* FilesystemTier.make({ root: directory, role: "store" })
    return yield* Chain.make({ name: "notes", caches: [{ tier: memory }], store: { tier: disk } })
  })

/** What can be made again: caches only. */
export const makeReports = (directory: string) =>
  Effect.gen(function* () {
    const memory = yield* MemoryTier.make({ maxBytes: 64_000_000 })
    const disk = yield* FilesystemTier.make({ root: directory, role: "cache", maxBytes: 1_000_000_000 })
    return yield* Chain.make<OutOfPaper>({ name: "reports", caches: [{ tier: memory }, { tier: disk }] })
  })

/** What lies in an old cabinet moves to the disk, letter by letter, as it is asked for. */
export const makeLetters = (directory: string, cabinet: Map<string, string>) =>
  Effect.gen(function* () {
    const memory = yield* MemoryTier.make({ maxBytes: 64_000_000 })
    const disk = yield* FilesystemTier.make({ root: directory, role: "store" })
    const takeOut = (letter: string, text: string): Origin.Release<never> => {
      const now = cabinet.get(letter)
      if (now === undefined) return { _tag: "Gone" }
      if (now !== text) return { _tag: "Changed", holding: holding(letter, now) }
      cabinet.delete(letter)
      return { _tag: "Released" }
    }
    const holding = (letter: string, text: string): Origin.Holding<never> => ({
      _tag: "Holding",
      make: Effect.succeed({ bytes: Buffer.from(text), contentType: "text/plain" }),
      release: () => Effect.sync(() => takeOut(letter, text))
    })
    const origin: Origin.Origin = {
      name: "cabinet",
      has: ({ group }) => Effect.sync(() => cabinet.has(group)),
      read: ({ group }) =>
        Effect.sync(() => {
          const text = cabinet.get(group)
          return text === undefined ? { _tag: "Nothing" } : holding(group, text)
        })
    }
    return yield* Chain.make({ name: "letters", caches: [{ tier: memory }], store: { tier: disk }, origin })
  })

export class OutOfPaper {
  readonly _tag = "OutOfPaper"
}

export const report = (reports: Chain.Chain<OutOfPaper>, month: string, print: Effect.Effect<string, OutOfPaper>) =>
  reports.getOrMake(
    Key.makeUnsafe(month, "report"),
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      return {
        bytes: Buffer.from(yield* print),
        contentType: "text/plain",
        freshUntil: now + 60_000,
        expiresAt: now + 3_600_000
      }
    })
  )

/** Several nodes over one bucket. */
export const makePhotos = (directory: string, bucket: Tier.Tier, bus: Bus.Bus) =>
  Effect.gen(function* () {
    const memory = yield* MemoryTier.make({ maxBytes: 256_000_000 })
    const disk = yield* FilesystemTier.make({ root: directory, role: "cache", maxBytes: 20_000_000_000 })
    return yield* Chain.make({
      name: "photos",
      caches: [
        { tier: memory, policy: { maxBytes: 1_048_576 } },
        { tier: disk, policy: { secondTouch: true } }
      ],
      store: {
        tier: bucket,
        policy: {
          deadline: "2 seconds",
          retry: Schedule.max([Schedule.exponential("50 millis"), Schedule.recurs(2)]),
          breaker: { failures: 5, openFor: "10 seconds" }
        }
      },
      revalidateAfter: "30 seconds",
      bus
    })
  })

/** Who answered, and whether that could be compared with the store. */
export const answerOf = (found: Chain.Found): string =>
  `${Trail.answeredBy(found.trail)}${Trail.isUnconfirmed(found.trail) ? ", unconfirmed" : ""}`

/** One process, one bus: enough for tests, and for two chains over one store. */
export const localBus: Bus.Bus = Bus.makeLocal()
