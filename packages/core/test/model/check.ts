/**
 * The model: what a history must not show. Each rule is a sentence of the architecture.
 */
import { hash } from "node:crypto"
import type { Key } from "../../src/Key.ts"
import type { Event, History, Read, Write } from "./History.ts"

interface Found extends Read {
  readonly answer: Extract<Read["answer"], { readonly _tag: "Found" }>
}

/** The sentences that the history breaks, each with what broke it. */
export const violations = (history: History): ReadonlyArray<string> => {
  const reads = history.events.filter((event) => event._tag === "Read")
  const writes = history.events.filter((event) => event._tag === "Write")
  return [...history.events.flatMap(unansweredIn), ...reads.flatMap((read) => answeredIn(read, history, reads, writes))]
}

/**
 * An operation without an answer, long after every fault was healed, or after its process has ended in order. What a
 * killed process was asked has ended, without one.
 */
const unansweredIn = (event: Event): ReadonlyArray<string> =>
  event.ended === undefined && !event.isLeft
    ? [`every operation is answered: a ${event._tag === "Write" ? event.kind : "read"} (event ${event.began}) is not`]
    : []

const answeredIn = (
  read: Read,
  history: History,
  reads: ReadonlyArray<Read>,
  writes: ReadonlyArray<Write>
): ReadonlyArray<string> => {
  const { answer } = read
  if (answer?._tag === "Found") return foundIn({ ...read, answer }, history, writes)
  if (answer?._tag === "NotFound") return history.hasStore ? notFoundIn(read, writes) : []
  return answer?._tag === "Failed" && history.isFaultless ? failedIn(read, answer.why, reads) : []
}

const foundIn = (read: Found, history: History, writes: ReadonlyArray<Write>): ReadonlyArray<string> => {
  const { answer } = read
  const { header } = answer
  const broken: Array<string> = []
  const say = (sentence: string) => broken.push(`${sentence}: ${describe(read)}`)

  if (!answer.isWhole) say("a value is never torn")
  if (answer.content !== undefined && !wasWritten(read, answer.content, history)) {
    say("no value is answered that was never written")
  }
  if (header.expiresAt !== undefined && header.expiresAt <= read.beganAt) say("nothing is answered after its expiresAt")
  const own = writes.find(({ content }) => content !== undefined && hash("sha256", content) === header.digest)
  for (const write of acknowledgedBefore(read, writes)) {
    if (!isOutdatedBy(header.generation, own, write)) continue
    const isSince = (at: number) => at > write.ended && at < read.began
    // A copy that outlived its process may be served while the store cannot say that it is out of date. And a process
    // that is killed cannot take back a write that was given up and lands late.
    const isExcused =
      (answer.isUnconfirmed && history.restarts.some(isSince)) || (isGivenUp(own) && history.kills.some(isSince))
    if (!isExcused) {
      say(
        write.kind === "put"
          ? `no value is older than the last acknowledged put (${write.generation})`
          : `nothing removed comes back (${write.kind} ${write.generation})`
      )
    }
  }
  return broken
}

/** Whether an acknowledged write has taken the place of a value, which `own` wrote unless it was made. */
const isOutdatedBy = (generation: number, own: Write | undefined, write: Acknowledged): boolean => {
  const isOlder = write.kind === "put" ? generation < write.generation : generation <= write.generation
  // Of two writes at the same time either may have been the last to reach the store.
  return isOlder && (own === undefined || (own.ended !== undefined && own.ended < write.began))
}

/** Whether a write ended without an acknowledgement. */
const isGivenUp = (own: Write | undefined): boolean => own === undefined || own.answer?._tag !== "Acknowledged"

const wasWritten = (read: Found, content: string, { events }: History): boolean =>
  events.some((event) =>
    event._tag === "Write"
      ? event.content === content && event.covers(read.key) && event.began < (read.ended ?? Infinity)
      : event.made === content && event.key.text === read.key.text && event.began < (read.ended ?? Infinity)
  )

/** `NotFound`, although the store has what was acknowledged, and nothing that began since may have taken it away. */
const notFoundIn = (read: Read, writes: ReadonlyArray<Write>): ReadonlyArray<string> => {
  const last = acknowledgedBefore(read, writes).reduce<Acknowledged | undefined>(
    (newest, write) => (newest === undefined || write.generation > newest.generation ? write : newest),
    undefined
  )
  if (last === undefined || last.kind !== "put") return []
  const ended = read.ended ?? Infinity
  const endedAt = read.endedAt ?? Infinity
  const mayBeGone = writes.some(
    (write) =>
      write.covers(read.key) &&
      write.began < ended &&
      (write.ended ?? Infinity) > last.began &&
      (write.kind !== "put" || (write.expiresAt ?? Infinity) <= endedAt)
  )
  return mayBeGone ? [] : [`never NotFound for an acknowledged blob (${last.generation}): ${describe(read)}`]
}

/**
 * A read that failed, although no tier did: only a producer of its key can be the reason, or a body that was replaced
 * before it was opened.
 */
const failedIn = (read: Read, why: string, reads: ReadonlyArray<Read>): ReadonlyArray<string> =>
  why.includes("Gone") || reads.some(({ fails, key }) => fails && key.text === read.key.text)
    ? []
    : [`no read fails where no tier does, whoever leaves (${why}): ${describe(read)}`]

interface Acknowledged extends Write {
  readonly ended: number
  readonly generation: number
}

/** The writes of the key that had been acknowledged when the read began. */
const acknowledgedBefore = (read: Read, writes: ReadonlyArray<Write>): ReadonlyArray<Acknowledged> =>
  writes.flatMap((write) =>
    write.ended !== undefined &&
    write.ended < read.began &&
    write.answer?._tag === "Acknowledged" &&
    write.covers(read.key)
      ? [{ ...write, ended: write.ended, generation: write.answer.generation }]
      : []
  )

const describe = (read: Read): string => {
  const { answer } = read
  const what =
    answer?._tag === "Found" ? `${answer.content ?? "header"} of generation ${answer.header.generation}` : answer?._tag
  return `${read.key.text} read at ${read.beganAt} ms (event ${read.began}) answered ${what}`
}

/** What a tier holds in the end, once every fault is healed and nothing runs. */
export interface Resting {
  readonly tier: string
  readonly generation: number
  readonly content: string
}

export interface Rest {
  readonly key: Key
  /** Undefined: nothing. */
  readonly stored: Resting | undefined
  readonly cached: ReadonlyArray<Resting>
  /** Generation that `get` answers; undefined: nothing; "never": it does not answer. */
  readonly answered: number | "never" | undefined
}

/** What must hold at rest. */
export const violationsAtRest = (rest: Rest, { events, hasStore, kills, restarts }: History): ReadonlyArray<string> => {
  const writes = events.filter((event) => event._tag === "Write")
  const broken: Array<string> = []
  if (hasStore && rest.answered !== rest.stored?.generation) {
    broken.push(
      `at rest a read answers what the store has (${rest.stored?.generation}): ${rest.key.text} is ${rest.answered}`
    )
  }
  // A process that has ended takes its repairs along; what it leaves in a cache is compared when it is met.
  const cached = restarts.length === 0 ? rest.cached : []
  for (const { content, generation, tier } of rest.stored === undefined ? cached : [...cached, rest.stored]) {
    const own = writes.find((write) => write.content === content)
    for (const write of writes) {
      const { answer, ended } = write
      if (answer?._tag !== "Acknowledged" || ended === undefined || !write.covers(rest.key)) continue
      if (isGivenUp(own) && kills.some((at) => at > ended)) continue
      if (isOutdatedBy(generation, own, { ...write, ended, generation: answer.generation })) {
        broken.push(`at rest no tier has what an acknowledged write took the place of: ${tier} has ${content}`)
      }
    }
  }
  return broken
}
