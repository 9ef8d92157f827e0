/**
 * Sends a write to the store, through all its tries, and sees to what is not known about it.
 *
 * After an error that leaves open whether the store has written, older copies are compared with it before they are
 * served; as long as a call that was given up has not ended, every time.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { TierError } from "../TierError.ts"
import type { Member } from "./member.ts"
import type { State } from "./state.ts"

export interface Sending<A> {
  readonly operation: "put" | "remove" | "removeGroup"
  /** A key's text, or a group. */
  readonly subject: string
  readonly send: () => Effect.Effect<A, TierError>
  /** Told of every call that begins; what it answers runs when that has ended. `isLate`: nobody waits for it any more. */
  readonly onBegin?: (() => (exit: Exit.Exit<A, TierError>, isLate: boolean) => Effect.Effect<void>) | undefined
  /** Copies may be out of date; `pending` calls have not ended. */
  readonly onSuspect: (pending: number) => void
}

export interface Sent<A> {
  readonly answer: A
  /** Of an earlier try it is not known whether it has taken effect: the answer may be about what that has left. */
  readonly isRepeated: boolean
}

export const sendTo = <A>(
  { confirmations, floors }: State,
  target: Member,
  { onBegin = () => () => Effect.void, onSuspect, operation, send, subject }: Sending<A>
): Effect.Effect<Sent<A>, TierError> =>
  Effect.suspend(() => {
    let begun = 0
    let outstanding = 0
    /** Calls that are known to have taken effect, or not to have. */
    let known = 0
    let isOver = false
    let isSuspect = false

    const call = Effect.suspend(() => {
      begun += 1
      outstanding += 1
      const onEnd = onBegin()
      return Effect.onExit(Effect.suspend(send), (exit) =>
        Effect.suspend(() => {
          outstanding -= 1
          if (isKnown(exit)) known += 1
          if (isOver && isSuspect) confirmations.landed(subject, floors.mark())
          return onEnd(exit, isOver)
        })
      )
    })

    /** In one step: a call that ends from now on is late, and one that has ended is not waited for. */
    const onFailure = (error: TierError): void => {
      isOver = true
      target.counters.writeFailed += 1
      // An earlier try may have landed, whatever the last error says; a group may be removed in part.
      isSuspect = begun > 0 && (error.isUnknownOutcome || begun > 1 || operation === "removeGroup")
      if (isSuspect) onSuspect(outstanding)
    }

    return target
      .call(operation, () => call)
      .pipe(
        Effect.map((answer): Sent<A> => {
          isOver = true
          return { answer, isRepeated: begun > known }
        }),
        Effect.tapError((error) => Effect.sync(() => onFailure(error)))
      )
  })

const isKnown = (exit: Exit.Exit<unknown, TierError>): boolean =>
  Exit.isSuccess(exit) || exit.cause.reasons.every((reason) => reason._tag === "Fail" && !reason.error.isUnknownOutcome)
