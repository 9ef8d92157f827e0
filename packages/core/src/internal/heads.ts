/**
 * head: a look into the header cache, then one lookup per key, shared by everyone who asks.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { Chain, FoundHeader, NotFound } from "../Chain.ts"
import type { ChainUnavailable } from "../ChainError.ts"
import { unanswered } from "../Flight.ts"
import * as Header from "../Header.ts"
import type { Key } from "../Key.ts"
import type { Trail } from "../Trail.ts"
import * as Lookup from "./lookup.ts"
import { type State, unavailable } from "./state.ts"

type Answer = FoundHeader | NotFound
type Running = Deferred.Deferred<Answer, ChainUnavailable>

export interface Heads {
  readonly head: Chain["head"]
  /** Ends the joining of lookups that may have read what a write replaces. */
  readonly detach: (key: Key) => void
  readonly detachGroup: (group: string) => void
}

export const make = (state: State): Heads => {
  const { activities, floors, headers, members, remember, scope } = state
  const running = new Map<string, { readonly key: Key; readonly answer: Running }>()
  const known: Trail = { steps: [{ tier: "headers", outcome: { _tag: "Hit" }, millis: 0 }], joined: false }

  const look = (key: Key, since: number): Effect.Effect<Answer, ChainUnavailable> =>
    Effect.flatMap(Lookup.header(members, floors, key), (sighting): Effect.Effect<Answer, ChainUnavailable> => {
      const trail: Trail = { steps: sighting.steps, joined: false }
      switch (sighting._tag) {
        case "Found":
          remember(sighting.value, since)
          return Effect.succeed({ _tag: "Found", header: sighting.value, trail })
        case "Absent":
          headers.delete(key)
          return Effect.succeed({ _tag: "NotFound", trail })
        case "Unproven":
          return Effect.fail(unavailable(state, key.text, sighting.steps))
      }
    })

  /** Runs to its end, within the tiers' deadlines, whoever still waits. */
  const begin = (key: Key): Effect.Effect<Running> =>
    Effect.suspend(() => {
      const answer: Running = Deferred.makeUnsafe()
      const entry = { key, answer }
      running.set(key.text, entry)
      const since = activities.begin()
      return look(key, since).pipe(
        Effect.onExit((exit) =>
          Effect.sync(() => {
            if (running.get(key.text) === entry) running.delete(key.text)
            Deferred.doneUnsafe(answer, exit._tag === "Success" ? exit : unanswered(exit, unavailable(state, key.text)))
            activities.end(since)
          })
        ),
        Effect.ignoreCause,
        Effect.forkIn(scope, { startImmediately: true }),
        Effect.as(answer)
      )
    })

  const head: Heads["head"] = (key) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.clockWith((clock): Effect.Effect<Answer, ChainUnavailable> => {
        if (activities.closed) return Effect.fail(unavailable(state, key.text))
        const header = headers.get(key)
        if (
          header !== undefined &&
          !floors.discards(header) &&
          !Header.isExpired(header, clock.currentTimeMillisUnsafe())
        ) {
          return Effect.succeed({ _tag: "Found", header, trail: known })
        }
        const joined = running.get(key.text)
        return joined === undefined
          ? Effect.flatMap(begin(key), (answer) => restore(Deferred.await(answer)))
          : Effect.map(restore(Deferred.await(joined.answer)), (answer) => ({
              ...answer,
              trail: { ...answer.trail, joined: true }
            }))
      })
    )

  return {
    head,
    detach: (key) => running.delete(key.text),
    detachGroup: (group) => {
      for (const [text, { key }] of running) if (key.group === group) running.delete(text)
    }
  }
}
