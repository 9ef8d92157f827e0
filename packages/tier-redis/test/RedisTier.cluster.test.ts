import { assert, describe, it } from "@effect/vitest"
import type { TierError } from "@terrace/core/TierError"
import * as FaultProxy from "@terrace/testkit/FaultProxy"
import * as Fixtures from "@terrace/testkit/Fixtures"
import * as RedisCluster from "@terrace/testkit/RedisCluster"
import * as RedisServer from "@terrace/testkit/RedisServer"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import type { Redis } from "ioredis"
import { inspect } from "node:util"
import * as RedisConnection from "../src/RedisConnection.ts"
import { clientOf, eventually, logged, shared, tierAt } from "./support/Redis.ts"

const context = shared(RedisCluster.layer())
const cluster = Effect.provide(RedisCluster.RedisCluster, Layer.effectContext(context))

const urlsOf = ({ nodes }: RedisCluster.Cluster) => nodes.map(({ host, port }) => `redis://${host}:${port}`)

const adminsOf = ({ nodes: [first, second, third] }: RedisCluster.Cluster) =>
  Effect.all([adminOf(first), adminOf(second), adminOf(third)])

const adminOf = ({ host, port }: RedisCluster.Node) => clientOf({ host, port, password: undefined })

const setUp = Effect.gen(function* () {
  const up = yield* cluster
  const admins = yield* adminsOf(up)
  const { connection, prefix, tier } = yield* tierAt({ url: urlsOf(up), cluster: true, required: true })
  return { up, admins, connection, prefix, tier }
})

const blob = (group: string, generation = 1) => Fixtures.blob({ group, generation, size: 3_000 })

const ask = (admin: Redis, command: string, ...args: ReadonlyArray<string | number>) =>
  Effect.promise(() => admin.call(command, ...args))

const slotOf = (admin: Redis, group: string) => Effect.map(ask(admin, "CLUSTER", "KEYSLOT", `{${group}}`), Number)

/** A group whose slot this node has. */
const groupOn = Effect.fnUntraced(function* (admin: Redis, node: 0 | 1 | 2, start = 0) {
  const ends = [5_460, 10_922, 16_383]
  for (let index = start; ; index++) {
    const slot = yield* slotOf(admin, `g${index}`)
    if (slot <= (ends[node] ?? 0) && slot > (ends[node - 1] ?? -1)) return { group: `g${index}`, slot }
  }
})

const isFailure = (error: TierError, says: RegExp, unknown: boolean) => {
  assert.strictEqual(error.reason._tag, "Unavailable", inspect(error))
  assert.match(inspect(error.reason._tag === "Unavailable" && error.reason.cause), says)
  assert.strictEqual(error.isUnknownOutcome, unknown)
}

const natMapOf = ({ nodes }: RedisCluster.Cluster, proxies: ReadonlyArray<FaultProxy.FaultProxy>) =>
  Object.fromEntries(
    nodes.map(({ host, port }, index) => [`${host}:${port}`, { host: "127.0.0.1", port: proxies[index]?.port ?? 0 }])
  )

describe("RedisTier in a cluster", () => {
  it.live("spreads groups over the nodes, and lists, counts and removes them all", () =>
    Effect.gen(function* () {
      const { admins, prefix, tier } = yield* setUp
      const blobs = Array.from({ length: 240 }, (_, index) => blob(`g${index}`))
      yield* Effect.forEach(blobs, (one) => tier.put(one), { concurrency: 32 })

      for (const admin of admins) {
        const [, keys] = yield* Effect.promise(() => admin.scan(0, "MATCH", `${prefix}:*`, "COUNT", 10_000))
        assert.isAtLeast(keys.length, 20)
      }
      assert.deepStrictEqual(yield* tier.usage, { bytes: 720_000, entries: 240, exact: false })
      const all = blobs.map(({ header }) => header.key.text).sort()
      const seen: Array<string> = []
      let after: string | undefined
      while (true) {
        const entries = yield* Stream.runCollect(Stream.take(tier.scan({ after }), 31))
        seen.push(...entries.map(({ key }) => key.text))
        if (entries.length === 0) break
        after = entries.at(-1)?.cursor
      }
      assert.deepStrictEqual([...new Set(seen)].sort(), all)

      for (const { header } of blobs) yield* tier.removeGroup(header.key.group, 1)
      assert.deepStrictEqual(yield* Stream.runCollect(tier.scan()), [])
    })
  )

  it.live("scripts are sent anew to nodes that have forgotten them", () =>
    Effect.gen(function* () {
      const { admins, tier } = yield* setUp
      const groups = Array.from({ length: 12 }, (_, index) => `g${index}`)
      for (let generation = 1; generation <= 2; generation++) {
        yield* Effect.forEach(admins, (admin) => ask(admin, "SCRIPT", "FLUSH"))
        const writes = yield* Effect.forEach(groups, (group) => tier.put(blob(group, generation)), { concurrency: 12 })
        for (const write of writes) assert.deepStrictEqual(write, { _tag: "Stored" })
      }
    })
  )

  it.live("a slot that moves to another node - reads and writes go on at every step", () =>
    Effect.gen(function* () {
      const { admins, prefix, tier, up } = yield* setUp
      const [from, to] = admins
      const { group, slot } = yield* groupOn(from, 0, 1_000)
      const fromId = String(yield* ask(from, "CLUSTER", "MYID"))
      const toId = String(yield* ask(to, "CLUSTER", "MYID"))
      let generation = 1
      const works = Effect.gen(function* () {
        const write = yield* tier.put(blob(group, ++generation))
        assert.deepStrictEqual(write, { _tag: "Stored" })
        const read = yield* tier.get(blob(group).header.key)
        assert.isTrue(read._tag === "Hit" && read.blob.header.generation === generation)
        assert.strictEqual((yield* tier.head(blob(group).header.key))._tag, "Hit")
      })
      yield* tier.put(blob(group))

      yield* ask(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromId)
      yield* ask(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", toId)
      yield* works
      yield* ask(from, "MIGRATE", "127.0.0.1", up.nodes[1].port, `${prefix}:b:{${group}}`, 0, 5_000)
      yield* ask(to, "SCRIPT", "FLUSH")
      yield* works
      for (const admin of [to, from, admins[2]]) yield* ask(admin, "CLUSTER", "SETSLOT", slot, "NODE", toId)
      yield* works

      assert.strictEqual(yield* ask(to, "EXISTS", `${prefix}:b:{${group}}`), 1)
      yield* tier.removeGroup(group, generation)
      for (const admin of [from, to, admins[2]]) yield* ask(admin, "CLUSTER", "SETSLOT", slot, "NODE", fromId)
      const owned = ask(to, "EXISTS", `${prefix}:b:{${group}}`).pipe(Effect.exit)
      yield* eventually("the slot", owned, ({ _tag }) => _tag === "Failure")
    })
  )

  it.live("a client that takes a node for a single server is told what to set", () =>
    Effect.gen(function* () {
      const up = yield* cluster
      const [first] = yield* adminsOf(up)
      const { tier } = yield* tierAt({ url: urlsOf(up)[0] ?? "", required: true })
      const { group } = yield* groupOn(first, 2)

      const error = yield* Effect.flip(tier.put(blob(group)))

      isFailure(error, /is a node of a cluster \(MOVED \d+ [^)]*\): set `cluster: true`/, false)
    })
  )

  it.live("a client that takes a single server for a cluster is told so at its start", () =>
    Effect.gen(function* () {
      const { url } = yield* RedisServer.make()

      const error = yield* Effect.flip(Effect.scoped(RedisConnection.make({ url, cluster: true })))

      assert.strictEqual(error.reason, "invalid-option")
      assert.include(error.message, "it is no node of a cluster. Leave out `cluster: true`")
    })
  )

  it.live("a start with a wrong password, or without nodes, says so", () =>
    Effect.gen(function* () {
      const up = yield* RedisCluster.make()
      const [{ port }] = up.nodes
      yield* Effect.forEach(yield* adminsOf(up), (admin) => ask(admin, "CONFIG", "SET", "requirepass", "right"))
      const failure = (options: RedisConnection.Options) => Effect.flip(Effect.scoped(RedisConnection.make(options)))

      const wrong = yield* failure({ url: `redis://:wrong@127.0.0.1:${port}`, cluster: true })
      assert.strictEqual(wrong.reason, "denied")
      assert.include(wrong.message, "it refuses the password (WRONGPASS")
      const none = yield* failure({ url: `redis://127.0.0.1:${port}`, cluster: true })
      assert.include(none.message, "it asks for a password (NOAUTH")

      yield* up.stop
      const gone = yield* failure({ url: `redis://:right@127.0.0.1:${port}`, cluster: true, required: true })
      assert.strictEqual(gone.reason, "unavailable")
      assert.match(gone.message, /it does not answer \(.+\)\. Start it/)
    })
  )

  it.live("CLUSTERDOWN - a slot that nobody serves is Unavailable, and nothing was done", () =>
    Effect.gen(function* () {
      const { admins, tier } = yield* setUp
      const [first] = admins
      const { group, slot } = yield* groupOn(first, 0, 2_000)
      yield* ask(first, "CLUSTER", "DELSLOTS", slot)

      const error = yield* eventually(
        "put",
        Effect.option(Effect.flip(tier.put(blob(group)))),
        ({ _tag }) => _tag === "Some"
      )

      if (error._tag === "Some") isFailure(error.value, /CLUSTERDOWN/, false)
      yield* ask(first, "CLUSTER", "ADDSLOTS", slot)
      yield* eventually("put", Effect.option(tier.put(blob(group))), ({ _tag }) => _tag === "Some")
    })
  )

  it.live("starts without a cluster, fails at once meanwhile, and is there when the cluster is", () =>
    Effect.gen(function* () {
      const up = yield* cluster
      const proxies = yield* Effect.forEach(up.nodes, ({ port }) =>
        FaultProxy.make({ port, faults: { connect: "refuse" } })
      )
      const natMap = natMapOf(up, proxies)
      const url = proxies.map(({ port }) => `redis://127.0.0.1:${port}`)
      const { tier } = yield* tierAt({ url, cluster: true, natMap })

      isFailure(yield* Effect.flip(tier.put(blob("g"))), /no connection to Redis/, false)

      for (const proxy of proxies) yield* proxy.set({})
      const write = yield* eventually("put", Effect.option(tier.put(blob("g"))), ({ _tag }) => _tag === "Some")
      assert.deepStrictEqual(write._tag === "Some" && write.value, { _tag: "Stored" })
    })
  )

  it.live("a node that is gone - its groups are Unavailable, the others are served; back again, all are", () =>
    logged((lines) =>
      Effect.gen(function* () {
        const up = yield* RedisCluster.make({ config: { "cluster-require-full-coverage": "no", appendonly: "yes" } })
        const [first] = yield* adminsOf(up)
        const { tier } = yield* tierAt({ url: urlsOf(up), cluster: true, required: true })
        const gone = (yield* groupOn(first, 2)).group
        const there = (yield* groupOn(first, 0)).group
        for (const group of [gone, there]) yield* tier.put(blob(group))
        yield* Effect.exit(up.exec(up.nodes[2].port, ["shutdown", "nosave"]))

        const isGone = Effect.option(Effect.flip(tier.get(blob(gone).header.key)))
        const error = yield* eventually("its groups", isGone, ({ _tag }) => _tag === "Some")

        assert.isTrue(error._tag === "Some" && error.value.reason._tag === "Unavailable", inspect(error))
        for (let round = 0; round < 20; round++) {
          assert.strictEqual((yield* tier.get(blob(there).header.key))._tag, "Hit")
          yield* Effect.exit(tier.get(blob(gone).header.key))
        }
        const where = `redis at 127.0.0.1:${up.nodes[2].port}`
        const about = () => lines.filter((line) => line.startsWith(where))
        yield* eventually("the log", Effect.sync(about), ({ length }) => length > 0)
        assert.lengthOf(about(), 1, lines.join("\n"))
        assert.match(about()[0] ?? "", /: no connection: /)
        yield* up.restart
        for (const group of [gone, there]) {
          const read = yield* eventually(
            group,
            Effect.option(tier.get(blob(group).header.key)),
            ({ _tag }) => _tag === "Some"
          )
          assert.isTrue(read._tag === "Some" && read.value._tag === "Hit")
        }
        yield* eventually("the log", Effect.sync(about), (some) => some.at(-1) === `${where}: connected again`)
      })
    )
  )

  it.live("behind NAT - an answer that is lost leaves the outcome unknown, and the write is not sent again", () =>
    Effect.gen(function* () {
      const up = yield* cluster
      const admins = yield* adminsOf(up)
      const proxies = yield* Effect.forEach(up.nodes, ({ port }) => FaultProxy.make({ port }))
      const natMap = natMapOf(up, proxies)
      const url = proxies.map(({ port }) => `redis://127.0.0.1:${port}`)
      const { prefix, tier } = yield* tierAt({ url, cluster: true, required: true, natMap })
      const { group } = yield* groupOn(admins[0], 1)
      yield* tier.put(blob(group))
      const proxy = proxies[1] ?? assert.fail("no proxy")
      yield* proxy.set({ toClient: { blackHole: true } })
      const put = yield* Effect.forkScoped(Effect.flip(tier.put(blob(group, 2))))
      const header = Effect.promise(() => admins[1].hget(`${prefix}:b:{${group}}`, "h:master"))
      yield* eventually("the blob", header, (value) => value?.startsWith("1 2 ") === true)
      yield* ask(admins[1], "CONFIG", "RESETSTAT")

      yield* proxy.cut("reset")
      yield* proxy.set({})

      isFailure(yield* Fiber.join(put), /broke before the answer/, true)
      yield* eventually("head", Effect.option(tier.head(blob(group).header.key)), ({ _tag }) => _tag === "Some")
      assert.notMatch(yield* Effect.promise(() => admins[1].info("commandstats")), /cmdstat_hset/)
    })
  )
})
