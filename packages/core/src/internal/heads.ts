/**
 * head: a look into the header cache, then one lookup per key, shared by everyone who asks.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { Chain, FoundHeader, NotFound } from "../Chain.ts"
import type { ChainUnavailable } from "../ChainError.ts"
import { unanswered } from "../Flight.ts"
import type { Mark } from "../Floor.ts"
import * as Header from "../Header.ts"
import type { Key } from "../Key.ts"
import { isUnconfirmed, type Trail } from "../Trail.ts"
import * as Comparison from "./comparison.ts"
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
  const { absences, activities, confirmations, floors, headers, remember, scope, store } = state
  const running = new Map<string, { readonly key: Key; readonly answer: Running }>()
  const fromMemory = (table: string): Trail => ({
    steps: [{ tier: table, outcome: { _tag: "Hit" }, millis: 0 }],
    joined: false
  })
  const known = fromMemory("headers")
  const remembered = fromMemory("absences")

  const look = (key: Key, since: Mark, at: number): Effect.Effect<Answer, ChainUnavailable> =>
    Effect.flatMap(Lookup.header(state, key), (sighting): Effect.Effect<Answer, ChainUnavailable> => {
      const trail: Trail = { steps: sighting.steps, joined: false }
      switch (sighting._tag) {
        case "Found":
          // What a cache has may be kept too, but only the store confirms it.
          if (state.members[sighting.position] === store) remember(sighting.value, since, at)
          else if (!isUnconfirmed(trail) && !floors.discards(sighting.value, since)) headers.set(sighting.value)
          return Effect.succeed({ _tag: "Found", header: sighting.value, trail })
        case "Absent":
          headers.delete(key)
          return Effect.as(absences.remember(key, since), { _tag: "NotFound", trail })
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
      return Effect.clockWith((clock) => look(key, since, clock.currentTimeMillisUnsafe())).pipe(
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
        const now = clock.currentTimeMillisUnsafe()
        const header = headers.get(key)
        if (header !== undefined && !floors.discards(header) && !Header.isExpired(header, now)) {
          const standing = confirmations.standing(header, now, false)
          const answer: Answer = { _tag: "Found", header, trail: known }
          if (standing === "confirmed") return Effect.succeed(answer)
          if (standing === "due") return Effect.as(Comparison.inBackground(state, header), answer)
        }
        if (absences.has(key, clock.monotonicTimeNanosUnsafe())) {
          state.counters.absences += 1
          return Effect.succeed({ _tag: "NotFound", trail: remembered })
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
