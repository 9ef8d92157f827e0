/**
 * Lets the breaker of a tier learn that it hangs, although nobody waits for it long enough.
 *
 * A read that its caller abandons is ended, and says nothing about the tier: callers leave for reasons of their own. But
 * if all of them leave before the deadline, one that hangs would never be found unwell. So once two reads in a row were
 * abandoned with no answer between them, the later one is not ended but watched, to its answer or its deadline, for the
 * breaker's sake alone. Few are watched at a time, so a crowd that leaves costs a hung tier no more than that.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { type Guard, reads } from "../Policy.ts"
import type { TierError } from "../TierError.ts"

/** Reads of one tier that are watched at the same time. */
const limit = 16

/** Runs reads, which alone may be abandoned, in fibers of `scope`, where those that are watched go on. */
export const watched = (guard: Guard, scope: Scope.Scope): Guard => {
  let watching = 0
  /** Reads in a row that were abandoned with no answer between them. */
  let abandoned = 0

  const answered = (exit: Exit.Exit<unknown, TierError>) =>
    Effect.sync(() => {
      if (Exit.isSuccess(exit)) abandoned = 0
    })

  return (operation, call) =>
    reads.has(operation)
      ? Effect.uninterruptibleMask((restore) =>
          Effect.suspend(() => {
            let isWanted = true
            const read = Effect.onExit(
              guard(operation, call, () => isWanted),
              answered
            )
            return Effect.flatMap(Effect.forkIn(read, scope, { startImmediately: true }), (fiber) =>
              Effect.onInterrupt(restore(Fiber.join(fiber)), () =>
                Effect.sync(() => {
                  isWanted = false
                  abandoned += 1
                  if (abandoned < 2 || watching >= limit) return fiber.interruptUnsafe()
                  watching += 1
                  fiber.addObserver(() => (watching -= 1))
                })
              )
            )
          })
        )
      : guard(operation, call)
}
