/**
 * Messages to and from the other nodes.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { type Bus, BusError, type Invalidation } from "../Bus.ts"
import type { Generation } from "../Generation.ts"
import { bounded } from "./bounded.ts"
import type { State } from "./state.ts"

/** Time that sending a message may add to a write. */
const deadline = Duration.seconds(1)

/** Messages that are acted on at the same time: a cache that is slow to drop one copy keeps no other from being dropped. */
const concurrency = 64

/** Whether the other nodes were told of a write; undefined: there is no bus. */
export type Announced = "sent" | "failed" | undefined

/** Tells the other nodes; a message that is not sent never fails the write. */
export const announce = (
  { bus, name, scope }: State,
  subject: { readonly group: string; readonly name?: string | undefined },
  generation: Generation
): Effect.Effect<Announced> =>
  bus === undefined
    ? Effect.undefined
    : bounded(
        Effect.suspend(() =>
          bus.publish({ _tag: "Invalidation", chain: name, group: subject.group, name: subject.name, generation })
        ),
        deadline,
        scope,
        () => new BusError({ cause: new Error("no answer within one second") })
      ).pipe(
        // Whatever has become of it, a bus that gives up by interrupting itself included.
        Effect.exit,
        Effect.flatMap((exit) =>
          Exit.isSuccess(exit)
            ? Effect.succeed<Announced>("sent")
            : Effect.as<Announced>("failed")(Effect.logWarning(`other nodes not told chain=${name}`, exit.cause))
        )
      )

/** Messages may have been missed: nothing that was learned before is relied on. */
const forgetAll = ({ absences, confirmations, floors }: State): void => {
  confirmations.forgetAll(floors.mark())
  absences.forgetAll()
}

/** Listens to the other nodes for as long as the chain lives. */
export const listen = (state: State, learn: (invalidation: Invalidation) => Effect.Effect<void>): Effect.Effect<void> =>
  state.bus === undefined
    ? Effect.void
    : listenTo(state, state.bus.events, learn).pipe(
        Effect.onExit(() =>
          Effect.suspend(() => {
            forgetAll(state)
            return state.activities.closed
              ? Effect.void
              : Effect.logError(`messages of other nodes have ended chain=${state.name}`)
          })
        ),
        Effect.ignoreCause,
        Effect.forkIn(state.scope, { startImmediately: true }),
        Effect.asVoid
      )

const listenTo = (
  state: State,
  events: Bus["events"],
  learn: (invalidation: Invalidation) => Effect.Effect<void>
): Effect.Effect<void> =>
  Effect.flatMap(Semaphore.make(concurrency), (semaphore) =>
    Stream.runForEach(events, (event) =>
      event._tag === "Gap"
        ? Effect.sync(() => forgetAll(state))
        : event.chain === state.name
          ? Effect.andThen(
              semaphore.take(1),
              // Its floor is raised before the next message is looked at.
              Effect.forkIn(Effect.ensuring(learn(event), semaphore.release(1)), state.scope, {
                startImmediately: true
              })
            )
          : Effect.void
    )
  )
