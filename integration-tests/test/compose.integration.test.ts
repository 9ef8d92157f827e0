import { ListBucketsCommand, S3Client } from "@aws-sdk/client-s3"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Redis } from "ioredis"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import sharp from "sharp"
import { DockerComposeEnvironment, Wait } from "testcontainers"
import { eventually } from "./support/eventually.ts"
import { png } from "./support/images.ts"

const root = fileURLToPath(new URL("../../", import.meta.url))

/** What `docker` prints of things with the label of a compose project. */
const listed = (kind: ReadonlyArray<string>, project: string) =>
  Effect.promise(async () => {
    const filter = `label=com.docker.compose.project=${project}`
    const { stdout } = await promisify(execFile)("docker", [...kind, "--quiet", "--filter", filter])
    return stdout.split("\n").filter((line) => line !== "")
  })

const everything = [
  ["ps", "--all"],
  ["network", "ls"],
  ["volume", "ls"]
] as const

const project = `terrace-compose-${process.pid}`

/** The services of the file, healthy, as long as the scope. */
const services = Effect.acquireRelease(
  Effect.promise(() =>
    new DockerComposeEnvironment(root, "docker-compose.test.yml")
      .withProjectName(project)
      .withDefaultWaitStrategy(Wait.forHealthCheck())
      .withStartupTimeout(60_000)
      .up()
  ),
  (environment) => Effect.promise(() => environment.down({ timeout: 30_000, removeVolumes: true }))
)

describe("docker-compose.test.yml", () => {
  it.live("brings up two image servers over Redis and S3 on loopback, and leaves nothing when it goes down", () =>
    Effect.gen(function* () {
      yield* Effect.scoped(
        Effect.gen(function* () {
          const environment = yield* services
          const redis = environment.getContainer("redis-1")
          const s3 = environment.getContainer("s3-1")
          const nodes = ["node-1-1", "node-2-1"].map((name) => environment.getContainer(name))

          const client = yield* Effect.acquireRelease(
            Effect.sync(() => new Redis(redis.getMappedPort(6379), "127.0.0.1")),
            (open) => Effect.sync(() => open.disconnect())
          )
          assert.strictEqual(yield* Effect.promise(() => client.ping()), "PONG")

          const buckets = yield* Effect.promise(() =>
            new S3Client({
              endpoint: `http://127.0.0.1:${s3.getMappedPort(7480)}`,
              region: "us-east-1",
              forcePathStyle: true,
              credentials: { accessKeyId: "testkey", secretAccessKey: "testsecret" }
            }).send(new ListBucketsCommand({}))
          )
          assert.deepStrictEqual(
            buckets.Buckets?.map(({ Name }) => Name),
            ["images"]
          )

          const [one = "", other = ""] = nodes.map((node) => `http://127.0.0.1:${node.getMappedPort(8080)}`)
          const authorization = "Bearer testtoken"
          const at = (node: string, path: string, init: RequestInit = {}) =>
            Effect.promise(() => fetch(node + path, { ...init, headers: { authorization } }))
          const statusAt = (node: string, path: string) => Effect.map(at(node, path), ({ status }) => status)
          const picture = yield* Effect.promise(() => png(600, 400))
          assert.strictEqual(
            (yield* at(one, "/images/hero", { method: "PUT", body: new Uint8Array(picture) })).status,
            201
          )
          const image = yield* at(other, "/images/hero")
          assert.strictEqual(image.headers.get("content-type"), "image/webp")
          const thumb = yield* at(other, "/images/hero?preset=thumb")
          const { width } = yield* Effect.promise(async () => sharp(await thumb.arrayBuffer()).metadata())
          assert.strictEqual(width, 256)
          assert.strictEqual((yield* at(other, "/images/hero", { method: "DELETE" })).status, 200)
          yield* eventually(
            "what one node has removed is gone from the other",
            Effect.map(statusAt(one, "/images/hero"), (status) => status === 404)
          )

          for (const container of [redis, s3, ...nodes]) {
            assert.strictEqual(
              container.getLabels()["io.terrace.testkit.owner"],
              process.env["TERRACE_CONTAINER_OWNER"]
            )
          }
          assert.lengthOf(yield* listed(["network", "ls"], project), 1)
        })
      )

      for (const kind of everything) assert.deepStrictEqual(yield* listed(kind, project), [], kind.join(" "))
    })
  )
})
