/**
 * Sees to it that a container engine answers and has the images that tests run on: `npm run setup:containers`.
 *
 * Where all is there, nothing is changed. An image that is missing is pulled; if it cannot be, on Debian as root, a stand-in
 * is built. Where no engine answers, on Debian as root, Debian's is installed and started; anywhere else that is left to
 * who owns the machine.
 */
import { spawn } from "node:child_process"
import { accessSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { docker, stateOf } from "./docker.ts"
import { images, reaperImage } from "./images.ts"

/** What cannot be done, and why; one line. */
export class SetupError extends Error {}

const say = (line: string): void => {
  process.stderr.write(`set-up: ${line}\n`)
}

/** Whether an engine, or a stand-in for an image, may be made here. */
export const canInstall = (): boolean => {
  try {
    for (const path of ["/etc/debian_version", "/usr/bin/apt-get"]) accessSync(path)
    return process.getuid?.() === 0
  } catch {
    return false
  }
}

/** Seconds that one pull may take. */
const pullSeconds = 900
/** Seconds within which a registry must answer to be asked for images. */
const answerSeconds = 15

export const setUp = async (): Promise<void> => {
  const before = await stateOf(images)
  if (before.trouble !== undefined || !before.hasCompose) {
    const trouble = before.trouble ?? "`docker compose` is missing"
    const host = process.env["DOCKER_HOST"]
    if (before.trouble !== undefined && host !== undefined) throw new SetupError(`${trouble}; DOCKER_HOST is ${host}`)
    if (!canInstall()) throw new SetupError(`${trouble}; install and start Docker with compose, then run this again`)
    await run("start-docker.sh", [])
  }

  const { here } = await stateOf([...images, reaperImage])
  const unpulled: Array<string> = []
  for (const image of images) {
    if (!here.has(image) && !(await pull(image))) unpulled.push(image)
  }
  if (unpulled.length > 0) await run("build-stand-ins.sh", unpulled)
  // Without it the runs clean up themselves.
  if (!here.has(reaperImage) && unpulled.length === 0) await pull(reaperImage)
}

/** Whether the image could be pulled. A registry that does not answer within seconds is not waited for. */
const pull = async (image: string): Promise<boolean> => {
  const answer = await docker(["manifest", "inspect", image], answerSeconds * 1_000)
  if (answer.code !== 0) return false
  say(`pulling ${image}`)
  const { code, errors } = await docker(["pull", "--quiet", image], pullSeconds * 1_000)
  if (code !== 0) say(`${image} could not be pulled: ${errors}`)
  return code === 0
}

/** Runs a script of this directory, which tells what it does; rejects if it fails. */
const run = (script: string, args: ReadonlyArray<string>): Promise<void> =>
  new Promise((resolve, reject) => {
    const path = fileURLToPath(new URL(script, import.meta.url))
    const child = spawn("bash", [path, ...args], { stdio: ["ignore", "inherit", "inherit"] })
    child.on("error", reject)
    child.on("close", (code) => {
      if (code === 0) resolve()
      else reject(new SetupError(`${script} failed; what it said stands above`))
    })
  })

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await setUp()
    say(`an engine answers, and the images are here: ${images.join(", ")}`)
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    say(error.message)
    process.exitCode = 1
  }
}
