/**
 * head: a look into the header cache, then one lookup per key, shared by everyone who asks.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { Chain, Found, FoundHeader, NotFound } from "../Chain.ts"
import type { ChainUnavailable } from "../ChainError.ts"
import { unanswered } from "../Flight.ts"
import type { Mark } from "../Floor.ts"
import * as Header from "../Header.ts"
import type { Key } from "../Key.ts"
import { isUnconfirmed, type Trail } from "../Trail.ts"
import * as Comparison from "./comparison.ts"
import { timed } from "./joining.ts"
import * as Lookup from "./lookup.ts"
import { type State, unavailable } from "./state.ts"
import { steadyMillis } from "./steady.ts"

type Answer = FoundHeader | NotFound
type Running = Deferred.Deferred<Answer, ChainUnavailable>

const headerOf = (answer: Found | NotFound): Answer =>
  answer._tag === "Found" ? { _tag: "Found", header: answer.blob.header, trail: answer.trail } : answer

export interface Heads<O> {
  readonly head: Chain<never, O>["head"]
  /** Ends the joining of lookups that may have read what a write replaces. */
  readonly detach: (key: Key) => void
  readonly detachGroup: (group: string) => void
}

/** `get` is asked for what no tier has, where the chain has an origin. */
export const make = <O>(state: State, get: Chain<never, O>["get"]): Heads<O> => {
  const { absences, activities, confirmations, floors, headers, origin, remember, scope, store } = state
  const running = new Map<string, { readonly key: Key; readonly answer: Running }>()
  const fromMemory = (table: string): Trail => ({
    steps: [{ tier: table, outcome: { _tag: "Hit" }, millis: 0 }],
    joined: false
  })
  const known = fromMemory("headers")

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
          return Effect.as(origin === undefined ? absences.remember(key, since) : Effect.void, {
            _tag: "NotFound",
            trail
          })
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
      return Effect.clockWith((clock) => look(key, since, steadyMillis(clock))).pipe(
        Effect.onExit((exit) =>
          Effect.sync(() => {
            if (running.get(key.text) === entry) running.delete(key.text)
            Deferred.doneUnsafe(answer, exit._tag === "Success" ? exit : unanswered(exit, unavailable(state, key.text)))
            activities.end(since)
          })
        ),
        Effect.withSpan("Chain.head", { attributes: { chain: state.name, key: key.text } }),
        Effect.ignoreCause,
        Effect.forkIn(scope, { startImmediately: true }),
        Effect.as(answer)
      )
    })

  /** What the tiers say, or are known to say. */
  const inTiers = (key: Key): Effect.Effect<Answer, ChainUnavailable> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.clockWith((clock): Effect.Effect<Answer, ChainUnavailable> => {
        if (activities.closed) return Effect.fail(unavailable(state, key.text))
        const now = clock.currentTimeMillisUnsafe()
        const header = headers.get(key)
        if (header !== undefined && !floors.discards(header) && !Header.isExpired(header, now)) {
          const standing = confirmations.standing(header, steadyMillis(clock), false)
          const answer: Answer = { _tag: "Found", header, trail: known }
          if (standing === "confirmed") return Effect.succeed(answer)
          if (standing === "due") return Effect.as(Comparison.inBackground(state, header), answer)
        }
        const absent = absences.find(key, clock.monotonicTimeNanosUnsafe())
        if (absent !== undefined) {
          state.counters.absences += 1
          return Effect.succeed({ _tag: "NotFound", trail: absent })
        }
        const joined = running.get(key.text)
        return joined === undefined
          ? timed(
              state,
              Effect.flatMap(begin(key), (answer) => restore(Deferred.await(answer)))
            )
          : Effect.map(timed(state, restore(Deferred.await(joined.answer))), (answer) => ({
              ...answer,
              trail: { ...answer.trail, joined: true }
            }))
      })
    )

  const head: Heads<O>["head"] = (key, options) =>
    origin === undefined || options?.origin === false
      ? inTiers(key)
      : Effect.flatMap(inTiers(key), (answer): ReturnType<Heads<O>["head"]> =>
          answer._tag === "Found" ? Effect.succeed(answer) : Effect.map(get(key), headerOf)
        )

  return {
    head,
    detach: (key) => running.delete(key.text),
    detachGroup: (group) => {
      for (const [text, { key }] of running) if (key.group === group) running.delete(text)
    }
  }
}
