/**
 * Whose a container is, so that leftovers of a process that was killed can be told from those in use.
 *
 * The label holds host, process id and start time of the process: ids are used again. A test run may name another owner
 * for what its workers start, in `TERRACE_CONTAINER_OWNER`.
 */
import { readFileSync } from "node:fs"
import { hostname } from "node:os"

export const ownerLabel = "io.terrace.testkit.owner"

/** `<host>/<pid>/<start>`; the start is in clock ticks since boot where the system tells, else empty. */
export const owner = (): string =>
  process.env["TERRACE_CONTAINER_OWNER"] ?? `${hostname()}/${process.pid}/${startOf(process.pid)}`

/** Start time of a process, see proc_pid_stat(5): the 22nd field; the second one, in parentheses, may hold anything. */
const startOf = (pid: number): string => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1")
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? ""
  } catch {
    return ""
  }
}
