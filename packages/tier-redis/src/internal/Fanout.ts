/**
 * Hands the events of one subscription to all who listen in this process. Who is slow is told of a gap, and holds up
 * nobody.
 */
import type { Event } from "@terrace/core/Bus"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"

interface Subscriber {
  readonly queue: Queue.Queue<Event>
  /** Events were lost, and it has not been told yet. */
  isBehind: boolean
}

const gap: Event = { _tag: "Gap" }

export class Fanout {
  private readonly subscribers = new Set<Subscriber>()
  private readonly maxUnread: number

  constructor(maxUnread: number) {
    this.maxUnread = maxUnread
  }

  emit(event: Event): void {
    for (const subscriber of this.subscribers) {
      if (!Queue.offerUnsafe(subscriber.queue, event)) subscriber.isBehind = true
    }
  }

  /** Events from now on; the first is a gap. */
  readonly events: Stream.Stream<Event> = Stream.unwrap(
    Effect.gen({ self: this }, function* () {
      const subscriber: Subscriber = { queue: yield* Queue.dropping<Event>(this.maxUnread), isBehind: false }
      yield* Effect.acquireRelease(
        Effect.sync(() => this.subscribers.add(subscriber)),
        () => Effect.sync(() => this.subscribers.delete(subscriber))
      )
      Queue.offerUnsafe(subscriber.queue, gap)
      return Stream.map(Stream.fromQueue(subscriber.queue), (event): Event => {
        if (!subscriber.isBehind) return event
        // A gap makes every copy be compared: it stands for this event and for those that were lost.
        subscriber.isBehind = false
        return gap
      })
    })
  )
}
