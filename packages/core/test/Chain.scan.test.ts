import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as Chain from "../src/Chain.ts"
import * as Key from "../src/Key.ts"
import type { Policy } from "../src/Policy.ts"
import type { Entry, Tier } from "../src/Tier.ts"
import { TierError, Unavailable } from "../src/TierError.ts"
import { cachesOnly, draft, remote } from "./support/chains.ts"
import { fork } from "./support/shared.ts"

const entry: Entry = { key: Key.makeUnsafe("hero", "a"), size: 1, cursor: "1" }
const down = Stream.fail(
  new TierError({ tier: "store", operation: "scan", reason: new Unavailable({ cause: "down" }) })
)

/** A chain over a store that scans as it is told to. */
const scanning = (scan?: Tier["scan"], policy: Policy = {}) =>
  Effect.gen(function* () {
    const store = yield* remote("store")
    const chain = yield* Chain.make<string>({
      name: "test",
      caches: [],
      store: { tier: scan === undefined ? store.tier : { ...store.tier, scan }, policy }
    })
    const breaker = Effect.map(chain.status, (tiers) => tiers.at(-1)?.breaker)
    return { breaker, chain }
  })

/** Why listing fails. */
const why = (chain: Chain.Chain<string>) =>
  Effect.map(Effect.flip(Stream.runCollect(chain.scan())), ({ operation, reason }) => `${operation} ${reason._tag}`)

describe("scan", () => {
  it.effect("lists what the store lists, in its order, nothing included", () =>
    Effect.gen(function* () {
      const { chain } = yield* scanning()
      assert.deepStrictEqual(yield* Stream.runCollect(chain.scan()), [])
      for (const name of ["b", "a"]) yield* chain.put(Key.makeUnsafe("hero", name), draft(name))
      const [first, ...rest] = yield* Stream.runCollect(chain.scan())

      assert.strictEqual(rest.length, 1)
      assert.deepStrictEqual(yield* Stream.runCollect(chain.scan({ after: first?.cursor })), rest)
      assert.deepStrictEqual(yield* Stream.runCollect(chain.scan({ groupPrefix: "x" })), [])
    })
  )

  for (const [name, scan] of [
    ["hangs at once", () => Stream.never],
    ["hangs after an entry", () => Stream.concat(Stream.succeed(entry), Stream.never)]
  ] as const) {
    it.effect(`of a store that ${name} ends at its deadline`, () =>
      Effect.gen(function* () {
        const { chain } = yield* scanning(scan)
        const reader = yield* fork(why(chain))
        yield* TestClock.adjust("5 seconds")

        assert.strictEqual(yield* Fiber.join(reader), "scan TimedOut")
      })
    )
  }

  it.effect("gives each pull the whole deadline", () =>
    Effect.gen(function* () {
      const { chain } = yield* scanning(() =>
        Stream.fromIterable([1, 2, 3, 4]).pipe(
          Stream.rechunk(1),
          Stream.mapEffect(() => Effect.delay(Effect.succeed(entry), "4 seconds"))
        )
      )
      const reader = yield* fork(Stream.runCollect(chain.scan()))
      yield* TestClock.adjust("16 seconds")

      assert.strictEqual((yield* Fiber.join(reader)).length, 4)
    })
  )

  it.effect("counts for the breaker, and is refused by it", () =>
    Effect.gen(function* () {
      let asked = 0
      const { breaker, chain } = yield* scanning(
        () => {
          asked += 1
          return down
        },
        { breaker: { failures: 2 } }
      )
      const failures = [yield* why(chain), yield* why(chain), yield* why(chain)]

      assert.deepStrictEqual(failures, ["scan Unavailable", "scan Unavailable", "scan BreakerOpen"])
      assert.strictEqual(yield* breaker, "open")
      assert.strictEqual(asked, 2)
    })
  )

  it.effect("of a store with a bug fails with an error of the store", () =>
    Effect.gen(function* () {
      const { chain } = yield* scanning(() => Stream.die(new Error("bug")))
      const { chain: throwing } = yield* scanning(() => {
        throw new Error("bug")
      })

      assert.deepStrictEqual([yield* why(chain), yield* why(throwing)], ["scan Unknown", "scan Unknown"])
    })
  )

  it.effect("closes what it reads when its reader stops early", () =>
    Effect.gen(function* () {
      let open = 0
      const { chain } = yield* scanning(() =>
        Stream.unwrap(
          Effect.as(
            Effect.acquireRelease(
              Effect.sync(() => (open += 1)),
              () => Effect.sync(() => (open -= 1))
            ),
            Stream.forever(Stream.succeed(entry))
          )
        )
      )
      yield* Stream.runDrain(Stream.take(chain.scan(), 3))

      assert.strictEqual(open, 0)
    })
  )

  it.effect("of a chain that is closed, or has no store, fails", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { chain: closed } = yield* Scope.provide(scanning(), scope)
      yield* Scope.close(scope, Exit.void)
      const { chain: without } = yield* cachesOnly()

      assert.deepStrictEqual([yield* why(closed), yield* why(without)], ["scan Unavailable", "scan Unsupported"])
    })
  )
})
