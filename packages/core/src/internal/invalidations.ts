/**
 * Messages to and from the other nodes.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { BusError, type Invalidation } from "../Bus.ts"
import type { Generation } from "../Generation.ts"
import { bounded } from "./bounded.ts"
import type { State } from "./state.ts"

/** Time that sending a message may add to a write. */
const deadline = Duration.seconds(1)

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
        Effect.catchDefect((cause) => Effect.fail(new BusError({ cause }))),
        Effect.matchEffect({
          onSuccess: () => Effect.succeed<Announced>("sent"),
          onFailure: (error) =>
            Effect.as<Announced>("failed")(Effect.logWarning(`other nodes not told chain=${name}`, error.message))
        })
      )

/** Listens to the other nodes for as long as the chain lives. */
export const listen = (state: State, learn: (invalidation: Invalidation) => Effect.Effect<void>): Effect.Effect<void> =>
  state.bus === undefined
    ? Effect.void
    : Stream.runForEach(state.bus.events, (event) =>
        event._tag === "Gap"
          ? Effect.sync(() => state.confirmations.forgetAll())
          : event.chain === state.name
            ? learn(event)
            : Effect.void
      ).pipe(
        Effect.onExit(() =>
          Effect.suspend(() => {
            state.confirmations.forgetAll()
            return state.activities.closed
              ? Effect.void
              : Effect.logError(`messages of other nodes have ended chain=${state.name}`)
          })
        ),
        Effect.ignoreCause,
        Effect.forkIn(state.scope, { startImmediately: true }),
        Effect.asVoid
      )
