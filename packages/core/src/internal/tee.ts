/**
 * Copies a stream into caches while a reader reads it, so that promotion costs no second read.
 *
 * Idea. Each cache gets a put of its own, whose body is what the reader's chunks are handed over to. A cache makes a blob
 * visible only after its whole length and digest were seen, so whatever ends early leaves nothing behind: the reader
 * leaves, or is so slow that it would keep others from making the copy; the source fails, the blob is replaced, the cache
 * cannot keep up.
 *
 * Invariants. The reader is never failed by a cache, and held up by all of them for at most `patience` in all. What was
 * handed over and not written yet is counted as held, and bounded. A tee is known to `Tees` before its source is opened:
 * whoever makes the blob out of date later aborts it, and earlier its source no longer has it. The last chunk is handed
 * over in one step with the beginning of an activity. So an abort comes either before it, and nothing is kept; or after
 * it, and the floor that came with it stays until the copy has been dropped again.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Body from "../Body.ts"
import type { Activity } from "../Floor.ts"
import type { Generation } from "../Generation.ts"
import type { Header } from "../Header.ts"
import * as Policy from "../Policy.ts"
import type { Write } from "../Tier.ts"
import { TierError, TimedOut, Unsupported } from "../TierError.ts"
import { make as laneOf } from "./lane.ts"
import type { Member } from "./member.ts"
import type { State } from "./state.ts"
import { steadyMillis } from "./steady.ts"
import type { Tee } from "./Tees.ts"

/** How long the caches may hold up the reader, all its waits together. */
const patience = Duration.seconds(1)

/** Time for a cache to commit what it has been handed the whole of. */
const commitWithin = Duration.seconds(30)

/** Milliseconds that a reader may let pass between two chunks, and that its whole reading may lag behind `leastRate`. */
const leastPace = 10_000

/** Bytes per second. */
const leastRate = 65_536

/** How often the pace of a reader is looked at. */
const paceEvery = Duration.seconds(5)

/** A copy that is being made. */
export interface Copy {
  /** Hands over a chunk. */
  readonly feed: (chunk: Uint8Array) => Effect.Effect<void>
}

/** Whether `range` (default: all) is all of a body of `size` bytes. */
export const isWhole = (size: number, range: Body.Range | undefined): boolean =>
  range === undefined || (range.start <= 0 && range.end >= size)

/** Begins to copy a blob into caches, if nothing speaks against it; what was not handed over whole ends with the scope. */
export const begin = (
  state: State,
  header: Header,
  into: ReadonlyArray<Member>
): Effect.Effect<Copy | undefined, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      // One that is not asked for blobs now is not given any either.
      const caches = into.filter((cache) => !cache.isDistrusted && cache.breaker() === "closed")
      return caches.length > 0 && isWanted(state, header) ? start(state, header, caches) : undefined
    }),
    (running) => Effect.sync(() => running?.leave())
  )

const isWanted = ({ floors, heldBytes, maxHeldBytes, tees }: State, header: Header): boolean =>
  tees.allows(header.key) &&
  !floors.discards(header) &&
  heldBytes + Math.min(header.size, Body.inlineBelow) <= maxHeldBytes

interface Running extends Copy {
  /** The reader has left, or has everything. */
  readonly leave: () => void
}

const start = (state: State, header: Header, caches: ReadonlyArray<Member>): Running => {
  /** Begun with the first chunk: a source that has lost the blob costs the caches nothing. */
  let branches: ReadonlyArray<Branch> | undefined
  let unfinished = caches.length
  let left = header.size

  const giveUp = (): void => {
    if (branches === undefined) state.tees.delete(tee)
    else for (const branch of branches) branch.giveUp()
  }
  const tee: Common = {
    key: header.key,
    isAborted: false,
    patience: Duration.toMillis(patience),
    reader: undefined,
    abort: () => {
      tee.isAborted = true
      giveUp()
    },
    onEnd: () => {
      unfinished -= 1
      if (unfinished === 0) state.tees.delete(tee)
    }
  }

  const begun: Effect.Effect<ReadonlyArray<Branch>> = Effect.suspend(() =>
    branches === undefined
      ? Effect.uninterruptible(
          Effect.map(
            Effect.forEach(caches, (cache) => branchInto(state, cache, header, tee)),
            (made) => {
              branches = made
              if (tee.isAborted) giveUp()
              return made
            }
          )
        )
      : Effect.succeed(branches)
  )

  state.tees.add(tee)
  return {
    leave: giveUp,
    feed: (chunk) =>
      Effect.clockWith((clock) => {
        if (tee.isAborted || (branches === undefined && state.activities.closed)) return Effect.void
        left -= chunk.byteLength
        const now = steadyMillis(clock)
        tee.reader = { began: tee.reader?.began ?? now, at: now, taken: header.size - left }
        const isLast = left <= 0
        return Effect.flatMap(begun, (all) =>
          Effect.forEach(all, (branch) => branch.offer(chunk, isLast), { discard: true })
        )
      })
  }
}

// -----------------------------------------------------------------------------
// One cache
// -----------------------------------------------------------------------------

/** Times in milliseconds by the monotonic clock. */
interface Reader {
  readonly began: number
  /** When it took its last chunk. */
  readonly at: number
  /** Bytes. */
  readonly taken: number
}

const isTooSlow = ({ at, began, taken }: Reader, now: number): boolean =>
  now - at >= leastPace || now - began >= leastPace + (taken / leastRate) * 1_000

/** What the branches of a tee share. */
interface Common extends Tee {
  isAborted: boolean
  /** Milliseconds that the reader may still be held up. */
  patience: number
  /** How far the reader is; undefined: it has nothing yet. */
  reader: Reader | undefined
  readonly onEnd: () => void
}

interface Branch {
  /** Hands over a chunk, as soon as there is room; the last one commits. */
  readonly offer: (chunk: Uint8Array, isLast: boolean) => Effect.Effect<void>
  /** Before the last chunk: nothing is kept. Later it has no effect. */
  readonly giveUp: () => void
}

const branchInto = (state: State, cache: Member, header: Header, tee: Common): Effect.Effect<Branch> =>
  Effect.gen(function* () {
    const { activities, floors, repairs, scope } = state
    const { counters, tier } = cache
    const lane = yield* laneOf(state)
    const committing = Deferred.makeUnsafe<void>()
    let activity: Activity | undefined
    let fiber: Fiber.Fiber<void> | undefined
    let isOver = false

    const notKept = (why: string): Effect.Effect<void> => {
      counters.writeFailed += 1
      return Effect.logDebug(`copy not kept tier=${tier.name} key=${header.key.text}`, why)
    }

    const giveUp = (): void => {
      if (isOver || activity !== undefined) return
      isOver = true
      lane.close()
      fiber?.interruptUnsafe()
    }

    const offer: Branch["offer"] = (chunk, isLast) =>
      Effect.suspend(() => {
        if (isOver) return Effect.void
        if (lane.hasRoomFor(chunk)) {
          if (isLast && floors.discards(header)) giveUp()
          else if (isLast) commit(chunk)
          else lane.push(chunk)
          return Effect.void
        }
        // Nothing of this lane is going to make room, or the reader has waited long enough.
        if (lane.isEmpty() || tee.patience <= 0) {
          giveUp()
          return notKept("it cannot keep up with the reader")
        }
        return Effect.andThen(heldUp(tee, lane.moving()), offer(chunk, isLast))
      })

    const commit = (last: Uint8Array): void => {
      activity = activities.begin()
      lane.push(last)
      lane.end()
      Deferred.doneUnsafe(committing, Effect.void)
    }

    /** Ends what waits too long: for the reader, whose place another may take, or for the cache. */
    const overdue: Effect.Effect<never, TierError> = Effect.flatMap(
      Effect.timeoutOption(Deferred.await(committing), paceEvery),
      (committed) =>
        Option.isSome(committed)
          ? Effect.flatMap(Effect.sleep(commitWithin), () => {
              lane.close()
              const reason = new TimedOut({ millis: Duration.toMillis(commitWithin) })
              return Effect.fail(new TierError({ tier: tier.name, operation: "put", reason }))
            })
          : Effect.clockWith((clock) => {
              if (tee.reader === undefined || !isTooSlow(tee.reader, steadyMillis(clock))) return overdue
              giveUp()
              return Effect.never
            })
    )

    const dropAgain = (generation: Generation) => cache.call("remove", () => tier.remove(header.key, generation))

    /** Runs however the put has ended, since one that was stopped may have landed too. */
    const settle = Effect.suspend(() => {
      isOver = true
      lane.close()
      const since = activity
      return Effect.ensuring(
        since !== undefined && (tee.isAborted || floors.discards(header, since))
          ? Effect.catch(dropAgain(header.generation), () =>
              repairs.begin(cache, header.key.text, header.generation, dropAgain)
            )
          : Effect.void,
        Effect.sync(() => {
          if (since !== undefined) activities.end(since)
          tee.onEnd()
        })
      )
    })

    const count = (write: Write): void => {
      if (write._tag === "Declined") counters.declined[write.why] += 1
      if (write._tag !== "Stored") return
      counters.stored += 1
      counters.promoted += 1
    }

    const body = onlyOnce(tier.name, header.size, lane.chunks)
    fiber = yield* Policy.unguarded(tier.name)("put", () => tier.put({ header, body })).pipe(
      Effect.raceFirst(overdue),
      Effect.matchEffect({
        onFailure: (error) => notKept(error.message),
        onSuccess: (write) => Effect.sync(() => count(write))
      }),
      Effect.onExit(() => settle),
      Effect.forkIn(scope, { startImmediately: true })
    )
    return { offer, giveUp }
  })

/** Lets the reader wait for `moved`, as long as its patience lasts. */
const heldUp = (tee: Common, moved: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.clockWith((clock) => {
    const began = clock.monotonicTimeNanosUnsafe()
    return Effect.ensuring(
      Effect.timeoutOption(moved, tee.patience),
      Effect.sync(() => (tee.patience -= Number(clock.monotonicTimeNanosUnsafe() - began) / 1e6))
    )
  })

/** The body of a put: what a reader passes by cannot be read twice, or in parts. */
const onlyOnce = (tier: string, size: number, chunks: Stream.Stream<Uint8Array, TierError>): Body.Streamed => {
  let isOpened = false
  return Body.streamed(size, (range) =>
    Stream.suspend(() => {
      if (isOpened || !isWhole(size, range)) {
        const reason = new Unsupported({ capability: "a second reading of a body that is being copied" })
        return Stream.fail(new TierError({ tier, operation: "open", reason }))
      }
      isOpened = true
      return chunks
    })
  )
}
