/**
 * Who a process is, so that another one can tell whether it still runs.
 *
 * A process id alone is not enough: ids are used again, after a restart of a container nearly always the same one. With
 * the time at which the process started, the boot and the pid namespace it is. These come from Linux's /proc; elsewhere a
 * process that is not provably dead is judged by the heartbeat of its lock.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { randomBytes } from "node:crypto"
import { readFile, readlink } from "node:fs/promises"
import { hostname } from "node:os"

export const ProcessIdentity = Schema.Struct({
  pid: Schema.Number,
  host: Schema.String,
  /** One boot of one machine. */
  bootId: Schema.optionalKey(Schema.String),
  /** Ids of different namespaces are not comparable. */
  pidNamespace: Schema.optionalKey(Schema.String),
  /** When the process started, in whatever unit; to be compared only. */
  processStart: Schema.optionalKey(Schema.String),
  /** Of one tier: a process may have had others. */
  nonce: Schema.String.check(Schema.isPattern(/^[0-9a-f]{8,64}$/)),
  /** When the tier started, ISO 8601. */
  startedAt: Schema.String
})
export type ProcessIdentity = typeof ProcessIdentity.Type

export const encode = (identity: ProcessIdentity): string => `${JSON.stringify(identity)}\n`
export const decode = Schema.decodeUnknownOption(Schema.fromJsonString(ProcessIdentity))

/** Text of a file of the system, trimmed; undefined if it has none. */
const systemText = (read: () => Promise<string>): Effect.Effect<string | undefined> =>
  Effect.promise(() =>
    read().then(
      (text) => text.trim(),
      () => undefined
    )
  )

/** State and start time of a process, as /proc/<pid>/stat tells; see proc_pid_stat(5). */
const procStat = (pid: number | "self"): Effect.Effect<{ state: string; start: string } | undefined> =>
  Effect.map(
    systemText(() => readFile(`/proc/${pid}/stat`, "latin1")),
    (text) => {
      // The second field is the command in parentheses, which may hold anything; the third one follows the last ")".
      const fields = text?.slice(text.lastIndexOf(")") + 2).split(" ")
      const state = fields?.[0]
      const start = fields?.[19]
      return state === undefined || start === undefined ? undefined : { state, start }
    }
  )

/** This process, with a new nonce. */
export const own: Effect.Effect<ProcessIdentity> = Effect.gen(function* () {
  const bootId = yield* systemText(() => readFile("/proc/sys/kernel/random/boot_id", "latin1"))
  const pidNamespace = yield* systemText(() => readlink("/proc/self/ns/pid"))
  const stat = yield* procStat("self")
  const now = yield* Clock.currentTimeMillis
  return {
    pid: process.pid,
    host: hostname(),
    ...(bootId === undefined ? {} : { bootId }),
    ...(pidNamespace === undefined ? {} : { pidNamespace }),
    processStart: stat?.start ?? `${performance.timeOrigin}`,
    nonce: randomBytes(8).toString("hex"),
    startedAt: DateTime.formatIso(DateTime.makeUnsafe(now))
  }
})

const exists = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return !(Predicate.hasProperty(error, "code") && error.code === "ESRCH")
  }
}

/**
 * Whether the process runs, as far as `self` can tell. "unknown" if it is of another machine, boot or namespace, or if a
 * process has its id but the system does not tell since when.
 */
export const vitality = (
  other: ProcessIdentity,
  self: ProcessIdentity
): Effect.Effect<"alive" | "dead" | "unknown"> => {
  const isComparable =
    other.host === self.host &&
    other.bootId === self.bootId &&
    (other.pidNamespace === undefined || self.pidNamespace === undefined || other.pidNamespace === self.pidNamespace)
  if (!isComparable) return Effect.succeed("unknown")
  if (other.pid === self.pid) return Effect.succeed(other.processStart === self.processStart ? "alive" : "dead")
  if (!Number.isSafeInteger(other.pid) || other.pid <= 0 || !exists(other.pid)) return Effect.succeed("dead")
  return Effect.map(procStat(other.pid), (stat) => {
    if (stat === undefined || other.processStart === undefined) return "unknown"
    return stat.state === "Z" || stat.state === "X" || other.processStart !== stat.start ? "dead" : "alive"
  })
}
