/**
 * The server as it is built, in a process of its own.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

const main = fileURLToPath(new URL("../../../services/image-server/dist/main.js", import.meta.url))

export interface Server {
  readonly url: string
  readonly child: ChildProcess
}

/** Starts it on a free port and waits until it listens; rejects if it ends before. */
export const start = async (environment: Readonly<Record<string, string>>): Promise<Server> => {
  const child = spawn(process.execPath, [main], {
    env: { ...process.env, TERRACE_PORT: "0", ...environment },
    stdio: ["ignore", "pipe", "inherit"]
  })
  const url = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).on("line", (line) => {
      const address = /message=listening address=(\S+)/.exec(line)?.[1]
      if (address !== undefined) resolve(address)
    })
    child.once("exit", (code) => reject(new Error(`exit code ${code}`)))
  })
  return { url, child }
}
