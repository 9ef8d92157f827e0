import { assert, describe, it } from "@effect/vitest"
import * as Leases from "@terrace/core/Leases"
import * as Key from "@terrace/core/Key"
import * as FaultProxy from "@terrace/testkit/FaultProxy"
import * as RedisCluster from "@terrace/testkit/RedisCluster"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { readFile } from "node:fs/promises"
import * as RedisConnection from "../src/RedisConnection.ts"
import * as RedisLeases from "../src/RedisLeases.ts"
import { clientOf, eventually, logged, shared, sharedServer, uniquePrefix } from "./support/Redis.ts"

const server = sharedServer()
const clusterContext = shared(RedisCluster.layer())
const cluster = Effect.provide(RedisCluster.RedisCluster, Layer.effectContext(clusterContext))

const subject: Leases.Subject = { chain: "masters", key: Key.makeUnsafe("hero", "master") }
const leaseKey = (prefix: string) => `${prefix}:l:{hero}:master:masters`

/** Nothing happens by the passing of time, unless a test asks for it. */
const patient: RedisLeases.Options = {
  life: "5 minutes",
  longestHold: "1 hour",
  patience: "1 hour",
  askEvery: "1 hour",
  answerWithin: "1 minute"
}

/** Leases of one node, on connections of its own. */
const leasesAt = Effect.fnUntraced(function* (connection: RedisConnection.Options, options: RedisLeases.Options) {
  const opened = yield* RedisConnection.make(connection)
  return yield* Effect.provideService(
    RedisLeases.make({ ...patient, ...options }),
    RedisConnection.RedisConnection,
    opened
  )
})

const listening = (leases: RedisLeases.Lessor) => eventually("listening", Effect.sync(leases.isListening), (is) => is)

/** Work that all nodes share: what is made is found by all. */
const work = () => {
  let done: string | undefined
  let made = 0
  return {
    made: () => made,
    by: (name: string, during: Effect.Effect<unknown> = Effect.void): Leases.Work<string, never, never> => ({
      find: Effect.sync(() => Option.fromNullishOr(done)),
      make: Effect.andThen(
        during,
        Effect.sync(() => {
          made++
          return (done = name)
        })
      )
    })
  }
}

const began = (deferred: Deferred.Deferred<void>) => Deferred.succeed(deferred, undefined)

/** A holder that works until it is let go. */
const holder = Effect.fnUntraced(function* (leases: Leases.Leases, { by }: ReturnType<typeof work>, name = "holder") {
  const begins = yield* Deferred.make<void>()
  const ends = yield* Deferred.make<void>()
  const fiber = yield* Effect.forkScoped(
    leases.withLease(subject, by(name, Effect.andThen(began(begins), Deferred.await(ends))))
  )
  yield* Deferred.await(begins)
  return { fiber, letGo: Deferred.succeed(ends, undefined) }
})

/** Two nodes, and a client beside them. */
const pair = Effect.fnUntraced(function* (options: RedisLeases.Options = {}) {
  const up = yield* server
  const prefix = uniquePrefix()
  const admin = yield* clientOf(up)
  const one = yield* leasesAt({ url: up.url, required: true }, { prefix, ...options })
  const two = yield* leasesAt({ url: up.url, required: true }, { prefix, ...options })
  yield* listening(one)
  yield* listening(two)
  const key = leaseKey(prefix)
  const left = Effect.promise(() => admin.pttl(key))
  const isFree = eventually(
    "the lease",
    Effect.promise(() => admin.exists(key)),
    (count) => count === 0
  )
  return { admin, key, left, isFree, one, prefix, two }
})

/** Waits until so many callers of the node wait for the lease of another. */
const waits = (leases: RedisLeases.Lessor, callers = 1) =>
  eventually("callers that wait", leases.stats, ({ waiting }) => waiting === callers)

describe("RedisLeases", () => {
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
    it.live(`${where} - of a hundred callers at two nodes, one does the work, and all have it`, () =>
      Effect.gen(function* () {
        const prefix = uniquePrefix()
        const nodes = [yield* leasesAt(yield* connection, { prefix }), yield* leasesAt(yield* connection, { prefix })]
        const { by, made } = work()
        const pause = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
        const calls = Array.from(
          { length: 100 },
          (_, index) => nodes[index % 2]?.withLease(subject, by(`caller ${index}`, pause)) ?? Effect.die("no node")
        )

        // Messages may be missed until both nodes listen; then all are woken.
        const answers = yield* Effect.all(calls, { concurrency: "unbounded" })

        assert.strictEqual(made(), 1)
        assert.strictEqual(new Set(answers).size, 1)
        const [first, second] = [yield* nodes[0]?.stats ?? Effect.die(""), yield* nodes[1]?.stats ?? Effect.die("")]
        assert.deepStrictEqual(
          { held: first.held + second.held, found: first.found + second.found, alone: first.alone + second.alone },
          { held: 1, found: 99, alone: 0 }
        )
      })
    )
  }

  it.live("whoever waits is woken by the end of the work, not by a look at the clock", () =>
    Effect.gen(function* () {
      const { isFree, one, two } = yield* pair()
      const shared = work()
      const held = yield* holder(one, shared)
      const waiting = yield* Effect.forkScoped(two.withLease(subject, shared.by("waiter")))
      yield* waits(two)

      yield* held.letGo
      const ended = performance.now()

      assert.strictEqual(yield* Fiber.join(waiting), "holder")
      assert.isBelow(performance.now() - ended, 2_000, "a look at the clock comes after an hour")
      assert.strictEqual(yield* Fiber.join(held.fiber), "holder")
      yield* isFree
    })
  )

  it.live("subjects are held apart: by group, name and chain", () =>
    Effect.gen(function* () {
      const { one, two } = yield* pair()
      const held = yield* holder(one, work())
      const others: ReadonlyArray<Leases.Subject> = [
        { ...subject, chain: "variants" },
        { ...subject, key: Key.makeUnsafe("hero", "other") },
        { ...subject, key: Key.makeUnsafe("other", "master") }
      ]

      for (const other of others) {
        assert.strictEqual(yield* two.withLease(other, work().by("another")), "another")
      }
      yield* held.letGo
    })
  )

  it.live("the holder looks first: what was done between its own look and the lease is not done again", () =>
    Effect.gen(function* () {
      const { one } = yield* pair()
      const shared = work()
      yield* one.withLease(subject, shared.by("first"))

      assert.strictEqual(yield* one.withLease(subject, shared.by("second")), "first")
      assert.strictEqual(shared.made(), 1)
    })
  )

  it.live("work that fails is the caller's own failure, and the next one tries", () =>
    Effect.gen(function* () {
      const { isFree, one, two } = yield* pair()
      const shared = work()
      const begins = yield* Deferred.make<void>()
      const ends = yield* Deferred.make<void>()
      const failing = {
        ...shared.by(""),
        make: began(begins).pipe(Effect.andThen(Deferred.await(ends)), Effect.andThen(Effect.fail("broken")))
      }
      const first = yield* Effect.forkScoped(Effect.flip(one.withLease(subject, failing)))
      yield* Deferred.await(begins)
      const second = yield* Effect.forkScoped(two.withLease(subject, shared.by("next")))
      yield* waits(two)

      yield* Deferred.succeed(ends, undefined)

      assert.strictEqual(yield* Fiber.join(first), "broken")
      assert.strictEqual(yield* Fiber.join(second), "next")
      yield* isFree
    })
  )

  describe("a holder that dies", () => {
    it.live("the next one has the lease when it has expired", () =>
      Effect.gen(function* () {
        const { admin, key, one } = yield* pair()
        const shared = work()
        // As a process leaves it that was killed.
        yield* Effect.promise(() => admin.set(key, "of a dead node", "PX", 400))

        assert.strictEqual(yield* one.withLease(subject, shared.by("next")), "next")
        assert.deepStrictEqual(yield* one.stats, { held: 1, found: 0, alone: 0, waiting: 0 })
      })
    )

    it.live("one that only cannot be heard goes on, and takes no lease away from the next", () =>
      Effect.gen(function* () {
        const up = yield* server
        const proxy = yield* FaultProxy.make({ port: up.port })
        const { admin, key, prefix, two } = yield* pair({ life: 300 })
        const cut = yield* leasesAt({ url: `redis://127.0.0.1:${proxy.port}`, required: true }, { prefix, life: 300 })
        const shared = work()
        const first = yield* holder(cut, shared, "first")
        yield* proxy.down

        const second = yield* holder(two, shared, "second")

        const token = yield* Effect.promise(() => admin.get(key))
        yield* proxy.set({})
        yield* first.letGo
        assert.strictEqual(yield* Fiber.join(first.fiber), "first")
        assert.strictEqual(yield* Effect.promise(() => admin.get(key)), token)
        yield* second.letGo
        assert.strictEqual(yield* Fiber.join(second.fiber), "second")
        assert.strictEqual(shared.made(), 2)
      })
    )
  })

  it.live("a key that would keep everyone out for ever does so for the life of a lease", () =>
    Effect.gen(function* () {
      const { admin, key, left, one } = yield* pair({ life: 300 })
      yield* Effect.promise(() => admin.set(key, "of nobody"))
      const { by } = work()

      assert.strictEqual(yield* one.withLease(subject, by("one")), "one")

      assert.isAtMost(yield* left, 300)
    })
  )

  it.live("a lease is renewed while its work goes on", () =>
    Effect.gen(function* () {
      const { left, one, two } = yield* pair({ life: 600 })
      const shared = work()
      const held = yield* holder(one, shared)
      let renewals = 0
      let last = yield* left
      const watched = Effect.map(left, (millis) => {
        assert.isAbove(millis, 0, "the lease has expired")
        if (millis > last + 100) renewals++
        last = millis
        return renewals
      })
      const waiting = yield* Effect.forkScoped(two.withLease(subject, shared.by("waiter")))

      yield* eventually("renewals", watched, (count) => count >= 4)

      yield* held.letGo
      assert.strictEqual(yield* Fiber.join(waiting), "holder")
      assert.strictEqual(shared.made(), 1)
    })
  )

  it.live("a lease is not renewed for longer than `longestHold`", () =>
    Effect.gen(function* () {
      const { one, two } = yield* pair({ life: 200, longestHold: 500 })
      const shared = work()
      const held = yield* holder(one, shared)

      assert.strictEqual(yield* two.withLease(subject, shared.by("overtaker")), "overtaker")

      yield* held.letGo
      assert.strictEqual(yield* Fiber.join(held.fiber), "holder")
    })
  )

  it.live("whoever has waited for `patience` looks once more, then works without a lease", () =>
    Effect.gen(function* () {
      const { one, two } = yield* pair({ patience: 300 })
      const shared = work()
      const held = yield* holder(one, shared)

      assert.strictEqual(yield* two.withLease(subject, shared.by("impatient")), "impatient")

      assert.deepStrictEqual(yield* two.stats, { held: 0, found: 0, alone: 1, waiting: 0 })
      assert.strictEqual(yield* two.withLease(subject, shared.by("later")), "impatient")
      yield* held.letGo
    })
  )

  it.live("a message that was lost is made up for by asking every `askEvery`", () =>
    Effect.gen(function* () {
      const { admin, isFree, one, prefix } = yield* pair()
      const up = yield* server
      // Its user may not listen: no message reaches it.
      yield* Effect.promise(() => admin.acl("SETUSER", "deaf", "on", ">p", "~*", "resetchannels", "+@all"))
      const deaf = yield* leasesAt({ url: `redis://deaf:p@${up.host}:${up.port}` }, { prefix, askEvery: 50 })
      const shared = work()
      const held = yield* holder(one, shared)
      const waiting = yield* Effect.forkScoped(deaf.withLease(subject, shared.by("waiter")))
      yield* waits(deaf)

      yield* held.letGo

      assert.strictEqual(yield* Fiber.join(waiting), "holder")
      yield* isFree
    })
  )

  it.live("whoever begins to listen again looks again: messages may have been missed", () =>
    Effect.gen(function* () {
      const up = yield* server
      const proxy = yield* FaultProxy.make({ port: up.port })
      const { one, prefix } = yield* pair()
      const away = yield* leasesAt({ url: `redis://127.0.0.1:${proxy.port}`, required: true }, { prefix })
      yield* listening(away)
      const shared = work()
      const held = yield* holder(one, shared)
      const waiting = yield* Effect.forkScoped(away.withLease(subject, shared.by("waiter")))
      yield* waits(away)
      yield* proxy.down
      yield* held.letGo
      yield* Fiber.join(held.fiber)
      assert.isUndefined(waiting.pollUnsafe())

      yield* proxy.set({})

      assert.strictEqual(yield* Fiber.join(waiting), "holder")
    })
  )

  describe("without an answer of Redis", () => {
    it.live("no connection - everyone works alone, at once, and that is logged once", () =>
      logged((lines) =>
        Effect.gen(function* () {
          const up = yield* server
          const proxy = yield* FaultProxy.make({ port: up.port, faults: { connect: "refuse" } })
          const prefix = uniquePrefix()
          const leases = yield* leasesAt({ url: `redis://127.0.0.1:${proxy.port}` }, { prefix })

          for (let round = 0; round < 3; round++) {
            assert.strictEqual(yield* leases.withLease(subject, work().by("alone")), "alone")
          }

          assert.deepStrictEqual(yield* leases.stats, { held: 0, found: 0, alone: 3, waiting: 0 })
          assert.lengthOf(
            lines.filter((line) => line.includes("no leases")),
            1,
            lines.join("\n")
          )
          yield* proxy.set({})
          const one = Effect.suspend(() => Effect.andThen(leases.withLease(subject, work().by("")), leases.stats))
          yield* eventually("a lease", one, ({ held }) => held === 1)
        })
      )
    )

    it.live("no answer - works alone after `answerWithin`, and gives back the lease that comes late", () =>
      Effect.gen(function* () {
        const up = yield* server
        const admin = yield* clientOf(up)
        const proxy = yield* FaultProxy.make({ port: up.port })
        const prefix = uniquePrefix()
        const url = `redis://127.0.0.1:${proxy.port}`
        const leases = yield* leasesAt({ url, required: true }, { prefix, answerWithin: 100 })
        yield* proxy.set({ toClient: { blackHole: true } })

        assert.strictEqual(yield* leases.withLease(subject, work().by("alone")), "alone")

        const exists = Effect.promise(() => admin.exists(leaseKey(prefix)))
        assert.strictEqual(yield* exists, 1)
        yield* proxy.set({})
        yield* eventually("the lease", exists, (count) => count === 0)
        assert.deepStrictEqual(yield* leases.stats, { held: 0, found: 0, alone: 1, waiting: 0 })
      })
    )

    it.live("a connection that breaks before the answer - the lease is given back over the next one", () =>
      Effect.gen(function* () {
        const up = yield* server
        const admin = yield* clientOf(up)
        const proxy = yield* FaultProxy.make({ port: up.port })
        const prefix = uniquePrefix()
        const url = `redis://127.0.0.1:${proxy.port}`
        for (const answerWithin of ["100 millis", "1 minute"] as const) {
          const leases = yield* leasesAt({ url, required: true }, { prefix, answerWithin, life: "40 seconds" })
          const exists = Effect.promise(() => admin.exists(leaseKey(prefix)))
          // Redis knows the scripts from here on, which else are sent when it has said that it does not.
          yield* leases.withLease(subject, work().by("first"))
          yield* eventually("no lease", exists, (count) => count === 0)
          yield* proxy.set({ toClient: { blackHole: true } })
          const worker = yield* Effect.forkScoped(leases.withLease(subject, work().by("alone")))
          yield* eventually("the lease", exists, (count) => count === 1)
          if (answerWithin === "100 millis") yield* Fiber.join(worker)

          yield* proxy.set({})
          yield* proxy.cut("reset")

          assert.strictEqual(yield* Fiber.join(worker), "alone")
          yield* eventually("no lease", exists, (count) => count === 0)
        }
      })
    )

    it.live("no right - works alone", () =>
      Effect.gen(function* () {
        const up = yield* server
        const admin = yield* clientOf(up)
        yield* Effect.promise(() => admin.acl("SETUSER", "nobody", "on", ">p", "-@all", "+ping"))
        const leases = yield* leasesAt({ url: `redis://nobody:p@${up.host}:${up.port}` }, { prefix: uniquePrefix() })

        assert.strictEqual(yield* leases.withLease(subject, work().by("alone")), "alone")
      })
    )
  })

  describe("interruption", () => {
    it.live("of the holder gives the lease back, and the next one works", () =>
      Effect.gen(function* () {
        const { isFree, one, two } = yield* pair()
        const shared = work()
        const held = yield* holder(one, shared)
        const waiting = yield* Effect.forkScoped(two.withLease(subject, shared.by("next")))
        yield* waits(two)

        yield* Fiber.interrupt(held.fiber)

        assert.strictEqual(yield* Fiber.join(waiting), "next")
        yield* isFree
      })
    )

    it.live("of a waiter leaves the others waiting", () =>
      Effect.gen(function* () {
        const { one, two } = yield* pair()
        const shared = work()
        const held = yield* holder(one, shared)
        const leaving = yield* Effect.forkScoped(two.withLease(subject, shared.by("leaving")))
        const staying = yield* Effect.forkScoped(two.withLease(subject, shared.by("staying")))
        yield* waits(two, 2)

        yield* Fiber.interrupt(leaving)
        yield* held.letGo

        assert.strictEqual(yield* Fiber.join(staying), "holder")
        assert.strictEqual(shared.made(), 1)
      })
    )

    it.live("while Redis is asked gives back the lease that comes late", () =>
      Effect.gen(function* () {
        const up = yield* server
        const admin = yield* clientOf(up)
        const proxy = yield* FaultProxy.make({ port: up.port })
        const prefix = uniquePrefix()
        const leases = yield* leasesAt({ url: `redis://127.0.0.1:${proxy.port}`, required: true }, { prefix })
        yield* proxy.set({ toClient: { blackHole: true } })
        const shared = work()
        const asking = yield* Effect.forkScoped(leases.withLease(subject, shared.by("never")))
        const exists = Effect.promise(() => admin.exists(leaseKey(prefix)))
        yield* eventually("the lease", exists, (count) => count === 1)

        yield* Fiber.interrupt(asking)

        yield* proxy.set({})
        yield* eventually("the lease", exists, (count) => count === 0)
        assert.strictEqual(shared.made(), 0)
      })
    )
  })

  it.live("rights - a user with those that the README names, and no others, is enough", () =>
    Effect.gen(function* () {
      const up = yield* server
      const { admin, isFree, one, prefix } = yield* pair()
      const readme = yield* Effect.promise(() => readFile(new URL("../README.md", import.meta.url), "utf8"))
      const commands = /Leases need .* these: `([^`]+)`/.exec(readme)?.[1]?.split(/\s+/) ?? assert.fail("it names none")
      const rules = [`~${prefix}:*`, `&${prefix}:*`, "-@all", ...commands.map((command) => `+${command}`)]
      yield* Effect.promise(() => admin.acl("SETUSER", "lessee", "on", ">p", "resetchannels", ...rules))
      const few = yield* leasesAt(
        { url: `redis://lessee:p@${up.host}:${up.port}`, required: true },
        { prefix, life: 300 }
      )
      const shared = work()
      yield* Effect.promise(() => admin.config("RESETSTAT"))
      const held = yield* holder(few, shared)
      const waiting = yield* Effect.forkScoped(one.withLease(subject, shared.by("waiter")))
      yield* waits(one)
      const renewed = Effect.promise(() => admin.info("commandstats"))
      yield* eventually("renewals", renewed, (stats) => /cmdstat_pexpire:calls=[2-9]/.test(stats))

      yield* held.letGo

      assert.strictEqual(yield* Fiber.join(waiting), "holder")
      yield* isFree
    })
  )

  const impossible: ReadonlyArray<readonly [title: string, options: RedisLeases.Options, says: RegExp]> = [
    ["prefix", { prefix: "{" }, /prefix is "\{": expected 1 to 64 letters/],
    ["life", { life: 1 }, /life is 1 ms: expected at least 30/],
    ["patience", { patience: "Infinity" }, /patience is Infinity ms: expected at least 0/]
  ]
  it.live.each(impossible)("%s - dies with a RangeError that names it", ([, options, says]) =>
    Effect.gen(function* () {
      const { url } = yield* server
      const exit = yield* Effect.exit(leasesAt({ url }, options))

      assert.match(String(exit), says)
    })
  )
})

describe("Leases.none", () => {
  it.effect("lets everyone do its own work", () =>
    Effect.gen(function* () {
      const { by, made } = work()

      assert.strictEqual(yield* Leases.none.withLease(subject, by("one")), "one")
      assert.strictEqual(yield* Leases.none.withLease(subject, by("two")), "two")
      assert.strictEqual(made(), 2)
    })
  )
})
