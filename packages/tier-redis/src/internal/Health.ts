/**
 * What is known of a connection from its events, and the log of its outages: one line when one begins, one when it ends.
 */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { Redis } from "ioredis"
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

/** `where`: the address of the connection, or that of one node of a cluster. */
type Event =
  | { readonly _tag: "Lost"; readonly where: string; readonly trouble: Error }
  | { readonly _tag: "Ready"; readonly where: string }

/** Events that are not logged yet. Older ones are dropped: the last tell how things are. */
const maxUnread = 64

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
      const lost = new Set(client.status === "ready" ? [] : [address])
      return Effect.andThen(Queue.clear(events), Effect.forkScoped(log(events, lost)))
    })
  }
  client.on("error", (trouble: Error) => {
    health.trouble = trouble
    if (/^ERR (invalid DB index|DB index is out of range)/.test(trouble.message)) health.badDatabase = trouble
    Queue.offerUnsafe(events, { _tag: "Lost", where: address, trouble })
  })
  client.on("connect", () => (health.badDatabase = undefined))
  client.on("ready", () => {
    health.trouble = health.badDatabase
    if (health.badDatabase === undefined) Queue.offerUnsafe(events, { _tag: "Ready", where: address })
  })
  client.on("node error", (trouble: Error, node: string) => {
    if (client.status === "ready") Queue.offerUnsafe(events, { _tag: "Lost", where: node, trouble })
    else health.trouble = trouble
  })
  client.on("+node", (node: Redis) => {
    const where = `${node.options.host}:${node.options.port}`
    node.once("ready", () => Queue.offerUnsafe(events, { _tag: "Ready", where }))
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => (health.isClosed = true)))
  return health
})

const log = Effect.fnUntraced(function* (events: Queue.Dequeue<Event>, lost: Set<string>) {
  while (true) {
    const event = yield* Queue.take(events)
    const { where } = event
    if (event._tag === "Ready") {
      if (lost.delete(where)) yield* Effect.logInfo(`redis at ${where}: connected again`)
    } else if (!lost.has(where)) {
      lost.add(where)
      yield* Effect.logWarning(`redis at ${where}: no connection: ${textOf(event.trouble)}`)
    }
  }
})
