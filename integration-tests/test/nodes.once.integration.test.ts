/**
 * Old records that several nodes are asked for: made once, taken over once, and lost by nobody's death.
 */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Deployment from "./support/Deployment.ts"
import { get, json, put, remove } from "./support/Deployment.ts"
import { eventually } from "./support/eventually.ts"
import { png } from "./support/images.ts"
import * as OldRecords from "./support/OldRecords.ts"
import { beginReading, calls, isCompacted, recordOf, workOf, write } from "./support/records.ts"

const image = (width: number, height: number) => Effect.promise(() => png(width, height))

const work = (node: Deployment.Node) => Effect.map(json(node, "/tiers"), workOf)

/** As many requests at the same time to each node. */
const storm = (nodes: ReadonlyArray<Deployment.Node>, id: string, each: number) =>
  Effect.forEach(
    Array.from({ length: each }).flatMap(() => nodes),
    (node) => get(node, id),
    { concurrency: "unbounded" }
  )

/** What was answered, each answer once. */
const distinct = (answers: ReadonlyArray<Deployment.Answer>) => [
  ...new Set(answers.map(({ bytes, etag, status }) => `${status} ${etag} ${bytes.byteLength}`))
]

/** Fifty readers wait on another node for what the victim converts. */
const whileConverting = Effect.fnUntraced(function* (victim: Deployment.Node) {
  const nodes = yield* Deployment.Deployment
  const { b } = nodes
  yield* write(nodes, "orphan", OldRecords.record(yield* image(60, 40)))
  yield* beginReading(nodes, victim, "orphan")
  const [asked = 0] = yield* calls(nodes, "set")
  const readers = yield* Effect.forkChild(
    Effect.forEach(Array.from({ length: 50 }), () => get(b, "orphan"), { concurrency: "unbounded" })
  )
  yield* eventually(
    "the other has asked for the lease",
    Effect.map(calls(nodes, "set"), ([now = 0]) => now > asked)
  )
  yield* Deployment.kill(victim)

  const answers = yield* Fiber.join(readers)
  assert.deepStrictEqual([...new Set(answers.map(({ status }) => status))], [200])
  assert.isTrue(answers.every(({ bytes }) => bytes.equals(answers[0]?.bytes ?? Buffer.alloc(0))))
  yield* eventually("compacted", isCompacted(nodes, "orphan"))
})

/** The image is stored, and the record is as it was. */
const halfway = Effect.fnUntraced(function* (victim: Deployment.Node) {
  const nodes = yield* Deployment.Deployment
  const { objects } = nodes
  const text = OldRecords.record(yield* image(60, 40))
  yield* write(nodes, "halfway", text)
  const reader = yield* beginReading(nodes, victim, "halfway")
  // What Redis has read is let through; what the node has to tell Redis after that is not.
  yield* victim.redis.set({ toServer: { blackHole: true } })
  const first = yield* Fiber.join(reader)
  yield* eventually(
    "the image and its original are stored",
    Effect.map(objects, (all) => all.filter((name) => name.includes("halfway")).length === 2)
  )
  yield* Deployment.kill(victim)
  assert.strictEqual(yield* recordOf(nodes, "halfway"), text)
  return first
})

layer(Deployment.layer({ TERRACE_REVALIDATE_AFTER: "1 hour" }), { excludeTestServices: true, timeout: 120_000 })(
  "an old record that two nodes are asked for",
  (it) => {
    it.effect("by a hundred readers at the same time is read, converted and stored once, and all get the same", () =>
      Effect.gen(function* () {
        const nodes = yield* Deployment.Deployment
        const { a, b } = nodes
        for (let round = 0; round < 5; round++) {
          const id = `storm_${round}`
          yield* write(nodes, id, OldRecords.record(yield* image(400, 300)))
          const before = yield* Effect.all([work(a), work(b)])

          const answers = yield* storm([a, b], id, 50)

          assert.lengthOf(answers, 100)
          assert.deepStrictEqual(distinct(answers), [distinct(answers.slice(0, 1))[0]])
          assert.isTrue(
            answers.every(({ bytes, status }) => status === 200 && bytes.equals(answers[0]?.bytes ?? Buffer.alloc(0)))
          )
          yield* eventually(`compacted in round ${round}`, isCompacted(nodes, id))
          yield* eventually(
            `taken, stored and let go of once in round ${round}`,
            Effect.map(Effect.all([work(a), work(b)]), (after) => {
              const sum = (name: "taken" | "stored" | "letGo") =>
                after.reduce((total, each) => total + each[name], 0) -
                before.reduce((total, each) => total + each[name], 0)
              return sum("taken") === 1 && sum("stored") === 1 && sum("letGo") === 1
            })
          )
        }
      })
    )

    it.effect("is made by each where Redis lends no leases, and all get the same", () =>
      Effect.gen(function* () {
        const nodes = yield* Deployment.Deployment
        const { a, b, redis } = nodes
        yield* Effect.acquireUseRelease(
          Effect.promise(() => redis.acl("SETUSER", "default", "resetkeys", "~image:*", "~terrace:bus")),
          () =>
            Effect.gen(function* () {
              yield* write(nodes, "unleased", OldRecords.record(yield* image(400, 300)))
              const answers = yield* storm([a, b], "unleased", 50)
              assert.match(distinct(answers).join("; "), /^200 "[0-9a-f]{64}" \d+$/)
              yield* eventually("compacted", isCompacted(nodes, "unleased"))
            }),
          () => Effect.promise(() => redis.acl("SETUSER", "default", "allkeys"))
        )
        assert.strictEqual((yield* get(b, "unleased")).status, 200)
        const log = [...a.server.log, ...b.server.log].join("\n")
        assert.match(log, /no leases, every node does its own work/)
      })
    )

    it.effect("that was rewritten while one converted it is served by both in its new content", () =>
      Effect.gen(function* () {
        const nodes = yield* Deployment.Deployment
        const { a, b } = nodes
        yield* write(nodes, "rewritten", OldRecords.record(yield* image(60, 40)))
        const reader = yield* beginReading(nodes, a, "rewritten")
        yield* write(nodes, "rewritten", OldRecords.record(yield* image(80, 40), "plain", { title: "New" }))
        yield* a.redis.set({})
        yield* Fiber.join(reader)

        yield* eventually("compacted", isCompacted(nodes, "rewritten"))

        for (const node of [a, b]) {
          assert.strictEqual((yield* json(node, "/images/rewritten/metadata")).width, 80)
        }
        const record = JSON.parse((yield* recordOf(nodes, "rewritten")) ?? "{}")
        assert.deepStrictEqual([record.title, record.terrace.width], ["New", 80])
      })
    )

    it.effect("and was uploaded anew on one while the other converted it is the upload on both", () =>
      Effect.gen(function* () {
        const nodes = yield* Deployment.Deployment
        const { a, b } = nodes
        yield* write(nodes, "uploaded", OldRecords.record(yield* image(60, 40)))
        const reader = yield* beginReading(nodes, a, "uploaded")
        const { etag } = yield* put(b, "uploaded", yield* image(100, 40))
        yield* a.redis.set({})
        yield* Fiber.join(reader)

        for (const node of [a, b]) {
          yield* eventually(
            "the upload is served",
            Effect.map(get(node, "uploaded"), (seen) => seen.etag === etag)
          )
        }
        assert.isFalse((yield* recordOf(nodes, "uploaded"))?.includes("base64_data"))
      })
    )

    it.effect("and was deleted on one while the other converted it stays deleted", () =>
      Effect.gen(function* () {
        const nodes = yield* Deployment.Deployment
        const { a, b, objects } = nodes
        yield* write(nodes, "deleted", OldRecords.record(yield* image(60, 40)))
        const reader = yield* beginReading(nodes, a, "deleted")
        assert.strictEqual(yield* remove(b, "deleted"), 200)
        yield* a.redis.set({})
        yield* Fiber.join(reader)

        for (const node of [a, b]) {
          yield* eventually(
            "it is gone",
            Effect.map(get(node, "deleted"), ({ status }) => status === 404)
          )
        }
        yield* eventually(
          "nothing of it is stored",
          Effect.map(objects, (all) => !all.some((name) => name.includes("deleted")))
        )
        assert.isNull(yield* recordOf(nodes, "deleted"))
      })
    )

    it.effect(
      "and a node that is killed: nothing is lost, neither what others wait for while it converts it, nor what it has stored and not compacted",
      () =>
        Effect.gen(function* () {
          const nodes = yield* Deployment.Deployment
          const { b, twoMore } = nodes
          const [one, other] = yield* twoMore()
          const first = yield* halfway(one)
          const second = yield* get(b, "halfway")
          assert.strictEqual(second.status, 200)
          assert.isTrue(first._tag === "Success" && first.value.bytes.equals(second.bytes))

          // A lease lives for ten seconds, and so long a node waits before it finishes what another has begun.
          yield* whileConverting(other)

          yield* eventually("the other has compacted the record", isCompacted(nodes, "halfway"))
          assert.isTrue((yield* get(b, "halfway")).bytes.equals(second.bytes))
        })
    )
  }
)
