/**
 * Makes the blob of a key by an effect, within the time that a producer may take.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Draft, Found } from "../Chain.ts"
import { DraftExpired, ProducerTimedOut } from "../ChainError.ts"
import type { Generation } from "../Generation.ts"
import * as Header from "../Header.ts"
import type { Key } from "../Key.ts"
import type { Step } from "../Trail.ts"
import { bounded } from "./bounded.ts"
import { blobOf, type State } from "./state.ts"

/** Runs a producer; past the time it is told to stop and not waited for. */
export const draft = <E>(
  { producerTimeout, scope }: State,
  key: Key,
  producer: Effect.Effect<Draft, E>
): Effect.Effect<Draft, E | ProducerTimedOut> =>
  bounded(
    producer,
    producerTimeout,
    scope,
    () => new ProducerTimedOut({ key: key.text, millis: Duration.toMillis(producerTimeout) })
  )

/** What is made, as it is answered; what has expired by then is not. `by` is told in the trail, after `steps`. */
export const blob = <E>(
  state: State,
  key: Key,
  producer: Effect.Effect<Draft, E>,
  as: {
    readonly generation: Generation
    readonly by: string
    readonly steps: ReadonlyArray<Step>
    /** When the work began, by the monotonic clock. Default: now. */
    readonly began?: bigint | undefined
  }
): Effect.Effect<Found, E | ProducerTimedOut | DraftExpired | Header.HeaderTooLarge> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const began = as.began ?? clock.monotonicTimeNanosUnsafe()
    const drawn = yield* draft(state, key, producer)
    const millis = Number(clock.monotonicTimeNanosUnsafe() - began) / 1e6
    const now = clock.currentTimeMillisUnsafe()
    const made = blobOf(key, drawn, as.generation, now)
    const { expiresAt } = made.header
    if (expiresAt !== undefined && Header.isExpired(made.header, now)) {
      return yield* new DraftExpired({ key: key.text, expiresAt, madeAt: now })
    }
    yield* Header.encode(made.header)
    return {
      _tag: "Found",
      blob: made,
      stale: Header.isStale(made.header, now),
      trail: { steps: [...as.steps, { tier: as.by, outcome: { _tag: "Made" }, millis }], joined: false }
    }
  })
