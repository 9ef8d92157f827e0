/**
 * Bounds what is under way to Redis, in bytes: a server that is slow makes callers go elsewhere, not this process grow.
 *
 * What was left behind by its caller counts until Redis has answered.
 */
import * as Effect from "effect/Effect"

export class Gate {
  private readonly limit: number
  private held = 0
  private closed = false
  private readonly idleWaiters = new Set<() => void>()

  constructor(limit: number) {
    this.limit = limit
  }

  get isClosed(): boolean {
    return this.closed
  }

  /** Whether so many bytes are let in. What is larger than the limit goes alone. */
  enter(bytes: number): boolean {
    if (this.closed || (this.held > 0 && this.held + bytes > this.limit)) return false
    this.held += bytes
    return true
  }

  leave(bytes: number): void {
    this.held -= bytes
    if (this.held > 0) return
    for (const notify of this.idleWaiters) notify()
    this.idleWaiters.clear()
  }

  /** Lets nothing more in, and waits until nothing is under way. */
  readonly close: Effect.Effect<void> = Effect.callback<void>((resume) => {
    this.closed = true
    if (this.held === 0) return resume(Effect.void)
    const notify = () => resume(Effect.void)
    this.idleWaiters.add(notify)
    return Effect.sync(() => this.idleWaiters.delete(notify))
  })
}
