/** What a tier does at its limits, and at its end. */
import { assert } from "@effect/vitest"
import * as Body from "@terrace/core/Body"
import type { TierError } from "@terrace/core/TierError"
import * as FaultProxy from "@terrace/testkit/FaultProxy"
import * as Fixtures from "@terrace/testkit/Fixtures"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { eventually } from "../support/Polling.ts"
import { allClosed, behindProxy, bodyOf } from "../support/Proxied.ts"
import * as Requests from "../support/Requests.ts"
import { fixture } from "../support/Servers.ts"
import type { It } from "../support/Suite.ts"

const mebibyte = 1_048_576

export const limits = (it: It): void => {
  it.effect(
    "above concurrency and maxWaiting - reads are Skipped as busy and writes Throttled, and nothing is sent",
    () =>
      Effect.gen(function* () {
        const { proxy, tier } = yield* behindProxy({ concurrency: 2, maxWaiting: 1 })
        const blob = Fixtures.blob()
        const { key } = blob.header
        yield* proxy.set({ toClient: { blackHole: true } })
        const [, sent] = yield* Requests.during(
          Effect.gen(function* () {
            const fibers = yield* Effect.forEach([0, 1, 2], () => Effect.forkChild(tier.get(key)))
            yield* eventually("two are sent", Effect.sync(Requests.sentSoFar), ({ length }) => length === 2)

            assert.deepStrictEqual(yield* tier.get(key), { _tag: "Skipped", why: "busy" })
            assert.deepStrictEqual(yield* tier.head(key), { _tag: "Skipped", why: "busy" })
            const error = yield* Effect.flip(tier.put(blob))
            assert.strictEqual(error.reason._tag, "Throttled")
            assert.isFalse(error.isUnknownOutcome)
            for (const fiber of fibers) yield* Fiber.interrupt(fiber)
          })
        )
        assert.strictEqual(sent.length, 2)
        yield* proxy.set({})
        assert.deepStrictEqual(yield* tier.put(blob), { _tag: "Stored" })
      })
  )

  it.effect("above maxStreams - who waits gets its turn when a reader has ended, however that ends", () =>
    Effect.gen(function* () {
      const { tier } = yield* behindProxy({ maxStreams: 1, maxWaiting: 1 })
      const blob = Fixtures.blob({ size: 4 * mebibyte })
      yield* tier.put(blob)
      const body = yield* bodyOf(tier, blob)
      const begun = yield* Deferred.make<void>()
      const slow = yield* Effect.forkChild(
        Stream.runForEach(Body.toStream(body), () => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
      )
      yield* Deferred.await(begun)
      const next = yield* Effect.forkChild(Body.toBytes(body), { startImmediately: true })

      assert.strictEqual((yield* Effect.flip(Body.toBytes(body))).reason._tag, "Throttled")
      // Other requests have their own places.
      assert.strictEqual((yield* tier.head(blob.header.key))._tag, "Hit")
      yield* Fiber.interrupt(slow)

      assert.strictEqual((yield* Fiber.join(next)).byteLength, 4 * mebibyte)
    })
  )

  it.effect("closing - ends what reads, lets a write end, closes all connections, and says so from then on", () =>
    Effect.gen(function* () {
      const self = yield* fixture
      const proxy = yield* FaultProxy.make({ host: self.server.host, port: self.server.port })
      const scope = yield* Scope.make()
      const tier = yield* Scope.provide(self.open({ endpoint: `http://${proxy.host}:${proxy.port}` }), scope)
      const blob = Fixtures.blob()
      const large = Fixtures.blob({ group: "large", size: mebibyte })
      yield* tier.put(large)
      const body = yield* bodyOf(tier, large)
      yield* proxy.set({ toClient: { latency: "100 millis" } })
      const [[read, write]] = yield* Requests.during(
        Effect.gen(function* () {
          const read = yield* Effect.forkChild(tier.get(blob.header.key), { startImmediately: true })
          const write = yield* Effect.forkChild(tier.put(blob), { startImmediately: true })
          const isSent = Effect.sync(() => Requests.sentSoFar().some(({ method }) => method === "PUT"))
          yield* eventually("the write was sent", isSent, (is) => is)
          return [read, write] as const
        })
      )

      yield* Scope.close(scope, Exit.void)

      yield* allClosed(proxy)
      const direct = yield* self.open()
      assert.strictEqual((yield* direct.head(blob.header.key))._tag, "Hit")
      yield* Fiber.await(read)
      yield* Fiber.await(write)
      assert.deepStrictEqual(yield* tier.get(blob.header.key), { _tag: "Skipped", why: "closed" })
      assert.deepStrictEqual(yield* tier.head(blob.header.key), { _tag: "Skipped", why: "closed" })
      const rest: ReadonlyArray<Effect.Effect<unknown, TierError>> = [
        tier.put(blob),
        tier.remove(blob.header.key, 1),
        tier.removeGroup("g", 1),
        tier.usage,
        Stream.runDrain(tier.scan()),
        Body.toBytes(body)
      ]
      for (const call of rest) assert.match((yield* Effect.flip(call)).message, /Unavailable: the tier is closed/)
      assert.strictEqual((yield* proxy.stats).open, 0)
    })
  )
}
