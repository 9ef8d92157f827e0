/**
 * Whose a container is, so that leftovers of a process that was killed can be told from those in use.
 *
 * The label holds host, process id and start time of the process: ids are used again. A test run may name another owner
 * for what its workers start, in `TERRACE_CONTAINER_OWNER`.
 */
import { readFileSync } from "node:fs"
import { hostname } from "node:os"

export const ownerLabel = "io.terrace.testkit.owner"

/** The owner of what this process starts: `<host>/<pid>/<start>`. */
export const owner = (): string => process.env["TERRACE_CONTAINER_OWNER"] ?? self()

/** This process; without its start where the system does not tell. */
export const self = (): string => `${hostname()}/${process.pid}/${startOf(process.pid) ?? ""}`

/**
 * Start of a process in clock ticks since boot, see proc_pid_stat(5); undefined if it is dead, or the system does not tell.
 * The state is the third field, the start the 22nd; the second one, in parentheses, may hold anything.
 */
export const startOf = (pid: string | number): string | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1")
    const [state, ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return state === "Z" || state === "X" ? undefined : fields[18]
  } catch {
    return undefined
  }
}
