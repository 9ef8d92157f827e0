import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { connect } from "node:net"
import { fileURLToPath } from "node:url"
import * as S3Tier from "../src/S3Tier.ts"

/** The port of a server to which no connection comes about: its queue is full, and nobody takes from it. */
const deafPort: Effect.Effect<number, never, Scope.Scope> = Effect.gen(function* () {
  const path = fileURLToPath(new URL("./support/deaf-server.ts", import.meta.url))
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => spawn(process.execPath, [path], { stdio: ["ignore", "pipe", "inherit"] })),
    (process) => Effect.sync(() => process.kill("SIGKILL"))
  )
  const [line] = yield* Effect.promise(() => once(child.stdout, "data"))
  const port = Number(String(line))
  child.kill("SIGSTOP")
  // Some fill the queue, the last of them wait already.
  for (let index = 0; index < 8; index++) {
    yield* Effect.acquireRelease(
      Effect.sync(() => connect(port, "127.0.0.1").on("error", () => undefined)),
      (socket) => Effect.sync(() => socket.destroy())
    )
  }
  return port
})

describe("connecting", () => {
  it.live("a server that takes no connection - is unreachable after connectTimeout", () =>
    Effect.gen(function* () {
      const port = yield* deafPort
      const options: S3Tier.Options = {
        endpoint: `http://127.0.0.1:${port}`,
        bucket: "images",
        forcePathStyle: true,
        credentials: { accessKeyId: "key", secretAccessKey: Redacted.make("secret") },
        connectTimeout: "200 millis",
        requestTimeout: "10 seconds"
      }

      const error = yield* Effect.flip(S3Tier.make(options))
      const tier = yield* S3Tier.make({ ...options, ifUnreachable: "warn" })
      const failure = yield* Effect.flip(tier.usage)

      assert.strictEqual(error.reason, "unreachable")
      assert.match(error.message, /does not answer within 200 ms\. See that endpoint is right/)
      assert.strictEqual(failure.message, "s3.usage: TimedOut: no answer within 200 ms")
    })
  )
})
