import { assert, describe, it } from "@effect/vitest"
import * as RedisServer from "@terrace/testkit/RedisServer"
import * as Effect from "effect/Effect"
import { Redis } from "ioredis"
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { access, readdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { sections, updated } from "../../scripts/docs.ts"
import { png } from "./support/images.ts"
import * as OldRecords from "./support/OldRecords.ts"
import { start, temporaryDirectory } from "./support/TestServer.ts"

const root = fileURLToPath(new URL("../../", import.meta.url))
const document = (path: string) => Effect.promise(() => readFile(join(root, path), "utf8"))

/** JSON with the types of its numbers and of the texts that are of one image instead of their values. */
const shapeOf = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value), (name, part: unknown) =>
    typeof part === "number" || name === "digest" || name === "createdAt" ? typeof part : part
  )

describe("documents", () => {
  for (const section of sections) {
    it.live(`${section.file} has the ${section.name} of the code (npm run docs)`, () =>
      Effect.gen(function* () {
        const { after, before } = yield* Effect.promise(() => updated(section))
        const cells = (text: string) => text.replaceAll(/ +/g, " ").replaceAll(/-{3,}/g, "---")

        assert.strictEqual(cells(before), cells(after))
      })
    )
  }

  it.live("AGENTS.md says once where something is", () =>
    Effect.gen(function* () {
      const [, where = ""] = /## Where things are\n([^]*?)\n## /.exec(yield* document("AGENTS.md")) ?? []
      const subjects = Array.from(where.matchAll(/^- `([^`]+)`/gm), ([, path]) => path)
      assert.isAbove(subjects.length, 5)
      assert.deepStrictEqual(subjects, [...new Set(subjects)])
    })
  )

  it.live("AGENTS.md names only paths that exist", () =>
    Effect.gen(function* () {
      const paths = (yield* document("AGENTS.md")).matchAll(/`((?:packages|services|docs|scripts)\/[A-Za-z0-9./_-]+)`/g)
      const named = Array.from(paths, ([, path]) => path ?? "")
      assert.isAbove(named.length, 5)
      for (const path of named) yield* Effect.promise(() => access(join(root, path)))
    })
  )

  it.live("README.md names every package", () =>
    Effect.gen(function* () {
      const readme = yield* document("README.md")
      for (const name of yield* Effect.promise(() => readdir(join(root, "packages")))) {
        assert.include(readme, `| [\`@terrace/${name}\`](packages/${name})`)
      }
    })
  )

  it.live("README.md shows commands that work", () =>
    Effect.gen(function* () {
      const redis = yield* RedisServer.make()
      yield* Effect.promise(async () => {
        const client = new Redis(redis.url)
        await OldRecords.write(client, "hero_recycle_abc", OldRecords.record(await png(60, 40)))
        client.disconnect()
      })
      const server = yield* start()
      const withRedis = yield* start({ TERRACE_REDIS_URL: redis.url })
      const directory = yield* temporaryDirectory
      yield* Effect.promise(async () => writeFile(join(directory, "bottle.png"), await png(300, 200)))
      const blocks = Array.from(
        (yield* document("README.md")).matchAll(/```sh\n([^`]*)```/g),
        ([, block]) => block ?? ""
      )
      const requests = blocks.filter((block) => block.includes("curl"))
      assert.strictEqual(requests.length, 5)

      for (const block of requests) {
        const script = block
          .replaceAll("http://127.0.0.1:8080", (block.includes("hero_recycle") ? withRedis : server).url)
          .replaceAll("curl ", "curl -sS --fail-with-body ")
        yield* Effect.promise(() => promisify(execFile)("bash", ["-euc", script], { cwd: directory }))
      }

      const shown: unknown = JSON.parse(/```json\n([^]*?)```/.exec(yield* document("README.md"))?.[1] ?? "")
      const explained: unknown = yield* Effect.promise(async () =>
        (await fetch(`${server.url}/explain/images/bottle`)).json()
      )
      assert.deepStrictEqual(shapeOf(shown), shapeOf(explained))
      for (const name of ["bottle", "hero"]) {
        const webp = yield* Effect.promise(() => readFile(join(directory, `${name}.webp`)))
        assert.strictEqual(webp.subarray(8, 12).toString(), "WEBP")
      }
      const others = blocks.filter((block) => !block.includes("curl")).map((block) => block.trim())
      assert.deepStrictEqual(others, [
        "npm ci && npm start",
        "npm ci && npm test",
        "TERRACE_REDIS_URL=redis://127.0.0.1:6379 npm start",
        "AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret TERRACE_S3_BUCKET=my-images TERRACE_S3_REGION=eu-central-1 TERRACE_REDIS_URL=redis://127.0.0.1:6379 npm start",
        // As the test of `docker-compose.test.yml` does it.
        [
          "npm ci && npm run build",
          "docker compose -f docker-compose.test.yml up --wait",
          "docker compose -f docker-compose.test.yml port node-1 8080",
          "docker compose -f docker-compose.test.yml down --volumes"
        ].join("\n"),
        "TERRACE_S3_BUCKET=my-images TERRACE_S3_REGION=eu-central-1 TERRACE_DELIVERY=redirect npm start",
        "npm start -- --config packages/config/examples/embedded.yaml"
      ])
    })
  )

  it.live("README.md shows an example that works", () =>
    Effect.gen(function* () {
      const shown = /```ts\n([^]*?)```/.exec(yield* document("README.md"))?.[1]
      assert.strictEqual(shown, yield* document("integration-tests/examples/notes.ts"))
      const directory = yield* temporaryDirectory
      const runner = join(root, "integration-tests/test/support/runNotes.ts")
      const { stdout } = yield* Effect.promise(() =>
        promisify(execFile)(process.execPath, ["--conditions=@terrace/source", runner], { cwd: directory })
      )

      assert.strictEqual(stdout, "Buy milk")
    })
  )

  for (const options of [[], ["--", "--config", "packages/config/examples/embedded.yaml"]]) {
    it.live(["npm start", ...options, "- builds and serves"].join(" "), () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const answer = yield* Effect.promise(async () => {
          const child = spawn("npm", ["start", ...options], {
            cwd: root,
            // A group of its own, so that ending it ends what npm has started too.
            detached: true,
            env: { ...process.env, TERRACE_PORT: "0", TERRACE_DATA_DIR: directory },
            stdio: ["ignore", "pipe", "inherit"]
          })
          const ended = once(child, "close")
          try {
            for await (const line of createInterface(child.stdout)) {
              const address = /message=listening address=(\S+)/.exec(line)?.[1]
              if (address !== undefined) return (await fetch(`${address}/readyz`)).status
            }
            return undefined
          } finally {
            if (child.pid !== undefined) process.kill(-child.pid, "SIGTERM")
            await ended
          }
        })

        assert.strictEqual(answer, 200)
      })
    )
  }
})
