/**
 * Streams of a tier as a chain hands them out: under its policy until the first of it is there, and each further pull
 * within its deadline.
 *
 * Nothing is pulled before the reader asks for it.
 */
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Policy from "../Policy.ts"
import { TierError, TimedOut, Unavailable } from "../TierError.ts"
import { bounded } from "./bounded.ts"
import type { Member } from "./member.ts"

export type Pulled<A> = Pull.Pull<ReadonlyArray<A>, TierError>

/** What comes next, at least one; undefined: that was all. */
export type Next<A> = Effect.Effect<ReadonlyArray<A> | undefined, TierError>

/** What one try to open a stream has got. */
interface Opening<A> {
  readonly first: ReadonlyArray<A> | undefined
  readonly next: Next<A>
}

/**
 * What `open` delivers, once the first of it is there; what it holds is released with the scope. `shaped` makes of each
 * try what the reader gets.
 *
 * Each pull runs in a fiber of its own. One that hangs holds up neither the reader nor the closing of the chain, and
 * nothing is closed below it before it has let go.
 */
export const delivered = <A>(
  member: Member,
  operation: "open" | "scan",
  open: () => Stream.Stream<A, TierError>,
  shaped: (pull: Pulled<A>) => Next<A>
): Effect.Effect<Stream.Stream<A, TierError>, TierError, Scope.Scope> =>
  Effect.gen(function* () {
    const { tier } = member
    const deadline = member.deadlineOf(operation)
    /** Holds the pull that is running. */
    const pulls = Scope.makeUnsafe()
    /** Of tries that have got something: also of one that was given up before. */
    const scopes = new Set<Scope.Closeable>()
    let isLeft = false
    let isHung = false

    const attempt: Effect.Effect<Opening<A>, TierError> = Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        const scope = Scope.makeUnsafe()
        return Channel.toPullScoped(Stream.toChannel(open()), scope).pipe(
          Effect.flatMap((pull) => {
            const next = shaped(unstopped(tier.name, operation, pull))
            return Effect.map(restore(next), (first): Opening<A> => ({ first, next }))
          }),
          Effect.onExit((exit) => {
            if (Exit.isFailure(exit) || isLeft) return Scope.close(scope, exit)
            // In the same step: whoever leaves from now on finds it.
            scopes.add(scope)
            return Effect.void
          })
        )
      })
    )

    const closed = (exit: Exit.Exit<unknown, unknown>) =>
      Effect.forEach([pulls, ...scopes], (scope) => Scope.close(scope, exit), { discard: true })

    yield* Effect.addFinalizer((exit) =>
      Effect.suspend(() => {
        isLeft = true
        if (deadline === undefined) return closed(exit)
        return Effect.flatMap(Effect.forkDetach(closed(exit), { startImmediately: true }), (closing) =>
          isHung ? Effect.void : Effect.timeoutOption(Fiber.join(closing), deadline)
        )
      })
    )

    const { first, next } = yield* member.call(operation, () => attempt)
    const safely = Policy.unguarded(tier.name)(operation, () => next)
    const inTime: Next<A> =
      deadline === undefined
        ? safely
        : bounded(safely, deadline, pulls, () => {
            isHung = true
            const reason = new TimedOut({ millis: Duration.toMillis(deadline) })
            return new TierError({ tier: tier.name, operation, reason })
          })

    let isFirst = true
    const pull = Effect.suspend(() => {
      if (!isFirst) return inTime
      isFirst = false
      return Effect.succeed(first)
    })
    return Stream.fromPull(Effect.succeed(Effect.flatMap(pull, orDone)))
  })

const orDone = <A>(chunks: ReadonlyArray<A> | undefined): Pull.Pull<readonly [A, ...Array<A>]> => {
  const [first, ...rest] = chunks ?? []
  return first === undefined ? Cause.done() : Effect.succeed([first, ...rest])
}

/** Not the reader was interrupted, but what the tier does for it, for example because the tier is closed. */
const unstopped = <A>(tier: string, operation: "open" | "scan", pull: Pulled<A>): Pulled<A> =>
  Effect.catchCause(pull, (cause) =>
    Cause.hasInterruptsOnly(cause)
      ? Effect.fail(new TierError({ tier, operation, reason: new Unavailable({ cause: "interrupted" }) }))
      : Effect.failCause(cause)
  )
