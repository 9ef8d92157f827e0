/**
 * What lies between a reader and a cache that is handed a copy of what it reads: chunks that wait to be written, counted as
 * held, and few.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as Body from "../Body.ts"
import type { TierError } from "../TierError.ts"
import type { State } from "./state.ts"

/** Bytes that may wait for a cache; a larger chunk waits alone. */
const waitingBytes = 4 * Body.inlineBelow

/** Chunks that were handed over and not written yet: they wait, or the cache has them in hand until it asks for more. */
export interface Lane {
  readonly hasRoomFor: (chunk: Uint8Array) => boolean
  readonly isEmpty: () => boolean
  readonly push: (chunk: Uint8Array) => void
  readonly end: () => void
  /** Lets go of everything. */
  readonly close: () => void
  /** Done when there may be more room than at this moment. */
  readonly moving: () => Effect.Effect<void>
  readonly chunks: Stream.Stream<Uint8Array, TierError>
}

export const make = (state: State): Effect.Effect<Lane> =>
  Effect.map(Queue.unbounded<Uint8Array, Cause.Done>(), (queue) => {
    const latch = Latch.makeUnsafe(false)
    let held = 0
    let inHand = 0
    let isClosed = false

    const release = (bytes: number): void => {
      held -= bytes
      state.heldBytes -= bytes
      latch.openUnsafe()
    }
    const take = Effect.suspend(() => {
      release(inHand)
      inHand = 0
      // A put that was given up must not take the end of the lane for the end of the bytes.
      if (isClosed) return Effect.interrupt
      return Effect.map(Queue.take(queue), (chunk) => {
        inHand = isClosed ? 0 : chunk.byteLength
        return [chunk] as const
      })
    })

    return {
      hasRoomFor: ({ byteLength }) =>
        (held === 0 || held + byteLength <= waitingBytes) && state.heldBytes + byteLength <= state.maxHeldBytes,
      isEmpty: () => held === 0,
      push: (chunk) => {
        held += chunk.byteLength
        state.heldBytes += chunk.byteLength
        Queue.offerUnsafe(queue, chunk)
      },
      end: () => Queue.endUnsafe(queue),
      close: () => {
        isClosed = true
        Queue.shutdownUnsafe(queue)
        inHand = 0
        release(held)
      },
      moving: () => {
        latch.closeUnsafe()
        return latch.await
      },
      chunks: Stream.fromPull(Effect.succeed(take))
    }
  })
