/** Starts a Redis in a container, prints its port, and holds it until it is killed. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as RedisServer from "@terrace/testkit/RedisServer"
import * as Effect from "effect/Effect"

const program = Effect.gen(function* () {
  const { port } = yield* RedisServer.make()
  process.stdout.write(`${port}\n`)
  return yield* Effect.never
})

NodeRuntime.runMain(Effect.scoped(program))
