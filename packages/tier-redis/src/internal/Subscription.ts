/**
 * Listens to one channel over a connection of its own, and again whenever that breaks.
 *
 * What is published while nobody listens is lost: whoever listens is told each time that it begins anew.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { Redis } from "ioredis"
import type { Connection } from "../RedisConnection.ts"
import { clean, textOf } from "./failures.ts"

export interface Listener {
  readonly channel: string
  readonly onMessage: (text: string) => void
  /** Messages are received from now on; what came before may have been missed. */
  readonly onBegin: () => void
  /** Messages are missed from now on. */
  readonly onEnd: () => void
}

/** Most milliseconds between two questions whether the server is there: who is owed nothing does not notice its end. */
const longestUnasked = 5_000

const shortestPause = 50
const longestPause = 2_000

/** Listens until it is interrupted. */
export const listen = (connection: Connection, listener: Listener): Effect.Effect<never> =>
  Effect.gen(function* () {
    let failures = 0
    let isLost = false
    while (true) {
      const begun = Effect.gen(function* () {
        failures = 0
        if (isLost) yield* Effect.logInfo(`redis at ${connection.address}: listens to ${listener.channel} again`)
        isLost = false
      })
      const end = yield* Effect.scoped(listenOnce(connection, listener, begun))
      if (!isLost) {
        yield* Effect.logWarning(`redis at ${connection.address}: cannot listen to ${listener.channel}: ${textOf(end)}`)
      }
      isLost = true
      yield* Effect.sleep(Math.min(longestPause, shortestPause * 2 ** failures++))
    }
  })

/** Connects, listens, and answers why it came to an end. */
const listenOnce = Effect.fnUntraced(function* (
  connection: Connection,
  { channel, onBegin, onEnd, onMessage }: Listener,
  begun: Effect.Effect<void>
) {
  const client = yield* Effect.acquireRelease(
    Effect.sync(() => connection.another()),
    (open) => Effect.sync(() => open.disconnect())
  )
  let trouble = new Error("the connection was closed")
  const ended = Deferred.makeUnsafe<Error>()
  client.on("error", (error) => (trouble = clean(error)))
  client.on("end", () =>
    Deferred.doneUnsafe(
      ended,
      Effect.sync(() => trouble)
    )
  )
  client.on("message", (from, text) => {
    if (from === channel) onMessage(text)
  })
  const subscribed = yield* Effect.result(
    Effect.tryPromise({
      try: async () => {
        await client.connect()
        await client.subscribe(channel)
      },
      catch: (cause) => (client.status === "ready" ? clean(cause) : trouble)
    })
  )
  if (subscribed._tag === "Failure") return subscribed.failure
  yield* Effect.addFinalizer(() => Effect.sync(onEnd))
  onBegin()
  yield* begun
  const askEvery = Math.min(longestUnasked, connection.silenceMillis)
  return yield* Effect.raceFirst(Deferred.await(ended), stayAlive(client, askEvery))
})

/** A server that does not answer is given up by the client after its `silenceTimeout`. */
const stayAlive = (client: Redis, askEvery: number): Effect.Effect<never> =>
  Effect.forever(Effect.andThen(Effect.sleep(askEvery), Effect.ignore(Effect.tryPromise(() => client.ping()))))
