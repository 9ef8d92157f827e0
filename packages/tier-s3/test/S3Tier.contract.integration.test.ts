import type { S3Client } from "@aws-sdk/client-s3"
import { afterAll, beforeAll } from "@effect/vitest"
import type * as Tier from "@terrace/core/Tier"
import * as S3Server from "@terrace/testkit/S3Server"
import * as TierSuite from "@terrace/testkit/TierSuite"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import * as S3Tier from "../src/S3Tier.ts"
import * as Requests from "./support/Requests.ts"
import { clientOf, optionsOn, uploadsIn } from "./support/Servers.ts"

const capabilities: Tier.Capabilities = {
  streaming: true,
  ranges: true,
  // Ceph looks at the condition of a removal before it removes, and not while.
  atomicPut: "process",
  durable: true,
  persistent: true,
  shared: true,
  list: true,
  nativeExpiry: false,
  maxBytes: undefined
}

/** One server and one bucket for the file; each storage has a prefix of its own. */
interface Running {
  readonly scope: Scope.Closeable
  readonly server: S3Server.S3
  readonly bucket: string
  readonly client: S3Client
}
let running: Running | undefined

beforeAll(async () => {
  const scope = Scope.makeUnsafe()
  running = await Effect.runPromise(
    Effect.gen(function* () {
      const server = yield* S3Server.make()
      const bucket = yield* server.createBucket
      return { scope, server, bucket, client: yield* clientOf(server) }
    }).pipe(Scope.provide(scope))
  )
}, 120_000)

afterAll(() => (running === undefined ? undefined : Effect.runPromise(Scope.close(running.scope, Exit.void))))

const theServer = (): Running => {
  if (running === undefined) throw new Error("the server is not running")
  return running
}

TierSuite.suite("s3", {
  tier: S3Tier.S3Tier,
  storage: Effect.sync(() => {
    const { bucket, server } = theServer()
    return S3Tier.layer({ ...optionsOn(server), bucket, prefix: `${randomBytes(6).toString("hex")}/` })
  }),
  capabilities,
  fresh: false,
  leaks: Effect.promise(async () => {
    const { bucket, client } = theServer()
    return Requests.inFlight() + (await uploadsIn(client, bucket))
  }),
  // The heap of a client of HTTP varies by 150 KB, which only tens of thousands of keys would outweigh. That nothing of a key
  // is kept, `cases/forgetting.ts` shows by looking for it.
  distinctKeys: 0
})
