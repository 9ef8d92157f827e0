/**
 * Copies a stream into caches while a reader reads it, so that promotion costs no second read.
 *
 * Idea. Each cache gets a put of its own whose body is a short queue that the reader's chunks go through. A cache makes a
 * blob visible only after its whole length and digest were seen, so whatever ends early leaves nothing behind: the
 * reader leaves, the source fails, a floor is raised, the cache cannot keep up.
 *
 * Invariants. The reader is never failed by a cache, and held up by all of them for at most `patience` in all. At most
 * `chunks` chunks wait for a cache. The last bytes are handed over as an activity, after a look at the floors, and the
 * floors are looked at again once the copy is there.
 */
import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as Body from "../Body.ts"
import type { Activity } from "../Floor.ts"
import type { Generation } from "../Generation.ts"
import type { Header } from "../Header.ts"
import * as Policy from "../Policy.ts"
import type { Write } from "../Tier.ts"
import type { TierError } from "../TierError.ts"
import type { Member } from "./member.ts"
import type { State } from "./state.ts"
import type { Tee } from "./Tees.ts"

/** Chunks that may wait for a cache. */
const chunks = 4

/** What a tee is counted for against the bytes that may be held; tiers deliver chunks of at most 1 MiB. */
const buffer = chunks * Body.inlineBelow

/** How long the caches may hold up the reader, all its waits together. */
const patience = Duration.seconds(1)

/** Time for a cache to commit what it has seen the whole of. */
const commitWithin = Duration.seconds(30)

/** The stream, copied into `into` if nothing speaks against it when it is opened. */
export const tee = (
  state: State,
  header: Header,
  source: Stream.Stream<Uint8Array, TierError>,
  into: ReadonlyArray<Member>
): Stream.Stream<Uint8Array, TierError> =>
  Stream.suspend(() => {
    const { activities, floors, tees } = state
    const isUnwanted =
      activities.closed ||
      tees.has(header.key) ||
      floors.discards(header) ||
      state.heldBytes + buffer * into.length > state.maxHeldBytes
    return isUnwanted
      ? source
      : Stream.unwrap(
          Effect.map(
            Effect.acquireRelease(begin(state, header, into), (running) => Effect.sync(() => running.abort())),
            (running) => Stream.tap(source, running.feed)
          )
        )
  })

interface Running extends Tee {
  readonly feed: (chunk: Uint8Array) => Effect.Effect<void>
}

const begin = (state: State, header: Header, into: ReadonlyArray<Member>): Effect.Effect<Running> =>
  Effect.suspend(() => {
    let branches: ReadonlyArray<Branch> = []
    let unfinished = into.length
    let seen = 0
    let patienceLeft = Duration.toMillis(patience)
    const held = buffer * into.length
    state.heldBytes += held

    const offer = (branch: Branch, chunk: Uint8Array): Effect.Effect<void> => {
      if (branch.isOver() || Queue.offerUnsafe(branch.queue, chunk)) return Effect.void
      return Effect.clockWith((clock) => {
        const began = clock.currentTimeMillisUnsafe()
        return Effect.map(Effect.timeoutOption(Queue.offer(branch.queue, chunk), patienceLeft), (offered) => {
          patienceLeft = Math.max(0, patienceLeft - (clock.currentTimeMillisUnsafe() - began))
          if (Option.isNone(offered)) branch.abort()
        })
      })
    }

    const running: Running = {
      key: header.key,
      abort: () => {
        for (const branch of branches) branch.abort()
      },
      feed: (chunk) =>
        Effect.suspend(() => {
          seen += chunk.byteLength
          const isLast = seen >= header.size
          if (isLast) for (const branch of branches) branch.commit()
          return Effect.andThen(
            Effect.forEach(branches, (branch) => offer(branch, chunk), { discard: true }),
            Effect.sync(() => {
              if (isLast) for (const branch of branches) Queue.endUnsafe(branch.queue)
            })
          )
        })
    }
    const onEnd = () => {
      unfinished -= 1
      if (unfinished > 0) return
      state.heldBytes -= held
      state.tees.delete(running)
    }
    state.tees.add(running)
    return Effect.map(
      Effect.forEach(into, (cache) => branchInto(state, cache, header, onEnd)),
      (made) => {
        branches = made
        return running
      }
    )
  })

// -----------------------------------------------------------------------------
// One cache
// -----------------------------------------------------------------------------

interface Branch {
  readonly queue: Queue.Queue<Uint8Array, TierError | Cause.Done>
  readonly isOver: () => boolean
  /** The last bytes come: from now on floors wait for it, and it is not aborted any more but bounded in time. */
  readonly commit: () => void
  /** Before the last bytes: nothing is kept. */
  readonly abort: () => void
}

const branchInto = (state: State, cache: Member, header: Header, onEnd: () => void): Effect.Effect<Branch> =>
  Effect.gen(function* () {
    const { activities, floors, repairs, scope } = state
    const { counters, tier } = cache
    const queue = yield* Queue.bounded<Uint8Array, TierError | Cause.Done>(chunks)
    const committing = Deferred.makeUnsafe<void>()
    let activity: Activity | undefined
    let isOver = false

    const dropAgain = (generation: Generation) => cache.call("remove", () => tier.remove(header.key, generation))

    /** Runs however the put has ended, since one that was stopped may have landed too. */
    const settle = Effect.suspend(() => {
      isOver = true
      const since = activity
      return Effect.ensuring(
        since !== undefined && floors.discards(header, since)
          ? Effect.catch(dropAgain(header.generation), () =>
              repairs.begin(cache, header.key.text, header.generation, dropAgain)
            )
          : Effect.void,
        Effect.sync(() => {
          if (since !== undefined) activities.end(since)
          Queue.shutdownUnsafe(queue)
          onEnd()
        })
      )
    })

    const count = (write: Write): void => {
      if (write._tag === "Declined") counters.declined[write.why] += 1
      if (write._tag !== "Stored") return
      counters.stored += 1
      counters.promoted += 1
    }

    const body = Body.streamed(header.size, () => Stream.fromQueue(queue))
    const fiber = yield* Policy.unguarded(tier.name)("put", () => tier.put({ header, body })).pipe(
      Effect.matchEffect({
        onFailure: (error) => {
          counters.writeFailed += 1
          return Effect.logDebug(`copy not kept tier=${tier.name} key=${header.key.text}`, error.message)
        },
        onSuccess: (write) => Effect.sync(() => count(write))
      }),
      Effect.onExit(() => settle),
      Effect.forkIn(scope, { startImmediately: true })
    )
    yield* Effect.andThen(Deferred.await(committing), Effect.sleep(commitWithin)).pipe(
      Effect.raceFirst(Fiber.await(fiber)),
      Effect.andThen(Effect.sync(() => fiber.interruptUnsafe())),
      Effect.forkIn(scope, { startImmediately: true })
    )

    const abort = () => {
      if (isOver || activity !== undefined) return
      isOver = true
      fiber.interruptUnsafe()
    }
    return {
      queue,
      isOver: () => isOver,
      commit: () => {
        if (isOver) return
        if (floors.discards(header)) return abort()
        activity = activities.begin()
        Deferred.doneUnsafe(committing, Effect.void)
      },
      abort
    }
  })
