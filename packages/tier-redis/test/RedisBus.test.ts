import { assert, describe, it } from "@effect/vitest"
import type { Event, Invalidation } from "@terrace/core/Bus"
import * as FaultProxy from "@terrace/testkit/FaultProxy"
import * as RedisCluster from "@terrace/testkit/RedisCluster"
import * as RedisServer from "@terrace/testkit/RedisServer"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { readFile } from "node:fs/promises"
import * as RedisBus from "../src/RedisBus.ts"
import * as RedisConnection from "../src/RedisConnection.ts"
import { clientOf, eventually, logged, shared, sharedServer, uniquePrefix } from "./support/Redis.ts"

const server = sharedServer()
const clusterContext = shared(RedisCluster.layer())
const cluster = Effect.provide(RedisCluster.RedisCluster, Layer.effectContext(clusterContext))

const invalidation = (generation: number, name?: string): Invalidation => ({
  _tag: "Invalidation",
  chain: "masters",
  group: "hero",
  name,
  generation
})

const gap: Event = { _tag: "Gap" }

/** A bus on a connection of its own. */
const busAt = Effect.fnUntraced(function* (connection: RedisConnection.Options, options: RedisBus.Options) {
  const opened = yield* RedisConnection.make(connection)
  return yield* Effect.provideService(RedisBus.make(options), RedisConnection.RedisConnection, opened)
})

const listening = (bus: RedisBus.Messages) => eventually("listening", Effect.sync(bus.isListening), (is) => is)

/** What a reader of the bus gets, as it comes. */
const reading = Effect.fnUntraced(function* (bus: RedisBus.Messages) {
  const events: Array<Event> = []
  yield* Effect.forkScoped(
    Stream.runForEach(bus.events, (event) => Effect.sync(() => events.push(event))),
    { startImmediately: true }
  )
  return events
})

const until = (events: ReadonlyArray<Event>, is: (events: ReadonlyArray<Event>) => boolean, millis?: number) =>
  eventually(
    "events",
    Effect.sync(() => [...events]),
    is,
    millis
  )

const has = (event: Event) => (events: ReadonlyArray<Event>) =>
  events.some((one) => JSON.stringify(one) === JSON.stringify(event))

const gapsIn = (events: ReadonlyArray<Event>) => events.filter(({ _tag }) => _tag === "Gap").length

/** Two nodes that hear each other. */
const pair = Effect.fnUntraced(function* (
  connection: RedisConnection.Options,
  options: RedisBus.Options = {},
  second: RedisConnection.Options = connection
) {
  const prefix = uniquePrefix()
  const one = yield* busAt(connection, { prefix, ...options })
  const two = yield* busAt(second, { prefix, ...options })
  yield* listening(one)
  yield* listening(two)
  return { one, two, prefix }
})

describe("RedisBus", () => {
  for (const [where, connection] of [
    ["one server", Effect.map(server, ({ url }): RedisConnection.Options => ({ url, required: true }))],
    [
      "a cluster",
      Effect.map(cluster, ({ nodes }): RedisConnection.Options => {
        const url = nodes.map(({ host, port }) => `redis://${host}:${port}`)
        return { url, cluster: true, required: true }
      })
    ]
  ] as const) {
    it.live(
      `${where} - a message of one node reaches the others, in order, as it was sent; a reader begins with a gap`,
      () =>
        Effect.gen(function* () {
          const { one, prefix, two } = yield* pair(yield* connection)
          const three = yield* busAt(yield* connection, { prefix })
          yield* listening(three)
          const [atOne, atTwo, atThree] = [yield* reading(one), yield* reading(two), yield* reading(three)]
          const sent = Array.from({ length: 200 }, (_, index) =>
            invalidation(1_700_000_000_000_000 + index, index % 2 === 0 ? `w~${index}` : undefined)
          )

          yield* Effect.forEach(sent, (message) => one.publish(message), { concurrency: 20 })

          for (const events of [atTwo, atThree]) {
            yield* until(events, ({ length }) => length > 200)
            assert.deepStrictEqual(events, [gap, ...sent])
          }
          assert.deepStrictEqual(atOne, [gap], "its own messages")
          assert.deepInclude(yield* one.stats, { published: 200, failed: 0, received: 0 })
          assert.deepInclude(yield* two.stats, { published: 0, received: 200, foreign: 0, gaps: 1 })
        })
    )
  }

  it.live("two readers of one bus get the same, and one that leaves disturbs nobody", () =>
    Effect.gen(function* () {
      const { url } = yield* server
      const { one, two } = yield* pair({ url })
      const staying = yield* reading(two)
      const leaving = yield* Effect.forkScoped(Stream.runDrain(two.events))

      yield* one.publish(invalidation(1))
      yield* until(staying, has(invalidation(1)))
      yield* Fiber.interrupt(leaving)
      yield* one.publish(invalidation(2))

      yield* until(staying, has(invalidation(2)))
      assert.deepStrictEqual(staying, [gap, invalidation(1), invalidation(2)])
    })
  )

  it.live("nodes with another prefix do not hear it", () =>
    Effect.gen(function* () {
      const { url } = yield* server
      const { one, two } = yield* pair({ url })
      const { two: stranger } = yield* pair({ url })
      const [atTwo, atStranger] = [yield* reading(two), yield* reading(stranger)]

      yield* one.publish(invalidation(1))

      yield* until(atTwo, has(invalidation(1)))
      assert.deepStrictEqual(atStranger, [gap])
    })
  )

  it.live("a message takes at most some hundred bytes, and no bytes of a blob", () =>
    Effect.gen(function* () {
      const up = yield* server
      const { one, prefix } = yield* pair({ url: up.url })
      const admin = yield* clientOf(up)
      const heard: Array<string> = []
      admin.on("message", (_, text) => heard.push(text))
      yield* Effect.promise(() => admin.subscribe(`${prefix}:bus`))
      const longest = { ...invalidation(Number.MAX_SAFE_INTEGER, "n".repeat(48)), group: "g".repeat(200) }

      yield* one.publish(longest)

      const all = Effect.sync(() => heard.filter((text) => text.includes("invalidation")))
      const [text = ""] = yield* eventually("the message", all, ({ length }) => length > 0)
      assert.isBelow(text.length, 500, text)
    })
  )

  describe("gaps", () => {
    it.live("after a connection that was cut: one gap once it listens again, then messages as before", () =>
      Effect.gen(function* () {
        const up = yield* server
        const proxy = yield* FaultProxy.make({ port: up.port })
        const { one, two } = yield* pair({ url: up.url }, {}, { url: `redis://127.0.0.1:${proxy.port}` })
        const events = yield* reading(two)
        yield* one.publish(invalidation(1))
        yield* until(events, has(invalidation(1)))

        for (const [round, how] of (["reset", "close"] as const).entries()) {
          yield* proxy.cut(how)
          yield* until(events, (all) => gapsIn(all) === round + 2)
          yield* listening(two)

          yield* one.publish(invalidation(2 + round))
          yield* until(events, has(invalidation(2 + round)))
          assert.strictEqual(gapsIn(events), round + 2)
        }
      })
    )

    it.live("after a server that was away: what was published meanwhile failed, and the gap stands for it", () =>
      Effect.gen(function* () {
        const up = yield* RedisServer.make({ config: { save: "" } })
        const { one, two } = yield* pair({ url: up.url })
        const events = yield* reading(two)
        yield* up.kill
        const error = yield* eventually(
          "publish",
          Effect.option(Effect.flip(one.publish(invalidation(1)))),
          (failed) => failed._tag === "Some"
        )
        assert.isTrue(error._tag === "Some" && error.value._tag === "BusError")
        yield* eventually("listening", Effect.sync(two.isListening), (is) => !is)

        yield* up.start

        yield* until(events, (all) => gapsIn(all) === 2)
        yield* eventually("publish", Effect.option(one.publish(invalidation(2))), ({ _tag }) => _tag === "Some")
        yield* until(events, has(invalidation(2)))
        assert.isFalse(has(invalidation(1))(events))
      })
    )

    it.live("after CLIENT KILL TYPE pubsub", () =>
      Effect.gen(function* () {
        const up = yield* RedisServer.make({ config: { save: "" } })
        const admin = yield* clientOf(up)
        const { one, two } = yield* pair({ url: up.url })
        const events = yield* reading(two)

        assert.strictEqual(yield* Effect.promise(() => admin.call("CLIENT", "KILL", "TYPE", "pubsub")), 2)

        yield* until(events, (all) => gapsIn(all) === 2)
        yield* one.publish(invalidation(1))
        yield* until(events, has(invalidation(1)))
      })
    )

    it.live("after a connection that went dead without a word", () =>
      Effect.gen(function* () {
        const up = yield* server
        const proxy = yield* FaultProxy.make({ port: up.port })
        const through = { url: `redis://127.0.0.1:${proxy.port}`, silenceTimeout: 300 }
        const { one, two } = yield* pair({ url: up.url }, {}, through)
        const events = yield* reading(two)
        yield* proxy.set({ blackHole: true })
        yield* one.publish(invalidation(1))
        yield* eventually("listening", Effect.sync(two.isListening), (is) => !is)

        yield* proxy.set({})

        yield* until(events, (all) => gapsIn(all) === 2)
        yield* one.publish(invalidation(2))
        yield* until(events, has(invalidation(2)))
      })
    )

    it.live("in a cluster, after the subscriptions of all nodes were ended", () =>
      Effect.gen(function* () {
        const { nodes } = yield* cluster
        const url = nodes.map(({ host, port }) => `redis://${host}:${port}`)
        const { one, two } = yield* pair({ url, cluster: true })
        const events = yield* reading(two)

        for (const { host, port } of nodes) {
          const admin = yield* clientOf({ host, port, password: undefined })
          yield* Effect.promise(() => admin.call("CLIENT", "KILL", "TYPE", "pubsub"))
        }

        yield* until(events, (all) => gapsIn(all) === 2)
        yield* one.publish(invalidation(1))
        yield* until(events, has(invalidation(1)))
      })
    )

    it.live("a number of a publisher that is missing is a gap before the next message", () =>
      Effect.gen(function* () {
        const up = yield* server
        const proxy = yield* FaultProxy.make({ port: up.port })
        const through: RedisConnection.Options = { url: `redis://127.0.0.1:${proxy.port}` }
        const { one, two } = yield* pair(through, {}, { url: up.url })
        const events = yield* reading(two)
        yield* one.publish(invalidation(1))
        yield* until(events, has(invalidation(1)))
        assert.deepStrictEqual(events, [gap, invalidation(1)])

        yield* proxy.down
        const lost = yield* eventually(
          "publish",
          Effect.option(Effect.flip(one.publish(invalidation(2)))),
          (failed) => failed._tag === "Some"
        )
        assert.strictEqual(lost._tag, "Some")
        yield* proxy.set({})
        yield* eventually("publish", Effect.option(one.publish(invalidation(3))), ({ _tag }) => _tag === "Some")

        yield* until(events, has(invalidation(3)))
        assert.deepStrictEqual(events, [gap, invalidation(1), gap, invalidation(3)])
        assert.strictEqual((yield* two.stats).gaps, 2)
      })
    )

    it.live("a message that was not even sent is a gap before the next one", () =>
      Effect.gen(function* () {
        const up = yield* server
        const proxy = yield* FaultProxy.make({ port: up.port })
        const through: RedisConnection.Options = { url: `redis://127.0.0.1:${proxy.port}` }
        const { one, two } = yield* pair(through, { aliveEvery: "1 hour" }, { url: up.url })
        const events = yield* reading(two)
        yield* one.publish(invalidation(1))
        yield* proxy.down
        yield* eventually("listening", Effect.sync(one.isListening), (is) => !is)
        yield* Effect.flip(one.publish(invalidation(2)))

        yield* proxy.set({})

        yield* eventually("publish", Effect.option(one.publish(invalidation(3))), ({ _tag }) => _tag === "Some")
        yield* until(events, has(invalidation(3)))
        assert.deepStrictEqual(events, [gap, invalidation(1), gap, invalidation(3)])
      })
    )

    it.live("a last message that was lost is noticed by the next sign of life", () =>
      Effect.gen(function* () {
        const up = yield* server
        const proxy = yield* FaultProxy.make({ port: up.port })
        const through: RedisConnection.Options = { url: `redis://127.0.0.1:${proxy.port}` }
        const { one, two } = yield* pair(through, { aliveEvery: 100 }, { url: up.url })
        const events = yield* reading(two)
        yield* one.publish(invalidation(1))
        yield* until(events, has(invalidation(1)))
        yield* proxy.down
        yield* eventually(
          "publish",
          Effect.option(Effect.flip(one.publish(invalidation(2)))),
          ({ _tag }) => _tag === "Some"
        )

        yield* proxy.set({})

        yield* until(events, (all) => gapsIn(all) === 2)
        assert.deepStrictEqual(events, [gap, invalidation(1), gap])
      })
    )

    it.live("what a node could not send before it was first heard of is noticed by its first sign of life", () =>
      Effect.gen(function* () {
        const up = yield* server
        const proxy = yield* FaultProxy.make({ port: up.port, faults: { connect: "refuse" } })
        const prefix = uniquePrefix()
        const two = yield* busAt({ url: up.url }, { prefix })
        yield* listening(two)
        const events = yield* reading(two)
        const one = yield* busAt({ url: `redis://127.0.0.1:${proxy.port}` }, { prefix, aliveEvery: 100 })
        yield* Effect.flip(one.publish(invalidation(1)))

        yield* proxy.set({})

        yield* until(events, (all) => gapsIn(all) === 2)
        yield* eventually("publish", Effect.option(one.publish(invalidation(2))), ({ _tag }) => _tag === "Some")
        yield* until(events, has(invalidation(2)))
        assert.deepStrictEqual(events, [gap, gap, invalidation(2)])
      })
    )

    it.live("a reader that is too slow is told of a gap, and its memory is bounded", () =>
      Effect.gen(function* () {
        const { url } = yield* server
        const { one, two } = yield* pair({ url }, { maxUnread: 10 })
        const events: Array<Event> = []
        const released = yield* Deferred.make<void>()
        const slow = Stream.runForEach(Stream.rechunk(two.events, 1), (event) =>
          Effect.andThen(
            Effect.sync(() => events.push(event)),
            Deferred.await(released)
          )
        )
        yield* Effect.forkScoped(slow, { startImmediately: true })

        for (let generation = 1; generation <= 100; generation++) yield* one.publish(invalidation(generation))
        yield* eventually("messages", two.stats, ({ received }) => received === 100)
        yield* Deferred.succeed(released, undefined)
        yield* until(events, (all) => gapsIn(all) === 2)

        yield* one.publish(invalidation(101))
        yield* until(events, has(invalidation(101)))
        assert.isBelow(events.length, 30)
      })
    )
  })

  it.live("messages of others are ignored, counted, and logged once", () =>
    logged((lines) =>
      Effect.gen(function* () {
        const up = yield* server
        const { one, prefix, two } = yield* pair({ url: up.url })
        const admin = yield* clientOf(up)
        const events = yield* reading(two)
        const known = {
          v: 1,
          t: "invalidation",
          publisher: "me",
          sequence: 1,
          chain: "masters",
          group: "hero",
          generation: 7
        }
        const foreign = [
          "no JSON",
          "{}",
          "null",
          "\u0000",
          JSON.stringify({ ...known, v: 2 }),
          JSON.stringify({ ...known, t: "other" }),
          JSON.stringify({ ...known, group: "../x" }),
          JSON.stringify({ ...known, name: "UPPER" }),
          JSON.stringify({ ...known, generation: -1 }),
          JSON.stringify({ ...known, generation: "7" }),
          JSON.stringify({ ...known, publisher: "x".repeat(100) }),
          JSON.stringify({ ...known, chain: "x".repeat(5_000) })
        ]
        for (const text of foreign) yield* Effect.promise(() => admin.publish(`${prefix}:bus`, text))
        yield* Effect.promise(() => admin.publish(`${prefix}:bus`, JSON.stringify({ ...known, more: true })))
        yield* one.publish(invalidation(1))

        yield* until(events, has(invalidation(1)))
        assert.deepStrictEqual(events, [gap, invalidation(7), invalidation(1)])
        assert.strictEqual((yield* two.stats).foreign, foreign.length)
        const about = lines.filter((line) => line.includes('"no JSON"'))
        assert.lengthOf(about, 2, "one line of each node")
        assert.lengthOf(
          lines.filter((line) => line.includes("ignored")),
          2
        )
      })
    )
  )

  it.live("without a server it is built all the same, fails to publish, and listens once there is one", () =>
    Effect.gen(function* () {
      const up = yield* server
      const proxy = yield* FaultProxy.make({ port: up.port, faults: { connect: "refuse" } })
      const prefix = uniquePrefix()
      const away = yield* busAt({ url: `redis://127.0.0.1:${proxy.port}` }, { prefix })
      const there = yield* busAt({ url: up.url }, { prefix })
      const events = yield* reading(away)

      const error = yield* Effect.flip(away.publish(invalidation(1)))

      assert.match(error.message, /^the invalidation was not sent: no connection to Redis at 127\.0\.0\.1:\d+/)
      assert.isFalse(away.isListening())
      yield* proxy.set({})
      yield* listening(away)
      yield* there.publish(invalidation(2))
      yield* until(events, has(invalidation(2)))
      assert.deepStrictEqual(events, [gap, gap, invalidation(2)])
    })
  )

  it.live("a server that owes answers for too many messages fails the next", () =>
    Effect.gen(function* () {
      const up = yield* server
      const proxy = yield* FaultProxy.make({ port: up.port })
      const { one } = yield* pair({ url: `redis://127.0.0.1:${proxy.port}` }, {}, { url: up.url })
      yield* proxy.set({ blackHole: true })
      const waiting = yield* Effect.forkScoped(
        Effect.forEach(Array.from({ length: 1_000 }), (_, index) => one.publish(invalidation(index)), {
          concurrency: "unbounded",
          discard: true
        }),
        { startImmediately: true }
      )

      const error = yield* Effect.flip(one.publish(invalidation(1_000)))

      assert.include(error.message, "1000 messages are under way")
      yield* proxy.set({})
      yield* Fiber.join(waiting)
      yield* one.publish(invalidation(1_001))
    })
  )

  it.live("rights - a user with those that the README names, and no others, is enough", () =>
    Effect.gen(function* () {
      const { host, port, url } = yield* server
      const admin = yield* clientOf({ host, port, password: undefined })
      const readme = yield* Effect.promise(() => readFile(new URL("../README.md", import.meta.url), "utf8"))
      const commands =
        /The bus needs .* these: `([^`]+)`/.exec(readme)?.[1]?.split(/\s+/) ?? assert.fail("it names none")
      const prefix = uniquePrefix()
      const rules = [`&${prefix}:*`, "-@all", ...commands.map((command) => `+${command}`)]
      yield* Effect.promise(() => admin.acl("SETUSER", "bus", "on", ">p", ...rules))
      const one = yield* busAt({ url: `redis://bus:p@${host}:${port}`, required: true }, { prefix })
      const two = yield* busAt({ url }, { prefix })
      yield* listening(one)
      yield* listening(two)
      const [atOne, atTwo] = [yield* reading(one), yield* reading(two)]

      yield* one.publish(invalidation(1))
      yield* two.publish(invalidation(2))

      yield* until(atTwo, has(invalidation(1)))
      yield* until(atOne, has(invalidation(2)))
    })
  )

  const impossible: ReadonlyArray<readonly [title: string, options: RedisBus.Options, says: RegExp]> = [
    ["prefix", { prefix: "" }, /prefix is "": expected 1 to 64 letters/],
    ["maxUnread", { maxUnread: 0 }, /maxUnread is 0: expected a whole number from 1 on/],
    ["aliveEvery", { aliveEvery: 0 }, /aliveEvery is 0 ms: expected at least 1/]
  ]
  it.live.each(impossible)("%s - dies with a RangeError that names it", ([, options, says]) =>
    Effect.gen(function* () {
      const { url } = yield* server
      const exit = yield* Effect.exit(busAt({ url }, options))

      assert.match(String(exit), says)
    })
  )
})
