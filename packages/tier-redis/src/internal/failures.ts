/**
 * What a failure of Redis or of its client means, and whether a write that failed so may have taken effect.
 *
 * Codes of replies: https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors, and `addReplyError` in
 * Redis' sources.
 */
import { Denied, NoSpace, type Reason, Throttled, TimedOut, Unavailable, Unknown } from "@terrace/core/TierError"

/** What is known of the connection when a command fails. */
export interface Circumstances {
  readonly address: string
  readonly isCluster: boolean
  readonly isConnected: boolean
  readonly silenceMillis: number
  /** What was last heard of the connection, if it was bad. */
  readonly trouble: Error | undefined
}

/** Messages of ioredis, which has no codes for them. */
const neverSent = ["Stream isn't writeable and enableOfflineQueue", "Cluster isn't ready and enableOfflineQueue"]
const silence = "Socket timeout."

export const reasonOf = (cause: unknown, circumstances: Circumstances): Reason => {
  const error = clean(cause)
  if (neverSent.some((text) => error.message.startsWith(text))) return notConnected(circumstances)
  const reply = replyOf(error)
  return reply === undefined ? lost(error, circumstances) : refused(reply, error, circumstances)
}

/** There is no connection: nothing was sent. */
export const notConnected = ({ address, trouble }: Circumstances): Reason => {
  if (trouble !== undefined && isDenial(trouble)) return new Denied({ cause: clean(trouble) })
  const detail = trouble === undefined ? "" : `: ${textOf(trouble)}`
  const cause = new Error(`no connection to Redis at ${address}${detail}`, { cause: trouble && clean(trouble) })
  return new Unavailable({ cause, noEffect: true })
}

/** Whether the server refuses who asks, rather than what is asked. */
export const isDenial = (error: Error): boolean => /^(NOAUTH|WRONGPASS)\b/.test(replyOf(error) ?? "")

/** The server refused the command, which had no effect. */
const refused = (reply: string, cause: Error, { address, isCluster }: Circumstances): Reason => {
  const code = reply.slice(0, /[^A-Z]|$/.exec(reply)?.index)
  switch (code) {
    case "NOAUTH":
    case "WRONGPASS":
    case "NOPERM":
      return new Denied({ cause })
    case "OOM":
      return new NoSpace({ detail: reply, cause })
    case "BUSY":
      return new Throttled({ cause })
    case "READONLY":
    case "LOADING":
    case "MASTERDOWN":
    case "NOREPLICAS":
    case "MISCONF":
    case "CLUSTERDOWN":
    case "TRYAGAIN":
      return new Unavailable({ cause, noEffect: true })
    case "MOVED":
    case "ASK":
      return new Unavailable({ cause: isCluster ? cause : needsCluster(address, cause), noEffect: true })
  }
  if (reply.startsWith("ERR max number of clients")) return new Unavailable({ cause, noEffect: true })
  // The right to a command that a script needs is missing.
  if (/ACL failure in script|user executing the script can't/.test(reply)) return new Denied({ cause })
  return new Unknown({ cause })
}

const needsCluster = (address: string, cause: Error): Error =>
  new Error(`Redis at ${address} is a node of a cluster (${cause.message}): set \`cluster: true\``, { cause })

/** No answer came. What was sent may have taken effect. */
const lost = (error: Error, { address, silenceMillis, trouble }: Circumstances): Reason => {
  const problem = error.name === "MaxRetriesPerRequestError" && trouble !== undefined ? trouble : error
  if (problem.message.startsWith(silence)) return new TimedOut({ millis: silenceMillis })
  if (error.name !== "MaxRetriesPerRequestError" && !isOfConnection(error)) return new Unknown({ cause: error })
  const text = `the connection to Redis at ${address} broke before the answer: ${textOf(problem)}`
  return new Unavailable({ cause: new Error(text, { cause: clean(problem) }) })
}

const isOfConnection = (error: Error): boolean =>
  "code" in error ||
  ["AbortError", "ClusterAllFailedError"].includes(error.name) ||
  /^(Connection is closed|None of startup nodes|Too many Cluster redirections|Cluster is )/.test(error.message)

/** The text of an error reply, also of one that the client of a cluster has wrapped. */
const replyOf = (error: Error): string | undefined => {
  const wrapped = /^Too many Cluster redirections\. Last error: ReplyError: (.*)$/s.exec(error.message)?.[1]
  return wrapped ?? (error.name === "ReplyError" ? error.message : undefined)
}

/** What there is to read of an error: one that sums up others may have no message of its own. */
export const textOf = (error: Error): string => {
  if (error.message !== "") return error.message
  const [first] = error instanceof AggregateError ? (error.errors as ReadonlyArray<unknown>) : []
  return first instanceof Error ? first.message : "code" in error ? String(error.code) : error.name
}

/** The error without the command that ioredis hangs on it, whose arguments may be a password or a whole image. */
export const clean = (cause: unknown): Error => {
  if (!(cause instanceof Error)) return new Error(String(cause))
  if (!("command" in cause)) return cause
  const copy = new Error(cause.message)
  copy.name = cause.name
  return copy
}
