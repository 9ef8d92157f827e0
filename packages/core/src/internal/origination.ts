/**
 * What a chain does with its origin: it asks it last, and has it let go, blob by blob, of what the store has taken over.
 *
 * Invariants. An origin is asked to let go only of what the store, which must be durable, has just shown whole; whatever
 * goes wrong on the way leaves the origin's copy where it is. An origin that does not answer is asked again for as long as
 * the chain lives: until then nobody knows whether the key is still there. What a process has not lived to have let go, who
 * finds it next has let go. What the origin has given is older
 * than whatever was put, so a caller's write always wins; if the origin has changed meanwhile, its new content takes the
 * place of exactly what was stored; if the key is gone from it, so is what was stored.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { hash } from "node:crypto"
import * as Body from "../Body.ts"
import type { Chain } from "../Chain.ts"
import { Conflict, type WriteError } from "../ChainError.ts"
import * as Header from "../Header.ts"
import type { Key } from "../Key.ts"
import type { Holding, Origin, OriginError, Sighting } from "../Origin.ts"
import { TierError } from "../TierError.ts"
import type { Outcome, Step } from "../Trail.ts"
import { BoundedMap } from "./BoundedMap.ts"
import * as Member from "./member.ts"
import * as Producing from "./producing.ts"
import type { State } from "./state.ts"

/** What the origin has said, and how that looks in a trail that does not end with it. */
export interface Asked<E> {
  readonly sighting: Sighting<E> | undefined
  readonly step: Step
  /** When it was asked, by the monotonic clock. */
  readonly began: bigint
}

/** An origin as a chain asks it. */
export interface Origination<E> {
  readonly ask: (key: Key) => Effect.Effect<Asked<E>, never, Scope.Scope>
  /** After the store has taken what was made of a holding: sees to it that the origin lets go of its copy. Never fails. */
  readonly settle: (holding: Holding<E>, stored: Header.Header) => Effect.Effect<void>
  /**
   * After a tier was found to have what an origin has given: a process that has died may have stored it, and not got to have
   * it let go. Once per key and life of the chain, behind the answer, and when whoever has made it has had its time. Never fails.
   */
  readonly resume: (found: Header.Header) => Effect.Effect<void>
}

/** How far an origin's content has been taken over. */
interface Work<E> {
  holding: Holding<E>
  /** What was made of it. */
  stored: Header.Header
  /** Times that it may be taken over, with this one. */
  left: number
  /** That was in the store before the origin was read, so whoever removes the key from both removes it. */
  wasThere: boolean
  /** What may be stored in its place: the store has not answered. */
  maybe?: { readonly holding: Holding<E>; readonly digest: string } | undefined
}

/** Times that the content of an origin may change while it is being taken over. */
const attempts = 3

/** Most blobs whose origin is asked again. */
const maxOwed = 1_000

/** Between one and sixty seconds apart. */
const schedule = Schedule.min([Schedule.exponential("1 second"), Schedule.spaced("1 minute")])

const isRetryable = (error: unknown): boolean => error instanceof TierError && error.isRetryable

/** Time after which whoever has made a blob has had the origin let go, or is dead. */
const settledWithin = 10_000

/** Keys that are to be asked about at the same time; one more is asked about when it is found again. */
const maxResuming = 100

export const make = <E>(
  state: State,
  origin: Origin<E>,
  member: Member.OriginMember,
  { put, remove }: Pick<Chain, "put" | "remove">
): Origination<E> => {
  const { store } = state

  const ask: Origination<E>["ask"] = (key) =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const began = clock.monotonicTimeNanosUnsafe()
      const context = yield* Effect.context<Scope.Scope>()
      const result = yield* Effect.result(member.call("get", () => Effect.provideContext(origin.read(key), context)))
      const outcome = outcomeOf(result)
      Member.count(member, outcome._tag)
      const millis = Number(clock.monotonicTimeNanosUnsafe() - began) / 1e6
      return {
        sighting: Result.isSuccess(result) ? result.success : undefined,
        step: { tier: origin.name, outcome, millis },
        began
      }
    })

  /** Whether the store has the blob, every byte of it. */
  const isStored = (header: Header.Header): Effect.Effect<boolean, TierError> =>
    store === undefined
      ? Effect.succeed(false)
      : Effect.flatMap(
          store.call("get", () => store.tier.get(header.key)),
          (read): Effect.Effect<boolean, TierError> => {
            if (read._tag !== "Hit" || read.blob.header.generation !== header.generation) return Effect.succeed(false)
            const digester = new Header.Digester()
            return Effect.as(
              Stream.runForEach(Body.toStream(read.blob.body), (chunk) => Effect.sync(() => digester.update(chunk))),
              digester
            ).pipe(Effect.map((all) => all.verifies(header)))
          }
        )

  const kept = (key: Key, why: unknown): Effect.Effect<void> =>
    Effect.suspend(() => {
      member.counters.writeFailed += 1
      return Effect.logWarning(`stored, but still kept by ${origin.name} key=${key.text}`, why)
    })

  /** Has the origin let go of what the store has. Called again after a failure, it goes on from where it has got to. */
  const release = (work: Work<E>): Effect.Effect<void, OriginError<E> | WriteError> =>
    Effect.suspend(() => {
      if (work.holding.release === undefined || store?.tier.capabilities.durable !== true) return Effect.void
      return Effect.gen(function* () {
        // Replaced or removed meanwhile: what the origin has is no longer this chain's to judge.
        if (!(yield* isStored(work.stored)) && !(yield* hasLanded(work))) return
        const { holding, stored, wasThere } = work
        const { release: letGo } = holding
        if (letGo === undefined) return
        const released = yield* member.call("remove", () => letGo(stored))
        switch (released._tag) {
          case "Released":
            member.counters.removed += 1
            return
          case "Gone":
            if (!wasThere) yield* remove(stored.key, { expected: stored.generation })
            return
          case "Changed":
            if (work.left <= 1) return yield* kept(stored.key, "it changes too often")
            yield* takeOver(work, released.holding)
            return yield* release(work)
        }
      }).pipe(
        // Another write came first, and is newer.
        Effect.catchIf(
          (error) => error instanceof Conflict,
          () => Effect.void
        )
      )
    })

  /** Whether a put that the store has not answered has taken effect all the same: then that is what is stored. */
  const hasLanded = Effect.fnUntraced(function* (work: Work<E>): Effect.fn.Return<boolean, TierError> {
    const { maybe, stored } = work
    if (maybe === undefined || store === undefined) return false
    const there = yield* store.call("head", () => store.tier.head(stored.key))
    if (there._tag !== "Hit" || there.header.digest !== maybe.digest || !(yield* isStored(there.header))) return false
    Object.assign(work, { holding: maybe.holding, stored: there.header, left: work.left - 1, wasThere: false })
    work.maybe = undefined
    return true
  })

  /** Stores what the origin has in the place of what is stored, unless it is the same. */
  const takeOver = Effect.fnUntraced(function* (
    work: Work<E>,
    holding: Holding<E>
  ): Effect.fn.Return<void, OriginError<E> | WriteError> {
    const { generation, key } = work.stored
    const draft = yield* Producing.draft(state, key, holding.make)
    const digester = new Header.Digester()
    digester.update(draft.bytes)
    const isSame = digester.verifies(work.stored)
    if (!isSame) {
      const storing = Effect.tapError(put(key, draft, { expected: generation }), (error) =>
        Effect.sync(() => {
          const isUnknown = error instanceof TierError && error.isUnknownOutcome
          work.maybe = isUnknown ? { holding, digest: hash("sha256", draft.bytes, "hex") } : undefined
        })
      )
      work.stored = (yield* storing).header
    }
    work.holding = holding
    work.wasThere = isSame
    work.left -= 1
  })

  /** Keys of which this process has seen to it that the origin lets go, or does so now. */
  const ended = new BoundedMap<string, true>(state.maxRemembered)

  /** What is being let go of in the background, by key and digest. */
  const owed = new Set<string>()

  const settle: Origination<E>["settle"] = (holding, stored) =>
    finish({ holding, stored, left: attempts, wasThere: false })

  /** Has the origin let go, now or in the background. Never fails. */
  const finish = (work: Work<E>): Effect.Effect<void> => {
    const { digest, key } = work.stored
    const once = release(work)
    const id = `${key.text} ${digest}`
    /** It is asked once more when the key is found again. */
    const givenUp = (error: unknown) => {
      ended.delete(key.text)
      return kept(key, error)
    }
    const again = Effect.suspend(() => {
      if (owed.has(id)) return Effect.void
      if (owed.size >= maxOwed) {
        ended.delete(key.text)
        return Effect.void
      }
      owed.add(id)
      return Effect.retry(once, { schedule, while: isRetryable }).pipe(
        Effect.delay("1 second"),
        Effect.catch(givenUp),
        Effect.ensuring(Effect.sync(() => owed.delete(id))),
        Effect.forkIn(state.scope),
        Effect.asVoid
      )
    })
    return Effect.suspend(() => {
      ended.set(key.text, true)
      return Effect.catch(once, (error) =>
        isRetryable(error) ? Effect.andThen(kept(key, error), again) : givenUp(error)
      )
    })
  }

  let resuming = 0

  /** Another write that came first is newer. An origin that cannot say is asked when the key is found again. */
  const resumeNow = (found: Header.Header): Effect.Effect<void> =>
    Effect.scoped(
      Effect.flatMap(ask(found.key), ({ sighting }): Effect.Effect<void> => {
        const { key } = found
        if (sighting?._tag === "Holding") {
          const work: Work<E> = { holding: sighting, stored: found, left: attempts + 1, wasThere: true }
          return Effect.matchEffect(takeOver(work, sighting), {
            onSuccess: () => finish(work),
            onFailure: (error) => {
              if (error instanceof Conflict) return Effect.void
              ended.delete(key.text)
              return kept(key, error)
            }
          })
        }
        if (sighting === undefined || sighting._tag === "Skipped") ended.delete(key.text)
        return Effect.void
      })
    )

  const resume: Origination<E>["resume"] = (found) =>
    Effect.clockWith((clock) => {
      const { activities, scope } = state
      const { createdAt, key } = found
      if (store?.tier.capabilities.durable !== true || ended.get(key.text) === true || resuming >= maxResuming) {
        return Effect.void
      }
      ended.set(key.text, true)
      resuming += 1
      const age = clock.currentTimeMillisUnsafe() - createdAt
      return Effect.sleep(Math.min(settledWithin, Math.max(0, settledWithin - age))).pipe(
        Effect.andThen(Effect.suspend(() => (activities.closed ? Effect.void : activities.during(resumeNow(found))))),
        Effect.ensuring(Effect.sync(() => (resuming -= 1))),
        Effect.forkIn(scope, { startImmediately: true }),
        Effect.asVoid
      )
    })

  return { ask, settle, resume }
}

const outcomeOf = (result: Result.Result<Sighting<unknown>, TierError>): Outcome => {
  if (Result.isFailure(result)) {
    const { reason } = result.failure
    return reason._tag === "BreakerOpen"
      ? { _tag: "Skipped", why: "breaker-open" }
      : { _tag: "Failed", reason: reason._tag }
  }
  switch (result.success._tag) {
    case "Holding":
      return { _tag: "Hit" }
    case "Nothing":
      return { _tag: "Miss" }
    case "LetGo":
      return { _tag: "LetGo" }
    case "Skipped":
      return result.success
  }
}
