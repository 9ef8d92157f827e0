/**
 * Messages to and from the other nodes.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { type Bus, BusError, type Invalidation } from "../Bus.ts"
import { type Generation, greatest } from "../Generation.ts"
import * as Key from "../Key.ts"
import { bounded } from "./bounded.ts"
import type { State } from "./state.ts"
import type { Superseding } from "./superseding.ts"

/** Time that sending a message may add to a write. */
const deadline = Duration.seconds(1)

/** Messages that are acted on at the same time: a cache that is slow to drop one copy keeps no other from being dropped. */
const concurrency = 64

/** Whether the other nodes were told of a write; undefined: there is no bus. */
export type Announced = "sent" | "failed" | undefined

/** What a message is about, as floors name it. */
const subjectOf = (group: string, name: string | undefined): string => (name === undefined ? group : `${group}/${name}`)

/** Tells the other nodes; a message that is not sent never fails the write. */
export const announce = (
  { bus, name, published, scope }: State,
  subject: { readonly group: string; readonly name?: string | undefined },
  generation: Generation
): Effect.Effect<Announced> =>
  bus === undefined
    ? Effect.undefined
    : bounded(
        Effect.suspend(() => {
          published.set(subjectOf(subject.group, subject.name), generation)
          return bus.publish({
            _tag: "Invalidation",
            chain: name,
            group: subject.group,
            name: subject.name,
            generation
          })
        }),
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

/** Messages may have been missed: nothing that was learned before is relied on, if there is a store that can be asked. */
const forgetAll = ({ absences, confirmations, floors, store }: State): void => {
  if (store !== undefined) confirmations.forgetAll(floors.mark())
  absences.forgetAll()
}

/** Takes note of a write that another node has made. */
const learn = (
  { activities, generations, published, storeWrites }: State,
  { dropGroupInCaches, dropInCaches, learnOf, learnOfGroup }: Superseding,
  { generation, group, name }: Invalidation
): Effect.Effect<void> =>
  Effect.suspend(() => {
    // The activity begins before the floor is raised, which stays until the last cache has dropped its copies.
    const takingEffect = (act: () => Effect.Effect<unknown>) => Effect.asVoid(activities.during(Effect.suspend(act)))
    // One that is no generation, or would leave no room for those that must follow, changes nothing.
    if (!Number.isSafeInteger(generation) || generation > greatest) return Effect.void
    // It is this chain's own, or says the same: that has taken effect already.
    if (published.get(subjectOf(group, name)) === generation) return Effect.void
    if (name === undefined) {
      if (!Key.isGroup(group)) return Effect.void
      return takingEffect(() => {
        generations.witness(generation)
        learnOfGroup(group, generation)
        storeWrites.overtakeGroup(group, generation, true)
        return dropGroupInCaches(group, generation)
      })
    }
    const parsed = Key.make(group, name)
    if (parsed._tag === "Failure") return Effect.void
    const key = parsed.success
    return takingEffect(() => {
      generations.witness(generation)
      learnOf(key, generation)
      storeWrites.overtake(key, generation, true)
      return dropInCaches(key, generation)
    })
  })

/** Listens to the other nodes for as long as the chain lives. */
export const listen = (state: State, superseding: Superseding): Effect.Effect<void> =>
  state.bus === undefined
    ? Effect.void
    : listenTo(state, state.bus.events, (invalidation) => learn(state, superseding, invalidation)).pipe(
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
  onInvalidation: (invalidation: Invalidation) => Effect.Effect<void>
): Effect.Effect<void> =>
  Effect.flatMap(Semaphore.make(concurrency), (semaphore) =>
    Stream.runForEach(events, (event) =>
      event._tag === "Gap"
        ? Effect.sync(() => forgetAll(state))
        : event.chain === state.name
          ? Effect.andThen(
              semaphore.take(1),
              // Its floor is raised before the next message is looked at.
              Effect.forkIn(Effect.ensuring(onInvalidation(event), semaphore.release(1)), state.scope, {
                startImmediately: true
              })
            )
          : Effect.void
    )
  )
