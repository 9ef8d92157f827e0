/**
 * What figures depend on beside the code: the machine, Node, the versions of the packages.
 */
import { readFile } from "node:fs/promises"
import { arch, cpus, platform } from "node:os"
import { isPinned } from "./Contestant.ts"

/** The dependencies of the benchmarks, which are pinned; `name version`. */
export const versions = async (names: ReadonlyArray<string>): Promise<string> => {
  const text = await readFile(new URL("../../package.json", import.meta.url), "utf8")
  const { dependencies } = JSON.parse(text) as { readonly dependencies: Readonly<Record<string, string>> }
  return names.map((name) => `${name} ${dependencies[name] ?? "?"}`).join(", ")
}

export const processor = (): string =>
  `${cpus()[0]?.model ?? "unknown processor"}, ${cpus().length} cores, ${platform()} ${arch()}, Node ${process.version}`

export const machine = (): string =>
  [
    processor(),
    isPinned ? "every process pinned to the first core (taskset)" : "not pinned to a core: no taskset here"
  ].join("; ")
