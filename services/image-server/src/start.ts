/**
 * Runs the server until a signal ends it. A start that fails says why in one line for each reason.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Data from "effect/Data"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Runtime from "effect/Runtime"
import * as NodeServer from "./NodeServer.ts"
import * as Server from "./Server.ts"
import * as ServerConfig from "./ServerConfig.ts"

/** Ends the process with code 1; what there is to say has been said. */
class Stopped extends Data.TaggedError("Stopped") {
  override readonly [Runtime.errorReported] = false
}

const program = Effect.gen(function* () {
  const config = yield* ServerConfig.load
  for (const name of ServerConfig.unknownNames(Object.keys(process.env))) {
    yield* Effect.logWarning(`${name} is no setting of this server`)
  }
  const node = yield* NodeServer.make
  yield* Layer.build(Layer.provide(Server.layer(config, node), NodeFileSystem.layer))
  yield* node.stopping
  return yield* Effect.never
}).pipe(Effect.scoped)

const cannotStart = (reasons: ReadonlyArray<string>) =>
  Effect.andThen(
    Effect.forEach(reasons, (reason) => Effect.logFatal(reason)),
    Effect.fail(new Stopped())
  )

program.pipe(
  Effect.catchTags({
    InvalidConfig: (error) => cannotStart(error.problems),
    StartError: (error) => cannotStart([error.message]),
    ServeError: (error) => cannotStart([`cannot listen: ${String(error.cause)}`])
  }),
  Effect.onExit((exit) =>
    Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? Effect.logInfo("stopped") : Effect.void
  ),
  Effect.provide(Logger.layer([Logger.consoleLogFmt])),
  NodeRuntime.runMain({
    // A signal is the usual way to end the server: what it interrupts has ended well.
    teardown: (exit, end) => end(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1)
  })
)
