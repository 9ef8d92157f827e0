/**
 * Tells the other nodes of a deployment what was written, so that their caches do not serve what is out of date.
 *
 * A message carries names and a generation, never bytes. Messages may be lost, doubled and out of order: they make
 * other nodes notice early what `revalidateAfter` makes them notice anyway.
 */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Generation } from "./Generation.ts"

/** Copies of a key, or of all keys of a group, below this generation are out of date. */
export interface Invalidation {
  readonly _tag: "Invalidation"
  /** Name of the chain whose blobs are meant; the same on every node. */
  readonly chain: string
  readonly group: string
  /** Absent: the whole group. */
  readonly name?: string | undefined
  readonly generation: Generation
}

/**
 * Messages may have been missed: every copy is compared with the store before it is served again, also if the store's
 * capabilities say that nobody else writes to it. Without a store there is nothing to compare with.
 */
export interface Gap {
  readonly _tag: "Gap"
}

export type Event = Invalidation | Gap

/** The message was not sent; other nodes learn of the write when they revalidate. */
export class BusError extends Schema.TaggedError<BusError>("@terrace/core/BusError")("BusError", {
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `the invalidation was not sent: ${this.cause instanceof Error ? this.cause.message : String(this.cause)}`
  }
}

export interface Bus {
  readonly publish: (invalidation: Invalidation) => Effect.Effect<void, BusError>
  /**
   * What other nodes have written, from now on. Own messages may be among it, and change nothing. It begins with a `Gap` if messages may have
   * been missed before, and has one after every interruption.
   */
  readonly events: Stream.Stream<Event>
}

/** Events that a subscriber of a local bus may leave unread; past that it is told of a gap. */
const maxUnread = 1_000

interface Subscriber {
  readonly queue: Queue.Queue<Event>
  /** Events were lost, and it has not been told yet. */
  isBehind: boolean
}

/** A bus between the chains of one process: for tests, and for several chains over the same store. */
export const makeLocal = (): Bus => {
  const subscribers = new Set<Subscriber>()
  return {
    publish: (invalidation) =>
      Effect.sync(() => {
        for (const subscriber of subscribers) {
          if (!Queue.offerUnsafe(subscriber.queue, invalidation)) subscriber.isBehind = true
        }
      }),
    events: Stream.unwrap(
      Effect.gen(function* () {
        const subscriber: Subscriber = { queue: yield* Queue.dropping<Event>(maxUnread), isBehind: false }
        yield* Effect.acquireRelease(
          Effect.sync(() => subscribers.add(subscriber)),
          () => Effect.sync(() => subscribers.delete(subscriber))
        )
        return Stream.map(Stream.fromQueue(subscriber.queue), (event): Event => {
          if (!subscriber.isBehind) return event
          // A gap makes every copy be compared: it stands for this event and for those that were lost.
          subscriber.isBehind = false
          return { _tag: "Gap" }
        })
      })
    )
  }
}
