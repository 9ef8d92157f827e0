import { assert, describe, it } from "@effect/vitest"
import * as Catalog from "@terrace/legacy-base64/Catalog"
import * as LegacyRecord from "@terrace/legacy-base64/LegacyRecord"
import * as Records from "@terrace/legacy-base64/Records"
import { Fixtures } from "@terrace/testkit"
import * as FaultProxy from "@terrace/testkit/FaultProxy"
import * as RedisCluster from "@terrace/testkit/RedisCluster"
import * as RedisServer from "@terrace/testkit/RedisServer"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import type { Redis } from "ioredis"
import { Admin, call, clientOf, layer, recordsAt, until, valueOf } from "./support/Redis.ts"
import { b64encode, dumps, facts } from "./support/written.ts"

const old = Buffer.from(
  dumps({ title: "a", style: "b", base64_data: b64encode(Fixtures.bytes(1, 10_000)), cached: false })
)
const fingerprint = Records.fingerprint(old)
const next = LegacyRecord.compacted(Result.getOrThrow(LegacyRecord.parse(old)).metadata, facts)

/** A record under a name of its own, which expires in two hours unless `millis` says otherwise. */
const stored = (admin: Redis, id: string, record: Buffer | string = old, millis = 7_200_000) =>
  Effect.andThen(call(admin, "SET", `image:${id}`, record, "PX", millis), valueOf(admin, `image:${id}`))

describe("Records.compact", () => {
  it.layer(layer, { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect("replaces the record, and keeps the millisecond in which it expires", () =>
      Effect.gen(function* () {
        const records = yield* Records.Records
        const admin = yield* Admin
        const { expiresAt } = yield* stored(admin, "kept", old, 123_457)

        assert.strictEqual(yield* records.compact("kept", fingerprint, next), "compacted")

        assert.deepStrictEqual(yield* valueOf(admin, "image:kept"), { value: next, expiresAt })
      })
    )

    it.effect("leaves a record that never expires so", () =>
      Effect.gen(function* () {
        const records = yield* Records.Records
        const admin = yield* Admin
        yield* call(admin, "SET", "image:for-ever", old)

        assert.strictEqual(yield* records.compact("for-ever", fingerprint, next), "compacted")

        assert.deepStrictEqual(yield* valueOf(admin, "image:for-ever"), { value: next, expiresAt: -1 })
      })
    )

    it.effect("writes text outside of ASCII as UTF-8", () =>
      Effect.gen(function* () {
        const records = yield* Records.Records
        const admin = yield* Admin
        yield* stored(admin, "unicode")

        yield* records.compact("unicode", fingerprint, `{"title": "灯台 🗼 ü"}`)

        assert.strictEqual(yield* Effect.promise(() => admin.get("image:unicode")), `{"title": "灯台 🗼 ü"}`)
      })
    )

    it.effect("a record that differs in any one byte is changed, and not touched", () =>
      Effect.gen(function* () {
        const records = yield* Records.Records
        const admin = yield* Admin
        const variants = [0, 1, 7, 5_000, old.length - 2, old.length - 1].map((at) => {
          const variant = Buffer.from(old)
          variant[at] = (variant[at] ?? 0) ^ 1
          return variant
        })
        const others = [
          ...variants,
          Buffer.concat([old, Buffer.from(" ")]),
          old.subarray(0, -1),
          Buffer.from("{}"),
          Buffer.alloc(0)
        ]
        for (const other of others) {
          const before = yield* stored(admin, "other", other)

          assert.strictEqual(yield* records.compact("other", fingerprint, next), "changed")

          assert.deepStrictEqual(yield* valueOf(admin, "image:other"), before)
        }
      })
    )

    it.effect("a record that was removed meanwhile is gone, and stays so", () =>
      Effect.gen(function* () {
        const records = yield* Records.Records
        const admin = yield* Admin
        yield* stored(admin, "removed")
        yield* call(admin, "DEL", "image:removed")

        assert.strictEqual(yield* records.compact("removed", fingerprint, next), "gone")

        assert.strictEqual(yield* call(admin, "EXISTS", "image:removed"), 0)
      })
    )

    it.effect("a record that was replaced by something else than a string is changed, and not touched", () =>
      Effect.gen(function* () {
        const records = yield* Records.Records
        const admin = yield* Admin
        yield* call(admin, "HSET", "image:hash", "title", "a")

        assert.strictEqual(yield* records.compact("hash", fingerprint, next), "changed")

        assert.deepStrictEqual(yield* call(admin, "HGETALL", "image:hash"), ["title", "a"])
      })
    )

    it.effect("done again, it is compacted and changes nothing; after another write it is changed", () =>
      Effect.gen(function* () {
        const records = yield* Records.Records
        const catalog = yield* Catalog.Catalog
        const admin = yield* Admin
        yield* stored(admin, "again")
        yield* records.compact("again", fingerprint, next)
        const compacted = yield* valueOf(admin, "image:again")

        assert.strictEqual(yield* records.compact("again", fingerprint, next), "compacted")
        assert.deepStrictEqual(yield* valueOf(admin, "image:again"), compacted)

        yield* catalog.write("again", { fields: { title: "new" }, facts })
        const written = yield* valueOf(admin, "image:again")
        assert.strictEqual(yield* records.compact("again", fingerprint, next), "changed")
        assert.deepStrictEqual(yield* valueOf(admin, "image:again"), written)
      })
    )

    it.effect("of many at once all are compacted; who writes meanwhile is never overwritten", () =>
      Effect.gen(function* () {
        const records = yield* Records.Records
        const admin = yield* Admin
        for (let round = 0; round < 50; round++) {
          yield* stored(admin, "raced")
          const rewritten = dumps({ title: `written in round ${round}`, base64_data: "QUJD" })
          const compact = records.compact("raced", fingerprint, next)
          const write = Effect.andThen(Effect.yieldNow, call(admin, "SET", "image:raced", rewritten))

          const outcomes = yield* Effect.all([compact, compact, write, compact, compact], { concurrency: "unbounded" })

          assert.strictEqual(yield* Effect.promise(() => admin.get("image:raced")), rewritten)
          for (const outcome of outcomes) assert.include(["compacted", "changed", "OK"], outcome)
        }
      })
    )

    it.effect("interrupted at any point, it has happened or not", () =>
      Effect.gen(function* () {
        const records = yield* Records.Records
        const admin = yield* Admin
        for (let steps = 0; steps < 20; steps++) {
          const { value } = yield* stored(admin, "interrupted")
          const fiber = yield* Effect.forkChild(records.compact("interrupted", fingerprint, next))
          for (let step = 0; step < steps; step++) yield* Effect.yieldNow

          yield* Fiber.interrupt(fiber)

          assert.include([value, next], (yield* valueOf(admin, "image:interrupted")).value)
          assert.strictEqual(yield* records.compact("interrupted", fingerprint, next), "compacted")
        }
      })
    )

    it.effect("works after the server has forgotten its scripts, and after a restart", () =>
      Effect.gen(function* () {
        const server = yield* RedisServer.make()
        const records = yield* recordsAt({ url: server.url, required: true })
        const admin = yield* clientOf(server)
        yield* stored(admin, "first")
        assert.strictEqual(yield* records.compact("first", fingerprint, next), "compacted")

        yield* call(admin, "SCRIPT", "FLUSH", "SYNC")
        yield* stored(admin, "second")
        assert.strictEqual(yield* records.compact("second", fingerprint, next), "compacted")

        const { expiresAt } = yield* stored(admin, "third")
        yield* server.restart
        yield* until(Effect.map(Effect.result(records.read("third")), Result.isSuccess))
        assert.strictEqual(yield* records.compact("third", fingerprint, next), "compacted")
        assert.deepStrictEqual(yield* valueOf(admin, "image:third"), { value: next, expiresAt })
      })
    )

    it.effect("works where Redis is out of memory, and makes room", () =>
      Effect.gen(function* () {
        const server = yield* RedisServer.make({ config: { "maxmemory-policy": "noeviction" } })
        const records = yield* recordsAt({ url: server.url, required: true })
        const admin = yield* clientOf(server)
        const write = Effect.promise(() => admin.set("image:new", "{}").catch(String))
        const large = Buffer.from(dumps({ base64_data: b64encode(Fixtures.bytes(1, 3_000_000)) }))
        for (const id of ["a", "b", "c"]) yield* stored(admin, id, large)
        const before = yield* valueOf(admin, "image:a")
        const used = /^used_memory:(\d+)/m.exec(yield* Effect.promise(() => admin.info("memory")))?.[1]
        yield* call(admin, "CONFIG", "SET", "maxmemory", Number(used) - 1_000_000)
        assert.match(yield* write, /OOM/)

        for (const id of ["a", "b", "c"]) {
          assert.strictEqual(yield* records.compact(id, Records.fingerprint(large), next), "compacted")
        }

        assert.deepStrictEqual(yield* valueOf(admin, "image:a"), { value: next, expiresAt: before.expiresAt })
        assert.strictEqual(yield* write, "OK")
      })
    )

    /** Records behind a proxy, and the record that they are to compact. */
    const behindProxy = Effect.fnUntraced(function* (id: string) {
      const server = yield* RedisServer.RedisServer
      const admin = yield* Admin
      const proxy = yield* FaultProxy.make({ port: server.port })
      const records = yield* recordsAt({ url: `redis://127.0.0.1:${proxy.port}`, required: true })
      const before = yield* stored(admin, id)
      const compact = records.compact(id, fingerprint, next)
      const healed = Effect.andThen(proxy.set({}), until(Effect.map(Effect.result(records.read(id)), Result.isSuccess)))
      return { admin, before, compact, healed, proxy, value: valueOf(admin, `image:${id}`) }
    })

    it.effect("an answer that was lost is an unknown outcome, and the second try says that it was done", () =>
      Effect.gen(function* () {
        const { before, compact, healed, proxy, value } = yield* behindProxy("lost-answer")
        yield* proxy.set({ toClient: { blackHole: true } })

        const fiber = yield* Effect.forkChild(Effect.flip(compact))
        yield* until(Effect.map(value, (now) => now.value === next))
        yield* proxy.cut("reset")
        const error = yield* Fiber.join(fiber)

        assert.strictEqual(error._tag, "TierError")
        assert.isTrue(error.isUnknownOutcome)
        assert.isTrue(error.isRetryable)
        yield* healed
        assert.strictEqual(yield* compact, "compacted")
        assert.deepStrictEqual(yield* value, { value: next, expiresAt: before.expiresAt })
      })
    )

    it.effect("after an answer that was lost, a record that was written since is changed, and a removed one gone", () =>
      Effect.gen(function* () {
        const { admin, compact, healed, proxy, value } = yield* behindProxy("lost-then-written")
        yield* proxy.set({ toClient: { blackHole: true } })
        const fiber = yield* Effect.forkChild(Effect.flip(compact))
        yield* until(Effect.map(value, (now) => now.value === next))
        yield* proxy.cut("reset")
        yield* Fiber.join(fiber)
        yield* healed

        const written = yield* stored(admin, "lost-then-written", dumps({ base64_data: "QUJD" }))
        assert.strictEqual(yield* compact, "changed")
        assert.deepStrictEqual(yield* value, written)

        yield* call(admin, "DEL", "image:lost-then-written")
        assert.strictEqual(yield* compact, "gone")
      })
    )

    it.effect("a command that was lost on its way is an unknown outcome too, and the second try does it", () =>
      Effect.gen(function* () {
        const { before, compact, healed, proxy, value } = yield* behindProxy("lost-command")
        yield* proxy.set({ toServer: { blackHole: true } })

        const fiber = yield* Effect.forkChild(Effect.flip(compact), { startImmediately: true })
        yield* proxy.cut("reset")
        const error = yield* Fiber.join(fiber)

        assert.isTrue(error.isUnknownOutcome)
        assert.deepStrictEqual(yield* value, before)
        yield* healed
        assert.strictEqual(yield* compact, "compacted")
      })
    )

    it.effect("without a connection it has had no effect, and says so", () =>
      Effect.gen(function* () {
        const { before, compact, proxy, value } = yield* behindProxy("down")
        yield* proxy.down
        const error = yield* until(
          Effect.map(Effect.result(compact), (result) => Result.isFailure(result) && !result.failure.isUnknownOutcome)
        ).pipe(Effect.andThen(Effect.flip(compact)))

        assert.strictEqual(error.reason._tag, "Unavailable")
        assert.isFalse(error.isUnknownOutcome)
        assert.strictEqual(error.tier, "legacy")
        assert.strictEqual(error.operation, "put")
        assert.deepStrictEqual(yield* value, before)
      })
    )

    it.effect("a user who may not run scripts is Denied, and nothing has happened", () =>
      Effect.gen(function* () {
        const server = yield* RedisServer.RedisServer
        const admin = yield* Admin
        yield* call(admin, "ACL", "SETUSER", "reader", "reset", "on", ">p", "~image:*", "+@all", "-@scripting")
        yield* call(admin, "ACL", "SETUSER", "half", "reset", "on", ">p", "~image:*", "+@all", "-get")
        for (const user of ["reader", "half"]) {
          const records = yield* recordsAt({ url: `redis://${user}:p@${server.host}:${server.port}`, required: true })
          const before = yield* stored(admin, "denied")

          const error = yield* Effect.flip(records.compact("denied", fingerprint, next))

          assert.strictEqual(error.reason._tag, "Denied")
          assert.isFalse(error.isUnknownOutcome)
          assert.deepStrictEqual(yield* valueOf(admin, "image:denied"), before)
        }
      })
    )
  })

  it.layer(RedisCluster.layer(), { timeout: "60 seconds", excludeTestServices: true })("in a cluster", (it) => {
    it.effect("reads and compacts records in every part of it, and keeps when they expire", () =>
      Effect.gen(function* () {
        const { nodes } = yield* RedisCluster.RedisCluster
        const url = nodes.map(({ host, port }) => `redis://${host}:${port}`)
        const records = yield* recordsAt({ url, cluster: true, required: true })
        const admins = yield* Effect.forEach(nodes, clientOf)
        const found = new Set<number>()
        for (let index = 0; index < 30; index++) {
          const id = index % 2 === 0 ? `hero_recycle_${index}` : `{hero}${index}`
          const [node, admin] = yield* ownerOf(admins, `image:${id}`)
          found.add(node)
          const { expiresAt } = yield* stored(admin, id)

          assert.deepStrictEqual(yield* records.read(id), old)
          assert.strictEqual(yield* records.compact(id, fingerprint, next), "compacted")

          assert.deepStrictEqual(yield* valueOf(admin, `image:${id}`), { value: next, expiresAt })
        }
        assert.deepStrictEqual(
          [...found].toSorted((one, other) => one - other),
          [0, 1, 2]
        )
      })
    )
  })
})

/** The node that has the slot of the key: 5,461 slots each, as the testkit divides them. */
const ownerOf = Effect.fnUntraced(function* (admins: ReadonlyArray<Redis>, key: string) {
  const [first] = admins
  if (first === undefined) return assert.fail("no node")
  const slot = Number(yield* call(first, "CLUSTER", "KEYSLOT", key))
  const node = slot <= 5_460 ? 0 : slot <= 10_921 ? 1 : 2
  return [node, admins[node] ?? first] as const
})
