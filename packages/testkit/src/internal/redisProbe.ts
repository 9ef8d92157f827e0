/**
 * Asks a Redis server one thing over a connection of its own, without a client library.
 */
import * as Effect from "effect/Effect"
import { connect } from "node:net"

/** Sends an inline command and answers the first bytes of the reply; fails if the connection does. */
export const ask = (host: string, port: number, command: string): Effect.Effect<string, Error> =>
  Effect.callback((resume) => {
    const socket = connect({ host, port })
    let reply = ""
    const end = (effect: Effect.Effect<string, Error>) => {
      socket.destroy()
      resume(effect)
    }
    socket.on("error", (error) => end(Effect.fail(error)))
    socket.on("close", () => end(Effect.fail(new Error("closed without a reply"))))
    socket.on("data", (bytes) => {
      reply += bytes.toString("latin1")
      if (isWhole(reply)) end(Effect.succeed(reply))
    })
    socket.write(`${command}\r\n`)
    return Effect.sync(() => socket.destroy())
  })

/** A status or an error is one line; a bulk string says its length. */
const isWhole = (reply: string): boolean => {
  const line = reply.indexOf("\r\n")
  if (line < 0) return false
  return reply.startsWith("$") ? reply.length >= line + 4 + Number(reply.slice(1, line)) : true
}
