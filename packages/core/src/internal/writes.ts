/**
 * put, remove and removeGroup: the store first, then a floor, then the caches.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Chain, PutReceipt, RemoveReceipt, TierReceipt } from "../Chain.ts"
import { Conflict, Contended, Refused, type WriteError } from "../ChainError.ts"
import type { Generation } from "../Generation.ts"
import * as Header from "../Header.ts"
import type * as Key from "../Key.ts"
import type { GroupRemoval, Removal, Write } from "../Tier.ts"
import { type Operation, TierError, Unavailable, Unsupported } from "../TierError.ts"
import * as Caches from "./caches.ts"
import { announce } from "./invalidations.ts"
import type { Member } from "./member.ts"
import { type Sending, type Sent, sendTo } from "./sending.ts"
import { blobOf, type State } from "./state.ts"
import { steadyMillis } from "./steady.ts"
import type { Superseding } from "./superseding.ts"
import { undoIfOvertaken } from "./undo.ts"

type Writes = Pick<Chain, "put" | "remove" | "removeGroup">

/** What the store has done, if there is one. */
interface Landed<A> extends Sent<A> {
  readonly generation: Generation
}

/** A write to the store, as `overtake` sends it: once, or again with a later generation. */
interface Overtaking<A> extends Pick<Sending<A>, "operation" | "subject"> {
  readonly send: (store: Member, generation: Generation) => Effect.Effect<A, TierError>
  /** The generation that stood in the way; undefined: none. */
  readonly currentOf: (answer: A) => Generation | undefined
  /** Copies of at most this generation may be out of date if the write has taken effect. Default: its own. */
  readonly upTo?: Generation | undefined
  readonly onBegin?: ((generation: Generation) => ReturnType<NonNullable<Sending<A>["onBegin"]>>) | undefined
  /** Copies below a generation may be out of date; `pending` calls have not ended. */
  readonly onSuspect: (below: Generation, pending: number) => void
}

const isStored = (exit: Exit.Exit<Write, TierError>): boolean => Exit.isSuccess(exit) && exit.value._tag === "Stored"

/** Times that a write which others overtook is sent again. */
const attempts = 3

export const make = (
  state: State,
  { dropEverywhere, dropGroupEverywhere, dropInCaches, learnOf, outlived, supersede }: Superseding
): Writes => {
  const { activities, confirmations, floors, generations, remember, store, storeWrites } = state

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

  /**
   * Sends a write to the store; one that it says is superseded is sent again with a generation past the current one, so
   * that the last writer to reach the store wins, whatever the clocks say.
   */
  const overtake = <A extends { readonly _tag: string }>(
    target: Member,
    { currentOf, onBegin, onSuspect, operation, send, subject, upTo }: Overtaking<A>
  ): Effect.Effect<Landed<A>, TierError | Contended> => {
    const attempt = (left: number): Effect.Effect<Landed<A>, TierError | Contended> =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const generation = generations.next(now)
        return sendTo(state, target, {
          operation,
          subject,
          send: () => send(target, generation),
          onBegin: onBegin && (() => onBegin(generation)),
          onSuspect: (pending) => onSuspect((upTo ?? generation) + 1, pending)
        }).pipe(
          Effect.flatMap((sent): Effect.Effect<Landed<A>, TierError | Contended> => {
            const current = currentOf(sent.answer)
            if (current === undefined) return Effect.succeed({ ...sent, generation })
            generations.witness(current)
            return left > 1 ? attempt(left - 1) : Effect.fail(new Contended({ key: subject }))
          })
        )
      })
    return attempt(attempts)
  }

  /** Copies of the key are compared with the store before they are served; who comes now joins nothing from before. */
  const suspects = (key: Key.Key) => (below: Generation, pending: number) => {
    confirmations.suspect(key.text, below, pending, floors.mark())
    state.detach(key)
  }

  /** A conflict tells what the store has: copies of anything older are out of date. */
  const conflict = (key: Key.Key, current: Generation | "absent", at: Generation): Effect.Effect<never, Conflict> =>
    Effect.suspend(() => {
      const floor = current === "absent" ? at : current
      learnOf(key, floor)
      return Effect.andThen(dropInCaches(key, floor), Effect.fail(new Conflict({ key: key.text, current })))
    })

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
      const at = steadyMillis(clock)
      const template = blobOf(key, draft, Number.MAX_SAFE_INTEGER, clock.currentTimeMillisUnsafe())
      const blobAt = (generation: Generation) => ({ header: { ...template.header, generation }, body: template.body })

      const intoCaches = (generation: Generation) =>
        Effect.suspend(() => {
          const blob = blobAt(generation)
          supersede(key, generation)
          const since = floors.mark()
          remember(blob.header, since, at)
          return outlived(key.text, generation, (cache) => Caches.replace(state, cache, blob, since))
        })

      const intoStore = (target: Member): Effect.Effect<PutReceipt, WriteError> =>
        Effect.flatMap(
          overtake<Write>(target, {
            operation: "put",
            subject: key.text,
            send: ({ tier }, generation) => tier.put(blobAt(generation), { expected: options?.expected }),
            currentOf: (write) => (write._tag === "Superseded" ? write.current : undefined),
            onBegin: (generation) => {
              const write = storeWrites.begin(key, generation, false)
              return (exit, isLate) =>
                isLate
                  ? undoIfOvertaken(state, target, write, exit)
                  : Effect.sync(() => (isStored(exit) ? storeWrites.taken(write) : storeWrites.end(write)))
            },
            onSuspect: suspects(key)
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
          onSuspect: suspects(key)
        }),
        ({ answer: said, generation, isRepeated }): Effect.Effect<RemoveReceipt, WriteError> => {
          // What an earlier try has removed is absent to the next.
          const isOwn = said._tag === "Absent" && expected !== undefined && isRepeated
          const answer: Removal = isOwn ? { _tag: "Removed" } : said
          if (answer._tag === "Superseded") return conflict(key, answer.current, generation)
          if (answer._tag === "Absent" && expected !== undefined) return conflict(key, "absent", generation)
          if (answer._tag === "Removed") target.counters.removed += 1
          // What is removed is at most of this generation; with `expected`, a put that came right after it is newer.
          const floor = (expected ?? generation) + 1
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
              inCachesOnly((generation) => dropEverywhere(key, generation + 1))
            ),
            (receipt) => announced(receipt, key, receipt.generation + 1)
          )
        : fromStore(store)
    )
  }

  const removeGroup: Writes["removeGroup"] = (group, options) => {
    const upTo = options?.upTo
    const floorOf = (generation: Generation) => (upTo ?? generation) + 1
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
                Effect.sync(() => (removed += removal.removed))
              ),
            currentOf: (removal) => (removal.superseded > 0 && upTo === undefined ? removal.current : undefined),
            upTo,
            onSuspect: (below, pending) => {
              confirmations.suspect(group, below, pending, floors.mark())
              state.detachGroup(group)
            }
          }).pipe(
            // What earlier attempts have removed is gone from the store.
            Effect.tapError((error) =>
              error._tag === "Contended"
                ? Effect.flatMap(Clock.currentTimeMillis, (now) => drop(generations.next(now)))
                : Effect.void
            )
          ),
          ({ generation }) => {
            target.counters.removed += removed
            const outcome = removed > 0 ? "removed" : "absent"
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

  return { put, remove, removeGroup }
}
