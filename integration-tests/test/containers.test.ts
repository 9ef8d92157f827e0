import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { readFile } from "node:fs/promises"
import { createRequire } from "node:module"
import { hostname } from "node:os"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { ownerLabel, self } from "../../packages/testkit/src/internal/containerOwner.ts"
import { docker, stateOf } from "../../scripts/containers/docker.ts"
import { images, reaperImage } from "../../scripts/containers/images.ts"
import { isDead, remove } from "../../scripts/containers/leftovers.ts"

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/** The environment without what a run of tests has put there. */
const { DOCKER_HOST: _, TERRACE_CONTAINER_OWNER: __, TERRACE_SETUP_CONTAINERS: ___, ...environment } = process.env

/** Exit code and output of the set-up that tests run before them. */
const setUp = (extra: Readonly<Record<string, string>>) =>
  Effect.callback<{ readonly code: number; readonly errors: string }>((resume) => {
    const program = `const { default: setup } = await import(${JSON.stringify(path("../../scripts/containers/global-setup.ts"))}); await setup()`
    const env = { ...environment, ...extra }
    execFile(process.execPath, ["--input-type=module", "-e", program], { env }, (error, _, errors) => {
      resume(Effect.succeed({ code: typeof error?.code === "number" ? error.code : 0, errors }))
    })
  })

/** A process with a Redis in a container, which it owns. */
const holder = Effect.acquireRelease(
  Effect.promise(async () => {
    const child = spawn(process.execPath, ["--conditions=@terrace/source", path("./support/holdRedis.ts")], {
      env: environment,
      stdio: ["ignore", "pipe", "inherit"]
    })
    const [port] = (await once(createInterface(child.stdout), "line")) as [string]
    return { child, container: (await containersAt(port)).join() }
  }),
  ({ child, container }) =>
    Effect.promise(async () => {
      await kill(child)
      await docker(["rm", "--force", "--volumes", container])
    })
)

const kill = async (child: ReturnType<typeof spawn>): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const closed = once(child, "close")
  child.kill("SIGKILL")
  await closed
}

const containersAt = async (port: string): Promise<ReadonlyArray<string>> =>
  (await docker(["ps", "--quiet", "--no-trunc", "--filter", `publish=${port}`])).output.split("\n")

const exists = (container: string) =>
  Effect.promise(async () => (await docker(["container", "inspect", container])).code === 0)

describe("the set-up of containers", () => {
  it.live("goes on without a word where all is there", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* setUp({}), { code: 0, errors: "" })
    })
  )

  it.live("an image that is missing is not taken for trouble of the engine", () =>
    Effect.gen(function* () {
      const { hasCompose, here, trouble } = yield* Effect.promise(() => stateOf([...images, "no-such-image:1"]))

      assert.isUndefined(trouble)
      assert.isTrue(hasCompose)
      assert.deepStrictEqual([...here], [...images])
    })
  )

  it.live("an engine that does not answer at DOCKER_HOST fails the run, naming the step; nothing is installed", () =>
    Effect.gen(function* () {
      const { code, errors } = yield* setUp({ DOCKER_HOST: "tcp://127.0.0.1:9" })

      assert.strictEqual(code, 1)
      assert.match(
        errors,
        /tests need containers: no engine answers \(.*127\.0\.0\.1:9.*; run: npm run setup:containers/
      )
      assert.notInclude(errors, "installing")
    })
  )

  it.live("TERRACE_SETUP_CONTAINERS=off - fails the run instead of changing the machine", () =>
    Effect.gen(function* () {
      const { code, errors } = yield* setUp({ DOCKER_HOST: "tcp://127.0.0.1:9", TERRACE_SETUP_CONTAINERS: "off" })

      assert.strictEqual(code, 1)
      assert.match(errors, /and TERRACE_SETUP_CONTAINERS is off; run: npm run setup:containers/)
    })
  )

  it.live("npm run setup:containers changes nothing where all is there", () =>
    Effect.gen(function* () {
      const outcome = yield* Effect.callback<string>((resume) => {
        execFile(
          "npm",
          ["run", "--silent", "setup:containers"],
          { cwd: path("../../"), env: environment },
          (error, _, errors) => resume(Effect.succeed(error === null ? errors : error.message))
        )
      })

      assert.strictEqual(
        outcome.trimEnd().split("\n").at(-1),
        `set-up: an engine answers, and the images are here: ${images.join(", ")}`
      )
      assert.notMatch(outcome, /installing|stand-in/)
    })
  )

  it("knows the reaper that testcontainers starts, and a recipe for every image", async () => {
    const { getReaperImage } = createRequire(import.meta.url)("testcontainers/build/reaper/reaper") as {
      getReaperImage: () => string
    }
    assert.strictEqual(reaperImage, getReaperImage())

    const recipes = await readFile(path("../../scripts/containers/build-stand-ins.sh"), "utf8")
    for (const image of images) assert.include(recipes, `[${image}]=`)
    const compose = await readFile(path("../../docker-compose.test.yml"), "utf8")
    for (const [, image] of compose.matchAll(/image: (\S+)/g)) assert.include(images, image)
  })
})

describe("leftovers", () => {
  it.live("a run that was killed leaves containers, which the next one removes; those of a live one stay", () =>
    Effect.gen(function* () {
      const killed = yield* holder
      const living = yield* holder
      yield* Effect.promise(() => remove(isDead))
      assert.isTrue(yield* exists(killed.container))

      yield* Effect.promise(() => kill(killed.child))
      yield* Effect.promise(() => remove(isDead))

      assert.isFalse(yield* exists(killed.container))
      assert.isTrue(yield* exists(living.container))
    })
  )

  it.live("a network that a killed run has left is removed", () =>
    Effect.gen(function* () {
      const name = `terrace-leftover-${process.pid}`
      const { child } = yield* holder
      const owner = `${hostname()}/${child.pid}/1`
      yield* Effect.promise(() => docker(["network", "create", "--label", `${ownerLabel}=${owner}`, name]))

      yield* Effect.promise(() => remove(isDead))

      const { code } = yield* Effect.promise(() => docker(["network", "inspect", name]))
      assert.notStrictEqual(code, 0)
    })
  )

  it("an owner is dead only if that is certain", () => {
    const own = self()
    const [host, pid, start] = own.split("/")

    assert.isFalse(isDead(own))
    assert.isFalse(isDead(`${own}/behind`))
    assert.isTrue(isDead(`${host}/${pid}/${Number(start) - 1}`), "another process had this id before")
    assert.isFalse(isDead(`elsewhere/${pid}/1`), "of another machine nothing is known")
    assert.isFalse(isDead(`${host}/nonsense/1`))
    assert.isFalse(isDead(""))
  })
})
