/**
 * A tier whose calls a test can count, hold back and make fail; what gets through is done by the tier within.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { miss, type Tier } from "../../src/Tier.ts"
import { type Reason, TierError } from "../../src/TierError.ts"

type Call = "get" | "head" | "put" | "remove" | "removeGroup"

/** A gate as the tier behind it sees it. */
interface Barrier extends Gate {
  readonly wait: Effect.Effect<void>
  readonly isOpen: () => boolean
}

export interface Gate {
  /** Done when a call has reached the gate. */
  readonly reached: Effect.Effect<void>
  /** Lets every call through. */
  readonly open: Effect.Effect<void>
  /** Done when a call that waited was interrupted. */
  readonly interrupted: Effect.Effect<void>
}

export interface Controlled {
  readonly tier: Tier
  /** `peek`: looks without an effect. One cannot be held back: while a gate of `get` is closed it sees nothing. */
  readonly calls: Readonly<Record<Call | "peek", number>>
  /** Holds calls back before they reach the tier within, until the gate is opened. */
  readonly before: (call: Call) => Gate
  /** Holds answers back after the tier within has given them, until the gate is opened. */
  readonly after: (call: Call) => Gate
  /** Makes the next `times` calls fail (default: all) until `heal`; under `get` a `peek` throws. */
  readonly fail: (call: Call, reason: Reason, times?: number) => void
  /** Makes the next `times` answers get lost (default: all) until `heal`: the tier within has done it, the caller gets an error. */
  readonly lose: (call: Call, reason: Reason, times?: number) => void
  readonly heal: (call: Call) => void
}

export const make = (inner: Tier, overrides: Partial<Tier> = {}): Controlled => {
  const calls: Record<Call | "peek", number> = { get: 0, peek: 0, head: 0, put: 0, remove: 0, removeGroup: 0 }
  const befores = new Map<Call, Barrier>()
  const afters = new Map<Call, Barrier>()
  const failures = new Map<Call, { readonly reason: Reason; left: number; readonly isLate: boolean }>()

  const failureOf = (call: Call): TierError | undefined => {
    const failure = failures.get(call)
    return failure !== undefined && failure.left-- > 0
      ? new TierError({ tier: inner.name, operation: call, reason: failure.reason })
      : undefined
  }

  const peekOf =
    (peek: NonNullable<Tier["peek"]>): NonNullable<Tier["peek"]> =>
    (key) => {
      calls.peek += 1
      if ([befores, afters].some((gates) => gates.get("get")?.isOpen() === false)) return miss
      const error = failureOf("get")
      if (error !== undefined) throw error
      return peek(key)
    }

  const through = <A>(call: Call, effect: Effect.Effect<A, TierError>): Effect.Effect<A, TierError> =>
    Effect.gen(function* () {
      calls[call] += 1
      yield* befores.get(call)?.wait ?? Effect.void
      const error = failureOf(call)
      if (error !== undefined && failures.get(call)?.isLate === false) return yield* error
      const answer = yield* effect
      if (error !== undefined) return yield* error
      yield* afters.get(call)?.wait ?? Effect.void
      return answer
    })

  const gateIn = (gates: Map<Call, Barrier>) => (call: Call) => {
    const gate = makeGate()
    gates.set(call, gate)
    return gate
  }

  return {
    calls,
    before: gateIn(befores),
    after: gateIn(afters),
    fail: (call, reason, times = Number.POSITIVE_INFINITY) =>
      failures.set(call, { reason, left: times, isLate: false }),
    lose: (call, reason, times = Number.POSITIVE_INFINITY) => failures.set(call, { reason, left: times, isLate: true }),
    heal: (call) => failures.delete(call),
    tier: {
      ...inner,
      peek: inner.peek && peekOf(inner.peek),
      get: (key) => through("get", inner.get(key)),
      head: (key) => through("head", inner.head(key)),
      put: (blob, options) => through("put", inner.put(blob, options)),
      remove: (key, generation) => through("remove", inner.remove(key, generation)),
      removeGroup: (group, generation) => through("removeGroup", inner.removeGroup(group, generation)),
      ...overrides
    }
  }
}

const makeGate = (): Barrier => {
  let isOpen = false
  const reached = Deferred.makeUnsafe<void>()
  const opened = Deferred.makeUnsafe<void>()
  const interrupted = Deferred.makeUnsafe<void>()
  return {
    reached: Deferred.await(reached),
    open: Effect.suspend(() => {
      isOpen = true
      return Effect.asVoid(Deferred.succeed(opened, undefined))
    }),
    isOpen: () => isOpen,
    interrupted: Deferred.await(interrupted),
    wait: Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(opened)).pipe(
      Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
    )
  }
}
