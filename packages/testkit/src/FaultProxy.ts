/**
 * A TCP proxy on loopback that misbehaves on demand, between a client and a real server.
 *
 * Faults are plain data and can change at any time, also for connections that are open. What goes through keeps the
 * machine's time, whatever clock a test has.
 */
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { randomInt } from "node:crypto"
import { createServer, type Server, type Socket } from "node:net"
import { withLiveClock } from "./internal/liveClock.ts"
import * as Connection from "./internal/proxyConnection.ts"
import { type Direction, type ResolvedFaults, resolve } from "./internal/proxyFaults.ts"
import { ignoreErrors, listen } from "./internal/sockets.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * How a connection ends. `reset`: RST to both sides, at once. `close`: FIN to both sides, after what was passed on.
 * `half-close`: FIN to the client only; what the client sends goes on to the server.
 */
export type Cut = "reset" | "close" | "half-close"

/** Faults of the bytes in one direction. */
export interface Flow {
  /** How long bytes are under way. It does not limit the rate; up to 1 MiB are under way. Default: 0. */
  readonly latency?: Duration.Input | undefined
  /** Added to the latency: a random time between 0 and this. Bytes stay in order. Default: 0. */
  readonly jitter?: Duration.Input | undefined
  /** Of each connection, in bytes a second. Default: no limit. */
  readonly bytesPerSecond?: number | undefined
  /** Passes nothing; what has arrived goes on when it heals. New connections are accepted all the same. */
  readonly blackHole?: boolean | undefined
  /**
   * Ends each connection once so many bytes of it were passed on: from when this was set, or the connection began. A reset
   * may overtake the last of them. Default of `how`: `reset`.
   */
  readonly cutAfter?: { readonly bytes: number; readonly how?: Cut | undefined } | undefined
}

/** Faults of both directions; a value under `toServer` or `toClient` takes the place of the general one there. */
export interface Faults extends Flow {
  /** What becomes of new connections. `refuse`: nothing listens. `reset`: accepted, and reset at once. */
  readonly connect?: "refuse" | "reset" | undefined
  readonly toServer?: Flow | undefined
  readonly toClient?: Flow | undefined
}

export interface Options {
  /** Where the server is. Default: 127.0.0.1. */
  readonly host?: string | undefined
  readonly port: number
  /** From the start. Default: none. */
  readonly faults?: Faults | undefined
}

export interface Stats {
  /** Connections that are open. */
  readonly open: number
  /** Connections accepted so far. */
  readonly accepted: number
  /** Bytes passed on so far. */
  readonly passed: Readonly<Record<Direction, number>>
}

export interface FaultProxy {
  /** 127.0.0.1 */
  readonly host: string
  /** Stays the same while it refuses and heals. */
  readonly port: number
  /** From now on these are the faults, and no others; `{}` heals. Dies with a `RangeError` that names a value out of range. */
  readonly set: (faults: Faults) => Effect.Effect<void, FaultProxyError>
  /** Ends all connections that are open; new ones are accepted as the faults say. */
  readonly cut: (how: Cut) => Effect.Effect<void>
  /** As if the server were gone: new connections are refused, those that are open reset. `set({})` brings it back. */
  readonly down: Effect.Effect<void, FaultProxyError>
  readonly stats: Effect.Effect<Stats>
}

/** The proxy cannot listen. */
export class FaultProxyError extends Schema.TaggedError<FaultProxyError>("@terrace/testkit/FaultProxyError")(
  "FaultProxyError",
  { port: Schema.Number, cause: Schema.Defect() }
) {
  override get message(): string {
    return `cannot listen on 127.0.0.1:${this.port}: ${this.cause instanceof Error ? this.cause.message : String(this.cause)}`
  }
}

// -----------------------------------------------------------------------------
// Constructor
// -----------------------------------------------------------------------------

const host = "127.0.0.1"

/**
 * Starts a proxy that lives as long as the scope; its connections end with it.
 *
 * Behavior:
 * - a connection whose server cannot be reached is accepted, then reset.
 * - the port is drawn below the range of ports for outgoing connections, so that none takes it while the proxy refuses.
 * - a connection holds at most 2 MiB; who sends more waits, as TCP makes it.
 * - fails with `FaultProxyError` if it finds no port; `set` does if another process has taken the port meanwhile.
 */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<FaultProxy, FaultProxyError, Scope.Scope> {
  let faults: ResolvedFaults = resolve(options.faults ?? {})
  let change = Deferred.makeUnsafe<void>()
  let epoch = 0
  const weather = {
    of: (direction: Direction) => faults[direction],
    epoch: () => epoch,
    changed: Effect.suspend(() => Deferred.await(change))
  }

  const target = { host: options.host ?? host, port: options.port }
  const connections = new Set<Connection.Connection>()
  const passed = { toServer: 0, toClient: 0 }
  let accepted = 0
  const run = yield* FiberSet.makeRuntime()
  const accept = (client: Socket): void => {
    accepted += 1
    ignoreErrors(client)
    if (faults.connect === "reset") {
      client.resetAndDestroy()
      return
    }
    const connection = Connection.make(client, target, weather, (direction, bytes) => {
      passed[direction] += bytes
    })
    connections.add(connection)
    run(
      Effect.ensuring(
        withLiveClock(connection.run),
        Effect.sync(() => connections.delete(connection))
      )
    )
  }

  let listener: Server | undefined
  const listenOn = (port: number): Effect.Effect<void, FaultProxyError> =>
    Effect.suspend(() => {
      const server = createServer({ allowHalfOpen: true, noDelay: true }, accept)
      return listen(server, host, port).pipe(
        Effect.mapError((cause) => new FaultProxyError({ port, cause })),
        Effect.tap(() => Effect.sync(() => (listener = server)))
      )
    }).pipe(Effect.uninterruptible)
  // It stops listening at once; the connections go on.
  const stopListening = Effect.sync(() => {
    listener?.close()
    listener = undefined
  })
  yield* Effect.addFinalizer(() => stopListening)
  const port = yield* Effect.suspend(() => {
    const drawn = randomInt(lowestPort, highestPort)
    return Effect.as(listenOn(drawn), drawn)
  }).pipe(Effect.retry({ times: 20 }))

  const turns = yield* Semaphore.make(1)
  const set = (next: Faults) =>
    Effect.gen(function* () {
      const resolved = resolve(next)
      if (resolved.connect === "refuse") yield* stopListening
      else if (listener === undefined) yield* listenOn(port)
      faults = resolved
      epoch += 1
      const waiting = change
      change = Deferred.makeUnsafe()
      yield* Deferred.succeed(waiting, undefined)
    }).pipe(turns.withPermits(1))
  const cut = (how: Cut) =>
    Effect.suspend(() =>
      Effect.forEach(Array.from(connections), (connection) => connection.cut(how), { discard: true })
    )
  if (faults.connect === "refuse") yield* stopListening

  return {
    host,
    port,
    set,
    cut,
    down: Effect.andThen(set({ connect: "refuse" }), cut("reset")),
    stats: Effect.sync(() => ({ open: connections.size, accepted, passed: { ...passed } }))
  }
})

// Not those of servers in containers either, which may be stopped for a while.
const lowestPort = 10_000
const highestPort = 15_000
