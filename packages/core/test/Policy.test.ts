import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as Policy from "../src/Policy.ts"
import { Denied, Gone, operations, TierError, Unavailable } from "../src/TierError.ts"

const unavailable = new TierError({ tier: "disk", operation: "get", reason: new Unavailable({ cause: "down" }) })
const denied = new TierError({ tier: "disk", operation: "get", reason: new Denied({ cause: "no" }) })
const gone = new TierError({ tier: "disk", operation: "open", reason: new Gone({ key: "a/b" }) })

const guardOf = (policy: Policy.Policy) => Effect.map(Effect.scope, (scope) => Policy.guard("disk", policy, scope))

/** A call that never answers, and notes when it was interrupted. */
const hanging = Effect.gen(function* () {
  const interrupted = yield* Deferred.make<void>()
  const call = Effect.onInterrupt(Effect.never, () => Effect.asVoid(Deferred.succeed(interrupted, undefined)))
  return { call, interrupted }
})

/** A call that fails `times` times with `error`, then answers how often it was called. */
const failing = (error: TierError, times: number) => {
  let calls = 0
  return {
    call: Effect.suspend(() => (++calls <= times ? Effect.fail(error) : Effect.succeed(calls))),
    calls: () => calls
  }
}

describe("Policy.guard", () => {
  it.effect("passes on what the call answers and its error, and makes a defect an error", () =>
    Effect.gen(function* () {
      const guard = yield* guardOf({})

      assert.strictEqual(yield* guard("get", () => Effect.succeed(7)), 7)
      assert.strictEqual(yield* Effect.flip(guard("get", () => Effect.fail(denied))), denied)
      const error = yield* Effect.flip(guard("get", () => Effect.die("bug")))
      assert.strictEqual(error.reason._tag, "Unknown")
    })
  )

  it.effect("answers TimedOut at the deadline and interrupts the call", () =>
    Effect.gen(function* () {
      const guard = yield* guardOf({ deadline: "250 millis" })
      const { call, interrupted } = yield* hanging

      const fiber = yield* Effect.forkChild(Effect.flip(guard("head", () => call)))
      yield* TestClock.adjust("249 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(fiber)

      assert.strictEqual(error.message, "disk.head: TimedOut: no answer within 250 ms")
      yield* Deferred.await(interrupted)
    })
  )

  it.effect("gives a call 5 seconds unless the policy says otherwise", () =>
    Effect.gen(function* () {
      const guard = yield* guardOf({})
      const fiber = yield* Effect.forkChild(Effect.flip(guard("get", () => Effect.never)))

      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")

      assert.strictEqual((yield* Fiber.join(fiber)).reason._tag, "TimedOut")
    })
  )

  it.effect("gives what a reader waits for its own deadline, and everything else the general one", () =>
    Effect.gen(function* () {
      const guard = yield* guardOf({ deadline: "20 seconds", readDeadline: "2 seconds" })
      for (const operation of operations) {
        const millis = ["get", "head", "open"].includes(operation) ? 2_000 : 20_000
        const fiber = yield* Effect.forkChild(Effect.flip(guard(operation, () => Effect.never)))

        yield* TestClock.adjust(millis - 1)
        assert.isUndefined(fiber.pollUnsafe(), operation)
        yield* TestClock.adjust("1 millis")

        assert.strictEqual(
          (yield* Fiber.join(fiber)).message,
          `disk.${operation}: TimedOut: no answer within ${millis} ms`
        )
      }
    })
  )

  it.effect("answers at the deadline though the call cannot be interrupted, which goes on", () =>
    Effect.gen(function* () {
      const guard = yield* guardOf({ deadline: "1 second" })
      const gate = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<string>()
      const call = Effect.uninterruptible(
        Effect.andThen(Deferred.await(gate), Deferred.succeed(ended, "written after all"))
      )

      const fiber = yield* Effect.forkChild(Effect.flip(guard("put", () => call)))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber)).reason._tag, "TimedOut")

      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* Deferred.await(ended), "written after all")
    })
  )

  it.effect("interrupts the call when its caller leaves", () =>
    Effect.gen(function* () {
      const guard = yield* guardOf({})
      const { call, interrupted } = yield* hanging
      const fiber = yield* Effect.forkChild(
        guard("get", () => call),
        { startImmediately: true }
      )

      yield* Fiber.interrupt(fiber)

      yield* Deferred.await(interrupted)
    })
  )

  it.effect("interrupts calls that still run when the scope closes", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const guard = Policy.guard("disk", {}, scope)
      const { call, interrupted } = yield* hanging
      yield* Effect.forkChild(
        guard("get", () => call),
        { startImmediately: true }
      )

      yield* Scope.close(scope, Exit.void)

      yield* Deferred.await(interrupted)
    })
  )

  it.effect("does not call again without a retry schedule", () =>
    Effect.gen(function* () {
      const guard = yield* guardOf({})
      const { call, calls } = failing(unavailable, 1)

      assert.strictEqual(yield* Effect.flip(guard("get", () => call)), unavailable)
      assert.strictEqual(calls(), 1)
    })
  )

  it.effect("calls again by the schedule after an error that is retryable, and only then", () =>
    Effect.gen(function* () {
      const guard = yield* guardOf({ retry: Schedule.recurs(3) })
      const recovering = failing(unavailable, 2)
      const broken = failing(unavailable, 99)
      const forbidden = failing(denied, 99)
      const lost = failing(gone, 99)

      assert.strictEqual(yield* guard("get", () => recovering.call), 3)
      assert.strictEqual(yield* Effect.flip(guard("get", () => broken.call)), unavailable)
      assert.strictEqual(yield* Effect.flip(guard("get", () => forbidden.call)), denied)
      assert.strictEqual(yield* Effect.flip(guard("open", () => lost.call)), gone)

      assert.deepStrictEqual([broken.calls(), forbidden.calls(), lost.calls()], [4, 1, 1])
    })
  )

  it.effect("gives every try the whole deadline", () =>
    Effect.gen(function* () {
      const guard = yield* guardOf({ deadline: "1 second", retry: Schedule.recurs(2) })
      let calls = 0
      const call = Effect.suspend(() => (++calls < 3 ? Effect.never : Effect.succeed("third")))

      const fiber = yield* Effect.forkChild(guard("get", () => call))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(calls, 2)
      yield* TestClock.adjust("1 second")

      assert.strictEqual(yield* Fiber.join(fiber), "third")
    })
  )

  it.effect("waits as long as the call takes with an infinite deadline", () =>
    Effect.gen(function* () {
      const guard = yield* guardOf({ deadline: "Infinity" })
      const gate = yield* Deferred.make<string>()
      const fiber = yield* Effect.forkChild(guard("get", () => Deferred.await(gate)))

      yield* TestClock.adjust("400 days")
      assert.isUndefined(fiber.pollUnsafe())
      yield* Deferred.succeed(gate, "at last")

      assert.strictEqual(yield* Fiber.join(fiber), "at last")
    })
  )

  it.effect("keeps nothing in the scope of calls that are done", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const guard = Policy.guard("disk", {}, scope)
      for (let index = 0; index < 100; index++) yield* guard("get", () => Effect.yieldNow)

      assert.strictEqual(scope.state._tag, "Empty")
    })
  )

  it.effect("unguarded - makes a throw and a defect of the tier an error of the tier", () =>
    Effect.gen(function* () {
      const call = Policy.unguarded("memory")
      const throwing = () => {
        throw new Error("bug")
      }

      assert.strictEqual(yield* call("get", () => Effect.succeed(1)), 1)
      assert.strictEqual((yield* Effect.flip(call("get", throwing))).message, "memory.get: Unknown: bug")
      assert.strictEqual((yield* Effect.flip(call("put", () => Effect.die("bug")))).reason._tag, "Unknown")
    })
  )
})
