/**
 * A real S3 server for tests, in a container: Ceph's object gateway, with its data in memory.
 *
 * Needs a container engine and the package `testcontainers`.
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import { readFileSync } from "node:fs"
import { type ContainerError, Failed } from "./ContainerError.ts"
import * as Container from "./internal/Container.ts"
import { call, errorOf } from "./internal/engine.ts"
import { withLiveClock } from "./internal/liveClock.ts"
import { type Credentials, signed } from "./internal/sigV4.ts"

export type { Credentials } from "./internal/sigV4.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export interface Options {
  /** An image with Ceph 20. Default: `quay.io/ceph/ceph:v20`. */
  readonly image?: string | undefined
}

/** A running server, and what a test can do to it. */
export interface S3 extends Container.Control, Credentials {
  readonly host: string
  /** Stays the same over `stop` and `start`, which keep the data. */
  readonly port: number
  /** `http://<host>:<port>` */
  readonly endpoint: string
  readonly region: string
  /** The server knows no names of buckets as host names. */
  readonly forcePathStyle: true
  /** Keys of a user that the server knows and that may touch nothing of others: `AccessDenied`. */
  readonly stranger: Credentials
  /** Makes an empty bucket with a name that no other has, and answers the name. It goes with the server. */
  readonly createBucket: Effect.Effect<string, ContainerError>
  /**
   * Runs `radosgw-admin` inside, for example to set a quota or a rate limit:
   * `admin(["quota", "set", "--quota-scope=bucket", "--bucket=b", "--max-size=4096"])`. Answers what it has printed.
   */
  readonly admin: (command: ReadonlyArray<string>) => Effect.Effect<string, ContainerError>
}

export class S3Server extends Context.Service<S3Server, S3>()("@terrace/testkit/S3Server") {}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

const defaultImage = "quay.io/ceph/ceph:v20"
const insidePort = 7480
const region = "us-east-1"
const { entrypoint, environment } = Container.script(
  "bash",
  readFileSync(new URL("../containers/ceph-s3.sh", import.meta.url), "utf8")
)
const owner: Credentials = { accessKeyId: "testkey", secretAccessKey: "testsecret" }
const stranger: Credentials = { accessKeyId: "strangerkey", secretAccessKey: "strangersecret" }

/**
 * Starts a server that lives as long as the scope.
 *
 * Behavior:
 * - ready when it answers requests: about two seconds, with 300 MiB of memory. After another `start`, the first bucket
 *   takes two seconds to make.
 * - an image that is missing is pulled; fails with `ContainerError` if that cannot be, or if no engine answers.
 * - listens on loopback where the engine is on this machine.
 * - its data goes with the scope. An interruption at any point leaves no container.
 */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<S3, ContainerError, Scope.Scope> {
  const image = options.image ?? defaultImage
  const container = yield* Container.start({
    image,
    run: () => ({
      ports: [insidePort],
      entrypoint,
      command: [],
      environment: {
        ...environment,
        S3_PORT: String(insidePort),
        S3_ACCESS_KEY: owner.accessKeyId,
        S3_SECRET_KEY: owner.secretAccessKey,
        S3_STRANGER_ACCESS_KEY: stranger.accessKeyId,
        S3_STRANGER_SECRET_KEY: stranger.secretAccessKey
      }
    }),
    isReady: (host, [port = insidePort]) =>
      Effect.tryPromise(async (signal) => {
        const response = await fetch(`http://${host}:${port}/`, { signal })
        await response.arrayBuffer()
        return response.ok
      }),
    stopSeconds: 30
  })
  const { control, host } = container
  const [port = insidePort] = container.ports
  const endpoint = `http://${host}:${port}`
  return {
    ...control,
    host,
    port,
    endpoint,
    region,
    forcePathStyle: true,
    ...owner,
    stranger,
    createBucket: createBucket(image, endpoint),
    admin: (command) => container.exec(["radosgw-admin", ...command])
  }
})

const createBucket = (image: string, endpoint: string) =>
  Effect.gen(function* () {
    const name = `test-${randomBytes(8).toString("hex")}`
    const url = new URL(name, endpoint)
    const now = DateTime.formatIso(yield* DateTime.now)
    const headers = signed("PUT", url, region, owner, now)
    const { answer, status } = yield* call(image, "createBucket", async () => {
      const response = await fetch(url, { method: "PUT", headers })
      return { answer: await response.text(), status: response.status }
    })
    if (status === 200) return name
    return yield* Effect.fail(errorOf(image, "createBucket", new Failed({ detail: `${name}: ${status} ${answer}` })))
  }).pipe(withLiveClock)

/** The server as a service; see `make`. */
export const layer = (options?: Options): Layer.Layer<S3Server, ContainerError> => Layer.effect(S3Server, make(options))
