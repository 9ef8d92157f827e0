/**
 * TCP servers and clients that tell what reaches them, and how it ends.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { once } from "node:events"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"

/** What one end of a connection has seen. */
export class End {
  readonly socket: Socket
  private readonly chunks: Array<Buffer> = []
  length = 0
  /** `fin`, or the code of the error, such as ECONNRESET. */
  ended: string | undefined

  constructor(socket: Socket) {
    this.socket = socket
    socket.on("data", (chunk: Buffer) => {
      this.chunks.push(chunk)
      this.length += chunk.length
    })
    socket.on("end", () => (this.ended ??= "fin"))
    socket.on("error", (error: NodeJS.ErrnoException) => (this.ended ??= error.code))
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString("latin1")
  }

  readonly send = (text: string | Uint8Array) => Effect.sync(() => this.socket.write(text))

  /** Waits until so many bytes have arrived. */
  readonly received = (length: number) => until(() => this.length >= length)

  /** Waits for the end, and answers how it was. */
  readonly end = Effect.map(
    until(() => this.ended !== undefined),
    () => this.ended
  )
}

/** Waits for a condition on what the ends have seen; the time limit of the test bounds it. */
export const until = (condition: () => boolean) =>
  Effect.repeat(Effect.sync(condition), { until: (holds) => holds, schedule: Schedule.spaced("2 millis") })

export interface TestServer {
  readonly port: number
  readonly ends: ReadonlyArray<End>
  /** The end of the connection that was made as the nth, once it is there. */
  readonly accepted: (nth: number) => Effect.Effect<End>
}

export const server = Effect.acquireRelease(
  Effect.promise(async () => {
    const ends: Array<End> = []
    const listener = createServer({ allowHalfOpen: true }, (socket) => ends.push(new End(socket)))
    listener.listen(0, "127.0.0.1")
    await once(listener, "listening")
    return { ends, listener }
  }),
  ({ ends, listener }) =>
    Effect.promise(async () => {
      for (const { socket } of ends) socket.destroy()
      const closed = once(listener, "close")
      listener.close()
      await closed
    })
).pipe(
  Effect.map(({ ends, listener }): TestServer => {
    const { port } = listener.address() as AddressInfo
    return {
      port,
      ends,
      accepted: (nth) =>
        Effect.flatMap(
          until(() => ends.length > nth),
          () => Effect.fromNullishOr(ends[nth])
        ).pipe(Effect.orDie)
    }
  })
)

/** A client that is connected or refused already: `ended` tells. */
export const client = (port: number) =>
  Effect.acquireRelease(
    Effect.sync(() => new End(connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true }))),
    ({ socket }) => Effect.sync(() => socket.destroy())
  ).pipe(Effect.tap((end) => until(() => !end.socket.connecting || end.ended !== undefined)))
