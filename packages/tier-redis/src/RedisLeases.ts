/**
 * Leases in Redis: one node does what all would do at the same time, and the others are woken when it is done.
 *
 * They only save work. Without an answer of Redis everyone works alone, and nothing is wrong.
 */
import type { Leases, Subject, Work } from "@terrace/core/Leases"
import type { Reason } from "@terrace/core/TierError"
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import * as Layout from "./internal/Layout.ts"
import * as LeaseKeys from "./internal/LeaseKeys.ts"
import * as Script from "./internal/Script.ts"
import * as Subscription from "./internal/Subscription.ts"
import { Waiters } from "./internal/Waiters.ts"
import { RedisConnection } from "./RedisConnection.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export interface Options {
  /** Begins keys and channel; the same on every node. Default: `terrace`. */
  readonly prefix?: string | undefined
  /** How long a lease lives after its holder was last heard of. It is renewed three times as often. Default: 10 seconds. */
  readonly life?: Duration.Input | undefined
  /** How long a lease is renewed; whoever works longer may be overtaken. Default: 2 minutes. */
  readonly longestHold?: Duration.Input | undefined
  /** How long a caller waits for others before it works without a lease. Default: 30 seconds. */
  readonly patience?: Duration.Input | undefined
  /** How often a waiter asks for the lease if it hears nothing. Default: 1 second. */
  readonly askEvery?: Duration.Input | undefined
  /** How long Redis may take to answer before a caller works without a lease. Default: 500 ms. */
  readonly answerWithin?: Duration.Input | undefined
}

/** What was done since the leases were built, and what goes on. */
export interface Stats {
  /** Work done with a lease. */
  readonly held: number
  /** Work that was found done by another. */
  readonly found: number
  /** Work done without a lease: Redis did not answer, or patience came to its end. */
  readonly alone: number
  /** Callers that wait for the lease of another, now. */
  readonly waiting: number
}

export interface Lessor extends Leases {
  /** Whether waiters are woken now; otherwise they ask every `askEvery`. */
  readonly isListening: () => boolean
  readonly stats: Effect.Effect<Stats>
}

export class RedisLeases extends Context.Service<RedisLeases, Lessor>()("@terrace/tier-redis/RedisLeases") {}

/** What came of asking for a lease. */
type Answer =
  | { readonly _tag: "Held"; readonly token: string }
  /** Another has it, for so long if it is not renewed. */
  | { readonly _tag: "Taken"; readonly millis: number }
  | { readonly _tag: "None" }

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Builds leases on the connection, and a connection of its own to be woken by.
 *
 * Behavior:
 * - a lease is given back when its work ends, however it ends, behind the answer; whoever waits is woken by that. If the
 *   holder dies, the next one has it after `life`.
 * - a lease that came after its caller had left is given back, also over the next connection if the one that asked for it
 *   broke.
 * - dies with a `RangeError` that names the option if one is out of range.
 */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<Lessor, never, RedisConnection | Scope.Scope> {
  const settings = yield* Effect.sync(() => checked(options))
  const { answerWithin, askEvery, life, longestHold, patience, prefix } = settings
  const connection = yield* RedisConnection
  const scope = yield* Effect.scope
  const channel = LeaseKeys.channelOf(prefix)
  const waiters = new Waiters()
  const stats = { held: 0, found: 0, alone: 0, waiting: 0 }
  let isClosed = false
  let isListening = false
  let isWithout = false
  yield* Effect.addFinalizer(() => Effect.sync(() => (isClosed = true)))
  yield* Effect.forkScoped(
    Subscription.listen(connection, {
      channel,
      onMessage: (key) => waiters.wake(key),
      onBegin: () => {
        isListening = true
        waiters.wakeAll()
      },
      onEnd: () => (isListening = false)
    })
  )

  const run = (script: Script.Script, key: string, token: string, argument: string | number) =>
    connection.send((client) => Script.run(client, script, key, [token, argument]))

  /**
   * Behind the answer, and whoever leaves: the others are not to wait for nothing. Where Redis cannot be told now, it is
   * told later, for as long as the lease may live.
   */
  const release = (key: string, token: string): Effect.Effect<void> =>
    Effect.uninterruptible(run(LeaseKeys.release, key, token, channel)).pipe(
      Effect.retry({ schedule: Schedule.spaced(life / 40) }),
      Effect.timeoutOption(life),
      Effect.ignore,
      Effect.forkIn(scope, { startImmediately: true }),
      Effect.asVoid
    )

  const renewing = (key: string, token: string): Effect.Effect<void> =>
    Effect.sleep(life / 3).pipe(
      Effect.andThen(Effect.option(run(LeaseKeys.renew, key, token, life))),
      // No answer is no reason to give up: the next one may come in time.
      Effect.repeat({ while: (held) => Option.isNone(held) || held.value === 1 }),
      Effect.timeoutOption(longestHold),
      Effect.asVoid
    )

  /** Asks for the lease. To be run where it cannot be interrupted; while it waits it can, by `restore`. */
  const take = Effect.fnUntraced(function* (
    key: string,
    restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  ): Effect.fn.Return<Answer> {
    if (isClosed) return { _tag: "None" }
    const token = randomBytes(16).toString("base64url")
    const asking = yield* Effect.forkIn(run(LeaseKeys.take, key, token, life), scope, {
      startImmediately: true,
      uninterruptible: true
    })
    const answered = yield* Effect.exit(restore(Effect.timeoutOption(Fiber.await(asking), answerWithin)))
    if (answered._tag === "Success" && Option.isSome(answered.value)) {
      const exit = answered.value.value
      const left = exit._tag === "Success" ? Number(exit.value) : Number.NaN
      if (exit._tag === "Success") isWithout = false
      else {
        if (exit.cause.reasons.some(isUnknownOutcome)) yield* release(key, token)
        yield* without(exit.cause)
      }
      return left === -1 ? { _tag: "Held", token } : left >= 0 ? { _tag: "Taken", millis: left } : { _tag: "None" }
    }
    // Nobody waits for it any more.
    yield* Effect.forkIn(Effect.andThen(Fiber.await(asking), release(key, token)), scope)
    if (answered._tag === "Failure") return yield* Effect.failCause(answered.cause)
    yield* without(`no answer within ${answerWithin} ms`)
    return { _tag: "None" }
  })

  /** Logged once, until Redis answers again. */
  const without = (why: unknown): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (isWithout) return Effect.void
      isWithout = true
      return Effect.logWarning(`redis at ${connection.address}: no leases, every node does its own work`, why)
    })

  const waiting = <A>(wait: Effect.Effect<A>): Effect.Effect<A> =>
    Effect.acquireUseRelease(
      Effect.sync(() => stats.waiting++),
      () => wait,
      () => Effect.sync(() => stats.waiting--)
    )

  const alone = <A, E, R>({ make }: Work<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      stats.alone++
      return make
    })

  const found = <A, E, R>({ find }: Work<A, E, R>): Effect.Effect<Option.Option<A>, E, R> =>
    Effect.tap(find, (done) => Effect.sync(() => (stats.found += Option.isSome(done) ? 1 : 0)))

  /** What was not found, the holder makes. */
  const findOrMake = <A, E, R>(work: Work<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.flatMap(found(work), (done) => {
      if (Option.isSome(done)) return Effect.succeed(done.value)
      stats.held++
      return work.make
    })

  /** Does the work, and gives the lease back. */
  const holding = <A, E, R>(key: string, token: string, work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.acquireUseRelease(
      Effect.forkIn(renewing(key, token), scope),
      () => work,
      (renewal) => Effect.andThen(Fiber.interrupt(renewal), release(key, token))
    )

  const contend = <A, E, R>(
    key: string,
    work: Work<A, E, R>,
    sign: Effect.Effect<void>,
    until: number
  ): Effect.Effect<A, E, R> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(take(key, restore), (answer): Effect.Effect<A, E, R> => {
        if (answer._tag === "Held") return holding(key, answer.token, restore(findOrMake(work)))
        if (answer._tag === "None") return restore(alone(work))
        return restore(
          Effect.gen(function* () {
            const left = until - (yield* Clock.currentTimeMillis)
            // A lease that was not renewed ends by itself, and says nothing.
            const millis = Math.max(1, Math.min(left, askEvery, answer.millis + 1))
            const woken = yield* waiting(Effect.timeoutOption(sign, millis))
            const isOver = (yield* Clock.currentTimeMillis) >= until
            if (Option.isNone(woken) && !isOver) return yield* contend(key, work, sign, until)
            const done = yield* found(work)
            if (Option.isSome(done)) return done.value
            return yield* isOver ? alone(work) : contend(key, work, sign, until)
          })
        )
      })
    )

  return {
    withLease: <A, E, R>(subject: Subject, work: Work<A, E, R>) => {
      const key = LeaseKeys.keyOf(prefix, subject)
      return Effect.flatMap(Clock.currentTimeMillis, (now) =>
        waiters.during(key, (sign) => contend(key, work, sign, now + patience))
      )
    },
    isListening: () => isListening,
    stats: Effect.sync(() => ({ ...stats }))
  }
})

/** Whether Redis may have given the lease although nobody was told. */
const isUnknownOutcome = (reason: Cause.Reason<Reason>): boolean =>
  reason._tag === "Fail" && !(reason.error._tag === "Unavailable" && reason.error.noEffect === true)

/** Provides `RedisLeases`; see `make`. */
export const layer = (options?: Options): Layer.Layer<RedisLeases, never, RedisConnection> =>
  Layer.effect(RedisLeases, make(options))

const checked = (options: Options) => {
  const prefix = options.prefix ?? "terrace"
  Layout.checkPrefix(prefix)
  return {
    prefix,
    life: millis("life", options.life ?? "10 seconds", 30),
    longestHold: millis("longestHold", options.longestHold ?? "2 minutes", 1),
    patience: millis("patience", options.patience ?? "30 seconds", 0),
    askEvery: millis("askEvery", options.askEvery ?? "1 second", 1),
    answerWithin: millis("answerWithin", options.answerWithin ?? "500 millis", 1)
  }
}

const millis = (name: string, input: Duration.Input, atLeast: number): number => {
  const value = Math.round(Duration.toMillis(Duration.fromInputUnsafe(input)))
  if (Number.isSafeInteger(value) && value >= atLeast) return value
  throw new RangeError(`${name} is ${value} ms: expected at least ${atLeast}, for example "10 seconds"`)
}
