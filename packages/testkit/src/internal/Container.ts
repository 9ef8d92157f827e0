/**
 * A server in a container that lives as long as its scope, and can be made to fail.
 *
 * Its ports on the host are fixed, so that a client finds it again after a restart. They are drawn below the range from
 * which systems take ports for outgoing connections (32768 on Linux), and the engine judges whether they are free: it may
 * run on another machine.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { randomInt } from "node:crypto"
import { type ContainerError, Failed, NotReady } from "../ContainerError.ts"
import { owner, ownerLabel } from "./containerOwner.ts"
import { call, type Engine, engineWith, errorOf, type Handle, textOf } from "./engine.ts"
import { withLiveClock } from "./liveClock.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** What a test can do to a server. Each is done when its effect ends; doing it again changes nothing. */
export interface Control {
  /** Ends the server as an administrator does; clients are refused. */
  readonly stop: Effect.Effect<void, ContainerError>
  /** Starts it again, at the same port, and waits until it serves. */
  readonly start: Effect.Effect<void, ContainerError>
  /** `stop`, then `start`. */
  readonly restart: Effect.Effect<void, ContainerError>
  /** Freezes its processes: connections stay, and connect, but nothing is answered. */
  readonly pause: Effect.Effect<void, ContainerError>
  readonly unpause: Effect.Effect<void, ContainerError>
  /** What it has printed, standard output and error. */
  readonly logs: Effect.Effect<string, ContainerError>
}

export interface Container {
  readonly host: string
  /** Port on `host` of each of the recipe's `ports`, in their order. */
  readonly ports: ReadonlyArray<number>
  readonly control: Control
  /** Ends it without warning. */
  readonly kill: Effect.Effect<void, ContainerError>
  /** Runs a command inside and answers what it has printed, without the last line break. */
  readonly exec: (
    command: ReadonlyArray<string>,
    environment?: Readonly<Record<string, string>>
  ) => Effect.Effect<string, ContainerError>
}

/** What runs, for consecutive ports on the host from `first` on. */
export interface Recipe {
  readonly image: string
  readonly run: (
    first: number,
    host: string
  ) => {
    /** Ports inside. */
    readonly ports: ReadonlyArray<number>
    /** Takes the place of the image's. */
    readonly entrypoint?: ReadonlyArray<string>
    readonly command: ReadonlyArray<string>
    readonly environment?: Readonly<Record<string, string>>
  }
  /** Whether the server serves at these ports; fails or answers false while it does not. */
  readonly isReady: (host: string, ports: ReadonlyArray<number>) => Effect.Effect<boolean, unknown>
  /** Seconds that `stop` gives the server. */
  readonly stopSeconds: number
}

/**
 * Runs a script with the command as its arguments. It reaches the container in the environment and becomes a file there, so
 * that what lists processes shows a path.
 */
export const script = (shell: "sh" | "bash", text: string) => ({
  entrypoint: [shell, "-c", 'printf %s "$SERVER_SCRIPT" >/server.sh && exec "$0" /server.sh "$@"', shell],
  environment: { SERVER_SCRIPT: text }
})

// -----------------------------------------------------------------------------
// Start
// -----------------------------------------------------------------------------

const lowestPort = 15_000
const highestPort = 32_700
/** What engines say of a port that is taken. */
const portTaken = /port is already allocated|address already in use|ports are not available/i

/** Starts the container and waits until it serves; it is removed, with its data, when the scope closes. */
export const start = Effect.fnUntraced(function* (
  recipe: Recipe
): Effect.fn.Return<Container, ContainerError, Scope.Scope> {
  const engine = yield* engineWith(recipe.image)
  const { handle, ports } = yield* launch(engine, recipe).pipe(
    Effect.retry({ times: 20, while: (error) => portTaken.test(error.message) })
  )
  const container = controlled(engine, recipe, handle, ports)
  yield* container.control.start
  return container
})

const launch = Effect.fnUntraced(function* (
  engine: Engine,
  recipe: Recipe
): Effect.fn.Return<{ readonly handle: Handle; readonly ports: ReadonlyArray<number> }, ContainerError, Scope.Scope> {
  const first = randomInt(lowestPort, highestPort)
  const { command, entrypoint, environment = {}, ports: inside } = recipe.run(first, engine.host)
  const ports = inside.map((_, index) => first + index)
  const bindings = inside.map((port, index) => [
    `${port}/tcp`,
    // No other machine reaches the ports of an engine on this one.
    [{ HostPort: String(first + index), ...(engine.isLocal ? { HostIp: engine.host } : {}) }]
  ])
  const handle = yield* Effect.acquireRelease(
    engine.create({
      Image: recipe.image,
      ...(entrypoint === undefined ? {} : { Entrypoint: [...entrypoint] }),
      Cmd: [...command],
      Env: Object.entries(environment).map(([name, value]) => `${name}=${value}`),
      Labels: { [ownerLabel]: owner() },
      ExposedPorts: Object.fromEntries(inside.map((port) => [`${port}/tcp`, {}])),
      HostConfig: { PortBindings: Object.fromEntries(bindings) }
    }),
    // Whatever state it is in, with its volumes; one that is gone is no trouble.
    (created) =>
      Effect.orDie(change(recipe.image, "remove", () => created.remove({ force: true, v: true }), [404, 409]))
  )
  yield* change(recipe.image, "start", () => handle.start(), [])
  return { handle, ports }
})

// -----------------------------------------------------------------------------
// Control
// -----------------------------------------------------------------------------

/** What the engine says of a container. */
interface State {
  readonly Running: boolean
  readonly Paused: boolean
  readonly ExitCode: number
}

const controlled = (engine: Engine, recipe: Recipe, handle: Handle, ports: ReadonlyArray<number>): Container => {
  const { image } = recipe
  const state = call(image, "inspect", async (): Promise<State> => (await handle.inspect()).State)
  const logs = call(image, "logs", async () => textOf(await handle.logs({ follow: false, stdout: true, stderr: true })))
  const pause = Effect.flatMap(state, ({ Paused }) =>
    Paused ? Effect.void : change(image, "pause", () => handle.pause(), [])
  )
  const unpause = Effect.flatMap(state, ({ Paused }) =>
    Paused ? change(image, "unpause", () => handle.unpause(), []) : Effect.void
  )
  const stop = Effect.andThen(
    unpause,
    change(image, "stop", () => handle.stop({ t: recipe.stopSeconds }), [304])
  )
  const start = Effect.andThen(
    change(image, "start", () => handle.start(), [304]),
    awaitReady(recipe, engine.host, ports, state, logs)
  )
  return {
    host: engine.host,
    ports,
    control: { stop, start, restart: Effect.andThen(stop, start), pause, unpause, logs },
    kill: change(image, "kill", () => handle.kill(), [409]),
    exec: Effect.fnUntraced(function* (command, environment = {}) {
      const { exitCode, output, stdout } = yield* engine.exec(handle, command, environment)
      if (exitCode === 0) return stdout.replace(/\r?\n$/, "")
      return yield* Effect.fail(
        errorOf(image, "exec", new Failed({ detail: `${command.join(" ")} ended with ${exitCode}: ${output.trim()}` }))
      )
    })
  }
}

/** `done` are answers that say that it is so already. */
const change = (image: string, operation: string, run: () => Promise<unknown>, done: ReadonlyArray<number>) =>
  call(image, operation, async () => {
    try {
      await run()
    } catch (cause) {
      if (!done.includes(statusOf(cause))) throw cause
    }
  })

const statusOf = (cause: unknown): number =>
  cause instanceof Error && "statusCode" in cause && typeof cause.statusCode === "number" ? cause.statusCode : 0

// -----------------------------------------------------------------------------
// Readiness
// -----------------------------------------------------------------------------

/** How long a server may take until it serves. */
const readyWithin = "60 seconds"
/** How long it may take to answer whether it does. */
const probeWithin = "2 seconds"

/** Asks until the server serves; fails at once if the container has ended, else after `readyWithin`. */
const awaitReady = (
  recipe: Recipe,
  host: string,
  ports: ReadonlyArray<number>,
  state: Effect.Effect<State, ContainerError>,
  logs: Effect.Effect<string, ContainerError>
): Effect.Effect<void, ContainerError> => {
  const notReady = (detail: string) =>
    Effect.flatMap(
      Effect.orElseSucceed(logs, () => ""),
      (log) => Effect.fail(errorOf(recipe.image, "start", new NotReady({ detail, log })))
    )
  const check = Effect.flatMap(state, ({ ExitCode, Running }) =>
    Running ? Effect.succeed(false) : notReady(`the container ended with exit code ${ExitCode}`)
  )
  return Effect.suspend(() => recipe.isReady(host, ports)).pipe(
    Effect.timeout(probeWithin),
    Effect.orElseSucceed(() => false),
    Effect.flatMap((isReady) => (isReady ? Effect.succeed(true) : check)),
    Effect.repeat({ until: (isReady) => isReady, schedule: Schedule.spaced("25 millis") }),
    Effect.timeoutOrElse({
      duration: readyWithin,
      orElse: () => notReady(`the server does not serve within ${readyWithin}`)
    }),
    Effect.asVoid,
    withLiveClock
  )
}
