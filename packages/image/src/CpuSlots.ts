/**
 * Bounded slots and a bounded queue for work that runs on libuv's threads.
 *
 * Idea: a native call cannot be stopped. Interrupting the fiber that waits for it stops only the waiting, so a permit
 * tied to the fiber would let more native calls run than there are threads, and they would starve file reads and DNS.
 * Here a slot belongs to the promise of the job, and only its settling frees it.
 *
 * Invariants: `running <= slots`; a job waits only while all slots are taken; waiters start in order of arrival; a
 * waiter that is interrupted leaves the queue and never starts. A job whose promise never settles keeps its slot for
 * ever: `usage` shows it.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { availableParallelism } from "node:os"
import * as ImageError from "./ImageError.ts"

export interface Options {
  /**
   * Jobs that run at a time, at least 1. Default: the number of cores, but no more than libuv's threads less two, and
   * at least 1. The two are left to file reads and DNS. libuv has 4 threads unless `UV_THREADPOOL_SIZE` says otherwise;
   * set that to the number of cores plus 4 before the process starts.
   */
  readonly slots?: number | undefined
  /** Jobs that may wait for a slot; 0 for none. Default 64. */
  readonly queue?: number | undefined
  /** Milliseconds that a job may wait for a slot before it fails with `Busy`. Default 10,000. */
  readonly queueMillis?: number | undefined
}

export interface Usage {
  readonly slots: number
  /** Slots taken, also by jobs that nobody waits for any more. */
  readonly running: number
  readonly queued: number
}

export interface Job<A> {
  /** Starts the work. The signal aborts when nobody waits for the result any more: begin no further step then. */
  readonly run: (signal: AbortSignal) => Promise<A>
  /** Turns a rejection into the error of `run`. */
  readonly onError: (cause: unknown) => ImageError.ImageError
  /** Milliseconds from its start after which the caller gets `TimedOut`. The slot stays taken until `run` settles. */
  readonly millis: number
}

export interface CpuSlots {
  /**
   * Runs a job in a slot.
   *
   * **Behavior**
   *
   * - Starts at once if a slot is free, else waits in order of arrival.
   * - Fails with `Busy` if the queue is full, or if no slot came free within `queueMillis`; the job was not started.
   * - Fails with `TimedOut` after the job's `millis`; interruption and time-outs return at once.
   * - Keeps the slot until the job's promise has settled, whatever became of the caller.
   */
  readonly run: <A>(job: Job<A>) => Effect.Effect<A, ImageError.ImageError>
  readonly usage: Effect.Effect<Usage>
}

/** The default of `Options.slots`, for `cores` and the value of `UV_THREADPOOL_SIZE`. */
export const defaultSlots = (cores: number, threadpoolSize: string | undefined): number => {
  const threads = Number.parseInt(threadpoolSize ?? "", 10)
  return Math.max(1, Math.min(cores, (threads > 0 ? threads : 4) - 2))
}

const timedOut = (millis: number) => ({
  duration: millis,
  orElse: () => Effect.fail(ImageError.of(new ImageError.TimedOut({ millis })))
})

/** Makes slots of their own; share one value among all work that should share the bound. */
export const make = (options: Options = {}): CpuSlots => {
  const slots = options.slots ?? defaultSlots(availableParallelism(), process.env["UV_THREADPOOL_SIZE"])
  const { queue = 64, queueMillis = 10_000 } = options
  // A Set keeps order of arrival and removes an interrupted waiter in constant time.
  const waiting = new Set<() => void>()
  let running = 0

  const release = (): void => {
    running--
    for (const start of waiting) {
      waiting.delete(start)
      return start()
    }
  }

  const busy = Effect.sync(() => ImageError.of(new ImageError.Busy({ queued: waiting.size }))).pipe(
    Effect.flatMap(Effect.fail)
  )

  const enqueue = <A>(job: Job<A>) => {
    const started = Deferred.makeUnsafe<void, ImageError.ImageError>()
    const result = Deferred.makeUnsafe<A, ImageError.ImageError>()
    const controller = new AbortController()
    const settle = (outcome: Effect.Effect<A, ImageError.ImageError>): void => {
      // The slot is free before anyone learns of the result, so that whoever acts on it finds it free.
      release()
      Deferred.doneUnsafe(result, outcome)
    }
    const start = (): void => {
      running++
      Deferred.doneUnsafe(started, Effect.void)
      // The wrapper turns a synchronous throw into a rejection.
      void (async () => job.run(controller.signal))().then(
        (value) => settle(Effect.succeed(value)),
        (cause: unknown) => settle(Effect.fail(job.onError(cause)))
      )
    }
    if (running < slots) start()
    else if (waiting.size < queue) waiting.add(start)
    else Deferred.doneUnsafe(started, busy)
    const leave = (): void => {
      waiting.delete(start)
      controller.abort()
    }
    return { started, result, leave }
  }

  return {
    run: <A>(job: Job<A>) =>
      Effect.acquireUseRelease(
        Effect.sync(() => enqueue(job)),
        ({ started, result }) =>
          Deferred.await(started).pipe(
            Effect.timeoutOrElse({ duration: queueMillis, orElse: () => busy }),
            Effect.andThen(Deferred.await(result).pipe(Effect.timeoutOrElse(timedOut(job.millis))))
          ),
        ({ leave }) => Effect.sync(leave)
      ),
    usage: Effect.sync(() => ({ slots, running, queued: waiting.size }))
  }
}
