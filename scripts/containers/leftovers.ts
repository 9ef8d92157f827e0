/**
 * Containers and networks that a test run has left behind.
 *
 * Each carries a label with its owner, `<host>/<pid>/<start of the process>`, perhaps with more behind another slash. Only
 * what belongs to this run, or to a process of this host that is dead, is ever removed.
 */
import { hostname } from "node:os"
import { ownerLabel, startOf } from "../../packages/testkit/src/internal/containerOwner.ts"
import { docker } from "./docker.ts"

/** Whether the process is known to be dead. */
export const isDead = (owner: string): boolean => {
  const [host, pid, start] = owner.split("/")
  if (host !== hostname() || pid === undefined || !/^[1-9]\d*$/.test(pid)) return false
  try {
    process.kill(Number(pid), 0)
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "ESRCH"
  }
  return start !== "" && startOf(process.pid) !== undefined && startOf(pid) !== start
}

/** Removes what `isLeft` says of its owner; answers how many containers. What another run removes meanwhile is no trouble. */
export const remove = async (isLeft: (owner: string) => boolean): Promise<number> => {
  const list = async (kind: ReadonlyArray<string>): Promise<ReadonlyArray<string>> => {
    const format = `{{.ID}} {{.Label "${ownerLabel}"}}`
    const { output } = await docker([...kind, "--filter", `label=${ownerLabel}`, "--format", format])
    return output.split("\n").flatMap((line) => {
      const [id = "", owner = ""] = line.split(" ")
      return owner !== "" && isLeft(owner) ? [id] : []
    })
  }
  const containers = await list(["ps", "--all"])
  if (containers.length > 0) await docker(["rm", "--force", "--volumes", ...containers], 60_000)
  const networks = await list(["network", "ls"])
  if (networks.length > 0) await docker(["network", "rm", ...networks], 60_000)
  return containers.length
}
