/** Readers whose blob is replaced, removed or pushed out meanwhile, and readers that leave early. */
import { assert } from "@effect/vitest"
import type { Blob } from "@terrace/core/Blob"
import * as Body from "@terrace/core/Body"
import * as Header from "@terrace/core/Header"
import type * as Tier from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Fixtures from "../../Fixtures.ts"
import * as Case from "../Case.ts"
import * as expect from "../expect.ts"
import { fill } from "../pressure.ts"
import * as streams from "../streams.ts"

const size = 2 * Header.chunkBytes + 7
const requires: Case.Requires = { streaming: true, bodyBytes: size }

interface Meddling {
  readonly label: string
  readonly act: (tier: Tier.Tier, blob: Blob) => Effect.Effect<unknown, TierError, Scope.Scope>
}

const another = ({ header }: Blob, bodySize: number): Blob =>
  Fixtures.blob({
    group: header.key.group,
    name: header.key.name,
    generation: header.generation + 1,
    size: bodySize
  })

const meddlings: ReadonlyArray<Meddling> = [
  { label: "removed", act: (tier, { header }) => tier.remove(header.key, header.generation) },
  { label: "removed with its group", act: (tier, { header }) => tier.removeGroup(header.key.group, header.generation) },
  {
    label: "replaced by a blob of the same size",
    act: (tier, blob) => expect.stores(tier, another(blob, blob.header.size))
  },
  { label: "replaced by a smaller blob", act: (tier, blob) => expect.stores(tier, another(blob, 10)) },
  {
    label: "removed and put anew with other bytes",
    act: (tier, blob) =>
      Effect.andThen(
        tier.remove(blob.header.key, blob.header.generation),
        expect.stores(tier, another(blob, blob.header.size))
      )
  }
]

/** Not sure to take the blob away: a tier may have no budget. */
const pushedOut: Meddling = {
  label: "pushed out by others",
  act: (tier, blob) => fill(tier, `${blob.header.key.group}-`)
}

const bodyOf = Effect.fnUntraced(function* (tier: Tier.Tier, blob: Blob) {
  const read = yield* tier.get(blob.header.key)
  return read._tag === "Hit" ? read.blob.body : assert.fail(`get of ${blob.header.key.text}: got ${read._tag}`)
})

/** Leaks and usage are again what they were. */
const asBefore = Effect.fnUntraced(function* (act: Effect.Effect<void, TierError, Scope.Scope>) {
  const { tier, leaks } = yield* Case.Subject
  const before = { leaks: yield* leaks, usage: yield* expect.counted(tier) }
  yield* act
  yield* expect.leaksNothing("afterwards", leaks, before.leaks)
  assert.deepStrictEqual(yield* expect.counted(tier), before.usage)
})

export const opening: ReadonlyArray<Case.Case> = [
  ...meddlings.map(({ label, act }) =>
    Case.make(
      `open - fails with Gone before its first byte if the blob was ${label} before`,
      requires,
      Effect.gen(function* () {
        const { tier, group } = yield* Case.Subject
        const blob = Fixtures.blob({ group: group("g"), size })
        yield* expect.stores(tier, blob)
        const body = yield* bodyOf(tier, blob)

        yield* act(tier, blob)

        let delivered = 0
        const count = (piece: Uint8Array) => Effect.sync(() => (delivered += piece.byteLength))
        yield* expect.failsWith(Stream.runForEach(Body.toStream(body), count), "Gone", tier, "open")
        const part = Stream.runForEach(Body.toStream(body, { start: 5, end: 9 }), count)
        yield* expect.failsWith(part, "Gone", tier, "open")
        assert.strictEqual(delivered, 0, "bytes before Gone")
      })
    )
  ),

  Case.make(
    "open - fails with Gone once the blob is past `expiresAt`",
    { ...requires, clock: "test" },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const blob = Fixtures.blob({ group: group("g"), size, expiresAt: 1_700_000_001_000 })
      yield* TestClock.setTime(1_700_000_000_000)
      yield* expect.stores(tier, blob)
      const body = yield* bodyOf(tier, blob)

      yield* TestClock.setTime(1_700_000_001_000)

      yield* expect.failsWith(Stream.runDrain(Body.toStream(body)), "Gone", tier, "open")
    })
  ),

  ...[...meddlings, pushedOut].map(({ label, act }) =>
    Case.make(
      `open - a reader whose blob is ${label} meanwhile gets its own bytes, or fails`,
      requires,
      Effect.gen(function* () {
        const { tier, group } = yield* Case.Subject
        const blob = Fixtures.blob({ group: group("g"), size })
        yield* expect.stores(tier, blob)
        const body = yield* bodyOf(tier, blob)
        const readers = yield* Effect.forEach([0, 1], () => streams.paused(Body.toStream(body)))

        yield* act(tier, blob)

        for (const reader of readers) yield* streams.gotOwnBytes(reader, yield* Body.toBytes(blob.body))
      })
    )
  ),

  ...[...meddlings, pushedOut].map(({ label, act }) =>
    Case.make(
      `get - bytes that were read stay what they are when the blob is ${label}`,
      {},
      Effect.gen(function* () {
        const { tier, group } = yield* Case.Subject
        const blob = Fixtures.blob({ group: group("g"), size: 4_000 })
        yield* expect.stores(tier, blob)
        const read = yield* expect.reads(tier, blob.header.key)
        if (read === undefined) assert.fail("expected Hit, got Miss")

        yield* act(tier, blob)

        expect.sameHeader(read.header, blob.header)
        expect.sameBytes(read.bytes, yield* Body.toBytes(blob.body))
      })
    )
  ),

  Case.make(
    "open - a reader that stops early leaves nothing behind",
    requires,
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const blob = Fixtures.blob({ group: group("g"), size })
      yield* expect.stores(tier, blob)
      const body = yield* bodyOf(tier, blob)

      yield* asBefore(
        Effect.gen(function* () {
          for (let round = 0; round < 10; round++) {
            yield* Stream.runDrain(Stream.take(Stream.rechunk(Body.toStream(body), 1), 1 + (round % 2)))
            yield* Stream.runForEach(Body.toStream(body), () => Effect.fail("enough")).pipe(Effect.ignore)
          }
        })
      )

      yield* expect.holds(tier, blob)
    })
  ),

  Case.make(
    "open - a reader that is interrupted leaves nothing behind",
    requires,
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const blob = Fixtures.blob({ group: group("g"), size })
      yield* expect.stores(tier, blob)
      const body = yield* bodyOf(tier, blob)

      yield* asBefore(
        Effect.gen(function* () {
          for (let round = 0; round < 10; round++) {
            const reader = yield* streams.paused(Body.toStream(body))
            yield* reader.interrupt
          }
        })
      )

      yield* expect.holds(tier, blob)
      assert.deepStrictEqual(yield* tier.remove(blob.header.key, 1), { _tag: "Removed" })
    })
  )
]
