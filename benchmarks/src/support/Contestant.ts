/**
 * Processes that measure one contender each, and answer questions with figures.
 *
 * One process each, so that what the compiler learns of one contender does not help or hurt the next. All of them share
 * one core where `taskset` can give them one, together with the threads of their compiler and garbage collector, and are
 * asked one at a time; who is not asked waits.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

export type Figures = Readonly<Record<string, number>>

export interface Contestant {
  /** What it answered to `open`. */
  readonly opened: Figures
  /** Asks one question; fails if the process ends instead of answering. */
  readonly ask: (question: string) => Promise<Figures>
  /** Asks `end`, and ends the process. */
  readonly end: () => Promise<void>
}

/** Starts the process of a contender, with further flags of Node, and asks it `open`. */
export type Enter = (name: string, flags?: ReadonlyArray<string>) => Promise<Contestant>

/** Whether contestants share one core. */
export const isPinned: boolean = spawnSync("taskset", ["-c", "0", "true"]).status === 0

/**
 * Lets contestants enter that run `module`, whose arguments are the name of the contender and a directory of its own.
 * Afterwards nothing of them is left.
 */
export const compete = async (module: URL, run: (enter: Enter) => Promise<void>): Promise<void> => {
  const directory = await mkdtemp(join(tmpdir(), "terrace-bench-"))
  const children = new Set<ChildProcess>()
  try {
    await run(async (name, flags = []) => {
      process.stderr.write(`begins: ${name}\n`)
      const own = await mkdtemp(join(directory, "contestant-"))
      const node = [process.execPath, ...process.execArgv, ...flags, fileURLToPath(module), name, own]
      const [command = "", ...rest] = isPinned ? ["taskset", "-c", "0", ...node] : node
      const child = spawn(command, rest, { stdio: ["ignore", "inherit", "inherit", "ipc"] })
      children.add(child)
      const ask = (question: string) => answerOf(child, name, question)
      return {
        opened: await ask("open"),
        ask,
        end: async () => {
          await ask("end")
          children.delete(child)
          child.kill()
          await rm(own, { recursive: true })
        }
      }
    })
  } finally {
    for (const child of children) child.kill()
    await rm(directory, { recursive: true, force: true })
  }
}

const answerOf = (child: ChildProcess, name: string, question: string): Promise<Figures> =>
  new Promise((resolve, reject) => {
    const end = (why: Error | number | null): void => reject(new Error(`${name}: no answer to ${question}: ${why}`))
    child.once("exit", end).once("error", end)
    child.once("message", (figures) => {
      child.off("exit", end).off("error", end)
      resolve(figures as Figures)
    })
    child.send(question)
  })

/** Asks every contestant in each round, which begins with another one each time. */
export const inRounds = async (
  rounds: number,
  contestants: ReadonlyMap<string, Contestant>,
  turn: (name: string, contestant: Contestant) => Promise<void>
): Promise<void> => {
  const entries = [...contestants]
  for (let round = 0; round < rounds; round++) {
    process.stderr.write(`round ${round + 1} of ${rounds}\n`)
    const first = round % entries.length
    for (const [name, contestant] of [...entries.slice(first), ...entries.slice(0, first)]) await turn(name, contestant)
  }
}

/** In the process of a contestant: answers the questions, one after the other. */
export const serve = (answer: (question: string) => Promise<Figures>): void => {
  process.on("message", (question) => {
    answer(String(question)).then(
      (figures) => process.send?.(figures),
      (error: unknown) => {
        process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
        process.exit(1)
      }
    )
  })
}
