/**
 * Requests per second of a warm 40 KB image: Terrace beside a bare `node:http` server that sends the same buffer.
 *
 * Both run on one core (`taskset`, where there is one), the load on another; rounds alternate, and the ratio of the medians
 * is what counts. Needs wrk (a package of Debian) and a build. Usage: `npm run build && npm run warm-get -w benchmarks`.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import sharp from "sharp"

const rounds = 5
const seconds = 4
const connections = 32
const main = fileURLToPath(new URL("../../services/image-server/dist/main.js", import.meta.url))

const bare = `
  const { createServer } = require("node:http")
  const body = require("node:fs").readFileSync(process.argv[1])
  const server = createServer((request, response) => {
    response.writeHead(200, { "content-type": "image/webp", "content-length": body.length })
    response.end(body)
  })
  server.listen(0, "127.0.0.1", () => console.log("address=http://127.0.0.1:" + server.address().port))
`

const isPinned = process.platform === "linux" && availableParallelism() > 1

/** Starts a server on the first core and waits for its address. */
const start = async (args: ReadonlyArray<string>, environment: Readonly<Record<string, string>> = {}) => {
  const command = isPinned ? ["taskset", "-c", "0", process.execPath, ...args] : [process.execPath, ...args]
  const child = spawn(command[0] ?? "", command.slice(1), {
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "inherit"]
  })
  const url = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).on("line", (line) => {
      const address = /address=(\S+)/.exec(line)?.[1]
      if (address !== undefined) resolve(address)
    })
    child.once("exit", (code) => reject(new Error(`exit code ${code}`)))
  })
  return { url, child }
}

/** Loads a server from the second core, with wrk: a client in JavaScript would be slower than what it measures. */
const measure = async (url: string): Promise<number> => {
  const wrk = ["wrk", "-t1", `-c${connections}`, `-d${seconds}s`, url]
  const [command = "", ...args] = isPinned ? ["taskset", "-c", "1", ...wrk] : wrk
  const { stdout } = await promisify(execFile)(command, args)
  const found = /Requests\/sec:\s+([0-9.]+)/.exec(stdout)?.[1]
  if (found === undefined || /Non-2xx|Socket errors/.test(stdout)) throw new Error(`${url}:\n${stdout}`)
  return Number(found)
}

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN

const directory = await mkdtemp(join(tmpdir(), "terrace-bench-"))
const children: Array<ChildProcess> = []
try {
  const png = await sharp({
    create: {
      width: 484,
      height: 362,
      channels: 3,
      background: "#777",
      noise: { type: "gaussian", mean: 128, sigma: 9 }
    }
  })
    .png()
    .toBuffer()
  const terrace = await start([main], { TERRACE_PORT: "0", TERRACE_DATA_DIR: join(directory, "data") })
  children.push(terrace.child)
  const image = `${terrace.url}/images/warm`
  const stored = await fetch(image, { method: "PUT", body: new Uint8Array(png) })
  if (!stored.ok) throw new Error(await stored.text())
  const bytes = Buffer.from(await (await fetch(image)).arrayBuffer())
  const file = join(directory, "warm.webp")
  await writeFile(file, bytes)
  const plain = await start(["-e", bare, "--", file])
  children.push(plain.child)
  if (!(await readFile(file)).equals(bytes)) throw new Error("not the same bytes")

  const results = { bare: new Array<number>(), terrace: new Array<number>() }
  for (let round = 0; round < rounds; round++) {
    results.bare.push(await measure(plain.url))
    results.terrace.push(await measure(image))
  }
  const ratio = median(results.terrace) / median(results.bare)
  process.stdout.write(
    [
      `image of ${bytes.byteLength} bytes, ${connections} connections, ${rounds} rounds of ${seconds} s, Node ${process.version}`,
      `bare node:http  ${results.bare.map(Math.round).join("  ")}  requests/s`,
      `terrace         ${results.terrace.map(Math.round).join("  ")}  requests/s`,
      `ratio of medians ${ratio.toFixed(2)}\n`
    ].join("\n")
  )
} finally {
  for (const child of children) child.kill()
  await rm(directory, { recursive: true, force: true })
}
