/**
 * The command `terrace`: runs the server until a signal ends it. A start that fails says why in one line for each reason.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Load from "@terrace/config/Load"
import * as Settings from "@terrace/config/Settings"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Data from "effect/Data"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as CliConfig from "effect/cli/CliConfig"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import { readFileSync } from "node:fs"
import * as NodeServer from "./NodeServer.ts"
import * as Server from "./Server.ts"

/** Ends the process with code 1; what there is to say has been said. */
class Stopped extends Data.TaggedError("Stopped") {
  override readonly [Runtime.errorReported] = false
}

const serve = (file: string | undefined) =>
  Effect.gen(function* () {
    const environment = process.env
    const { deployment, variables } = yield* Load.load({ file, environment })
    for (const name of Settings.unknownNames(Object.keys(environment), variables)) {
      yield* Effect.logWarning(`${name} is no setting of this server`)
    }
    const node = yield* NodeServer.make
    yield* Layer.build(Server.layer(deployment, node))
    yield* node.stopping
    return yield* Effect.never
  }).pipe(Effect.scoped)

const cannotStart = (reasons: ReadonlyArray<string>) =>
  Effect.andThen(
    Effect.forEach(reasons, (reason) => Effect.logFatal(reason)),
    Effect.fail(new Stopped())
  )

const config = Flag.String("config").pipe(
  Flag.withAlias("c"),
  Flag.withMetavar("path"),
  Flag.withDescription(
    "File that describes the deployment, YAML or JSON. Without it, terrace.yaml, terrace.yml or terrace.json of the working directory, if there is one. TERRACE_* variables override it."
  ),
  Flag.optional
)

const terrace = Command.make("terrace", { config }, ({ config }) =>
  serve(Option.getOrUndefined(config)).pipe(
    Effect.catchTags({
      InvalidConfig: (error) => cannotStart(error.problems),
      StartError: (error) => cannotStart([error.message]),
      ServeError: (error) => cannotStart([`cannot listen: ${String(error.cause)}`])
    })
  )
).pipe(
  Command.withDescription("Serves images over HTTP."),
  Command.withExamples([{ command: "terrace --config terrace.yaml", description: "Serve what a file describes" }])
)

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  readonly version: string
}

/** What every command has but the wizard: there is one option to ask for. */
const cli = CliConfig.layer({
  builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions, GlobalFlag.LogLevel]
})

Command.run(terrace, { version }).pipe(
  Effect.onExit((exit) =>
    Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? Effect.logInfo("stopped") : Effect.void
  ),
  Effect.provide([NodeServices.layer, cli, Logger.layer([Logger.consoleLogFmt])]),
  NodeRuntime.runMain({
    // A signal is the usual way to end the server: what it interrupts has ended well.
    teardown: (exit, end) => end(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1)
  })
)
