/** Bodies that are put as streams, and what becomes of a put whose stream is not what it should be. */
import { assert } from "@effect/vitest"
import * as Body from "@terrace/core/Body"
import type { Header } from "@terrace/core/Header"
import type { Tier } from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as Fixtures from "../../Fixtures.ts"
import * as Case from "../Case.ts"
import * as expect from "../expect.ts"
import { ended, start, stop } from "../running.ts"
import { mismatches } from "../mismatches.ts"
import * as streams from "../streams.ts"

const mebibyte = 1_048_576
const size = 2 * mebibyte + 7
const requires: Case.Requires = { streaming: true, bodyBytes: size }
const pieceBytes = 65_536
/** More than a tier may buffer of a stream that delivers more than its header says. */
const mostTaken = size + 8 * mebibyte

type Bytes = Stream.Stream<Uint8Array, TierError>

/** How a source may end too early. */
const endings: ReadonlyArray<readonly [label: string, ending: Bytes]> = [
  ["fails", Stream.fail(streams.lost)],
  ["dies", Stream.die(new Error("the source has a bug"))],
  ["is interrupted", Stream.fromEffect(Effect.interrupt)],
  ["ends", Stream.empty]
]

/** After how many bytes. */
const lengths = [0, 1, pieceBytes, mebibyte - 1, mebibyte, mebibyte + 1, size - 1]

/**
 * An old blob, and a new one for the same key and another; `act` must not store the new one. Then the old blob is there,
 * usage and leaks are as before, the stream is closed, and the new blob can be put.
 */
const leavesOld = Effect.fnUntraced(function* (
  act: (
    put: (stream: Bytes) => ReturnType<typeof putOf>,
    bytes: Uint8Array
  ) => Effect.Effect<void, TierError, Scope.Scope>
) {
  const { tier, group, leaks } = yield* Case.Subject
  const current = Fixtures.blob({ group: group("g"), generation: 1 })
  const next = Fixtures.blob({ group: group("g"), generation: 2, size })
  const other = Fixtures.blob({ group: group("g"), name: "other", generation: 2, size })
  const bytes = yield* Body.toBytes(next.body)
  yield* expect.stores(tier, current)
  const before = { leaks: yield* leaks, usage: yield* expect.counted(tier) }

  for (const { header } of [next, other]) {
    yield* act((stream) => putOf(tier, header, stream), bytes)

    yield* expect.holds(tier, current)
    yield* expect.misses(tier, other.header.key)
    assert.deepStrictEqual(yield* expect.counted(tier), before.usage, "usage")
    yield* expect.leaksNothing("afterwards", leaks, before.leaks)
  }
  yield* expect.stores(tier, next)
  yield* expect.holds(tier, next)
})

const putOf = Effect.fnUntraced(function* (tier: Tier, header: Header, stream: Bytes) {
  const { open, stream: source } = streams.watched(stream)
  const exit = yield* Effect.exit(tier.put({ header, body: Body.streamed(header.size, () => source) }))
  assert.strictEqual(yield* open, 0, "streams that were left open")
  return exit
})

export const producing: ReadonlyArray<Case.Case> = [
  Case.make(
    "put - takes a streamed body in pieces of any size",
    requires,
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const blob = Fixtures.blob({ group: group("g"), size })
      const bytes = yield* Body.toBytes(blob.body)
      for (const [index, piece] of [1_000, 65_536, 700_001, 4 * mebibyte].entries()) {
        const header = { ...blob.header, generation: index + 1 }
        const body = Body.streamed(size, () => Stream.fromIterable(streams.pieces(bytes, piece)))

        yield* expect.stores(tier, { header, body })

        yield* expect.holds(tier, { header, body })
      }
    })
  ),

  Case.make(
    "put - takes a streamed body with empty pieces, and one that comes slowly",
    requires,
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const blob = Fixtures.blob({ group: group("g"), size })
      const bytes = yield* Body.toBytes(blob.body)
      const nothing = new Uint8Array(0)
      const withGaps = [nothing, ...streams.pieces(bytes, 300_000).flatMap((piece) => [piece, nothing])]
      const slowly = Stream.mapEffect(Stream.fromIterable(withGaps), (piece) => Effect.as(Effect.yieldNow, piece))

      yield* expect.stores(tier, { header: blob.header, body: Body.streamed(size, () => slowly) })

      yield* expect.holds(tier, blob)
    })
  ),

  Case.make(
    "put - takes small and empty bodies as streams too",
    { streaming: true },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      for (const length of [0, 1, 2_000]) {
        const blob = Fixtures.blob({ group: group("g"), name: `n${length}`, size: length })
        const bytes = yield* Body.toBytes(blob.body)

        yield* expect.stores(tier, {
          header: blob.header,
          body: Body.streamed(length, () => Stream.fromIterable(streams.pieces(bytes, 100)))
        })

        yield* expect.holds(tier, blob)
      }
    })
  ),

  Case.make(
    "put - opens a streamed body at most once, and whole",
    requires,
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const openings: Array<Body.Range | undefined> = []
      const put = (generation: number) =>
        Effect.suspend(() => {
          openings.length = 0
          const { body, header } = Fixtures.blob({ group: group("g"), generation, size })
          return tier.put({
            header,
            body: Body.streamed(size, (range) => {
              openings.push(range)
              return Body.toStream(body, range)
            })
          })
        })
      const isWhole = (range: Body.Range | undefined) => range === undefined || (range.start <= 0 && range.end >= size)

      for (const generation of [1, 2]) {
        assert.strictEqual((yield* put(generation))._tag, "Stored")
        assert.strictEqual(openings.length, 1, `openings of generation ${generation}`)
        assert.isTrue(openings.every(isWhole), "opened whole")
      }
      assert.strictEqual((yield* put(1))._tag, "Superseded")
      assert.isAtMost(openings.length, 1, "openings of what is Superseded")
    })
  ),

  ...endings.map(([label, ending]) =>
    Case.make(
      `put - of a stream that ${label} after any number of bytes fails; the old blob and usage are as before`,
      requires,
      leavesOld((put, bytes) =>
        Effect.gen(function* () {
          for (const length of lengths) {
            const before = Stream.fromIterable(streams.pieces(bytes.subarray(0, length), pieceBytes), { chunkSize: 1 })

            const fiber = yield* start(put(Stream.concat(before, ending)))
            const exit = yield* yield* ended(fiber, `put of a stream that ${label} after ${length} bytes`)

            assert.strictEqual(exit._tag, "Failure", `after ${length} bytes`)
          }
        })
      )
    )
  ),

  Case.make(
    "put - of a stream that fails after its last byte fails and changes nothing, or has stored the blob",
    requires,
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const current = Fixtures.blob({ group: group("g"), generation: 1 })
      const next = Fixtures.blob({ group: group("g"), generation: 2, size })
      const all = Stream.succeed(yield* Body.toBytes(next.body))
      yield* expect.stores(tier, current)

      const exit = yield* putOf(tier, next.header, Stream.concat(all, Stream.fail(streams.lost)))

      yield* expect.holds(tier, exit._tag === "Failure" ? current : next)
    })
  ),

  Case.make(
    "put - refuses a streamed body that delivers other bytes, fewer or more; the old blob and usage are as before",
    requires,
    leavesOld((put, bytes) =>
      Effect.gen(function* () {
        for (const [label, wrong] of mismatches) {
          const exit = yield* put(Stream.fromIterable(streams.pieces(wrong(bytes), pieceBytes)))

          if (exit._tag === "Success") assert.strictEqual(exit.value._tag, "Declined", label)
          else assert.isTrue(exit.cause.reasons.every((reason) => reason._tag === "Fail" && !reason.error.isRetryable))
        }
        let taken = 0
        const endless = Stream.fromEffectRepeat(
          Effect.suspend(() => {
            taken += pieceBytes
            return taken > mostTaken ? Effect.fail(streams.lost) : Effect.succeed(bytes.subarray(0, pieceBytes))
          })
        )
        assert.strictEqual((yield* put(endless))._tag, "Failure", "of a stream without end")
        assert.isAtMost(
          taken,
          mostTaken,
          `took ${taken} bytes of a body of ${size}: bytes taken of a stream without end`
        )
      })
    )
  ),

  Case.make(
    "put - of a stream that is interrupted after any number of pieces changes nothing and closes the stream",
    requires,
    leavesOld((put, bytes) =>
      Effect.gen(function* () {
        for (const length of lengths) {
          const { delivered, stream } = yield* streams.stalling(streams.pieces(bytes.subarray(0, length), pieceBytes))
          const source = streams.watched(stream)
          const fiber = yield* start(put(source.stream))
          yield* Effect.raceFirst(delivered, Fiber.await(fiber))

          yield* stop(fiber, `put, interrupted after ${length} bytes of its stream,`)

          assert.strictEqual(yield* source.open, 0, `streams left open after ${length} bytes`)
        }
      })
    )
  ),

  Case.make(
    "put - that is Superseded or in Conflict leaves no stream open",
    requires,
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const current = Fixtures.blob({ group: group("g"), generation: 5 })
      const older = Fixtures.blob({ group: group("g"), generation: 4, size })
      const newer = Fixtures.blob({ group: group("g"), generation: 6, size })
      yield* expect.stores(tier, current)
      const { open, stream } = streams.watched(
        Stream.fromIterable(streams.pieces(yield* Body.toBytes(older.body), pieceBytes))
      )
      const body = Body.streamed(size, () => stream)

      const superseded = yield* tier.put({ header: older.header, body })
      const conflict = yield* tier.put({ header: newer.header, body }, { expected: "absent" })

      assert.deepStrictEqual(superseded, { _tag: "Superseded", current: 5 })
      assert.deepStrictEqual(conflict, { _tag: "Conflict", current: 5 })
      assert.strictEqual(yield* open, 0)
      yield* expect.holds(tier, current)
    })
  )
]
