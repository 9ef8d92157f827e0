import { assert, describe, it } from "@effect/vitest"
import { Fixtures } from "@terrace/testkit"
import * as FaultProxy from "@terrace/testkit/FaultProxy"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { createServer } from "node:net"
import { client, type End, server, until } from "./tcp.ts"

/** A proxy before a server, and a client of it that is connected on both sides. */
const setUp = (faults?: FaultProxy.Faults) =>
  Effect.gen(function* () {
    const upstream = yield* server
    const proxy = yield* FaultProxy.make({ port: upstream.port, faults })
    const near = yield* client(proxy.port)
    const far = yield* upstream.accepted(0)
    return { upstream, proxy, near, far }
  })

/** Milliseconds that an effect takes. */
const timeOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const before = yield* Clock.monotonicTimeNanos
    yield* effect
    return Number((yield* Clock.monotonicTimeNanos) - before) / 1e6
  })

/** Whether nothing arrives, for as long as a test can wait: a hundred times what it takes without faults. */
const isQuiet = (ends: ReadonlyArray<End>) =>
  until(() => ends.some(({ ended, length }) => length > 0 || ended !== undefined)).pipe(
    Effect.timeoutOption("200 millis"),
    Effect.map(Option.isNone)
  )

describe("FaultProxy", () => {
  it.live("without faults - passes bytes both ways, whole and in order, and the end of each", () =>
    Effect.gen(function* () {
      const { far, near, proxy } = yield* setUp()
      const [request, response] = [Fixtures.bytes(1, 3_000_000), Fixtures.bytes(2, 5_000_000)]

      yield* near.send(request)
      near.socket.end()
      yield* far.received(request.length)
      assert.strictEqual(yield* far.end, "fin")
      yield* far.send(response)
      far.socket.end()

      assert.strictEqual(yield* near.end, "fin")
      assert.isTrue(Buffer.from(far.text, "latin1").equals(request))
      assert.isTrue(Buffer.from(near.text, "latin1").equals(response))
      yield* Effect.repeat(proxy.stats, { until: ({ open }) => open === 0 })
      assert.deepStrictEqual(yield* proxy.stats, {
        open: 0,
        accepted: 1,
        passed: { toServer: 3_000_000, toClient: 5_000_000 }
      })
    })
  )

  it.live("latency - delays one direction, and does not limit the rate", () =>
    Effect.gen(function* () {
      const { far, near, proxy } = yield* setUp({ toClient: { latency: "200 millis" } })

      const there = yield* timeOf(Effect.andThen(near.send("x"), far.received(1)))
      // At a chunk per delay, as a proxy that sleeps between chunks has it, this would take more than ten times as long.
      const back = yield* timeOf(Effect.andThen(far.send(Fixtures.bytes(1, 900_000)), near.received(900_000)))

      assert.isBelow(there, 190)
      assert.isAtLeast(back, 199)
      assert.isBelow(back, 1_000)
      yield* proxy.set({})
      assert.isBelow(yield* timeOf(Effect.andThen(far.send("y"), near.received(900_001))), 190)
    })
  )

  it.live("latency - bytes under way arrive at once when it heals", () =>
    Effect.gen(function* () {
      const { far, near, proxy } = yield* setUp({ latency: "1 hour" })
      yield* near.send("late")
      yield* until(() => near.socket.bytesWritten === 4)

      yield* proxy.set({})

      yield* far.received(4)
      assert.strictEqual(far.text, "late")
    })
  )

  it.live("jitter - varies the delay, and keeps the order", () =>
    Effect.gen(function* () {
      const { far, near } = yield* setUp({ jitter: "60 millis" })
      const times: Array<number> = []
      for (let nth = 1; nth <= 12; nth++)
        times.push(yield* timeOf(Effect.andThen(near.send(`${nth % 10}`), far.received(nth))))

      assert.strictEqual(far.text, "123456789012")
      assert.isAbove(Math.max(...times) - Math.min(...times), 10)
      yield* near.send("ab")
      yield* far.send("x")
      yield* near.send("cd")
      yield* far.received(16)
      assert.strictEqual(far.text, "123456789012abcd")
    })
  )

  it.live("bytesPerSecond - slows bytes down, also of a chunk under way when it changes", () =>
    Effect.gen(function* () {
      const { far, near, proxy } = yield* setUp({ bytesPerSecond: 50_000 })

      const slow = yield* timeOf(Effect.andThen(near.send(Fixtures.bytes(1, 25_000)), far.received(25_000)))

      assert.isAtLeast(slow, 400)
      yield* proxy.set({ bytesPerSecond: 1 })
      yield* near.send(Fixtures.bytes(2, 60_000))
      yield* far.received(25_001)
      yield* proxy.set({})
      assert.isBelow(yield* timeOf(far.received(85_000)), 10_000)
    })
  )

  it.live("backpressure - a client that does not read stops the server, and memory is bounded", () =>
    Effect.gen(function* () {
      const { far, near, proxy } = yield* setUp()
      near.socket.pause()
      yield* far.send(Buffer.alloc(64_000_000))
      const passed = Effect.map(proxy.stats, (stats) => stats.passed.toClient)
      const hasStopped = Effect.gen(function* () {
        const before = yield* passed
        yield* Effect.sleep("100 millis")
        return before > 0 && before === (yield* passed)
      })
      yield* Effect.repeat(hasStopped, { until: (stopped) => stopped })

      // What the systems' buffers take.
      assert.isBelow(yield* passed, 32_000_000)
      near.socket.resume()
      yield* near.received(64_000_000)
    })
  )

  it.live("blackHole - passes nothing, accepts connections, and delivers what was held when it heals", () =>
    Effect.gen(function* () {
      const { far, near, proxy, upstream } = yield* setUp()
      yield* proxy.set({ blackHole: true })
      yield* near.send("question")
      yield* far.send("answer")
      const second = yield* client(proxy.port)
      yield* second.send("second")
      assert.isTrue(yield* isQuiet([far, near, second]))
      assert.lengthOf(upstream.ends, 1)
      assert.strictEqual((yield* proxy.stats).open, 2)

      yield* proxy.set({})

      yield* far.received(8)
      yield* near.received(6)
      const other = yield* upstream.accepted(1)
      yield* other.received(6)
      assert.deepStrictEqual([far.text, near.text, other.text], ["question", "answer", "second"])
    })
  )

  it.live("blackHole - of one direction: the request arrives, its answer does not", () =>
    Effect.gen(function* () {
      const { far, near, proxy } = yield* setUp({ toClient: { blackHole: true } })

      yield* near.send("write this")
      yield* far.received(10)
      yield* far.send("done")

      assert.isTrue(yield* isQuiet([near]))
      assert.deepStrictEqual((yield* proxy.stats).passed, { toServer: 10, toClient: 0 })
    })
  )

  it.live("blackHole - clients that give up leave nothing behind", () =>
    Effect.gen(function* () {
      const upstream = yield* server
      const proxy = yield* FaultProxy.make({ port: upstream.port, faults: { blackHole: true } })

      for (let nth = 0; nth < 20; nth++) {
        const impatient = yield* client(proxy.port)
        impatient.socket.destroy()
      }

      yield* Effect.repeat(proxy.stats, { until: ({ accepted, open }) => accepted === 20 && open === 0 })
      yield* proxy.set({})
      yield* client(proxy.port)
      yield* upstream.accepted(0)
      assert.lengthOf(upstream.ends, 1)
    })
  )

  it.live("connect: refuse - refuses new connections at the same port until it heals; open ones go on", () =>
    Effect.gen(function* () {
      const { far, near, proxy, upstream } = yield* setUp()
      for (let round = 1; round <= 3; round++) {
        yield* proxy.set({ connect: "refuse" })
        assert.strictEqual(yield* (yield* client(proxy.port)).end, "ECONNREFUSED")
        yield* near.send("x")
        yield* far.received(round)

        yield* proxy.set({})
        assert.isUndefined((yield* client(proxy.port)).ended)
        yield* upstream.accepted(round)
      }
    })
  )

  it.live("connect: refuse - from the start; and set fails if another process has taken the port", () =>
    Effect.gen(function* () {
      const upstream = yield* server
      const proxy = yield* FaultProxy.make({ port: upstream.port, faults: { connect: "refuse" } })
      assert.strictEqual(yield* (yield* client(proxy.port)).end, "ECONNREFUSED")
      const thief = createServer().listen(proxy.port, "127.0.0.1")
      yield* until(() => thief.listening)

      const error = yield* Effect.flip(proxy.set({}))
      thief.close()

      assert.match(error.message, /^cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE/)
      yield* proxy.set({})
      assert.isUndefined((yield* client(proxy.port)).ended)
    })
  )

  it.live("connect: reset - accepts new connections and resets them at once", () =>
    Effect.gen(function* () {
      const { proxy, upstream } = yield* setUp()
      yield* proxy.set({ connect: "reset" })

      assert.strictEqual(yield* (yield* client(proxy.port)).end, "ECONNRESET")

      assert.lengthOf(upstream.ends, 1)
    })
  )

  it.live("cut: reset - resets open connections on both sides; new ones are accepted", () =>
    Effect.gen(function* () {
      const { far, near, proxy, upstream } = yield* setUp()

      yield* proxy.cut("reset")

      assert.strictEqual(yield* near.end, "ECONNRESET")
      assert.strictEqual(yield* far.end, "ECONNRESET")
      const next = yield* client(proxy.port)
      yield* next.send("again")
      yield* (yield* upstream.accepted(1)).received(5)
    })
  )

  it.live("cut: close - ends open connections cleanly on both sides, after what was passed on", () =>
    Effect.gen(function* () {
      const { far, near, proxy } = yield* setUp()
      yield* far.send("half of an ans")
      yield* near.received(14)

      yield* proxy.cut("close")

      assert.strictEqual(yield* near.end, "fin")
      assert.strictEqual(yield* far.end, "fin")
      assert.strictEqual(near.text, "half of an ans")
    })
  )

  it.live("cut: half-close - ends what the client reads; what it sends goes on", () =>
    Effect.gen(function* () {
      const { far, near, proxy } = yield* setUp()

      yield* proxy.cut("half-close")
      assert.strictEqual(yield* near.end, "fin")
      yield* far.send("not heard")
      yield* near.send("still said")

      yield* far.received(10)
      assert.strictEqual(near.text, "")
      near.socket.end()
      assert.include(["fin", "ECONNRESET"], yield* far.end)
    })
  )

  it.live("cutAfter - resets in the middle of an answer, and no byte more is passed", () =>
    Effect.gen(function* () {
      const { far, near, proxy } = yield* setUp({ toClient: { cutAfter: { bytes: 100_000 } } })

      yield* far.send(Fixtures.bytes(1, 300_000))

      assert.strictEqual(yield* near.end, "ECONNRESET")
      assert.isAtMost(near.length, 100_000)
      assert.strictEqual((yield* proxy.stats).passed.toClient, 100_000)
    })
  )

  it.live("cutAfter - counts from when it was set, on each connection, and can end cleanly", () =>
    Effect.gen(function* () {
      const { far, near, proxy, upstream } = yield* setUp()
      yield* near.send("0123456789")
      yield* far.received(10)

      yield* proxy.set({ toServer: { cutAfter: { bytes: 4, how: "close" } } })
      yield* near.send("abcdef")
      const second = yield* client(proxy.port)
      yield* second.send("ghijkl")

      assert.strictEqual(yield* far.end, "fin")
      assert.strictEqual(yield* near.end, "fin")
      const other = yield* upstream.accepted(1)
      assert.strictEqual(yield* other.end, "fin")
      assert.deepStrictEqual([far.text, other.text], ["0123456789abcd", "ghij"])
    })
  )

  it.live("down - resets and refuses, set({}) brings it back", () =>
    Effect.gen(function* () {
      const { near, proxy } = yield* setUp()

      yield* proxy.down
      assert.strictEqual(yield* near.end, "ECONNRESET")
      assert.strictEqual(yield* (yield* client(proxy.port)).end, "ECONNREFUSED")
      yield* proxy.set({})

      assert.isUndefined((yield* client(proxy.port)).ended)
    })
  )

  it.live("a reset of one side becomes a reset of the other", () =>
    Effect.gen(function* () {
      const { far, near, proxy, upstream } = yield* setUp()
      const second = yield* client(proxy.port)
      const other = yield* upstream.accepted(1)

      far.socket.resetAndDestroy()
      second.socket.resetAndDestroy()

      assert.strictEqual(yield* near.end, "ECONNRESET")
      assert.strictEqual(yield* other.end, "ECONNRESET")
    })
  )

  it.live("a server that refuses - its clients are reset", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { port } = yield* Scope.provide(server, scope)
      yield* Scope.close(scope, Exit.void)
      const proxy = yield* FaultProxy.make({ port })

      assert.strictEqual(yield* (yield* client(proxy.port)).end, "ECONNRESET")
    })
  )

  it.live("its end - connections end, whatever they wait for, and the port is free", () =>
    Effect.gen(function* () {
      const upstream = yield* server
      const scope = yield* Scope.make()
      const proxy = yield* Scope.provide(FaultProxy.make({ port: upstream.port }), scope)
      const near = yield* client(proxy.port)
      yield* upstream.accepted(0)
      yield* proxy.set({ latency: "1 hour", bytesPerSecond: 1 })
      yield* near.send("under way")
      yield* until(() => near.socket.bytesWritten === 9)

      assert.isBelow(yield* timeOf(Scope.close(scope, Exit.void)), 10_000)

      assert.include(["fin", "ECONNRESET"], yield* near.end)
      assert.strictEqual(yield* (yield* client(proxy.port)).end, "ECONNREFUSED")
    })
  )

  it.live("changes from many fibers at once - the last one holds", () =>
    Effect.gen(function* () {
      const { proxy } = yield* setUp()
      const changes = Array.from({ length: 40 }, (_, nth) => proxy.set(nth % 2 === 0 ? { connect: "refuse" } : {}))
      const fibers = yield* Effect.forEach(changes, (change) => Effect.forkChild(change))
      yield* Effect.forEach(fibers, Fiber.join)

      assert.isUndefined((yield* client(proxy.port)).ended)
    })
  )

  it.effect("keeps real time under a TestClock", () =>
    Effect.gen(function* () {
      const upstream = yield* server
      const proxy = yield* FaultProxy.make({ port: upstream.port, faults: { latency: "50 millis" } })
      const talk = Effect.gen(function* () {
        yield* (yield* client(proxy.port)).send("x")
        yield* (yield* upstream.accepted(0)).received(1)
      })

      assert.isAtLeast(yield* TestClock.withLive(timeOf(talk)), 49)
    })
  )

  for (const [name, faults, message] of [
    ["a rate of 0", { bytesPerSecond: 0 }, /bytesPerSecond is 0; expected a number above 0, such as/],
    ["half a byte", { toClient: { cutAfter: { bytes: 0.5 } } }, /cutAfter.bytes is 0.5; expected a whole number/],
    ["an endless latency", { latency: Infinity }, /latency is endless; use blackHole/]
  ] as const) {
    it.live(`${name} - is named`, () =>
      Effect.gen(function* () {
        const { proxy } = yield* setUp()
        const exit = yield* Effect.exit(proxy.set(faults))
        assert.isTrue(Exit.isFailure(exit))
        assert.match(String(exit), message)
      })
    )
  }
})
