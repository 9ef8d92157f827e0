/**
 * The container engine that testcontainers finds, as effects.
 */
import * as Effect from "effect/Effect"
import { createServer } from "node:net"
import {
  type ContainerRuntimeClient,
  type ExecResult,
  getContainerRuntimeClient,
  getReaper,
  ImageName,
  LABEL_TESTCONTAINERS_SESSION_ID
} from "testcontainers"
import { ContainerError, EngineUnavailable, Failed, ImageMissing, type Reason } from "../ContainerError.ts"
import { withLiveClock } from "./liveClock.ts"

/** A container, as the client library sees it. */
export type Handle = ReturnType<ContainerRuntimeClient["container"]["getById"]>

export type CreateOptions = Parameters<ContainerRuntimeClient["container"]["create"]>[0]

export interface Engine {
  /** Address of its published ports; 127.0.0.1 for an engine on this machine. */
  readonly host: string
  readonly isLocal: boolean
  readonly create: (options: CreateOptions) => Effect.Effect<Handle, ContainerError>
  readonly exec: (
    handle: Handle,
    command: ReadonlyArray<string>,
    environment: Readonly<Record<string, string>>
  ) => Effect.Effect<ExecResult, ContainerError>
}

/** How long an engine may take to answer at all. */
const answerWithin = "15 seconds"

const withoutReaper =
  "the reaper of testcontainers cannot be started; where its image is not to be had, set TESTCONTAINERS_RYUK_DISABLED=true"

export const errorOf = (image: string, operation: string, reason: Reason): ContainerError =>
  new ContainerError({ image, operation, reason })

/** A call of the engine about an image, or a container of it. */
export const call = <A>(image: string, operation: string, run: () => Promise<A>): Effect.Effect<A, ContainerError> =>
  Effect.tryPromise({ try: run, catch: (cause) => errorOf(image, operation, new Failed({ detail: messageOf(cause) })) })

/** The engine, with the image on it: pulled if it was missing. */
export const engineWith = Effect.fnUntraced(function* (image: string): Effect.fn.Return<Engine, ContainerError> {
  const client = yield* Effect.tryPromise({ try: getContainerRuntimeClient, catch: (cause) => cause }).pipe(
    Effect.timeout(answerWithin),
    withLiveClock,
    Effect.mapError((cause) => errorOf(image, "start", new EngineUnavailable({ cause })))
  )
  const name = ImageName.fromString(image)
  const missing = (cause: unknown) => errorOf(image, "start", new ImageMissing({ cause }))
  yield* Effect.tryPromise({ try: () => client.image.pull(name), catch: missing })
  // A pull can end without an error and without an image.
  const isHere = yield* Effect.tryPromise({ try: () => client.image.exists(name), catch: missing })
  if (!isHere) return yield* Effect.fail(missing("the pull brought no image"))
  // The container that removes what a process that was killed leaves.
  const { sessionId } = yield* Effect.tryPromise({
    try: () => getReaper(client),
    catch: (cause) => errorOf(image, "start", new Failed({ detail: `${withoutReaper} (${messageOf(cause)})` }))
  })
  const labels = { "org.testcontainers": "true", [LABEL_TESTCONTAINERS_SESSION_ID]: sessionId }
  const { host, isLocal } = yield* placeOf(client.info.containerRuntime.host)
  return {
    host,
    isLocal,
    create: (options) =>
      call(image, "start", () => client.container.create({ ...options, Labels: { ...labels, ...options.Labels } })),
    exec: (handle, command, environment) =>
      call(image, "exec", () => client.container.exec(handle, [...command], { env: { ...environment } }))
  }
})

/**
 * Where published ports are reached. Testcontainers may name a bridge of this very machine, if the machine was made from an
 * image of a container (`/.dockerenv`); an address of its own means loopback.
 */
export const placeOf = (host: string): Effect.Effect<{ readonly host: string; readonly isLocal: boolean }> =>
  Effect.map(host === "localhost" ? Effect.succeed(true) : isOwn(host), (isLocal) => ({
    host: isLocal ? "127.0.0.1" : host,
    isLocal
  }))

/**
 * Whether the address is this machine's: one can listen at it. The interfaces that the system lists would not tell: a
 * bridge is not among them while no container runs.
 */
const isOwn = (address: string): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const server = createServer()
    server.on("error", () => resume(Effect.succeed(false)))
    server.listen({ host: address, port: 0 }, () => server.close(() => resume(Effect.succeed(true))))
    return Effect.sync(() => server.close())
  })

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause)).trim()

/** Text of a log: frames of a header of 8 bytes, whose last four are the length, and the bytes (Engine API, "attach"). */
export const textOf = (log: Buffer): string => {
  const parts: Array<string> = []
  for (let at = 0; at + 8 <= log.length; at += 8 + log.readUInt32BE(at + 4)) {
    parts.push(log.toString("utf8", at + 8, at + 8 + log.readUInt32BE(at + 4)))
  }
  return parts.join("")
}
