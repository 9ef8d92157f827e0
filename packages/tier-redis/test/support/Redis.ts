/** Real servers for these tests, and clients beside the one under test. */
import { assert } from "@effect/vitest"
import * as RedisServer from "@terrace/testkit/RedisServer"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import { Redis } from "ioredis"
import { randomUUID } from "node:crypto"
import { inspect } from "node:util"
import { afterAll } from "vitest"
import * as RedisConnection from "../../src/RedisConnection.ts"
import * as RedisTier from "../../src/RedisTier.ts"

/** What the layer builds, once for the whole test file. */
export const shared = <I, E>(layer: Layer.Layer<I, E>): Effect.Effect<Context.Context<I>, E> => {
  const scope = Scope.makeUnsafe()
  const memo = Layer.makeMemoMapUnsafe()
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)), 60_000)
  return Layer.buildWithMemoMap(layer, memo, scope)
}

/** One server for the whole test file. */
export const sharedServer = (options?: RedisServer.Options): Effect.Effect<RedisServer.Redis> => {
  const context = shared(RedisServer.layer(options))
  return Effect.orDie(Effect.provide(RedisServer.RedisServer, Layer.effectContext(context)))
}

/** Keys of this run and of nobody else. */
export const uniquePrefix = (): string => `test-${randomUUID().slice(0, 8)}`

/** A client that no code under test uses. */
export const clientOf = ({ password, host, port }: Pick<RedisServer.Redis, "host" | "port" | "password">) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const client = new Redis({ host, port, ...(password === undefined ? {} : { password }) })
      client.on("error", () => undefined)
      return client
    }),
    (client) => Effect.sync(() => client.disconnect())
  )

/** A tier on a connection of its own. */
export const tierAt = Effect.fnUntraced(function* (
  connection: RedisConnection.Options,
  options: RedisTier.Options = {}
) {
  const opened = yield* RedisConnection.make(connection)
  const prefix = options.prefix ?? uniquePrefix()
  const tier = yield* Effect.provideService(
    RedisTier.make({ ...options, prefix }),
    RedisConnection.RedisConnection,
    opened
  )
  return { connection: opened, prefix, tier }
})

/** Asks, by the machine's time, until the answer is right; fails after so many milliseconds. */
export const eventually = Effect.fnUntraced(function* <A, E, R>(
  what: string,
  ask: Effect.Effect<A, E, R>,
  is: (answer: A) => boolean,
  millis = 10_000
) {
  const until = performance.now() + millis
  let last = yield* ask
  while (!is(last)) {
    if (performance.now() > until) assert.fail(`${what}, after ${millis} ms: ${inspect(last).slice(0, 500)}`)
    yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    last = yield* ask
  }
  return last
})

/** Runs with a log that can be read. */
export const logged = <A, E, R>(run: (lines: ReadonlyArray<string>) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => {
      lines.push(String(message))
    })
    return Effect.provide(run(lines), Logger.layer([logger]))
  })
