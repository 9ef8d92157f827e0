/**
 * put, remove and removeGroup: the store first, then a floor, then the caches.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Chain, PutReceipt, RemoveReceipt } from "../Chain.ts"
import { Conflict, Contended, Refused, type WriteError } from "../ChainError.ts"
import type * as Generation from "../Generation.ts"
import * as Header from "../Header.ts"
import type * as Key from "../Key.ts"
import { type Operation, TierError, Unavailable } from "../TierError.ts"
import * as Caches from "./caches.ts"
import type { Detach } from "./reads.ts"
import { blobOf, type State } from "./state.ts"

type Writes = Pick<Chain, "put" | "remove" | "removeGroup">

/** What the store has done, if there is one. */
interface Landed {
  readonly generation: Generation.Generation
  readonly receipts: ReadonlyArray<Caches.TierReceipt>
}

/** Times that a write which others overtook is sent again. */
const attempts = 3

export const make = (state: State, detach: Detach): Writes => {
  const { activities, caches, floors, generations, headers, scope, store } = state

  /** Makes older copies of a key invisible, everywhere and at once. */
  const supersede = (key: Key.Key, generation: Generation.Generation): void => {
    floors.raise(key.text, generation)
    headers.delete(key)
    detach.key(key)
  }

  const supersedeGroup = (group: string, generation: Generation.Generation): void => {
    floors.raise(group, generation)
    headers.deleteGroup(group)
    detach.group(group)
  }

  /** A write, once begun, runs to its end. */
  const writing = <A, E>(operation: Operation, effect: Effect.Effect<A, E>): Effect.Effect<A, E | TierError> =>
    Effect.suspend((): Effect.Effect<A, E | TierError> =>
      activities.closed
        ? Effect.fail(new TierError({ tier: state.name, operation, reason: new Unavailable({ cause: "closed" }) }))
        : Effect.uninterruptible(activities.during(effect))
    )

  const inEveryCache = (
    act: (cache: State["caches"][number]) => Effect.Effect<Caches.TierReceipt>
  ): Effect.Effect<ReadonlyArray<Caches.TierReceipt>> => Effect.forEach(caches, act, { concurrency: "unbounded" })

  /**
   * Sends a write to the store; one that it says is superseded is sent again with a generation past the current one, so
   * that the last writer to reach the store wins, whatever the clocks say.
   */
  const overtake = <A extends { readonly _tag: string }>(
    subject: string,
    send: (generation: Generation.Generation) => Effect.Effect<A, TierError>,
    currentOf: (answer: A) => Generation.Generation | undefined,
    onUnknown: (generation: Generation.Generation) => Effect.Effect<unknown>
  ): Effect.Effect<{ readonly answer: A; readonly generation: Generation.Generation }, TierError | Contended> => {
    const attempt = (
      n: number
    ): Effect.Effect<{ readonly answer: A; readonly generation: Generation.Generation }, TierError | Contended> =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const generation = generations.next(now)
        return Effect.flatMap(
          Effect.tapError(send(generation), (error) => (error.isUnknownOutcome ? onUnknown(generation) : Effect.void)),
          (answer) => {
            const current = currentOf(answer)
            if (current === undefined) return Effect.succeed({ answer, generation })
            generations.witness(current)
            return n < attempts ? attempt(n + 1) : Effect.fail(new Contended({ key: subject }))
          }
        )
      })
    return attempt(1)
  }

  /** The store may or may not have written: copies must not outlive the doubt. */
  const forget = (key: Key.Key) => (generation: Generation.Generation) => {
    supersede(key, generation)
    return inEveryCache((cache) => Caches.drop(cache, floors, key, generation, scope))
  }

  const put: Writes["put"] = (key, draft, options) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const template = blobOf(key, draft, Number.MAX_SAFE_INTEGER, now)
      const blobAt = (generation: Generation.Generation) => ({
        header: { ...template.header, generation },
        body: template.body
      })
      const stored: Effect.Effect<Landed, WriteError> =
        store === undefined
          ? Effect.sync(() => ({ generation: generations.next(now), receipts: [] }))
          : overtake(
              key.text,
              (generation) => store.guard("put", store.tier.put(blobAt(generation), { expected: options?.expected })),
              (write) => (write._tag === "Superseded" ? write.current : undefined),
              forget(key)
            ).pipe(
              Effect.tapError(() => Effect.sync(() => (store.counters.writeFailed += 1))),
              Effect.flatMap(({ answer, generation }): Effect.Effect<Landed, WriteError> => {
                if (answer._tag === "Conflict")
                  return Effect.fail(new Conflict({ key: key.text, current: answer.current }))
                if (answer._tag === "Declined") {
                  return Effect.fail(new Refused({ key: key.text, tier: store.tier.name, why: answer.why }))
                }
                store.counters.stored += 1
                return Effect.succeed({ generation, receipts: [{ tier: store.tier.name, outcome: "stored" as const }] })
              })
            )
      const write = Effect.flatMap(stored, ({ generation, receipts }) => {
        const blob = blobAt(generation)
        supersede(key, generation)
        headers.set(blob.header)
        return Effect.map(
          inEveryCache((cache) => Caches.replace(cache, floors, blob, scope)),
          (cached): PutReceipt => ({ header: blob.header, tiers: [...receipts, ...cached] })
        )
      })
      return Effect.andThen(Header.encode(template.header), writing("put", write))
    })

  const remove: Writes["remove"] = (key, options) => {
    const expected = options?.expected
    const removed: Effect.Effect<Landed, WriteError> =
      store === undefined
        ? Effect.map(Clock.currentTimeMillis, (now) => ({ generation: generations.next(now), receipts: [] }))
        : overtake(
            key.text,
            (generation) => store.guard("remove", store.tier.remove(key, expected ?? generation)),
            (removal) => (removal._tag === "Superseded" && expected === undefined ? removal.current : undefined),
            forget(key)
          ).pipe(
            Effect.tapError(() => Effect.sync(() => (store.counters.writeFailed += 1))),
            Effect.flatMap(({ answer, generation }): Effect.Effect<Landed, WriteError> => {
              if (answer._tag === "Superseded")
                return Effect.fail(new Conflict({ key: key.text, current: answer.current }))
              if (answer._tag === "Absent" && expected !== undefined) {
                return Effect.fail(new Conflict({ key: key.text, current: "absent" }))
              }
              if (answer._tag === "Removed") store.counters.removed += 1
              return Effect.succeed({
                // With `expected`, a put that came right after the removal must not fall below the floor.
                generation: expected === undefined ? generation : expected + 1,
                receipts: [{ tier: store.tier.name, outcome: Caches.lowerCase(answer._tag) }]
              })
            })
          )
    return writing(
      "remove",
      Effect.flatMap(removed, ({ generation, receipts }) => {
        supersede(key, generation)
        return Effect.map(
          inEveryCache((cache) => Caches.drop(cache, floors, key, generation, scope)),
          (cached): RemoveReceipt => ({ generation, tiers: [...receipts, ...cached] })
        )
      })
    )
  }

  const removeGroup: Writes["removeGroup"] = (group) => {
    const dropEverywhere = (generation: Generation.Generation) => {
      supersedeGroup(group, generation)
      return inEveryCache((cache) => Caches.dropGroup(cache, floors, group, generation, scope))
    }
    const removed: Effect.Effect<Landed, WriteError> =
      store === undefined
        ? Effect.map(Clock.currentTimeMillis, (now) => ({ generation: generations.next(now), receipts: [] }))
        : overtake(
            group,
            (generation) => store.guard("removeGroup", store.tier.removeGroup(group, generation)),
            (removal) => (removal._tag === "Removed" && removal.superseded > 0 ? removal.current : undefined),
            dropEverywhere
          ).pipe(
            Effect.tapError(() => Effect.sync(() => (store.counters.writeFailed += 1))),
            Effect.map(({ answer, generation }) => {
              if (answer._tag === "Removed") store.counters.removed += answer.removed
              const outcome =
                answer._tag === "Accepted"
                  ? "accepted"
                  : answer.removed > 0
                    ? ("removed" as const)
                    : ("absent" as const)
              return { generation, receipts: [{ tier: store.tier.name, outcome }] }
            })
          )
    return writing(
      "removeGroup",
      Effect.flatMap(removed, ({ generation, receipts }) =>
        Effect.map(dropEverywhere(generation), (cached): RemoveReceipt => ({
          generation,
          tiers: [...receipts, ...cached]
        }))
      )
    )
  }

  return { put, remove, removeGroup }
}
