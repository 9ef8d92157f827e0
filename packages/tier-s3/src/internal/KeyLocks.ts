/**
 * One writer of a key at a time, within this process.
 *
 * The server decides who wins among processes; here it saves the requests that would lose, and stands in where the server
 * cannot. A lock is there only as long as somebody holds or awaits it.
 */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"

export interface KeyLocks {
  readonly withLock: (key: string) => <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

interface Lock {
  readonly permit: Semaphore.Semaphore
  users: number
}

export const make = (): KeyLocks => {
  const locks = new Map<string, Lock>()
  const enter = (key: string) =>
    Effect.sync(() => {
      const lock = locks.get(key) ?? { permit: Semaphore.makeUnsafe(1), users: 0 }
      lock.users++
      locks.set(key, lock)
      return lock
    })
  const leave = (key: string, lock: Lock) =>
    Effect.sync(() => {
      lock.users--
      if (lock.users === 0) locks.delete(key)
    })
  return {
    withLock: (key) => (effect) =>
      Effect.acquireUseRelease(
        enter(key),
        (lock) => lock.permit.withPermit(effect),
        (lock) => leave(key, lock)
      )
  }
}
