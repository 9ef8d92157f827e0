/**
 * Builds, lints, type-checks and tests everything, and tells how long each stage took: `npm test`.
 *
 * The first stage that fails ends the run with its exit code. What stands behind `npm test --` goes to vitest.
 */
import { spawn } from "node:child_process"
import { constants } from "node:os"
import { type Stage, stagesVariable, table } from "./stages.ts"

/** Runs a command with this terminal; answers its exit code, or 128 and the number of the signal that has ended it. */
const run = (command: string, args: ReadonlyArray<string>, environment: NodeJS.ProcessEnv = {}): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: "inherit",
      env: { ...process.env, ...environment },
      shell: process.platform === "win32"
    })
    // A terminal sends its signals to the whole group; who sends one to this process alone means the stage.
    const forward = (signal: NodeJS.Signals) => child.kill(signal)
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, forward)
    child.on("error", reject)
    child.on("close", (code, signal) => {
      for (const name of ["SIGINT", "SIGTERM"] as const) process.off(name, forward)
      resolve(signal === null ? (code ?? 1) : 128 + constants.signals[signal])
    })
  })

const stages: Array<Stage> = []
for (const name of ["build", "lint", "typecheck"]) {
  const start = performance.now()
  const code = await run("npm", ["run", "--silent", name])
  stages.push({ name, millis: performance.now() - start })
  if (code !== 0) {
    process.stdout.write(`\n${table(stages)}\n${name} failed with exit code ${code}\n`)
    process.exit(code)
  }
}
process.exitCode = await run("vitest", ["run", ...process.argv.slice(2)], { [stagesVariable]: JSON.stringify(stages) })
