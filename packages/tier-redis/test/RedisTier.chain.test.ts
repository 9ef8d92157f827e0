import { assert, describe, it } from "@effect/vitest"
import * as Body from "@terrace/core/Body"
import * as Chain from "@terrace/core/Chain"
import * as Key from "@terrace/core/Key"
import { TierError } from "@terrace/core/TierError"
import * as Trail from "@terrace/core/Trail"
import * as FaultProxy from "@terrace/testkit/FaultProxy"
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as Effect from "effect/Effect"
import { eventually, sharedServer, tierAt } from "./support/Redis.ts"

const server = sharedServer()
const key = Key.makeUnsafe("hero", "master")

/** Memory before a store in Redis that can be cut off, and which the chain waits for no longer than 200 ms. */
const setUp = Effect.gen(function* () {
  const up = yield* server
  const proxy = yield* FaultProxy.make({ port: up.port })
  const { tier: store } = yield* tierAt({ url: `redis://127.0.0.1:${proxy.port}`, required: true })
  const cache = yield* MemoryTier.make({ maxBytes: 1_000_000 })
  const policy = { deadline: "200 millis", breaker: false } as const
  const chain = yield* Chain.make({ name: "masters", caches: [{ tier: cache }], store: { tier: store, policy } })
  yield* put(chain, "first")
  yield* chain.idle
  return { chain, proxy, store }
})

const put = (chain: Chain.Chain, text: string) =>
  chain.put(key, { bytes: Buffer.from(text), contentType: "text/plain" })

const failureOf = (chain: Chain.Chain) =>
  Effect.map(Effect.flip(put(chain, "second")), (error) =>
    error instanceof TierError ? error : assert.fail(String(error))
  )

const served = Effect.fnUntraced(function* (chain: Chain.Chain) {
  const found = yield* chain.get(key)
  if (found._tag === "NotFound") return assert.fail("it is there")
  return { text: Buffer.from(yield* Body.toBytes(found.blob.body)).toString(), trail: found.trail }
})

describe("RedisTier as the store of a chain", () => {
  it.live("a write that was given up leaves copies in doubt until Redis can be asked; what landed late is served", () =>
    Effect.gen(function* () {
      const { chain, proxy } = yield* setUp
      yield* proxy.set({ toServer: { blackHole: true } })

      const error = yield* failureOf(chain)

      assert.strictEqual(error.reason._tag, "TimedOut")
      assert.isTrue(error.isUnknownOutcome)
      const doubtful = yield* served(chain)
      assert.strictEqual(doubtful.text, "first")
      assert.isTrue(Trail.isUnconfirmed(doubtful.trail))

      yield* proxy.set({})
      yield* chain.idle
      const settled = yield* served(chain)
      assert.strictEqual(settled.text, "second")
      assert.isFalse(Trail.isUnconfirmed(settled.trail))
    })
  )

  it.live("a write that was never sent leaves copies as good as they were", () =>
    Effect.gen(function* () {
      const { chain, proxy, store } = yield* setUp
      yield* proxy.down
      yield* eventually("the store", Effect.flip(store.head(key)), ({ message }) => message.includes("no connection"))

      const error = yield* failureOf(chain)

      assert.strictEqual(error.reason._tag, "Unavailable")
      assert.isFalse(error.isUnknownOutcome)
      const answer = yield* served(chain)
      assert.strictEqual(answer.text, "first")
      assert.deepStrictEqual(
        answer.trail.steps.map(({ tier, outcome }) => [tier, outcome._tag]),
        [["memory", "Hit"]]
      )
    })
  )
})
