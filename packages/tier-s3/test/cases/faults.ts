/** A network that fails. */
import { assert } from "@effect/vitest"
import type { Blob } from "@terrace/core/Blob"
import * as Body from "@terrace/core/Body"
import * as Chain from "@terrace/core/Chain"
import type * as Tier from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import * as Fixtures from "@terrace/testkit/Fixtures"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { eventually } from "../support/Polling.ts"
import * as Requests from "../support/Requests.ts"
import { allClosed, behindProxy, bodyOf } from "../support/Proxied.ts"
import type { It } from "../support/Suite.ts"

const mebibyte = 1_048_576

/** Every call that sends something. */
const callsOf = (tier: Tier.Tier, blob: Blob): ReadonlyArray<Effect.Effect<unknown, TierError>> => [
  tier.get(blob.header.key),
  tier.head(blob.header.key),
  tier.put(blob),
  tier.remove(blob.header.key, 1),
  tier.removeGroup(blob.header.key.group, 1),
  Stream.runDrain(tier.scan()),
  tier.usage
]

export const faults = (it: It): void => {
  it.effect(
    "a server that refuses or resets connections - is Unavailable, which names the errno, until it is back",
    () =>
      Effect.gen(function* () {
        const { proxy, tier } = yield* behindProxy()
        const blob = Fixtures.blob()
        const troubles = [
          [
            Effect.andThen(
              proxy.down,
              eventually("all are reset", proxy.stats, ({ open }) => open === 0)
            ),
            /ECONNREFUSED/
          ],
          [Effect.andThen(proxy.set({ connect: "reset" }), proxy.cut("reset")), /ECONNRESET|socket hang up|EPIPE/]
        ] as const
        for (const [trouble, message] of troubles) {
          yield* trouble

          for (const call of callsOf(tier, blob)) {
            const error = yield* Effect.flip(call)
            assert.strictEqual(error.reason._tag, "Unavailable")
            assert.match(error.message, message)
            assert.isTrue(error.isRetryable)
          }
          yield* proxy.set({})
          assert.deepStrictEqual(yield* tier.put(blob), { _tag: "Stored" })
        }
      })
  )

  it.effect("a server that does not answer - is TimedOut after requestTimeout, and its connection is closed", () =>
    Effect.gen(function* () {
      const { proxy, tier } = yield* behindProxy({ requestTimeout: "150 millis" })

      for (const call of callsOf(tier, Fixtures.blob())) {
        yield* proxy.set({ toClient: { blackHole: true } })
        const error = yield* Effect.flip(call)
        assert.strictEqual(error.message.replace(/^\S+ /, ""), "TimedOut: no answer within 150 ms")
        yield* allClosed(proxy)
      }
    })
  )

  it.effect("get, cut off in the middle of a body - is Unavailable, never a part of it", () =>
    Effect.gen(function* () {
      const { proxy, tier } = yield* behindProxy()
      const blob = Fixtures.blob({ size: 900_000 })
      yield* tier.put(blob)
      for (const how of ["reset", "close"] as const) {
        yield* proxy.set({ toClient: { cutAfter: { bytes: 300_000, how } } })

        const error = yield* Effect.flip(tier.get(blob.header.key))

        assert.strictEqual(error.reason._tag, "Unavailable", how)
      }
    })
  )

  it.effect("a stream, cut off in the middle - fails after whole chunks, and never ends as if it were complete", () =>
    Effect.gen(function* () {
      const { proxy, tier } = yield* behindProxy()
      const bytes = Fixtures.bytes(1, 5 * mebibyte)
      const blob = Fixtures.blob({ bytes })
      yield* tier.put(blob)
      for (const how of ["reset", "close", "half-close"] as const) {
        yield* proxy.set({})
        const body = yield* bodyOf(tier, blob)
        yield* proxy.set({ toClient: { cutAfter: { bytes: 3.5 * mebibyte, how } } })
        const got: Array<Uint8Array> = []

        const error = yield* Effect.flip(
          Stream.runForEach(Body.toStream(body), (run) => Effect.sync(() => void got.push(run)))
        )

        assert.strictEqual(error.reason._tag, "Unavailable", how)
        const received = Buffer.concat(got)
        assert.isTrue(received.equals(bytes.subarray(0, received.byteLength)))
        assert.strictEqual(received.byteLength % mebibyte, 0)
        assert.isAtMost(received.byteLength, 3 * mebibyte)
      }
    })
  )

  it.effect("a stream that stops coming - is TimedOut", () =>
    Effect.gen(function* () {
      const { direct, proxy, tier } = yield* behindProxy({ requestTimeout: "300 millis" })
      const blob = Fixtures.blob({ size: 16 * mebibyte })
      yield* direct.put(blob)
      const body = yield* bodyOf(tier, blob)
      const hang = proxy.set({ toClient: { blackHole: true } })

      const error = yield* Effect.flip(Stream.runDrain(Stream.tap(Body.toStream(body), () => Effect.ignore(hang))))

      assert.strictEqual(error.reason._tag, "TimedOut")
      yield* allClosed(proxy)
    })
  )

  it.effect("a reader that is slow - holds the server up instead of memory", () =>
    Effect.gen(function* () {
      const { proxy, tier } = yield* behindProxy()
      const blob = Fixtures.blob({ size: 48 * mebibyte })
      yield* tier.put(blob)
      const body = yield* bodyOf(tier, blob)
      const resume = yield* Deferred.make<void>()
      const { passed } = yield* proxy.stats
      let delivered = 0
      const reader = yield* Effect.forkChild(
        Stream.runForEach(Body.toStream(body), (run) =>
          Effect.suspend(() => {
            delivered += run.byteLength
            return Deferred.await(resume)
          })
        )
      )

      // What is under way has come to rest once two looks, a while apart, see the same.
      let last = -1
      yield* eventually("no more bytes come", Effect.delay(proxy.stats, "100 millis"), ({ passed: { toClient } }) => {
        const isSame = delivered > 0 && toClient === last
        last = toClient
        return isSame
      })

      assert.strictEqual(delivered, mebibyte)
      assert.isBelow(last - passed.toClient, 24 * mebibyte)
      yield* Deferred.succeed(resume, undefined)
      yield* Fiber.join(reader)
      assert.strictEqual(delivered, 48 * mebibyte)
    })
  )

  it.effect("a reader that is interrupted while it waits - closes its connection at once", () =>
    Effect.gen(function* () {
      const { proxy, tier } = yield* behindProxy()
      const blob = Fixtures.blob({ size: 4 * mebibyte })
      yield* tier.put(blob)
      const body = yield* bodyOf(tier, blob)
      for (const read of [
        tier.get(blob.header.key),
        tier.head(blob.header.key),
        Stream.runDrain(Body.toStream(body))
      ]) {
        yield* proxy.set({ toClient: { blackHole: true } })
        const before = yield* proxy.stats
        const fiber = yield* Effect.forkChild(Effect.asVoid(read))
        yield* eventually("the request was sent", proxy.stats, ({ passed }) => passed.toServer > before.passed.toServer)

        yield* Fiber.interrupt(fiber)

        yield* allClosed(proxy)
      }
    })
  )

  it.effect("a chain's deadline - closes the connection of a read that hangs", () =>
    Effect.gen(function* () {
      const { proxy, tier } = yield* behindProxy()
      const chain = yield* Chain.make({
        name: "images",
        caches: [],
        store: { tier, policy: { deadline: "100 millis" } }
      })
      yield* proxy.set({ toClient: { blackHole: true } })

      const error = yield* Effect.flip(chain.get(Fixtures.blob().header.key))

      assert.strictEqual(error._tag, "ChainUnavailable")
      yield* allClosed(proxy)
    })
  )

  it.effect("a write whose answer is lost - has an unknown outcome; sent again, it is Stored", () =>
    Effect.gen(function* () {
      const { direct, proxy, tier } = yield* behindProxy({ requestTimeout: "300 millis" })
      const blob = Fixtures.blob({ size: 2 * mebibyte })
      const bytes = yield* Body.toBytes(blob.body)
      // The stream is opened after the look, so that only the write itself is not answered.
      const lossy = Stream.unwrap(
        Effect.as(Effect.ignore(proxy.set({ toClient: { blackHole: true } })), Stream.succeed(bytes))
      )
      const body = Body.streamed(blob.header.size, () => lossy)

      const error = yield* Effect.flip(tier.put({ header: blob.header, body }))

      assert.strictEqual(error.reason._tag, "TimedOut")
      assert.isTrue(error.isUnknownOutcome)
      assert.strictEqual((yield* direct.head(blob.header.key))._tag, "Hit")
      yield* proxy.set({})
      assert.deepStrictEqual(yield* tier.put(blob), { _tag: "Stored" })
    })
  )

  it.effect("a write that is interrupted once it is sent - goes on, and its caller waits until it is known", () =>
    Effect.gen(function* () {
      const { direct, proxy, tier } = yield* behindProxy()
      const first = Fixtures.blob({ generation: 1 })
      yield* tier.put(first)
      const { key } = first.header
      const writes: ReadonlyArray<readonly [Effect.Effect<unknown, TierError>, number, Tier.ReadHeader["_tag"]]> = [
        [tier.put(Fixtures.blob({ generation: 2 })), 1, "Hit"],
        [tier.remove(key, 2), 1, "Miss"]
      ]
      for (const [write, , outcome] of writes) {
        const [, sent] = yield* Requests.during(
          Effect.gen(function* () {
            yield* proxy.set({ toClient: { latency: "100 millis" } })
            const fiber = yield* Effect.forkChild(write)
            const isSent = Effect.sync(() => Requests.sentSoFar().some(({ method }) => method !== "HEAD"))
            yield* eventually("the write was sent", isSent, (is) => is)
            yield* Fiber.interrupt(fiber)
          })
        )

        assert.strictEqual(sent.length, 2)
        const read = yield* direct.head(key)
        assert.strictEqual(read._tag, outcome)
        if (read._tag === "Hit") assert.strictEqual(read.header.generation, 2)
      }
    })
  )

  it.effect("an upload in parts that is interrupted while a part is sent - leaves no parts", () =>
    Effect.gen(function* () {
      const { proxy, tier, uploads } = yield* behindProxy({ partBytes: 5 * mebibyte })
      const bytes = Fixtures.bytes(1, 16 * mebibyte)
      const { header } = Fixtures.blob({ bytes })
      const body = Body.streamed(header.size, () => Stream.succeed(bytes))
      yield* proxy.set({ toServer: { bytesPerSecond: 4 * mebibyte } })
      const before = yield* proxy.stats
      const fiber = yield* Effect.forkChild(tier.put({ header, body }))
      yield* eventually(
        "some of a part was sent",
        proxy.stats,
        ({ passed }) => passed.toServer > before.passed.toServer + mebibyte
      )
      assert.strictEqual(yield* uploads, 1)

      yield* Fiber.interrupt(fiber)

      assert.strictEqual(yield* uploads, 0)
      assert.strictEqual((yield* tier.stats).leftUploads, 0)
    })
  )

  it.effect("parts that cannot be removed since the server is gone - are counted", () =>
    Effect.gen(function* () {
      const { proxy, tier, uploads } = yield* behindProxy({ partBytes: 5 * mebibyte })
      const bytes = Fixtures.bytes(1, 12 * mebibyte)
      const { header } = Fixtures.blob({ bytes })
      const gone = Stream.fromEffect(Effect.andThen(Effect.orDie(proxy.down), Effect.die("lost")))
      const parts = Stream.succeed(bytes.subarray(0, 11 * mebibyte))

      yield* Effect.exit(tier.put({ header, body: Body.streamed(header.size, () => Stream.concat(parts, gone)) }))

      assert.strictEqual((yield* tier.stats).leftUploads, 1)
      assert.strictEqual(yield* uploads, 1)
    })
  )
}
