/**
 * Streams that a case holds up, breaks, or watches.
 */
import { assert } from "@effect/vitest"
import { TierError, Unavailable } from "@terrace/core/TierError"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Stream from "effect/Stream"

/** The bytes in pieces of `length`; the last may be shorter. */
export const pieces = (bytes: Uint8Array, length: number): ReadonlyArray<Uint8Array> =>
  Array.from({ length: Math.ceil(bytes.byteLength / length) }, (_, index) =>
    bytes.subarray(index * length, (index + 1) * length)
  )

/** What a source fails with that has lost its connection. */
export const lost: TierError = new TierError({
  tier: "source",
  operation: "open",
  reason: new Unavailable({ cause: "the connection was lost" })
})

/** Delivers the pieces, then waits. `delivered` waits until all of them were taken. */
const waiting = Effect.fnUntraced(function* (before: ReadonlyArray<Uint8Array>, wait: Effect.Effect<unknown>) {
  const delivered = yield* Deferred.make<void>()
  const pause = Stream.fromEffectDrain(Effect.andThen(Deferred.succeed(delivered, undefined), wait))
  return {
    stream: Stream.concat(Stream.fromIterable(before, { chunkSize: 1 }), pause),
    delivered: Deferred.await(delivered)
  }
})

/** Delivers the pieces, then never ends. `delivered` waits until all of them were taken. */
export const stalling = (before: ReadonlyArray<Uint8Array>) => waiting(before, Effect.never)

/** Delivers the first half, then the rest once it is released. `begun` waits until the first half was taken. */
export const held = Effect.fnUntraced(function* (bytes: Uint8Array) {
  const released = yield* Latch.make()
  const half = Math.ceil(bytes.byteLength / 2)
  const { delivered, stream } = yield* waiting(pieces(bytes.subarray(0, half), 65_536), released.await)
  const rest = Stream.fromIterable(pieces(bytes.subarray(half), 65_536))
  return { stream: Stream.concat(stream, rest), begun: delivered, release: Effect.asVoid(released.open) }
})

/** Counts the runs of a stream that have not ended. */
export const watched = <A, E>(stream: Stream.Stream<A, E>) => {
  let open = 0
  const run = Effect.acquireRelease(
    Effect.sync(() => open++),
    () => Effect.sync(() => open--)
  )
  return { stream: Stream.unwrap(Effect.as(run, stream)), open: Effect.sync(() => open) }
}

export interface Paused {
  /** Lets it read on, to the end; answers how it ended and what it has read. */
  readonly finish: Effect.Effect<readonly [exit: Exit.Exit<void, TierError>, bytes: Uint8Array]>
  readonly interrupt: Effect.Effect<void>
}

/** A reader that has taken the first piece and waits. */
export const paused = Effect.fnUntraced(function* (
  stream: Stream.Stream<Uint8Array, TierError>
): Effect.fn.Return<Paused> {
  const taken: Array<Uint8Array> = []
  const begun = yield* Deferred.make<void>()
  const resume = yield* Latch.make()
  const fiber = yield* Effect.forkChild(
    Stream.runForEach(Stream.rechunk(stream, 1), (piece) =>
      Effect.gen(function* () {
        taken.push(piece)
        yield* Deferred.succeed(begun, undefined)
        yield* resume.await
      })
    )
  )
  yield* Effect.raceFirst(Deferred.await(begun), Fiber.await(fiber))
  return {
    finish: Effect.map(
      Effect.andThen(resume.open, Fiber.await(fiber)),
      (exit) => [exit, Buffer.concat(taken)] as const
    ),
    interrupt: Fiber.interrupt(fiber)
  }
})

/** The reader has got exactly these bytes, or has failed with an error of the tier after some of them. */
export const gotOwnBytes = Effect.fnUntraced(function* (reader: Paused, bytes: Uint8Array) {
  const [exit, got] = yield* reader.finish
  if (exit._tag === "Success") assert.strictEqual(got.byteLength, bytes.byteLength, "length of what was read")
  else
    assert.isTrue(
      exit.cause.reasons.every((reason) => reason._tag === "Fail"),
      "the reader failed with an error"
    )
  assert.isTrue(
    Buffer.compare(got, bytes.subarray(0, got.byteLength)) === 0,
    "the reader got bytes of its own blob only"
  )
})
