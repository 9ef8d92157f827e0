/**
 * Lets so many in at once and so many wait; who comes then is turned away.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { busy, type Failure } from "./Failure.ts"

export interface Gate {
  /** Runs an effect inside. */
  readonly within: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Failure, R>
  /** Goes in and stays until the scope ends. */
  readonly scoped: Effect.Effect<void, Failure, Scope.Scope>
}

export const make = (limit: number, maxWaiting: number): Gate => {
  const permits = Semaphore.makeUnsafe(limit)
  let present = 0
  const enter = Effect.suspend(() =>
    present < limit + maxWaiting ? Effect.sync(() => void present++) : Effect.fail(busy)
  )
  const leave = Effect.sync(() => void present--)
  // Who waits may always be interrupted, also on the way to a request that may not.
  const take = Effect.interruptible(permits.take(1))
  const giveBack = permits.release(1)
  return {
    within: (effect) =>
      Effect.acquireUseRelease(
        enter,
        () =>
          Effect.acquireUseRelease(
            take,
            () => effect,
            () => Effect.asVoid(giveBack)
          ),
        () => leave
      ),
    scoped: Effect.andThen(
      Effect.acquireRelease(enter, () => leave),
      Effect.acquireRelease(take, () => giveBack)
    )
  }
}
