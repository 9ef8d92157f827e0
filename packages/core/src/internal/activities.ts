/**
 * What a chain is doing: lets floors stay as long as needed, and a shutdown wait for the end of everything.
 */
import * as Effect from "effect/Effect"
import type { Activity, Floors } from "../Floor.ts"

export class Activities {
  /** The chain is closing: nothing new begins. */
  closed = false
  private readonly floors: Floors
  private readonly idleWaiters = new Set<() => void>()

  constructor(floors: Floors) {
    this.floors = floors
  }

  /** What has begun and not ended. */
  get running(): number {
    return this.floors.running
  }

  begin(): Activity {
    return this.floors.begin()
  }

  end(activity: Activity): void {
    this.floors.end(activity)
    if (this.floors.running > 0) return
    for (const notify of this.idleWaiters) notify()
    this.idleWaiters.clear()
  }

  /** Runs an effect as an activity. */
  readonly during = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    // The mask is outside, so that no interruption comes between the beginning and what ends it.
    Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        const activity = this.begin()
        return Effect.ensuring(
          restore(effect),
          Effect.sync(() => this.end(activity))
        )
      })
    )

  /** Waits until nothing runs. */
  readonly idle: Effect.Effect<void> = Effect.callback<void>((resume) => {
    if (this.floors.running === 0) return resume(Effect.void)
    const notify = () => resume(Effect.void)
    this.idleWaiters.add(notify)
    return Effect.sync(() => this.idleWaiters.delete(notify))
  })
}
