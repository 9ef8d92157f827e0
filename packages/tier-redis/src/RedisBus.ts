/**
 * Carries invalidations between nodes by Redis' pub/sub, on one server or a cluster.
 *
 * Redis keeps no message for who is not there. So a subscriber that was away, and one that misses a number of a publisher,
 * says `Gap`: from then on the chain compares its copies. Messages make nodes notice early; that they notice at all, their
 * chains' `revalidateAfter` sees to.
 */
import { type Bus, BusError, type Invalidation } from "@terrace/core/Bus"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Cluster, Redis } from "ioredis"
import { randomBytes } from "node:crypto"
import { Fanout } from "./internal/Fanout.ts"
import { Gate } from "./internal/Gate.ts"
import * as Layout from "./internal/Layout.ts"
import * as Message from "./internal/Message.ts"
import { Sequences } from "./internal/Sequences.ts"
import * as Subscription from "./internal/Subscription.ts"
import { RedisConnection } from "./RedisConnection.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export interface Options {
  /** The channel is `<prefix>:bus`: the same on every node. Default: `terrace`. */
  readonly prefix?: string | undefined
  /** Events that one chain may leave unread; past that it is told of a gap. Default: 10,000. */
  readonly maxUnread?: number | undefined
  /** How often other nodes are told the number of the last message. Default: 5 seconds. */
  readonly aliveEvery?: Duration.Input | undefined
}

/** What a bus has done since it was built. */
export interface Stats {
  /** Invalidations that Redis has taken. */
  readonly published: number
  /** Invalidations that it has not, or of which that is not known. */
  readonly failed: number
  /** Invalidations of other nodes. */
  readonly received: number
  /** Gaps that were told. */
  readonly gaps: number
  /** Messages of others that are none of ours, or of a later version; ignored. */
  readonly foreign: number
}

export interface Messages extends Bus {
  /** Whether messages of other nodes are received now. */
  readonly isListening: () => boolean
  readonly stats: Effect.Effect<Stats>
}

export class RedisBus extends Context.Service<RedisBus, Messages>()("@terrace/tier-redis/RedisBus") {}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/** Messages that Redis has not answered yet; above, `publish` fails. */
const maxUnderWay = 1_000

/**
 * Builds a bus on the connection, and a connection of its own to listen.
 *
 * Behavior:
 * - `publish` fails with `BusError` if Redis does not take the message, at once if there is no connection. Others see that
 *   its number is missing, and say `Gap`.
 * - `events` are those of other nodes. They begin with a `Gap`, and have one each time that listening begins (at the
 *   start, and after every break), when a number of a publisher is missing, and when the reader was too slow.
 * - what is published through this bus is not among its events: chains of one process over the same store take a bus each.
 * - dies with a `RangeError` that names the option if one is out of range.
 */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<Messages, never, RedisConnection | Scope.Scope> {
  const { aliveEvery, channel, maxUnread } = yield* Effect.sync(() => checked(options))
  const connection = yield* RedisConnection
  const publisher = randomBytes(12).toString("base64url")
  const fanout = new Fanout(maxUnread)
  const sequences = new Sequences()
  const gate = new Gate(maxUnderWay)
  const stats = { published: 0, failed: 0, received: 0, gaps: 0, foreign: 0 }
  const firstForeign = Deferred.makeUnsafe<string>()
  let isListening = false
  let sequence = 0

  const gap = () => {
    stats.gaps++
    fanout.emit({ _tag: "Gap" })
  }
  const receive = (text: string) => {
    const message = Option.getOrUndefined(Message.decode(text))
    if (message === undefined) {
      stats.foreign++
      Deferred.doneUnsafe(firstForeign, Effect.succeed(text))
      return
    }
    if (message.publisher === publisher) return
    const isAlive = message.t === "alive"
    if (sequences.missed(message.publisher, message.sequence, isAlive ? (message.failed ?? 0) : undefined)) gap()
    if (isAlive) return
    stats.received++
    const { chain, generation, group, name } = message
    fanout.emit({ _tag: "Invalidation", chain, group, name, generation })
  }
  yield* Effect.forkScoped(Effect.flatMap(Deferred.await(firstForeign), (text) => logForeign(channel, text)))
  yield* Effect.forkScoped(
    Subscription.listen(connection, {
      channel,
      onMessage: receive,
      onBegin: () => {
        isListening = true
        sequences.forgetAll()
        gap()
      },
      onEnd: () => (isListening = false)
    })
  )

  const sign = connection.send((client) => tell(client, channel, Message.alive(publisher, sequence, stats.failed)))
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.ignore(sign), Effect.sleep(aliveEvery))))

  const publish = (invalidation: Invalidation): Effect.Effect<void, BusError> =>
    Effect.suspend(() => {
      let isNumbered = false
      // Numbered and sent without a step between: the numbers are in the order of the messages.
      const send = async (client: Redis | Cluster): Promise<boolean> => {
        if (!gate.enter(1)) return false
        isNumbered = true
        try {
          await tell(client, channel, Message.invalidation(publisher, ++sequence, invalidation))
          return true
        } finally {
          gate.leave(1)
        }
      }
      return connection.send(send).pipe(
        Effect.mapError((reason) => new BusError({ cause: "cause" in reason ? reason.cause : reason })),
        Effect.flatMap((isTaken) => (isTaken ? Effect.void : Effect.fail(tooMany))),
        Effect.onExit(({ _tag }) =>
          Effect.sync(() => {
            if (_tag === "Success") stats.published++
            else stats.failed++
            // What was not sent is missed by the others, and they are to notice.
            if (!isNumbered) sequence++
          })
        )
      )
    })

  return {
    publish,
    events: fanout.events,
    isListening: () => isListening,
    stats: Effect.sync(() => ({ ...stats }))
  }
})

/** Provides `RedisBus`; see `make`. */
export const layer = (options?: Options): Layer.Layer<RedisBus, never, RedisConnection> =>
  Layer.effect(RedisBus, make(options))

/** Once: whoever sends one sends more. */
const logForeign = (channel: string, text: string) =>
  Effect.logWarning(
    `a message on ${channel} is none of this version, and so are ignored: ${JSON.stringify(text.slice(0, 100))}`
  )

const tooMany = new BusError({ cause: new Error(`${maxUnderWay} messages are under way to Redis`) })

/**
 * A cluster takes a message at any node, and passes it on to all. A script is sent to the node that has its key: there the
 * messages of a publisher stay in order.
 */
const tell = async (client: Redis | Cluster, channel: string, text: string): Promise<void> => {
  if (client.isCluster) await client.eval("return redis.call('PUBLISH', KEYS[1], ARGV[1])", 1, channel, text)
  else await client.publish(channel, text)
}

const checked = ({ aliveEvery = "5 seconds", maxUnread = 10_000, prefix = "terrace" }: Options) => {
  Layout.checkPrefix(prefix)
  if (!Number.isInteger(maxUnread) || maxUnread < 1) {
    throw new RangeError(`maxUnread is ${maxUnread}: expected a whole number from 1 on, for example 10000`)
  }
  const duration = Duration.fromInputUnsafe(aliveEvery)
  if (!(Duration.toMillis(duration) >= 1)) {
    throw new RangeError(
      `aliveEvery is ${Duration.toMillis(duration)} ms: expected at least 1, for example "5 seconds"`
    )
  }
  return { aliveEvery: duration, maxUnread, channel: `${prefix}:bus` }
}
