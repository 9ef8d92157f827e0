/** Parts of streamed bodies, and several readers of one body. */
import { assert } from "@effect/vitest"
import type { Blob } from "@terrace/core/Blob"
import * as Body from "@terrace/core/Body"
import * as Header from "@terrace/core/Header"
import type * as Tier from "@terrace/core/Tier"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Fixtures from "../../Fixtures.ts"
import { mulberry32 } from "../mulberry32.ts"
import * as Case from "../Case.ts"
import * as expect from "../expect.ts"
import * as streams from "../streams.ts"

const chunk = Header.chunkBytes
const size = 3 * chunk + 7
/** What a tier may read beside the chunks: headers, an index. */
const overhead = 65_536
const requires: Case.Requires = { streaming: true, bodyBytes: size }

/** Ranges at the edges of the body and of its chunks. */
const edges: ReadonlyArray<readonly [label: string, range: Body.Range]> = [
  ["all bytes", { start: 0, end: size }],
  ["the first byte", { start: 0, end: 1 }],
  ["the last byte", { start: size - 1, end: size }],
  ["all but the ends", { start: 1, end: size - 1 }],
  ["none at the start", { start: 0, end: 0 }],
  ["none in the middle", { start: chunk + 5, end: chunk + 5 }],
  ["none at the end", { start: size, end: size }],
  ["the first chunk", { start: 0, end: chunk }],
  ["the second chunk", { start: chunk, end: 2 * chunk }],
  ["the last, short chunk", { start: 3 * chunk, end: size }],
  ["the last byte of a chunk", { start: chunk - 1, end: chunk }],
  ["the first byte of a chunk", { start: chunk, end: chunk + 1 }],
  ["two bytes across an edge", { start: chunk - 1, end: chunk + 1 }],
  ["from inside one chunk to inside the next but one", { start: chunk - 3, end: 2 * chunk + 3 }]
]

/** Puts the large blob of these cases; answers its bytes and the body that the tier delivers. */
const stored = Effect.fnUntraced(function* (tier: Tier.Tier, blob: Blob) {
  yield* expect.stores(tier, blob)
  const read = yield* tier.get(blob.header.key)
  if (read._tag !== "Hit") assert.fail(`get of ${blob.header.key.text}: expected Hit, got ${read._tag}`)
  return { bytes: yield* Body.toBytes(blob.body), body: read.blob.body }
})

const delivers = Effect.fnUntraced(function* (label: string, body: Body.Body, bytes: Uint8Array, range?: Body.Range) {
  const got = yield* Stream.runCollect(Body.toStream(body, range))
  expect.sameBytes(Buffer.concat(got), bytes.subarray(range?.start ?? 0, range?.end ?? bytes.byteLength), label)
})

export const ranges: ReadonlyArray<Case.Case> = [
  Case.make(
    "get - answers bodies of 1 MiB and more as streams where streaming is declared",
    { streaming: true, bodyBytes: Body.inlineBelow },
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const { body } = yield* stored(tier, Fixtures.blob({ group: group("g"), size: Body.inlineBelow }))

      assert.strictEqual(body._tag, "Streamed")
      assert.strictEqual(Body.size(body), Body.inlineBelow)
    })
  ),

  Case.make(
    "open - delivers ranges at the edges of the body and of its chunks exactly",
    requires,
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const { bytes, body } = yield* stored(tier, Fixtures.blob({ group: group("g"), size }))

      for (const [label, range] of edges) yield* delivers(label, body, bytes, range)
    })
  ),

  Case.make(
    "open - delivers any ranges, drawn at random, exactly",
    requires,
    Effect.gen(function* () {
      const { tier, group, seed } = yield* Case.Subject
      const { bytes, body } = yield* stored(tier, Fixtures.blob({ group: group("g"), size }))
      const next = mulberry32(seed)
      const random = Effect.gen(function* () {
        for (let round = 0; round < 15; round++) {
          const [start = 0, end = 0] = [next() % (size + 1), next() % (size + 1)].sort((left, right) => left - right)
          yield* delivers(`bytes ${start} to ${end}`, body, bytes, { start, end })
        }
      })

      yield* expect.seeded(seed, random)
    })
  ),

  Case.make(
    "open - of a range reads from the backend the chunks of the range only, where ranges is declared",
    { streaming: true, ranges: true, bytesRead: true, bodyBytes: 5 * chunk },
    Effect.gen(function* () {
      const { bytesRead, group, tier } = yield* Case.Subject
      const { body, bytes } = yield* stored(tier, Fixtures.blob({ group: group("g"), size: 5 * chunk }))

      for (const start of [0, 2 * chunk + 10, 5 * chunk - 20]) {
        const before = yield* bytesRead
        yield* delivers(`20 bytes from ${start}`, body, bytes, { start, end: start + 20 })
        const read = (yield* bytesRead) - before

        assert.isAtLeast(read, 20, "bytes that `bytesRead` has counted")
        assert.isAtMost(read, chunk + overhead, `bytes that were read for 20 bytes from ${start}`)
      }
    })
  ),

  Case.make(
    "open - of one body may run many times at once, each on its own",
    requires,
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const { bytes, body } = yield* stored(tier, Fixtures.blob({ group: group("g"), size }))
      const whole = Body.toStream(body)
      const slow = yield* streams.paused(whole)
      const other = yield* streams.paused(Body.toStream(body, { start: chunk - 1, end: size }))

      yield* Effect.all(
        [
          delivers("the second reader", body, bytes),
          delivers("the third, of a part", body, bytes, { start: chunk, end: chunk + 9 }),
          delivers("the fourth", body, bytes)
        ],
        { concurrency: "unbounded" }
      )
      yield* other.interrupt

      const [exit, got] = yield* slow.finish
      assert.strictEqual(exit._tag, "Success")
      expect.sameBytes(got, bytes)
      for (let again = 0; again < 2; again++) expect.sameBytes(Buffer.concat(yield* Stream.runCollect(whole)), bytes)
    })
  )
]
