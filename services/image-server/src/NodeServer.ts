/**
 * The HTTP server of Node, set up: time-outs against slow clients, problems for what never becomes a request, and a stop
 * that ends.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { randomUUID } from "node:crypto"
import { createServer, type Server, STATUS_CODES } from "node:http"
import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import { securityHeaders } from "./ImageResponse.ts"
import * as Problem from "./Problem.ts"

/** Time that a stop waits for requests to end; then their connections are cut. */
export const gracefulStop = "20 seconds"

/** In milliseconds; see `node:http`. */
const timeouts = {
  /** The header section of a request. */
  headersTimeout: 10_000,
  /** A whole request, body included. */
  requestTimeout: 120_000,
  /** A connection between two requests. */
  keepAliveTimeout: 10_000,
  connectionsCheckingInterval: 5_000
}

/** A connection on which nothing moves, in milliseconds: longer than an upload may wait for its turn and be worked on. */
const stalledTimeout = 60_000

export interface NodeServer {
  readonly server: Server
  /** Answers must say `Connection: close`. */
  readonly isStopping: () => boolean
  /**
   * Stops when the scope closes: answers say `Connection: close`, idle connections are closed, and what is left after
   * `gracefulStop`, or at a second signal, is cut. Add it to the scope last, so that it comes first.
   */
  readonly stopping: Effect.Effect<void, never, Scope.Scope>
}

export const make: Effect.Effect<NodeServer> = Effect.sync(() => {
  // A request without Host is answered by the routes, with a problem.
  const server = createServer({ ...timeouts, requireHostHeader: false }).setTimeout(stalledTimeout)
  let isStopping = false
  const sockets = new Set<Socket>()
  server.on("connection", (socket) => {
    sockets.add(socket)
    socket.once("close", () => sockets.delete(socket))
  })
  server.on("clientError", answerClientError)

  const cut = Effect.sync(() => server.closeAllConnections())
  const stop = Effect.gen(function* () {
    isStopping = true
    yield* Effect.logInfo("stopping")
    server.keepAliveTimeout = 1
    server.closeIdleConnections()
    // To Node a connection is idle only after its first request.
    for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy()
    const onSignal = () => server.closeAllConnections()
    process.once("SIGTERM", onSignal).once("SIGINT", onSignal)
    // Interrupted with the process, which is all that is left when the rest has ended before.
    yield* Effect.forkDetach(Effect.delay(cut, gracefulStop))
  })
  return { server, isStopping: () => isStopping, stopping: Effect.addFinalizer(() => stop) }
})

/** What Node could not read as a request. */
const answerClientError = (error: NodeJS.ErrnoException, socket: Duplex): void => {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const type = problemTypes[error.code ?? ""] ?? "bad-request"
  const details: Record<typeof type, string> = {
    "headers-too-large": "the header section is longer than this server takes",
    "request-timed-out": "the request was not complete in time",
    "bad-request": "the request cannot be read as HTTP/1.1"
  }
  const response = Problem.toResponse(Problem.of(type, details[type]), randomUUID())
  const body = response.body._tag === "Uint8Array" ? Buffer.from(response.body.body) : Buffer.alloc(0)
  const headers = {
    ...response.headers,
    ...securityHeaders,
    "content-length": String(body.byteLength),
    connection: "close"
  }
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(
    Buffer.concat([
      Buffer.from(`HTTP/1.1 ${response.status} ${STATUS_CODES[response.status]}\r\n${head.join("")}\r\n`),
      body
    ])
  )
}

const problemTypes: Readonly<Record<string, "headers-too-large" | "request-timed-out">> = {
  HPE_HEADER_OVERFLOW: "headers-too-large",
  ERR_HTTP_REQUEST_TIMEOUT: "request-timed-out"
}
