/**
 * TCP sockets of node:net as effects.
 */
import * as Effect from "effect/Effect"
import { connect, type Server, type Socket } from "node:net"

/** The next bytes, at most what has arrived; `undefined` after the last ones. */
export const read = (socket: Socket): Effect.Effect<Buffer | undefined, Error> =>
  Effect.callback((resume) => {
    const attempt = () => {
      const chunk: unknown = socket.read()
      if (chunk instanceof Buffer) settle(Effect.succeed(chunk))
      else if (socket.readableEnded) settle(Effect.succeed(undefined))
      else if (socket.errored !== null) settle(Effect.fail(socket.errored))
      else if (socket.destroyed) settle(Effect.fail(new Error("destroyed")))
    }
    const events = ["readable", "end", "error", "close"] as const
    const release = () => {
      for (const event of events) socket.off(event, attempt)
    }
    const settle = (outcome: Effect.Effect<Buffer | undefined, Error>) => {
      release()
      resume(outcome)
    }
    for (const event of events) socket.on(event, attempt)
    attempt()
    return Effect.sync(release)
  })

/** Hands the bytes to the system. */
export const write = (socket: Socket, bytes: Uint8Array): Effect.Effect<void, Error> =>
  Effect.callback((resume) => {
    socket.write(bytes, (error) => resume(error instanceof Error ? Effect.fail(error) : Effect.void))
  })

/** Sends FIN after what was written; the other direction goes on. */
export const finish = (socket: Socket): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (socket.destroyed || socket.writableFinished) resume(Effect.void)
    // Called with an error if it could not; then the connection is gone, which is what was asked.
    else socket.end(() => resume(Effect.void))
  })

/** A connection that goes with the scope, each direction of which ends on its own; `made` gets it before it connects. */
export const open = (host: string, port: number, made: (socket: Socket) => void) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const socket = connect({ host, port, allowHalfOpen: true, noDelay: true })
      ignoreErrors(socket)
      made(socket)
      return socket
    }),
    (socket) => Effect.sync(() => socket.destroy())
  ).pipe(
    Effect.tap((socket) =>
      Effect.callback<void, Error>((resume) => {
        socket.once("connect", () => resume(Effect.void))
        socket.once("error", (error) => resume(Effect.fail(error)))
      })
    )
  )

/** Without any listener an error would end the process; who reads or writes is told of it. */
export const ignoreErrors = (socket: Socket): void => {
  socket.on("error", () => undefined)
}

/** Listens; fails with the system's error, such as EADDRINUSE. */
export const listen = (server: Server, host: string, port: number): Effect.Effect<void, NodeJS.ErrnoException> =>
  Effect.callback((resume) => {
    const failed = (error: NodeJS.ErrnoException) => resume(Effect.fail(error))
    server.once("error", failed)
    server.listen({ host, port }, () => {
      server.off("error", failed)
      resume(Effect.void)
    })
  })
