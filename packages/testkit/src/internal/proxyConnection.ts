/**
 * One connection through a fault proxy: two sockets, and a flow in each direction.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Socket } from "node:net"
import type { Cut } from "../FaultProxy.ts"
import type { Direction } from "./proxyFaults.ts"
import { deliver, receive, type Weather, whileOpen, wire } from "./proxyFlow.ts"
import { finish, open } from "./sockets.ts"

export interface Connection {
  /** Asks for the end of it. */
  readonly cut: (how: Cut) => Effect.Effect<void>
  /** Lasts as long as the connection. It never fails: what becomes of a client is no trouble of the proxy. */
  readonly run: Effect.Effect<void>
}

export interface Target {
  readonly host: string
  readonly port: number
}

export const make = (
  client: Socket,
  target: Target,
  weather: Weather,
  passed: (direction: Direction, bytes: number) => void
): Connection => {
  const ending = Deferred.makeUnsafe<Exclude<Cut, "half-close">>()
  const halfClosing = Deferred.makeUnsafe<void>()
  const cut = (how: Cut): Effect.Effect<void> =>
    Effect.asVoid(how === "half-close" ? Deferred.succeed(halfClosing, undefined) : Deferred.succeed(ending, how))
  const sockets = [client]

  /** Ends when both directions have ended, and fails as soon as one breaks. */
  const exchange = Effect.gen(function* () {
    const flow = (direction: Direction, from: Socket, to: Socket) => ({
      direction,
      from,
      to,
      weather,
      passed: (bytes: number) => passed(direction, bytes),
      cut
    })
    const fromClient = yield* wire
    const receiving = yield* Effect.forkScoped(receive(client, fromClient))
    // Who cannot reach the server, and leaves, leaves nothing behind.
    const hasLeft = Effect.andThen(Fiber.join(receiving), Effect.fail(new Error("the client has left")))
    yield* Effect.raceFirst(whileOpen({ direction: "toServer", weather }), hasLeft)

    const server = yield* open(target.host, target.port, (socket) => sockets.push(socket))
    const fromServer = yield* wire
    yield* Effect.all(
      [
        Fiber.join(receiving),
        deliver(flow("toServer", client, server), fromClient),
        Effect.raceFirst(
          Effect.all([receive(server, fromServer), deliver(flow("toClient", server, client), fromServer)], {
            concurrency: "unbounded"
          }),
          Effect.andThen(Deferred.await(halfClosing), finish(client))
        )
      ],
      { concurrency: "unbounded" }
    )
  })

  const run = Effect.gen(function* () {
    yield* Effect.addFinalizer(() => Effect.sync(() => client.destroy()))
    // A connection that breaks on one side breaks on the other.
    const broken = Effect.matchEffect(exchange, {
      onFailure: () => Effect.succeed("reset" as const),
      onSuccess: () => Effect.succeed("close" as const)
    })
    const end = yield* Effect.raceFirst(broken, Deferred.await(ending))
    if (end === "close") yield* Effect.forEach(sockets, finish, { concurrency: "unbounded" })
    else for (const socket of sockets) socket.resetAndDestroy()
  })
  return { cut, run: Effect.scoped(run) }
}
