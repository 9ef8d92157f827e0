/** A real Redis for these tests, what is under test on it, and a client that no code under test uses. */
import * as Catalog from "@terrace/legacy-base64/Catalog"
import * as Records from "@terrace/legacy-base64/Records"
import * as RedisServer from "@terrace/testkit/RedisServer"
import * as RedisConnection from "@terrace/tier-redis/RedisConnection"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { Redis } from "ioredis"

/** A client beside the one under test. */
export const clientOf = ({ host, port }: { readonly host: string; readonly port: number }) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const client = new Redis({ host, port })
      client.on("error", () => undefined)
      return client
    }),
    (client) => Effect.sync(() => client.disconnect())
  )

export class Admin extends Context.Service<Admin, Redis>()("@terrace/legacy-base64/test/Admin") {}

/** One server, a connection to it, and a client beside. */
export const serverLayer = Layer.mergeAll(
  Layer.effect(Admin, Effect.flatMap(RedisServer.RedisServer, clientOf)),
  Layer.unwrap(Effect.map(RedisServer.RedisServer, ({ url }) => RedisConnection.layer({ url, required: true })))
).pipe(Layer.provideMerge(RedisServer.layer({ config: { save: "" } })))

/** The same, and what is under test with its defaults. */
export const layer = Layer.provideMerge(Layer.mergeAll(Records.layer(), Catalog.layer()), serverLayer)

/** Records on a connection of their own. */
export const recordsAt = (connection: RedisConnection.Options, options?: Records.Options) =>
  Effect.flatMap(RedisConnection.make(connection), (opened) =>
    Effect.provideService(Records.make(options), RedisConnection.RedisConnection, opened)
  )

export const call = (client: Redis, command: string, ...args: ReadonlyArray<string | number | Buffer>) =>
  Effect.promise(() => client.call(command, ...args))

/** The value of a key, and the Unix millisecond in which it expires; -1: never. */
export const valueOf = Effect.fnUntraced(function* (client: Redis, key: string) {
  const value = yield* Effect.promise(() => client.getBuffer(key))
  return { value: value?.toString("latin1"), expiresAt: yield* call(client, "PEXPIRETIME", key) }
})

/** Asks, by the machine's time, until it is so; the time limit of the test bounds it. */
export const until = <E, R>(isSo: Effect.Effect<boolean, E, R>) =>
  Effect.repeat(isSo, { until: (answer) => answer, schedule: Schedule.spaced("5 millis") })
