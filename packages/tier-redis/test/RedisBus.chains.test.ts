import { assert, describe, it } from "@effect/vitest"
import * as Body from "@terrace/core/Body"
import * as Chain from "@terrace/core/Chain"
import * as Key from "@terrace/core/Key"
import * as Trail from "@terrace/core/Trail"
import * as FaultProxy from "@terrace/testkit/FaultProxy"
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as Effect from "effect/Effect"
import * as RedisBus from "../src/RedisBus.ts"
import * as RedisConnection from "../src/RedisConnection.ts"
import * as RedisTier from "../src/RedisTier.ts"
import { eventually, sharedServer, uniquePrefix } from "./support/Redis.ts"

const server = sharedServer()

/** A node: memory before a store in Redis, which it shares with other nodes, and a bus. */
const nodeAt = Effect.fnUntraced(function* (storeUrl: string, busUrl: string, prefix: string) {
  const connect = (url: string) => RedisConnection.make({ url, required: true })
  const store = yield* Effect.provideService(
    RedisTier.make({ prefix }),
    RedisConnection.RedisConnection,
    yield* connect(storeUrl)
  )
  const bus = yield* Effect.provideService(
    RedisBus.make({ prefix }),
    RedisConnection.RedisConnection,
    yield* connect(busUrl)
  )
  yield* eventually("listening", Effect.sync(bus.isListening), (is) => is)
  const cache = yield* MemoryTier.make({ maxBytes: 10_000_000 })
  // Only messages make a copy be compared within the time of the test.
  const options = {
    name: "masters",
    caches: [{ tier: cache }],
    store: { tier: store },
    revalidateAfter: "1 hour"
  } as const
  return { chain: yield* Chain.make({ ...options, bus }), bus }
})

const key = Key.makeUnsafe("hero", "master")

const put = (chain: Chain.Chain, text: string) =>
  chain.put(key, { bytes: Buffer.from(text), contentType: "text/plain" })

/** What a node serves, and which of its tiers had it. */
const served = Effect.fnUntraced(function* (chain: Chain.Chain) {
  const found = yield* chain.get(key)
  if (found._tag === "NotFound") return { text: undefined, tier: undefined }
  const text = Buffer.from(yield* Body.toBytes(found.blob.body)).toString()
  return { text, tier: Trail.answeredBy(found.trail) }
})

describe("two chains over one store in Redis, with a bus", () => {
  it.live("what one puts or removes, the other serves at once, though it had a confirmed copy", () =>
    Effect.gen(function* () {
      const { url } = yield* server
      const prefix = uniquePrefix()
      const [one, two] = [yield* nodeAt(url, url, prefix), yield* nodeAt(url, url, prefix)]
      const millis: Array<number> = []
      const seenBy = ({ chain }: typeof one, text: string | undefined) =>
        Effect.gen(function* () {
          const began = performance.now()
          yield* eventually("the other node", served(chain), (answer) => answer.text === text, 2_000)
          millis.push(performance.now() - began)
        })

      for (let round = 0; round < 100; round++) {
        const [writer, reader] = round % 2 === 0 ? [one, two] : [two, one]
        yield* put(writer.chain, `round ${round}`)
        yield* seenBy(reader, `round ${round}`)
        yield* reader.chain.idle
        assert.deepStrictEqual(yield* served(reader.chain), { text: `round ${round}`, tier: "memory" })
        if (round % 10 === 3) {
          yield* writer.chain.remove(key)
          yield* seenBy(reader, undefined)
        }
        if (round % 10 === 7) {
          yield* writer.chain.removeGroup("hero")
          yield* seenBy(reader, undefined)
        }
      }

      const sorted = millis.sort((left, right) => left - right)
      assert.isBelow(sorted[Math.floor(sorted.length / 2)] ?? 0, 100, `${sorted.at(-1)} ms at most`)
    })
  )

  it.live("what was written while one could not listen, it serves as soon as it listens again", () =>
    Effect.gen(function* () {
      const up = yield* server
      const prefix = uniquePrefix()
      const proxy = yield* FaultProxy.make({ port: up.port })
      const one = yield* nodeAt(up.url, up.url, prefix)
      const deaf = yield* nodeAt(up.url, `redis://127.0.0.1:${proxy.port}`, prefix)
      yield* put(one.chain, "before")
      yield* eventually("the other node", served(deaf.chain), ({ text }) => text === "before")
      yield* proxy.down
      yield* eventually("listening", Effect.sync(deaf.bus.isListening), (is) => !is)
      yield* put(one.chain, "meanwhile")
      // Its copy is confirmed for an hour, and nothing has told it otherwise.
      assert.strictEqual((yield* served(deaf.chain)).text, "before")

      yield* proxy.set({})

      yield* eventually("the other node", served(deaf.chain), ({ text }) => text === "meanwhile")
    })
  )

  it.live("a message that is not sent fails no write, and the receipt says so", () =>
    Effect.gen(function* () {
      const up = yield* server
      const prefix = uniquePrefix()
      const proxy = yield* FaultProxy.make({ port: up.port })
      const { bus, chain } = yield* nodeAt(up.url, `redis://127.0.0.1:${proxy.port}`, prefix)
      assert.strictEqual((yield* put(chain, "heard")).announced, "sent")
      yield* proxy.down
      yield* eventually("listening", Effect.sync(bus.isListening), (is) => !is)

      const receipt = yield* put(chain, "unheard")

      assert.strictEqual(receipt.announced, "failed")
      assert.strictEqual((yield* served(chain)).text, "unheard")
    })
  )
})
