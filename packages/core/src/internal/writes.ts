/**
 * put, remove and removeGroup: the store first, then a floor, then the caches.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { Invalidation } from "../Bus.ts"
import type { Chain, PutReceipt, RemoveReceipt, TierReceipt } from "../Chain.ts"
import { Conflict, Contended, Refused, type WriteError } from "../ChainError.ts"
import type { Generation } from "../Generation.ts"
import * as Header from "../Header.ts"
import * as Key from "../Key.ts"
import type { GroupRemoval, Removal, Write } from "../Tier.ts"
import { type Operation, TierError, Unavailable, Unsupported } from "../TierError.ts"
import * as Caches from "./caches.ts"
import { announce } from "./invalidations.ts"
import type { Member } from "./member.ts"
import { blobOf, type State } from "./state.ts"
import { undoIfOvertaken } from "./undo.ts"

type Writes = Pick<Chain, "put" | "remove" | "removeGroup"> & {
  /** Takes note of a write that another node has made. */
  readonly learn: (invalidation: Invalidation) => Effect.Effect<void>
}

/** How a write ends the joining of flights that may have read what it replaces. */
export interface Detach {
  readonly detach: (key: Key.Key) => void
  readonly detachGroup: (group: string) => void
}

/** What the store has done, if there is one. */
interface Landed<A> {
  readonly answer: A
  readonly generation: Generation
}

/** A write to the store, as `overtake` sends it. */
interface Sending<A> {
  readonly operation: "put" | "remove" | "removeGroup"
  /** A key's text, or a group. */
  readonly subject: string
  readonly send: (store: Member, generation: Generation) => Effect.Effect<A, TierError>
  /** The generation that stood in the way; undefined: none. */
  readonly currentOf: (answer: A) => Generation | undefined
  /** Copies of at most this generation may be out of date if the write has taken effect. Default: its own. */
  readonly upTo?: Generation | undefined
  /** Runs when a call has ended that nobody waits for any more. */
  readonly onLate: (generation: Generation, exit: Exit.Exit<A, TierError>) => Effect.Effect<void>
  /** Runs when the answer is there, or is given up, while `outstanding` calls have not ended. */
  readonly onGivenUp: (generation: Generation, outstanding: number) => void
}

/** Times that a write which others overtook is sent again. */
const attempts = 3

export const make = (state: State, { detach, detachGroup }: Detach): Writes => {
  const { absences, activities, caches, confirmations, floors, generations, headers, remember, store, storeWrites } =
    state

  /** Makes older copies of a key invisible, everywhere and at once. */
  const supersede = (key: Key.Key, generation: Generation): void => {
    floors.raise(key.text, generation)
    headers.deleteBelow(key, generation)
    absences.delete(key)
    detach(key)
  }

  const supersedeGroup = (group: string, generation: Generation): void => {
    floors.raise(group, generation)
    headers.deleteGroup(group)
    absences.deleteGroup(group)
    detachGroup(group)
  }

  /** A write, once begun, runs to its end. */
  const writing = <A, E>(
    operation: Operation,
    subject: string,
    effect: Effect.Effect<A, E>
  ): Effect.Effect<A, E | TierError> =>
    Effect.suspend((): Effect.Effect<A, E | TierError> =>
      activities.closed
        ? Effect.fail(new TierError({ tier: state.name, operation, reason: new Unavailable({ cause: "closed" }) }))
        : Effect.uninterruptible(activities.during(storeWrites.during(subject, effect)))
    ).pipe(Effect.withSpan(`Chain.${operation}`, { attributes: { chain: state.name, subject } }))

  const inEveryCache = (
    act: (cache: Member) => Effect.Effect<TierReceipt>
  ): Effect.Effect<ReadonlyArray<TierReceipt>> => Effect.forEach(caches, act, { concurrency: "unbounded" })

  /** Raises a floor, and drops what lies below it. */
  const dropEverywhere = (key: Key.Key, floor: Generation) =>
    Effect.suspend(() => {
      supersede(key, floor)
      return inEveryCache((cache) => Caches.drop(state, cache, key, floor - 1))
    })

  const dropGroupEverywhere = (group: string, floor: Generation) =>
    Effect.suspend(() => {
      supersedeGroup(group, floor)
      return inEveryCache((cache) => Caches.dropGroup(state, cache, group, floor - 1))
    })

  /**
   * Sends a write to the store; one that it says is superseded is sent again with a generation past the current one, so
   * that the last writer to reach the store wins, whatever the clocks say.
   *
   * After an error that leaves open whether the store has written, older copies are compared with it before they are
   * served; as long as a call that was given up has not ended, every time.
   */
  const overtake = <A extends { readonly _tag: string }>(
    target: Member,
    { currentOf, onGivenUp, onLate, operation, send, subject, upTo }: Sending<A>
  ): Effect.Effect<Landed<A>, TierError | Contended> => {
    const attempt = (left: number): Effect.Effect<Landed<A>, TierError | Contended> =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const generation = generations.next(now)
        let outstanding = 0
        let isOver = false
        let isSuspect = false
        const sent = target.call(operation, () => {
          outstanding += 1
          return Effect.onExit(send(target, generation), (exit) =>
            Effect.suspend(() => {
              outstanding -= 1
              if (!isOver) return Effect.void
              if (isSuspect) confirmations.landed(subject, floors.mark())
              return onLate(generation, exit)
            })
          )
        })
        return sent.pipe(
          Effect.tapError((error) =>
            Effect.sync(() => {
              target.counters.writeFailed += 1
              isSuspect = error.isUnknownOutcome || target.retries || operation === "removeGroup"
              if (isSuspect) confirmations.suspect(subject, (upTo ?? generation) + 1, outstanding, floors.mark())
            })
          ),
          Effect.onExit(() =>
            Effect.sync(() => {
              isOver = true
              if (outstanding > 0) onGivenUp(generation, outstanding)
            })
          ),
          Effect.flatMap((answer): Effect.Effect<Landed<A>, TierError | Contended> => {
            const current = currentOf(answer)
            if (current === undefined) return Effect.succeed({ answer, generation })
            generations.witness(current)
            return left > 1 ? attempt(left - 1) : Effect.fail(new Contended({ key: subject }))
          })
        )
      })
    return attempt(attempts)
  }

  /** A conflict tells what the store has: copies of anything older are out of date. */
  const conflict = (key: Key.Key, current: Generation | "absent", at: Generation): Effect.Effect<never, Conflict> =>
    Effect.andThen(
      dropEverywhere(key, current === "absent" ? at : current),
      Effect.fail(new Conflict({ key: key.text, current }))
    )

  /** A condition needs a store that can hold to it. */
  const unconditional = <A>(
    operation: Operation,
    expected: Generation | "absent" | undefined,
    write: Effect.Effect<A>
  ): Effect.Effect<A, TierError> =>
    expected === undefined
      ? write
      : Effect.fail(new TierError({ tier: state.name, operation, reason: new Unsupported({ capability: "store" }) }))

  /**
   * The caches of a chain without a store. One that has a newer blob (a clock has stepped back) is overtaken as a store
   * would be.
   */
  const inCachesOnly = (
    act: (generation: Generation) => Effect.Effect<ReadonlyArray<TierReceipt>>
  ): Effect.Effect<{ readonly generation: Generation; readonly tiers: ReadonlyArray<TierReceipt> }> => {
    const attempt = (left: number): ReturnType<typeof inCachesOnly> =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const generation = generations.next(now)
        return Effect.flatMap(act(generation), (tiers) => {
          const newest = Math.max(0, ...tiers.map(({ current }) => current ?? 0))
          generations.witness(newest)
          return newest > generation && left > 1 ? attempt(left - 1) : Effect.succeed({ generation, tiers })
        })
      })
    return attempt(attempts)
  }

  /** Adds to a receipt whether the other nodes were told. */
  const announced = <R extends PutReceipt | RemoveReceipt>(
    receipt: R,
    subject: { readonly group: string; readonly name?: string | undefined },
    floor: Generation
  ): Effect.Effect<R> =>
    Effect.map(announce(state, subject, floor), (outcome) =>
      outcome === undefined ? receipt : { ...receipt, announced: outcome }
    )

  // --- put -----------------------------------------------------------------------

  const put: Writes["put"] = (key, draft, options) =>
    Effect.clockWith((clock) => {
      const at = clock.currentTimeMillisUnsafe()
      const template = blobOf(key, draft, Number.MAX_SAFE_INTEGER, at)
      const blobAt = (generation: Generation) => ({ header: { ...template.header, generation }, body: template.body })

      const intoCaches = (generation: Generation) =>
        Effect.suspend(() => {
          const blob = blobAt(generation)
          supersede(key, generation)
          const since = floors.mark()
          remember(blob.header, since, at)
          return inEveryCache((cache) => Caches.replace(state, cache, blob, since))
        })

      const intoStore = (target: Member): Effect.Effect<PutReceipt, WriteError> =>
        Effect.flatMap(
          overtake<Write>(target, {
            operation: "put",
            subject: key.text,
            send: ({ tier }, generation) => tier.put(blobAt(generation), { expected: options?.expected }),
            currentOf: (write) => (write._tag === "Superseded" ? write.current : undefined),
            onGivenUp: (generation, outstanding) => {
              for (let call = 0; call < outstanding; call++) storeWrites.begin(key, generation)
            },
            onLate: (generation, exit) => undoIfOvertaken(state, target, { generation, key }, exit)
          }),
          ({ answer, generation }): Effect.Effect<PutReceipt, WriteError> => {
            if (answer._tag === "Conflict") return conflict(key, answer.current, generation)
            if (answer._tag === "Declined") {
              target.counters.declined[answer.why] += 1
              return Effect.fail(new Refused({ key: key.text, tier: target.tier.name, why: answer.why }))
            }
            target.counters.stored += 1
            return Effect.flatMap(intoCaches(generation), (cached) =>
              announced<PutReceipt>(
                {
                  header: blobAt(generation).header,
                  tiers: [{ tier: target.tier.name, outcome: "stored" }, ...cached]
                },
                key,
                generation
              )
            )
          }
        )

      const write: Effect.Effect<PutReceipt, WriteError> =
        store === undefined
          ? Effect.flatMap(unconditional("put", options?.expected, inCachesOnly(intoCaches)), ({ generation, tiers }) =>
              announced<PutReceipt>({ header: blobAt(generation).header, tiers }, key, generation)
            )
          : intoStore(store)
      return Effect.andThen(Header.encode(template.header), writing("put", key.text, write))
    })

  // --- remove --------------------------------------------------------------------

  const remove: Writes["remove"] = (key, options) => {
    const expected = options?.expected
    const fromStore = (target: Member): Effect.Effect<RemoveReceipt, WriteError> =>
      Effect.flatMap(
        overtake<Removal>(target, {
          operation: "remove",
          subject: key.text,
          send: ({ tier }, generation) => tier.remove(key, expected ?? generation),
          currentOf: (removal) =>
            removal._tag === "Superseded" && expected === undefined ? removal.current : undefined,
          upTo: expected,
          ...lateRemoval
        }),
        ({ answer, generation }): Effect.Effect<RemoveReceipt, WriteError> => {
          if (answer._tag === "Superseded") return conflict(key, answer.current, generation)
          if (answer._tag === "Absent" && expected !== undefined) return conflict(key, "absent", generation)
          if (answer._tag === "Removed") target.counters.removed += 1
          // With `expected`, a put that came right after the removal must not fall below the floor.
          const floor = expected === undefined ? generation : expected + 1
          return Effect.flatMap(dropEverywhere(key, floor), (cached) =>
            announced({ generation, tiers: [Caches.receiptOf(target, answer), ...cached] }, key, floor)
          )
        }
      )
    return writing(
      "remove",
      key.text,
      store === undefined
        ? Effect.flatMap(
            unconditional(
              "remove",
              expected,
              inCachesOnly((generation) => dropEverywhere(key, generation))
            ),
            (receipt) => announced(receipt, key, receipt.generation)
          )
        : fromStore(store)
    )
  }

  const removeGroup: Writes["removeGroup"] = (group, options) => {
    const upTo = options?.upTo
    const floorOf = (generation: Generation) => (upTo === undefined ? generation : upTo + 1)
    const drop = (generation: Generation) => dropGroupEverywhere(group, floorOf(generation))

    const fromStore = (target: Member): Effect.Effect<RemoveReceipt, WriteError> =>
      Effect.suspend(() => {
        let removed = 0
        return Effect.flatMap(
          overtake<GroupRemoval>(target, {
            operation: "removeGroup",
            subject: group,
            send: ({ tier }, generation) =>
              Effect.tap(tier.removeGroup(group, upTo ?? generation), (removal) =>
                Effect.sync(() => (removed += removal._tag === "Removed" ? removal.removed : 0))
              ),
            currentOf: (removal) =>
              removal._tag === "Removed" && removal.superseded > 0 && upTo === undefined ? removal.current : undefined,
            upTo,
            ...lateRemoval
          }).pipe(
            // What earlier attempts have removed is gone from the store.
            Effect.tapError((error) =>
              error._tag === "Contended"
                ? Effect.flatMap(Clock.currentTimeMillis, (now) => drop(generations.next(now)))
                : Effect.void
            )
          ),
          ({ answer, generation }) => {
            target.counters.removed += removed
            const outcome = answer._tag === "Accepted" ? "accepted" : removed > 0 ? "removed" : "absent"
            return Effect.flatMap(drop(generation), (cached) =>
              announced(
                { generation, tiers: [{ tier: target.tier.name, outcome } as const, ...cached] },
                { group },
                floorOf(generation)
              )
            )
          }
        )
      })
    return writing(
      "removeGroup",
      group,
      store === undefined
        ? Effect.flatMap(inCachesOnly(drop), (receipt) => announced(receipt, { group }, floorOf(receipt.generation)))
        : fromStore(store)
    )
  }

  // --- other nodes ---------------------------------------------------------------

  const learn: Writes["learn"] = ({ generation, group, name }) =>
    Effect.suspend(() => {
      if (!Number.isSafeInteger(generation)) return Effect.void
      generations.witness(generation)
      if (name === undefined) {
        return Key.isGroup(group)
          ? Effect.asVoid(activities.during(dropGroupEverywhere(group, generation)))
          : Effect.void
      }
      const key = Key.make(group, name)
      return key._tag === "Success"
        ? Effect.asVoid(activities.during(dropEverywhere(key.success, generation)))
        : Effect.void
    })

  return { put, remove, removeGroup, learn }
}

/** A removal that lands late takes nothing that is newer. */
const lateRemoval = { onGivenUp: () => {}, onLate: () => Effect.void }
