/**
 * The model: what a history must not show. Each rule is a sentence of the architecture.
 */
import { hash } from "node:crypto"
import type { Key } from "../../src/Key.ts"
import type { Event, History, Offer, Read, Write } from "./History.ts"
import { negativeTtl, revalidateAfter } from "./World.ts"

interface Found extends Read {
  readonly answer: Extract<Read["answer"], { readonly _tag: "Found" }>
}

/** Where a value comes from: a put, a producer, or the origin. */
export type Source = Event | Offer

export interface Acknowledged extends Write {
  readonly ended: number
  readonly endedAt: number
  readonly generation: number
}

/** The sentences that the history breaks, each with what broke it. */
export const violations = (history: History): ReadonlyArray<string> => {
  const reads = history.events.filter((event) => event._tag === "Read")
  const writes = history.events.filter((event) => event._tag === "Write")
  return [
    ...history.events.flatMap(unansweredIn),
    ...writes.flatMap((write) => conditionOf(write, history, writes)),
    ...reads.flatMap((read) => {
      const { answer } = read
      if (answer?._tag === "Found") return foundIn({ ...read, answer }, history, writes)
      if (answer?._tag === "NotFound") return history.hasStore ? notFoundIn(read, history, writes) : []
      return answer?._tag === "Failed" && history.isFaultless ? failedIn(read, answer.why, reads) : []
    })
  ]
}

/**
 * An operation without an answer, long after every fault was healed, or after its process has ended in order. What a
 * killed process was asked has ended, without one.
 */
const unansweredIn = (event: Event): ReadonlyArray<string> =>
  event.ended === undefined && !event.isLeft
    ? [`every operation is answered: a ${event._tag === "Write" ? event.kind : "read"} (event ${event.began}) is not`]
    : []

// -----------------------------------------------------------------------------
// What is found
// -----------------------------------------------------------------------------

const foundIn = (read: Found, history: History, writes: ReadonlyArray<Write>): ReadonlyArray<string> => {
  const { answer } = read
  const { header } = answer
  const broken: Array<string> = []
  const say = (sentence: string) => broken.push(`${sentence}: ${describe(read)}`)

  if (!answer.isWhole) say("a value is never torn")
  const source = sourceOf(header.digest, read.key, history)
  if (source === undefined || source.began >= (read.ended ?? Infinity)) {
    say("no value is answered that was never written")
    return broken
  }
  if (header.expiresAt !== undefined && header.expiresAt <= answer.givenAt)
    say("nothing is answered after its expiresAt")
  for (const write of acknowledgedBefore(read, writes)) {
    if (!isOutdated(header.generation, source, write, read, writes) || isExcused(read, source, write, history)) continue
    say(
      write.kind === "put"
        ? `no value is older than the last acknowledged put (${write.generation})`
        : `nothing removed comes back (${write.kind} ${write.generation})`
    )
  }
  return broken
}

/** What has written a value, of the key for which it was written. */
export const sourceOf = (digest: string, key: Key, { events, offers }: History): Source | undefined =>
  [...events, ...offers].find((each) => {
    const content = each._tag === "Read" ? each.made : each.content
    const isOfKey = each._tag === "Write" ? each.covers(key) : each.key.text === key.text
    return isOfKey && content !== undefined && hash("sha256", content) === digest
  })

/** Whether an acknowledged write has taken the place of a value for a read. */
const isOutdated = (
  generation: number,
  source: Source,
  write: Acknowledged,
  read: Read,
  writes: ReadonlyArray<Write>
): boolean =>
  source._tag === "Offer" ? isRejected(source, write, read, writes) : isOutdatedBy(generation, source, write)

/** As `isOutdated`, of what was put or made. */
export const isOutdatedBy = (generation: number, source: Event, write: Acknowledged): boolean => {
  const upTo = write.expected === "absent" ? undefined : write.expected
  if (source.began > write.ended) return false
  // One after the other: whatever the generations, which are those of clocks.
  if (!isGivenUp(source) && isBefore(source, write) && (write.kind === "put" || upTo === undefined)) return true
  const isOlder = write.kind === "put" ? generation < write.generation : generation <= (upTo ?? write.generation)
  // Of two writes at the same time either may have been the last to reach the store.
  return isOlder && (source._tag === "Read" || isBefore(source, write))
}

/**
 * What the origin has yields to every put, for as long as that may be there; and to a remove that came after it was taken
 * from the origin, or was let go of.
 */
const isRejected = (offer: Offer, write: Acknowledged, read: Read, writes: ReadonlyArray<Write>): boolean =>
  write.kind === "put"
    ? !mayBeGone(write, read, writes)
    : write.expected === undefined && offer.ended !== undefined && offer.ended < write.began

const isBefore = (source: Event, write: Acknowledged): boolean =>
  source.ended !== undefined && source.ended < write.began

/** Whether it is not known that the store has taken a value while its source ran. */
const isGivenUp = (source: Source): boolean => source._tag !== "Write" || source.answer?._tag !== "Acknowledged"

const isExcused = (read: Found, source: Source, write: Acknowledged, history: History): boolean => {
  const { isUnconfirmed } = read.answer
  const isSince = (from: number, node: number) => (end: { readonly at: number; readonly node: number }) =>
    end.at > from && end.at < read.began && end.node === node
  return (
    // A copy that outlived its process may be served while the store cannot say that it is out of date.
    (isUnconfirmed && history.restarts.some(isSince(source.began, read.node))) ||
    isLate(source, write, history, read.began) ||
    // What another node has written is noticed when a copy is compared, or by a message.
    (write.node !== read.node && (isUnconfirmed || read.beganAt <= write.endedAt + revalidateAfter))
  )
}

/**
 * Whether a value may have reached the store after a write that it should not outlive: a process that was killed cannot
 * take it back, nor can a node that has not heard of the write.
 */
export const isLate = (source: Source, write: Acknowledged, { kills }: History, until = Infinity): boolean =>
  isGivenUp(source) &&
  (source.node !== write.node || kills.some(({ at, node }) => at > write.ended && at < until && node === source.node))

// -----------------------------------------------------------------------------
// What is not found
// -----------------------------------------------------------------------------

/** `NotFound`, although the store has what was acknowledged, or the origin what it has offered. */
const notFoundIn = (read: Read, { offers }: History, writes: ReadonlyArray<Write>): ReadonlyArray<string> => {
  const say = (sentence: string) => [`never NotFound for ${sentence}: ${describe(read)}`]
  const offer = offers.findLast(({ began, key }) => key.text === read.key.text && began < read.began)
  if (offer !== undefined && read.beganAt > offer.beganAt + negativeTtl) {
    const isStill = offer.ended === undefined || offer.ended > (read.ended ?? Infinity)
    const isTouched = writes.some((write) => write.covers(read.key) && (write.ended ?? Infinity) > offer.began)
    if (isStill || (offer.isReleased && !isTouched)) return say("what the origin has offered")
  }
  const last = acknowledgedBefore(read, writes).reduce<Acknowledged | undefined>(
    (latest, write) => (latest === undefined || write.ended > latest.ended ? write : latest),
    undefined
  )
  if (last === undefined || last.kind !== "put" || mayBeGone(last, read, writes)) return []
  // An absence that another node has ended is remembered until its message comes.
  if (last.node !== read.node && read.beganAt <= last.endedAt + negativeTtl) return []
  return say(`an acknowledged blob (${last.generation})`)
}

/** Whether something that began since, or time, may have taken a put away before a read has ended. */
const mayBeGone = (put: Acknowledged, read: Read, writes: ReadonlyArray<Write>): boolean =>
  writes.some(
    (write) =>
      write.covers(read.key) &&
      write.began < (read.ended ?? Infinity) &&
      (write.ended ?? Infinity) > put.began &&
      (write.kind !== "put" || (write.expiresAt ?? Infinity) <= (read.latest ?? Infinity))
  )

/**
 * A read that failed, although no tier did: only a producer of its key can be the reason, or a body that was replaced
 * before it was opened.
 */
const failedIn = (read: Read, why: string, reads: ReadonlyArray<Read>): ReadonlyArray<string> =>
  why.includes("Gone") || reads.some(({ fails, key }) => fails && key.text === read.key.text)
    ? []
    : [`no read fails where no tier does, whoever leaves (${why}): ${describe(read)}`]

/** The writes of the key that had been acknowledged when the read began. */
const acknowledgedBefore = (read: Read, writes: ReadonlyArray<Write>): ReadonlyArray<Acknowledged> =>
  writes.flatMap((write) => {
    const acknowledged = acknowledgedOf(write)
    return acknowledged !== undefined && acknowledged.ended < read.began && write.covers(read.key) ? [acknowledged] : []
  })

export const acknowledgedOf = (write: Write): Acknowledged | undefined => {
  const { answer, ended, endedAt } = write
  return answer?._tag === "Acknowledged" && ended !== undefined && endedAt !== undefined
    ? { ...write, ended, endedAt, generation: answer.generation }
    : undefined
}

// -----------------------------------------------------------------------------
// Conditions
// -----------------------------------------------------------------------------

/** A write with a condition, of a key of which it is known what the store had. */
const conditionOf = (write: Write, history: History, writes: ReadonlyArray<Write>): ReadonlyArray<string> => {
  const { answer, ended, expected, key } = write
  if (expected === undefined || key === undefined || ended === undefined || !history.hasStore) return []
  const others = writes.filter((other) => other !== write && other.covers(key) && other.began < ended)
  const isUnclear =
    history.events.some((event) => event._tag === "Read" && event.made !== undefined && event.key.text === key.text) ||
    history.offers.length > 0 ||
    others.some((other) => (other.ended ?? Infinity) > write.began || !isClear(other))
  if (isUnclear) return []
  const last = others
    .flatMap((other) => acknowledgedOf(other) ?? [])
    .toSorted((one, two) => one.ended - two.ended)
    .at(-1)
  if (last?.expiresAt !== undefined) return []
  // Of two that overlap, the one that was answered last need not be the last one to have reached the store.
  if (last !== undefined && others.some((other) => other.began !== last.began && (other.ended ?? 0) > last.began))
    return []
  const current = last?.kind === "put" ? last.generation : "absent"
  const holds =
    write.kind === "put" ? current === expected : current !== "absent" && expected !== "absent" && current <= expected
  const what = `${write.kind} of ${key.text} (event ${write.began}) expects ${expected}, and the store had ${current}`
  // What was removed by a try whose answer was lost is not there for the next one.
  const isRemoved = write.kind === "remove" && current === "absent" && !history.isFaultless
  if (!holds && !isRemoved && answer?._tag === "Acknowledged")
    return [`a write whose condition does not hold is refused: ${what}`]
  return holds && history.isFaultless && answer?._tag === "Failed" && answer.why.includes("Conflict")
    ? [`a write whose condition holds is no conflict: ${what}`]
    : []
}

/** Whether it is known what a write has done: all of it, or nothing. */
const isClear = ({ answer, expiresAt }: Write): boolean =>
  expiresAt === undefined &&
  (answer?._tag === "Acknowledged" || (answer?._tag === "Failed" && answer.why.includes("Conflict")))

const describe = (read: Read): string => {
  const { answer } = read
  const what =
    answer?._tag === "Found" ? `${answer.content ?? "header"} of generation ${answer.header.generation}` : answer?._tag
  return `${read.key.text} read on node ${read.node} at ${read.beganAt} ms (event ${read.began}) answered ${what}`
}
