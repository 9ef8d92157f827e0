/**
 * Reads uploads within a limit each and a budget for all of them together.
 *
 * Bytes are taken from the budget before they are read and given back when the request ends, so the memory that uploads
 * in flight take is bounded however many clients send at once.
 */
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Problem from "./Problem.ts"

interface Waiting {
  readonly bytes: number
  readonly granted: Deferred.Deferred<void>
}

/** Bytes that requests hold together. */
export class Budget {
  private free: number
  /** First come, first served. */
  private readonly waiting = new Set<Waiting>()

  constructor(maxBytes: number) {
    this.free = maxBytes
  }

  /** Takes bytes until the scope closes; `busy` if there are not enough. */
  take(bytes: number): Effect.Effect<void, Problem.Problem, Scope.Scope> {
    return Effect.suspend(() => {
      if (bytes > this.free) return Effect.fail(tooMany())
      this.free -= bytes
      return Effect.addFinalizer(() => Effect.sync(() => this.giveBack(bytes)))
    })
  }

  /** As `take`, but waits for its turn; `busy` if it does not come in time, or if too many wait already. */
  takeInTurn(
    bytes: number,
    { patience, maxWaiting }: { readonly patience: Duration.Input; readonly maxWaiting: number }
  ): Effect.Effect<void, Problem.Problem, Scope.Scope> {
    return Effect.suspend(() => {
      if (this.waiting.size >= maxWaiting) return Effect.fail(tooMany())
      const own: Waiting = { bytes, granted: Deferred.makeUnsafe() }
      const join = Effect.sync(() => {
        this.waiting.add(own)
        this.serve()
      })
      const leave = Effect.sync(() => {
        if (this.waiting.delete(own)) this.serve()
        else this.giveBack(bytes)
      })
      return Effect.acquireRelease(join, () => leave).pipe(
        Effect.andThen(
          Effect.timeoutOrElse(Deferred.await(own.granted), {
            duration: patience,
            orElse: () => Effect.fail(tooMany())
          })
        )
      )
    })
  }

  private giveBack(bytes: number): void {
    this.free += bytes
    this.serve()
  }

  private serve(): void {
    for (const next of this.waiting) {
      if (next.bytes > this.free) return
      this.waiting.delete(next)
      this.free -= next.bytes
      Deferred.doneUnsafe(next.granted, Effect.void)
    }
  }
}

const tooMany = () => Problem.of("busy", "too many uploads are in flight: try again later")

export interface Options {
  /** Largest body. */
  readonly maxBytes: number
  readonly budget: Budget
  /** What a byte of the body costs of the budget, with what is made of it. */
  readonly weight: number
}

/** Bodies without a length are charged in runs of this many bytes as they arrive. */
const runBytes = 1_048_576

/**
 * Reads the whole body.
 *
 * Behavior:
 * - a declared length above `maxBytes` is `too-large` before anything is read; so is a body that turns out longer.
 * - `busy` if the budget does not allow it; a body that breaks off is `invalid-upload`.
 */
export const read = (
  request: HttpServerRequest,
  options: Options
): Effect.Effect<Uint8Array, Problem.Problem, Scope.Scope> =>
  Effect.suspend(() => {
    const declared = request.headers["content-length"]
    if (declared === undefined) return readUnknown(request, options)
    const length = Number(declared)
    if (length > options.maxBytes) return Effect.fail(tooLarge(length, options.maxBytes))
    return Effect.andThen(options.budget.take(length * options.weight), readKnown(request, length))
  })

/** Into one buffer of the declared length, which the HTTP parser holds the client to. */
const readKnown = (request: HttpServerRequest, length: number): Effect.Effect<Uint8Array, Problem.Problem> =>
  Effect.suspend(() => {
    const bytes = Buffer.allocUnsafeSlow(length)
    let size = 0
    return Effect.flatMap(
      Stream.runForEach(request.stream, (run) =>
        Effect.sync(() => {
          bytes.set(run, size)
          size += run.byteLength
        })
      ).pipe(Effect.mapError(brokenOff)),
      () => (size === length ? Effect.succeed(bytes) : Effect.fail(brokenOff()))
    )
  })

/** In runs, each charged as it arrives, and once more for joining them. */
const readUnknown = (
  request: HttpServerRequest,
  options: Options
): Effect.Effect<Uint8Array, Problem.Problem, Scope.Scope> =>
  Effect.suspend(() => {
    const runs: Array<Uint8Array> = []
    let size = 0
    let charged = 0
    return Stream.runForEach(Stream.mapError(request.stream, brokenOff), (run) =>
      Effect.suspend(() => {
        runs.push(run)
        size += run.byteLength
        if (size > options.maxBytes) return Effect.fail(tooLarge(size, options.maxBytes))
        if (size <= charged) return Effect.void
        charged += runBytes
        return options.budget.take(runBytes * (options.weight + 1))
      })
    ).pipe(Effect.map(() => Buffer.concat(runs, size)))
  })

const brokenOff = () => Problem.of("invalid-upload", "the body broke off before its end")

const tooLarge = (bytes: number, maxBytes: number) =>
  Problem.of("too-large", `the body takes ${bytes} bytes or more: expected at most ${maxBytes}`, {
    connection: "close"
  })
