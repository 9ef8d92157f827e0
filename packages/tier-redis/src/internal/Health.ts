/**
 * What is known of a connection from its events, and the log of its outages: one line when one begins, one when it ends.
 */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { Client } from "./Client.ts"
import { textOf } from "./failures.ts"

export interface Health {
  /** What is wrong, as was last heard; undefined: nothing. */
  trouble: Error | undefined
  /** The server has no such database: ioredis would go on with database 0. */
  badDatabase: Error | undefined
  isClosed: boolean
  /** Logs outages from now on. */
  readonly log: Effect.Effect<void, never, Scope.Scope>
}

type Event = { readonly _tag: "Lost"; readonly trouble: Error } | { readonly _tag: "Ready" }

/** Events that are not logged yet. Older ones are dropped: the last tell how things are. */
const maxUnread = 16

/** Listens for as long as the scope. Errors of the client are heard here, so that none is without a listener. */
export const watch = Effect.fnUntraced(function* (
  client: Client,
  address: string
): Effect.fn.Return<Health, never, Scope.Scope> {
  const events = yield* Queue.sliding<Event>(maxUnread)
  const health: Health = {
    trouble: undefined,
    badDatabase: undefined,
    isClosed: false,
    log: Effect.suspend(() => {
      const isLost = client.status !== "ready"
      return Effect.andThen(Queue.clear(events), Effect.forkScoped(log(events, address, isLost)))
    })
  }
  const onError = (trouble: Error) => {
    health.trouble = trouble
    if (/^ERR (invalid DB index|DB index is out of range)/.test(trouble.message)) health.badDatabase = trouble
    Queue.offerUnsafe(events, { _tag: "Lost", trouble })
  }
  client.on("error", onError)
  client.on("node error", onError)
  client.on("connect", () => (health.badDatabase = undefined))
  client.on("ready", () => {
    health.trouble = health.badDatabase
    if (health.badDatabase === undefined) Queue.offerUnsafe(events, { _tag: "Ready" })
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => (health.isClosed = true)))
  return health
})

const log = Effect.fnUntraced(function* (events: Queue.Dequeue<Event>, address: string, wasLost: boolean) {
  let isLost = wasLost
  while (true) {
    const event = yield* Queue.take(events)
    if (event._tag === "Lost" && !isLost) {
      yield* Effect.logWarning(`redis at ${address}: no connection: ${textOf(event.trouble)}`)
    } else if (event._tag === "Ready" && isLost) {
      yield* Effect.logInfo(`redis at ${address}: connected again`)
    }
    isLost = event._tag === "Lost"
  }
})
