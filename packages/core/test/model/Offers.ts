/**
 * The origin of a run: contents by key, which change, are taken away, are let go of once the store has them, and may fail.
 */
import * as Effect from "effect/Effect"
import { hash } from "node:crypto"
import type * as Chain from "../../src/Chain.ts"
import type * as Key from "../../src/Key.ts"
import type * as Origin from "../../src/Origin.ts"
import type { Tier } from "../../src/Tier.ts"
import { TierError, Unavailable } from "../../src/TierError.ts"
import type { Offer } from "./History.ts"

export interface Offers {
  readonly origin: Origin.Origin<string>
  /** All that were ever made. */
  readonly all: ReadonlyArray<Offer>
  readonly offer: (key: Key.Key, began: number, beganAt: number) => void
  readonly withdraw: (key: Key.Key, ended: number) => void
  /** Share of the calls that fail. */
  rate: number
  /** Calls whose process was killed are never answered. */
  readonly untilKilled: (isKilled: () => boolean) => Origin.Origin<string>
  /** What was let go of although the store did not have it. */
  readonly broken: ReadonlyArray<string>
}

/** `count` counts the release; `wasWritten`: whether a caller has written to the key since. */
export const make = (
  store: Tier,
  roll: () => number,
  count: () => number,
  wasWritten: (key: Key.Key, since: number) => boolean
): Offers => {
  const all: Array<Offer> = []
  const broken: Array<string> = []
  const letGo = new Set<string>()
  const now = (key: Key.Key) => all.findLast((offer) => offer.key.text === key.text && offer.ended === undefined)
  const end = (key: Key.Key, ended: number): void => {
    for (const offer of all) if (offer.key.text === key.text) offer.ended ??= ended
  }
  const draftOf = (content: string): Chain.Draft => ({ bytes: Buffer.from(content), contentType: "text/plain" })

  /** Takes up to twenty milliseconds, and fails, or hangs, as often as it should. */
  const stumbling = <A, E>(then: Effect.Effect<A, E>, error: E): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      const fate = roll()
      const late = Effect.sleep(Math.floor(roll() * 20))
      if (fate >= self.rate) return Effect.andThen(late, then)
      return fate < self.rate / 8 ? Effect.never : Effect.andThen(late, Effect.fail(error))
    })
  const unavailable = new TierError({
    tier: "origin",
    operation: "get",
    reason: new Unavailable({ cause: "injected" })
  })

  const holdingOf = (offer: Offer): Origin.Holding<string> => ({
    _tag: "Holding",
    make: stumbling(Effect.succeed(draftOf(offer.content)), "not made"),
    release: () =>
      stumbling(
        Effect.flatMap(Effect.orDie(store.head(offer.key)), (head) =>
          Effect.sync((): Origin.Release<string> => {
            const current = now(offer.key)
            if (current === undefined) return { _tag: "Gone" }
            if (current !== offer) return { _tag: "Changed", holding: holdingOf(current) }
            const isStored = head._tag === "Hit" && head.header.digest === hash("sha256", offer.content)
            if (!isStored && !wasWritten(offer.key, offer.began)) {
              broken.push(`nothing is let go of that the store does not have: ${offer.key.text} ${offer.content}`)
            }
            offer.isReleased = true
            offer.ended = count()
            letGo.add(offer.key.text)
            return { _tag: "Released" }
          })
        ),
        unavailable
      )
  })

  const origin: Origin.Origin<string> = {
    name: "origin",
    policy: { deadline: "50 millis", breaker: { openFor: "100 millis" } },
    has: (key) => Effect.sync(() => now(key) !== undefined),
    read: (key) =>
      stumbling(
        Effect.sync((): Origin.Sighting<string> => {
          const offer = now(key)
          if (offer !== undefined) return holdingOf(offer)
          return letGo.has(key.text) ? { _tag: "LetGo" } : { _tag: "Nothing" }
        }),
        unavailable
      )
  }

  const self: Offers = {
    origin,
    all,
    broken,
    rate: 0,
    offer: (key, began, beganAt) => {
      end(key, began)
      all.push({
        _tag: "Offer",
        key,
        content: `of the origin ${key.text} ${began}`,
        node: 0,
        began,
        beganAt,
        ended: undefined,
        isReleased: false
      })
    },
    withdraw: end,
    untilKilled: (isKilled) => {
      const gate = <A, E, R>(call: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
        Effect.suspend(() => (isKilled() ? Effect.never : call))
      const gated = <E>(sighting: Origin.Sighting<E>): Origin.Sighting<E> =>
        sighting._tag === "Holding" && sighting.release !== undefined
          ? { ...sighting, release: (stored) => gate(sighting.release?.(stored) ?? Effect.never) }
          : sighting
      return { ...origin, read: (key) => gate(Effect.map(origin.read(key), gated)) }
    }
  }
  return self
}
