import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import { TestClock } from "effect/testing"
import * as Chain from "../src/Chain.ts"
import type { ChainUnavailable } from "../src/ChainError.ts"
import * as Key from "../src/Key.ts"
import type { Policy } from "../src/Policy.ts"
import {
  Corrupt,
  Denied,
  NoSpace,
  type Reason,
  Throttled,
  TierError,
  TimedOut,
  Unavailable,
  Unknown
} from "../src/TierError.ts"
import { draft, key, local, outcomes, remote, text } from "./support/chains.ts"
import { blobAt, down, fork } from "./support/shared.ts"

/** A store, and nothing that would answer in its place. */
const behind = (policy: Policy = {}) =>
  Effect.gen(function* () {
    const store = yield* remote("store")
    const chain = yield* Chain.make<string>({
      name: "test",
      caches: [],
      store: { tier: store.tier, policy },
      negativeTtl: 0
    })
    const breaker = Effect.map(chain.status, ([status]) => status?.breaker)
    return { chain, store, breaker }
  })

/** Why the chain cannot say whether it has the key. */
const why = (chain: Chain.Chain<string>) =>
  Effect.map(Effect.flip(chain.get(key)), ({ tiers }) => tiers.map((each) => each.why).join())

const times = (count: number, chain: Chain.Chain<string>) => Effect.replicateEffect(why(chain), count)

describe("a breaker opens", () => {
  for (const reason of [
    down,
    new TimedOut({ millis: 1 }),
    new Throttled({ cause: "slow down" })
  ] satisfies Array<Reason>) {
    it.effect(`after five failures in a row: ${reason._tag}`, () =>
      Effect.gen(function* () {
        const { breaker, chain, store } = yield* behind()
        store.fail("get", reason)
        assert.deepStrictEqual(
          yield* times(5, chain),
          Array.from({ length: 5 }, () => reason._tag)
        )
        assert.strictEqual(yield* why(chain), "breaker-open")

        assert.strictEqual(store.calls.get, 5)
        assert.strictEqual(yield* breaker, "open")
      })
    )
  }

  it.effect("after five deadlines in a row", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* behind({ deadline: "1 second" })
      store.before("get")
      for (let call = 0; call < 5; call++) {
        const reader = yield* fork(why(chain))
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* Fiber.join(reader), "TimedOut")
      }

      assert.strictEqual(yield* why(chain), "breaker-open")
    })
  )

  it.effect("after failures of any operation, reads and writes together", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* behind()
      for (const call of ["get", "head", "put", "remove", "removeGroup"] as const) store.fail(call, down)
      yield* Effect.flip(chain.get(key))
      yield* Effect.flip(chain.head(key))
      yield* Effect.flip(chain.put(key, draft("x")))
      yield* Effect.flip(chain.remove(key))
      yield* Effect.flip(chain.removeGroup("hero"))

      assert.strictEqual(yield* why(chain), "breaker-open")
    })
  )

  it.effect("after as many failures as its policy says", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* behind({ breaker: { failures: 2 } })
      store.fail("get", down)
      yield* times(2, chain)

      assert.strictEqual(yield* why(chain), "breaker-open")
    })
  )
})

describe("a breaker stays closed", () => {
  for (const reason of [
    new Denied({ cause: "no" }),
    new NoSpace({ detail: "full" }),
    new Corrupt({ detail: "bad" }),
    new Unknown({ cause: "bug" })
  ] satisfies Array<Reason>) {
    it.effect(`however often the tier answers ${reason._tag}, which says nothing of its health`, () =>
      Effect.gen(function* () {
        const { breaker, chain, store } = yield* behind()
        store.fail("get", reason)
        yield* times(20, chain)

        assert.strictEqual(store.calls.get, 20)
        assert.strictEqual(yield* breaker, "closed")
      })
    )
  }

  it.effect("while every fifth answer is a miss, which is a success", () =>
    Effect.gen(function* () {
      const { breaker, chain, store } = yield* behind()
      for (let round = 0; round < 3; round++) {
        store.fail("get", down, 4)
        yield* times(4, chain)
        assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
      }
      assert.strictEqual(yield* breaker, "closed")
      store.fail("get", down)
      yield* times(5, chain)

      assert.strictEqual(yield* why(chain), "breaker-open")
    })
  )

  it.effect("however many readers go away before the tier has answered", () =>
    Effect.gen(function* () {
      const { breaker, chain, store } = yield* behind()
      const gate = store.before("get")
      for (let reader = 0; reader < 20; reader++) yield* Fiber.interrupt(yield* fork(chain.get(key)))
      yield* gate.open

      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
      assert.strictEqual(yield* breaker, "closed")
    })
  )

  it.effect("if the policy switches it off", () =>
    Effect.gen(function* () {
      const { breaker, chain, store } = yield* behind({ breaker: false })
      store.fail("get", down)
      yield* times(20, chain)

      assert.strictEqual(store.calls.get, 20)
      assert.strictEqual(yield* breaker, "closed")
    })
  )

  it.effect("for a tier in process memory, which has none", () =>
    Effect.gen(function* () {
      const memory = yield* local()
      const store = yield* remote("store")
      const chain = yield* Chain.make({ name: "test", caches: [{ tier: memory.tier }], store: { tier: store.tier } })
      yield* store.tier.put(blobAt("x", 1))
      for (const call of ["get", "put"] as const) memory.fail(call, down)
      for (let read = 0; read < 20; read++) {
        assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Failed", "store Hit"])
        yield* chain.idle
      }

      assert.strictEqual((yield* chain.status)[0]?.breaker, "closed")
    })
  )

  it.effect("for a tier in process memory whose policy names a deadline and no breaker", () =>
    Effect.gen(function* () {
      const memory = yield* local()
      const store = yield* remote("store")
      const chain = yield* Chain.make({
        name: "test",
        caches: [{ tier: memory.tier, policy: { deadline: "1 second" } }],
        store: { tier: store.tier }
      })
      yield* store.tier.put(blobAt("x", 1))
      for (const call of ["get", "put"] as const) memory.fail(call, down)
      for (let read = 0; read < 20; read++) {
        assert.deepStrictEqual(outcomes(yield* chain.get(key)), ["memory Failed", "store Hit"])
        yield* chain.idle
      }
    })
  )

  it.effect("while what is neither a failure nor a success comes between, which does not begin the count anew", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* behind()
      store.fail("get", down, 4)
      yield* times(4, chain)
      store.fail("get", new Denied({ cause: "no" }), 1)
      assert.strictEqual(yield* why(chain), "Denied")
      store.fail("get", down)
      assert.strictEqual(yield* why(chain), "Unavailable")

      assert.strictEqual(yield* why(chain), "breaker-open")
    })
  )
})

describe("a tier behind an open breaker", () => {
  it.effect("is skipped at once, without being called, and the next one answers", () =>
    Effect.gen(function* () {
      const disk = yield* remote("disk")
      const store = yield* remote("store")
      const chain = yield* Chain.make({ name: "test", caches: [{ tier: disk.tier }], store: { tier: store.tier } })
      yield* store.tier.put(blobAt("x", 1))
      for (const call of ["get", "put"] as const) disk.fail(call, down)
      yield* Effect.replicateEffect(Effect.andThen(chain.get(key), chain.idle), 3)
      const before = { ...disk.calls }
      const found = yield* chain.get(key)

      assert.strictEqual(text(found), "x")
      assert.deepStrictEqual(found.trail.steps[0], {
        tier: "disk",
        outcome: { _tag: "Skipped", why: "breaker-open" },
        millis: 0
      })
      assert.deepStrictEqual(disk.calls, before)
    })
  )

  it.effect("never makes a key look absent while it is the store", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* behind({ breaker: { failures: 1 } })
      store.fail("get", down, 1)
      yield* why(chain)
      for (const read of [chain.get, chain.head]) {
        const error = yield* Effect.flip<unknown, ChainUnavailable, never>(read(key))
        assert.deepStrictEqual(error.tiers, [{ tier: "store", why: "breaker-open" }])
      }
      let runs = 0
      const producer = Effect.sync(() => {
        runs += 1
        return draft("made")
      })
      yield* Effect.flip(chain.getOrMake(key, producer))

      assert.strictEqual(runs, 0)
      assert.deepStrictEqual([store.calls.get, store.calls.head, store.calls.put], [1, 0, 0])
    })
  )

  it.effect("does not keep a chain without a store from making a blob", () =>
    Effect.gen(function* () {
      const disk = yield* remote("disk")
      const chain = yield* Chain.make({ name: "test", caches: [{ tier: disk.tier }] })
      for (const call of ["get", "put"] as const) disk.fail(call, down)
      yield* Effect.replicateEffect(Effect.andThen(chain.getOrMake(key, Effect.succeed(draft("made"))), chain.idle), 3)

      const found = yield* chain.getOrMake(key, Effect.succeed(draft("made")))
      assert.deepStrictEqual(outcomes(found), ["disk Skipped", "producer Made"])
    })
  )

  const put = (chain: Chain.Chain<string>) => chain.put(key, draft("new"))
  const remove = (chain: Chain.Chain<string>) => chain.remove(key)
  const removeGroup = (chain: Chain.Chain<string>) => chain.removeGroup("hero")
  for (const [name, write, retry] of [
    ["put", put, undefined],
    ["remove", remove, undefined],
    ["removeGroup", removeGroup, undefined],
    ["put that is retried", put, Schedule.recurs(1)],
    ["remove that is retried", remove, Schedule.recurs(1)],
    ["removeGroup that is retried", removeGroup, Schedule.recurs(1)]
  ] as const) {
    it.effect(`refuses a ${name}, which has surely not taken effect: copies stay confirmed`, () =>
      Effect.gen(function* () {
        const memory = yield* local()
        const store = yield* remote("store")
        const chain = yield* Chain.make<string>({
          name: "test",
          caches: [{ tier: memory.tier }],
          store: { tier: store.tier, policy: { breaker: { failures: 1 }, retry } }
        })
        yield* chain.put(key, draft("old"))
        store.fail("get", down)
        yield* Effect.flip(chain.get(Key.makeUnsafe("hero", "other")))
        const before = { ...store.calls }

        const error = yield* Effect.flip<Chain.PutReceipt | Chain.RemoveReceipt, unknown, never>(write(chain))

        assert.isTrue(error instanceof TierError && error.isRetryable && !error.isUnknownOutcome)
        const reason = error instanceof TierError ? error.reason : undefined
        assert.isTrue(reason?._tag === "BreakerOpen" && reason.retryAfterMillis === 1_000)
        const found = yield* chain.get(key)
        assert.strictEqual(text(found), "old")
        assert.deepStrictEqual(outcomes(found), ["memory Hit"])
        assert.deepStrictEqual(outcomes(yield* chain.head(key)), ["headers Hit"])
        assert.deepStrictEqual(store.calls, before)
      })
    )
  }
})

describe("an open breaker", () => {
  it.effect("lets one call try after a second, and the others are refused meanwhile", () =>
    Effect.gen(function* () {
      const { breaker, chain, store } = yield* behind({ breaker: { failures: 1 } })
      store.fail("get", down, 1)
      yield* why(chain)
      yield* TestClock.adjust("999 millis")
      assert.strictEqual(yield* why(chain), "breaker-open")
      yield* TestClock.adjust("1 millis")

      const gate = store.before("get")
      const probe = yield* fork(chain.get(key))
      yield* gate.reached
      const error = yield* Effect.flip(chain.put(key, draft("x")))
      const reason = error._tag === "TierError" ? error.reason : undefined
      assert.isTrue(reason?._tag === "BreakerOpen" && reason.retryAfterMillis === undefined)
      yield* gate.open

      assert.strictEqual((yield* Fiber.join(probe))._tag, "NotFound")
      assert.strictEqual(yield* breaker, "closed")
      assert.deepStrictEqual([store.calls.get, store.calls.put], [2, 0])
    })
  )

  it.effect("is closed by a success: five failures open it again", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* behind()
      store.fail("get", down, 5)
      yield* times(5, chain)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")

      store.fail("get", down, 4)
      yield* times(4, chain)
      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
    })
  )

  it.effect("opens for twice as long after a try that fails, up to half a minute", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* behind({ breaker: { failures: 1 } })
      store.fail("get", down)
      yield* why(chain)
      for (const seconds of [1, 2, 4, 8, 16, 30, 30]) {
        yield* TestClock.adjust(seconds * 1_000 - 1)
        assert.strictEqual(yield* why(chain), "breaker-open", `before ${seconds} seconds`)
        yield* TestClock.adjust(1)
        assert.strictEqual(yield* why(chain), "Unavailable", `after ${seconds} seconds`)
      }
      assert.strictEqual(store.calls.get, 8)
    })
  )

  it.effect("stays open as long as its policy says", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* behind({ breaker: { failures: 1, openFor: "10 seconds" } })
      store.fail("get", down, 1)
      yield* why(chain)
      yield* TestClock.adjust("9999 millis")
      assert.strictEqual(yield* why(chain), "breaker-open")
      yield* TestClock.adjust("1 millis")

      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
    })
  )

  it.effect("does not stay open longer because the clock has gone back", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(3_600_000)
      const { chain, store } = yield* behind({ breaker: { failures: 1 } })
      store.fail("get", down, 1)
      yield* why(chain)
      yield* TestClock.setTime(0)
      yield* TestClock.adjust("1 second")

      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
    })
  )

  it.effect("lets the next one try if the reader of the one that tries goes away", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* behind({ breaker: { failures: 1 } })
      store.fail("get", down, 1)
      yield* why(chain)
      yield* TestClock.adjust("1 second")
      const gate = store.before("get")
      const probe = yield* fork(chain.get(key))
      yield* gate.reached
      yield* Fiber.interrupt(probe)
      yield* gate.open

      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
    })
  )

  it.effect("is that of one tier in one chain", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* behind({ breaker: { failures: 1 } })
      const other = yield* Chain.make<string>({ name: "other", caches: [], store: { tier: store.tier } })
      store.fail("get", down, 1)
      yield* why(chain)
      assert.strictEqual(yield* why(chain), "breaker-open")

      assert.strictEqual((yield* other.get(key))._tag, "NotFound")
    })
  )
})

describe("the order of a policy", () => {
  it.effect("is the retries inside the breaker: a call and its retries are one outcome", () =>
    Effect.gen(function* () {
      const { chain, store } = yield* behind({ breaker: { failures: 2 }, retry: Schedule.recurs(2) })
      store.fail("get", down)
      yield* times(2, chain)
      assert.strictEqual(store.calls.get, 6)
      assert.strictEqual(yield* why(chain), "breaker-open")

      assert.strictEqual(store.calls.get, 6)
    })
  )

  it.effect("makes a call that a retry has rescued a success", () =>
    Effect.gen(function* () {
      const { breaker, chain, store } = yield* behind({ breaker: { failures: 1 }, retry: Schedule.recurs(2) })
      store.fail("get", new Unavailable({ cause: "reset" }), 2)

      assert.strictEqual((yield* chain.get(key))._tag, "NotFound")
      assert.strictEqual(yield* breaker, "closed")
    })
  )

  it.effect(
    "gives a tier in process memory no deadline that it does not name, though it names that it has no breaker",
    () =>
      Effect.gen(function* () {
        const memory = yield* local()
        const store = yield* remote("store")
        const chain = yield* Chain.make<string>({
          name: "test",
          caches: [{ tier: memory.tier, policy: { breaker: false } }],
          store: { tier: store.tier }
        })
        const gate = memory.before("put")
        const writer = yield* fork(chain.put(key, draft("x")))
        yield* gate.reached
        yield* TestClock.adjust("1 hour")
        assert.isUndefined(writer.pollUnsafe())
        yield* gate.open

        assert.deepStrictEqual((yield* Fiber.join(writer)).tiers.at(-1), { tier: "memory", outcome: "stored" })
      })
  )

  it.effect("is the deadline inside the retries: every try has all of it, and together they are one outcome", () =>
    Effect.gen(function* () {
      const { breaker, chain, store } = yield* behind({
        deadline: "1 second",
        breaker: { failures: 2 },
        retry: Schedule.recurs(1)
      })
      store.before("get")
      const reader = yield* fork(why(chain))
      yield* TestClock.adjust("1999 millis")
      assert.isUndefined(reader.pollUnsafe())
      yield* TestClock.adjust("1 millis")

      assert.strictEqual(yield* Fiber.join(reader), "TimedOut")
      assert.strictEqual(store.calls.get, 2)
      assert.strictEqual(yield* breaker, "closed")
    })
  )
})
