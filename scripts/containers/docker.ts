/** The command `docker`, and what it tells of this machine. */
import { execFile } from "node:child_process"

export interface Outcome {
  /** 127: there is no such command. */
  readonly code: number
  readonly output: string
  readonly errors: string
}

/** Runs a command and never rejects; an engine that does not answer ends it after `timeout` milliseconds. */
export const docker = (args: ReadonlyArray<string>, timeout = 10_000): Promise<Outcome> =>
  new Promise((resolve) => {
    execFile("docker", args, { timeout, maxBuffer: 16_777_216 }, (error, output, errors) => {
      const code = error === null ? 0 : error.code === "ENOENT" ? 127 : typeof error.code === "number" ? error.code : 1
      resolve({ code, output: output.trim(), errors: errors.trim() })
    })
  })

export interface State {
  /** Why no engine can be used; absent: one answers. */
  readonly trouble?: string
  readonly hasCompose: boolean
  readonly here: ReadonlySet<string>
}

/** Looks at the engine and at which of the images it has: short commands, all at once. */
export const stateOf = async (images: ReadonlyArray<string>): Promise<State> => {
  const [engine, compose, ...inspected] = await Promise.all([
    docker(["version", "--format", "{{.Server.Version}}"]),
    docker(["compose", "version"]),
    ...images.map((image) => docker(["image", "inspect", "--format", "{{.Id}}", image]))
  ])
  const hasCompose = compose.code === 0
  const here = new Set(images.filter((_, index) => inspected[index]?.code === 0))
  if (engine.code === 0) return { hasCompose, here }
  const trouble =
    engine.code === 127
      ? "there is no command `docker`"
      : `no engine answers (${engine.errors.split("\n")[0] || "no answer within 10 s"})`
  return { trouble, hasCompose, here }
}
