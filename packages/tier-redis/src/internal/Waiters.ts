/**
 * Who in this process waits for the end of which lease.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"

interface Waiter {
  woken: Deferred.Deferred<void>
}

export class Waiters {
  private readonly byKey = new Map<string, Set<Waiter>>()

  /** Runs `use` as a waiter of the key, told how to wait for the next sign since the last one it has waited for. */
  during<A, E, R>(key: string, use: (sign: Effect.Effect<void>) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    const join = Effect.sync(() => {
      const waiter: Waiter = { woken: Deferred.makeUnsafe<void>() }
      const waiters = this.byKey.get(key) ?? new Set()
      this.byKey.set(key, waiters.add(waiter))
      return waiter
    })
    const leave = (waiter: Waiter) =>
      Effect.sync(() => {
        const waiters = this.byKey.get(key)
        waiters?.delete(waiter)
        if (waiters?.size === 0) this.byKey.delete(key)
      })
    const sign = (waiter: Waiter) =>
      Effect.suspend(() => Deferred.await(waiter.woken)).pipe(
        Effect.tap(() => Effect.sync(() => (waiter.woken = Deferred.makeUnsafe<void>())))
      )
    return Effect.acquireUseRelease(join, (waiter) => use(sign(waiter)), leave)
  }

  wake(key: string): void {
    for (const { woken } of this.byKey.get(key) ?? []) Deferred.doneUnsafe(woken, Effect.void)
  }

  wakeAll(): void {
    for (const key of this.byKey.keys()) this.wake(key)
  }
}
