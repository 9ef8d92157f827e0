/** Streamed puts that others overtake: what is there when the stream has ended decides, not what was there when it began. */
import { assert } from "@effect/vitest"
import type { Blob } from "@terrace/core/Blob"
import * as Body from "@terrace/core/Body"
import type { Header } from "@terrace/core/Header"
import * as Tier from "@terrace/core/Tier"
import * as Effect from "effect/Effect"
import * as Fixtures from "../../Fixtures.ts"
import * as Case from "../Case.ts"
import * as expect from "../expect.ts"
import { ended, start } from "../running.ts"
import * as streams from "../streams.ts"
import { contest } from "./contending.ts"

const size = 1_048_576 + 7
const requires: Case.Requires = { streaming: true, bodyBytes: size }

/** Begins a put whose stream waits after its first half; `end` lets it go on, and answers what the put answers. */
const begun = Effect.fnUntraced(function* (tier: Tier.Tier, { body, header }: Blob, options?: Tier.PutOptions) {
  const held = yield* streams.held(yield* Body.toBytes(body))
  const fiber = yield* start(tier.put({ header, body: Body.streamed(header.size, () => held.stream) }, options))
  yield* Effect.raceFirst(held.begun, Effect.asVoid(ended(fiber, `put of generation ${header.generation}`)))
  return {
    end: Effect.gen(function* () {
      yield* held.release
      return yield* yield* ended(fiber, `put of generation ${header.generation}, whose stream has ended,`)
    })
  }
})

/** A call that must not wait for the streams which are held up. */
const meanwhile = Effect.fnUntraced(function* <A, E>(what: string, call: Effect.Effect<A, E>) {
  const fiber = yield* start(call)
  return yield* yield* ended(fiber, `${what}, called while a put of the key waits for its stream,`)
})

const removals: ReadonlyArray<
  readonly [label: string, remove: (tier: Tier.Tier, header: Header) => ReturnType<Tier.Tier["remove"]>]
> = [
  ["remove", (tier, { key }) => tier.remove(key, 2)],
  [
    "removeGroup",
    (tier, { key }) =>
      Effect.map(tier.removeGroup(key.group, 2), ({ removed }) => (removed === 1 ? Tier.removed : Tier.absent))
  ]
]

export const overtaking: ReadonlyArray<Case.Case> = [
  ...contest(
    "streamed put - that a newer put overtakes is Superseded when its stream ends, and the newer blob stays",
    requires,
    Effect.fnUntraced(function* ([left, right]) {
      const { group, leaks } = yield* Case.Subject
      for (const [index, newerSize] of [300, size].entries()) {
        const older = Fixtures.blob({ group: group(`g${index}`), generation: 1, size })
        const newer = Fixtures.blob({ group: group(`g${index}`), generation: 2, size: newerSize })
        const before = yield* leaks
        const put = yield* begun(left, older)

        yield* meanwhile("a newer put", expect.stores(right, newer))

        assert.deepStrictEqual(yield* put.end, { _tag: "Superseded", current: 2 })
        for (const tier of [left, right]) yield* expect.holds(tier, newer)
        yield* expect.leaksNothing("after the older put was Superseded", leaks, before)
      }
    })
  ),

  ...contest(
    "streamed puts - of different generations at once: each is Stored unless a newer one was, and the newest stays",
    requires,
    Effect.fnUntraced(function* (tiers) {
      const { group } = yield* Case.Subject
      const blobs = [2, 1, 4, 3].map((generation) => Fixtures.blob({ group: group("g"), generation, size }))
      const puts = yield* Effect.forEach(blobs, (blob, index) => begun(tiers[index < 2 ? 0 : 1], blob))

      let newest = blobs[0] ?? assert.fail("no blobs")
      for (const [index, put] of puts.entries()) {
        const blob = blobs[index] ?? newest
        const { generation } = newest.header
        const answer: Tier.Write =
          blob.header.generation < generation ? { _tag: "Superseded", current: generation } : Tier.stored
        assert.deepStrictEqual(yield* put.end, answer, `put of generation ${blob.header.generation}`)
        if (answer._tag === "Stored") newest = blob
        yield* expect.holds(tiers[1], newest)
      }
    })
  ),

  ...contest(
    "streamed puts - that expect `absent` at once: the first whose stream ends is Stored, the other is in Conflict",
    requires,
    Effect.fnUntraced(function* ([left, right]) {
      const { group } = yield* Case.Subject
      const early = Fixtures.blob({ group: group("g"), generation: 1, size })
      const late = Fixtures.blob({ group: group("g"), generation: 2, size })
      const latePut = yield* begun(left, late, { expected: "absent" })
      const earlyPut = yield* begun(right, early, { expected: "absent" })

      assert.deepStrictEqual(yield* earlyPut.end, { _tag: "Stored" })
      assert.deepStrictEqual(yield* latePut.end, { _tag: "Conflict", current: 1 })

      for (const tier of [left, right]) yield* expect.holds(tier, early)
    })
  ),

  ...removals.flatMap(([label, remove]) =>
    contest(
      `streamed put - that a ${label} overtakes is stored when its stream ends, or in Conflict if it expected what was removed`,
      requires,
      Effect.fnUntraced(function* ([left, right]) {
        const { group } = yield* Case.Subject
        for (const expected of [undefined, 1]) {
          const old = Fixtures.blob({ group: group(`g${expected ?? ""}`), generation: 1 })
          const next = Fixtures.blob({ group: group(`g${expected ?? ""}`), generation: 3, size })
          yield* expect.stores(left, old)
          const put = yield* begun(left, next, { expected })

          assert.strictEqual((yield* meanwhile(label, remove(right, old.header)))._tag, "Removed")

          yield* expect.misses(left, old.header.key)
          const answer: Tier.Write = expected === undefined ? Tier.stored : { _tag: "Conflict", current: "absent" }
          assert.deepStrictEqual(yield* put.end, answer)
          for (const tier of [left, right]) {
            yield* expected === undefined ? expect.holds(tier, next) : expect.misses(tier, next.header.key)
          }
        }
      })
    )
  )
]
