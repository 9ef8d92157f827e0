/**
 * Before tests that need containers: an engine and its images, and nothing of runs that were killed.
 *
 * It runs in the main process of the test run, once, however many projects ask for it. What is missing is set up as
 * `npm run setup:containers` does it, unless `TERRACE_SETUP_CONTAINERS` is `off`.
 */
import { self } from "../../packages/testkit/src/internal/containerOwner.ts"
import { stateOf } from "./docker.ts"
import { images, reaperImage } from "./images.ts"
import { isDead, remove } from "./leftovers.ts"
import { canInstall, setUp, SetupError } from "./setup.ts"

export default async function setup(): Promise<(() => Promise<void>) | undefined> {
  // Each project loads this file anew; the environment of the process is what they share.
  if (process.env["TERRACE_CONTAINERS_READY"] === String(process.pid)) return undefined
  const start = performance.now()
  await ready()
  const { here } = await stateOf([reaperImage])
  if (!here.has(reaperImage)) process.env["TESTCONTAINERS_RYUK_DISABLED"] = "true"

  const owner = self()
  process.env["TERRACE_CONTAINER_OWNER"] = owner
  await remove(isDead)
  process.env["TERRACE_CONTAINERS_READY"] = String(process.pid)
  process.env["TERRACE_CONTAINERS_MILLIS"] = String(performance.now() - start)
  return async () => {
    await remove((other) => other === owner || other.startsWith(`${owner}/`))
  }
}

const ready = async (): Promise<void> => {
  const state = await stateOf(images)
  const missing = images.filter((image) => !state.here.has(image))
  const trouble =
    state.trouble ??
    (state.hasCompose ? undefined : "`docker compose` is missing") ??
    (missing.length > 0 ? `images are missing (${missing.join(", ")})` : undefined)
  if (trouble === undefined) return

  const cannot = (why: string) =>
    new SetupError(`tests need containers: ${trouble}${why}; run: npm run setup:containers`)
  if (process.env["TERRACE_SETUP_CONTAINERS"] === "off") throw cannot(", and TERRACE_SETUP_CONTAINERS is off")
  const needsInstall = state.trouble !== undefined || !state.hasCompose
  if (needsInstall && !canInstall()) throw cannot("")
  process.stderr.write(
    `set-up: tests need containers, and ${trouble} (TERRACE_SETUP_CONTAINERS=off leaves all as it is)\n`
  )
  try {
    await setUp()
  } catch (error) {
    throw error instanceof SetupError ? cannot(`, and the set-up failed: ${error.message}`) : error
  }
}
