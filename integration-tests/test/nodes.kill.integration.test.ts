/**
 * Nodes that are killed in the middle of taking over an old record: the others finish what they have begun.
 */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Deployment from "./support/Deployment.ts"
import { get } from "./support/Deployment.ts"
import { eventually } from "./support/eventually.ts"
import { png } from "./support/images.ts"
import * as OldRecords from "./support/OldRecords.ts"
import { beginReading, calls, isCompacted, recordOf, write } from "./support/records.ts"

const image = Effect.promise(() => png(60, 40))

/** Fifty readers wait on another node for what the victim converts. */
const whileConverting = Effect.gen(function* () {
  const nodes = yield* Deployment.Deployment
  const { another, b } = nodes
  const victim = yield* another()
  yield* write(nodes, "orphan", OldRecords.record(yield* image))
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
const halfway = Effect.gen(function* () {
  const nodes = yield* Deployment.Deployment
  const { another, objects } = nodes
  const victim = yield* another()
  const text = OldRecords.record(yield* image)
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
  "a node that is killed",
  (it) => {
    it.effect(
      "loses nothing: neither what others wait for while it converts it, nor what it has stored and not compacted",
      () =>
        Effect.gen(function* () {
          const nodes = yield* Deployment.Deployment
          const { b } = nodes
          const first = yield* halfway
          const second = yield* get(b, "halfway")
          assert.strictEqual(second.status, 200)
          assert.isTrue(first._tag === "Success" && first.value.bytes.equals(second.bytes))

          // A lease lives for ten seconds, and so long a node waits before it finishes what another has begun.
          yield* whileConverting

          yield* eventually("the other has compacted the record", isCompacted(nodes, "halfway"))
          assert.isTrue((yield* get(b, "halfway")).bytes.equals(second.bytes))
        })
    )
  }
)
