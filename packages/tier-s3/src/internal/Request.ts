/**
 * Sends one request and uses its answer.
 *
 * Each one waits for its turn, then has `requestTimeout`. Whatever becomes of it, its connection is free afterwards or
 * closed. The SDK does not try again: how often that happens is for the policy of the chain to say.
 *
 * A request that changes something is different. Once it is on its way, breaking it off would leave open whether it still
 * takes effect, perhaps after newer ones. So it cannot be interrupted: who interrupts its caller waits for the answer, or
 * for the end of its time.
 */
import type { S3Client } from "@aws-sdk/client-s3"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Connection } from "./Bucket.ts"
import { type Failure, from, isBroken, isStatus } from "./Failure.ts"

/** Calls the SDK. */
export type Send<R> = (client: S3Client, options: { readonly abortSignal: AbortSignal }) => Promise<R>

/** Runs a promise of the SDK or of a body. */
export const promised = <A>({ settings }: Connection, run: () => Promise<A>): Effect.Effect<A, Failure> =>
  Effect.tryPromise({ try: run, catch: (thrown) => from(thrown, settings.connectMillis) })

/** Fails if the effect takes longer than a request may. */
export const inTime = <A, R>(
  { settings }: Connection,
  effect: Effect.Effect<A, Failure, R>
): Effect.Effect<A, Failure, R> =>
  Effect.timeoutOrElse(effect, {
    duration: settings.requestTimeout,
    orElse: () => Effect.fail<Failure>({ _tag: "TimedOut", millis: Duration.toMillis(settings.requestTimeout) })
  })

/** How often a reader may be told that the object was replaced in front of it. */
const maxRaces = 10

/**
 * Sends what changes nothing, and sends it again in two cases where the server cannot be said to have answered: a
 * connection from the pool turns out to have been closed by the server while it lay idle; Ceph answers 409 to a read whose
 * object is replaced at that moment.
 */
const sent = <R>(connection: Connection, send: Send<R>, signal: AbortSignal): Effect.Effect<R, Failure> =>
  promised(connection, () => send(connection.client, { abortSignal: signal })).pipe(
    Effect.retry({ times: 1, while: isBroken }),
    Effect.retry({ times: maxRaces, while: (failure) => isStatus(failure, 409) })
  )

/** Asks for something and reads the answer within `use`. Interruption breaks it off. */
export const ask = <R, A>(
  connection: Connection,
  send: Send<R>,
  use: (answer: R) => Effect.Effect<A, Failure>
): Effect.Effect<A, Failure> =>
  connection.calls.within(
    inTime(
      connection,
      aborting((signal) => Effect.flatMap(sent(connection, send, signal), use))
    )
  )

/** Asks for something whose answer has no body to read. */
export const tell = <R>(connection: Connection, send: Send<R>): Effect.Effect<R, Failure> =>
  ask(connection, send, Effect.succeed)

/** Changes something. It goes on to its end, at most `requestTimeout`. */
export const change = <R>(connection: Connection, send: Send<R>): Effect.Effect<R, Failure> =>
  connection.calls.within(cleanUp(connection, send))

/** Changes something, without waiting for a turn: for what must not be turned away. */
export const cleanUp = <R>(connection: Connection, send: Send<R>): Effect.Effect<R, Failure> =>
  Effect.uninterruptible(
    inTime(
      connection,
      Effect.interruptible(
        aborting((signal) => promised(connection, () => send(connection.client, { abortSignal: signal })))
      )
    )
  )

/** Asks for something whose body is read until the scope ends. */
export const open = <R>(connection: Connection, send: Send<R>): Effect.Effect<R, Failure, Scope.Scope> =>
  Effect.flatMap(Effect.acquireRelease(controller, abort), ({ signal }) =>
    inTime(connection, sent(connection, send, signal))
  )

const controller = Effect.sync(() => new AbortController())

/** Ends a request that is under way, or a body that was not read to its end; later than that it does nothing. */
const abort = (self: AbortController): Effect.Effect<void> => Effect.sync(() => self.abort())

const aborting = <A>(use: (signal: AbortSignal) => Effect.Effect<A, Failure>): Effect.Effect<A, Failure> =>
  Effect.acquireUseRelease(controller, ({ signal }) => use(signal), abort)
