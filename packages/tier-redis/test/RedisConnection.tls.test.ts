import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { connect } from "node:net"
import { createServer } from "node:tls"
import * as RedisConnection from "../src/RedisConnection.ts"
import { sharedServer } from "./support/Redis.ts"

const pem = (name: string) => readFileSync(new URL(`support/tls/${name}.pem`, import.meta.url))

/** Of `localhost` and 127.0.0.1, signed by itself, for these tests only. */
const identity = { key: pem("key"), cert: pem("cert") }

const server = sharedServer({ password: "secret" })

/** Ends TLS before the server. Answers the port. */
const tlsBefore = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly port: number; readonly close: () => void }>((resume) => {
      const front = createServer(identity, (secure) => {
        const plain = connect(port, "127.0.0.1")
        for (const socket of [secure, plain]) socket.on("error", () => (secure.destroy(), plain.destroy()))
        secure.pipe(plain).pipe(secure)
      })
      front.on("tlsClientError", () => undefined)
      front.listen(0, "127.0.0.1", () => {
        const address = front.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        resume(Effect.succeed({ port, close: () => void front.close() }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )

describe("RedisConnection over TLS", () => {
  it.live("rediss:// is encrypted, and the certificate is checked against `ca` and the host", () =>
    Effect.gen(function* () {
      const { port } = yield* tlsBefore((yield* server).port)
      const connection = yield* RedisConnection.make({
        url: `rediss://:secret@localhost:${port}`,
        tls: { ca: identity.cert },
        required: true
      })

      assert.strictEqual(yield* connection.send((client) => client.echo("hello")), "hello")
    })
  )

  it.live("a certificate of nobody that is trusted fails the start", () =>
    Effect.gen(function* () {
      const { port } = yield* tlsBefore((yield* server).port)
      const options = { url: `rediss://:secret@localhost:${port}`, required: true }
      const error = yield* Effect.flip(Effect.scoped(RedisConnection.make(options)))

      assert.strictEqual(error.reason, "unavailable")
      assert.match(error.message, /it does not answer \(self-signed certificate/)
    })
  )

  it.live("redis:// to a server that speaks TLS fails the start", () =>
    Effect.gen(function* () {
      const { port } = yield* tlsBefore((yield* server).port)
      const options = { url: `redis://:secret@localhost:${port}`, required: true }
      const error = yield* Effect.flip(Effect.scoped(RedisConnection.make(options)))

      assert.strictEqual(error.reason, "unavailable")
    })
  )
})
