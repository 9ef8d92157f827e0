/**
 * A tier of the test that streams: it keeps its blobs in memory, delivers and takes them chunk by chunk, and lets the test
 * count, hold up, change and break every chunk in both directions.
 */
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Body from "../../src/Body.ts"
import type { Header } from "../../src/Header.ts"
import * as Tier from "../../src/Tier.ts"
import { Gone, TierError } from "../../src/TierError.ts"

export interface StreamingTier {
  readonly tier: Tier.Tier
  readonly counts: Readonly<Counts>
  /** Runs before chunk `index` leaves. */
  onDeliver: (index: number) => Effect.Effect<void, TierError>
  /** What leaves in the place of chunk `index`. */
  alter: (chunk: Uint8Array, index: number) => ReadonlyArray<Uint8Array>
  /** Runs when a put has got chunk `index`. */
  onTake: (index: number) => Effect.Effect<void, TierError>
  /** Runs when a put has got everything; what it has got becomes visible after that. */
  onCommit: Effect.Effect<void, TierError>
  /** What a put answers instead of taking anything. */
  answer: Tier.Write | undefined
}

interface Counts {
  /** Bodies opened, and those of them that were closed again. */
  opened: number
  closed: number
  /** Chunks that have left. */
  delivered: number
  puts: number
  /** Chunks that puts have got. */
  taken: number
}

export interface Options {
  readonly name: string
  /** Bytes of a chunk. */
  readonly chunkBytes: number
  readonly capabilities?: Partial<Tier.Capabilities>
}

export const make = ({ capabilities, chunkBytes, name }: Options): Effect.Effect<StreamingTier> =>
  Effect.map(MemoryTier.make({ name, maxBytes: 200_000_000, maxEntryBytes: 100_000_000 }), (inner) => {
    const counts: Counts = { opened: 0, closed: 0, delivered: 0, puts: 0, taken: 0 }

    const open = (header: Header, bytes: Uint8Array, range: Body.Range | undefined) =>
      Stream.unwrap(
        Effect.gen(function* () {
          yield* Effect.acquireRelease(
            Effect.sync(() => (counts.opened += 1)),
            () => Effect.sync(() => (counts.closed += 1))
          )
          const now = yield* inner.head(header.key)
          if (now._tag !== "Hit" || now.header.generation !== header.generation) {
            return Stream.fail(
              new TierError({ tier: name, operation: "open", reason: new Gone({ key: header.key.text }) })
            )
          }
          const { end, start } = range ?? { start: 0, end: bytes.byteLength }
          const first = Math.floor(start / chunkBytes)
          const last = Math.ceil(end / chunkBytes)
          return Stream.fromIterable(Array.from({ length: last - first }, (_, index) => first + index)).pipe(
            Stream.rechunk(1),
            Stream.mapEffect((index) => Effect.as(self.onDeliver(index), index)),
            Stream.map((index) => {
              counts.delivered += 1
              const from = index * chunkBytes
              return self.alter(bytes.subarray(Math.max(start, from), Math.min(end, from + chunkBytes)), index)
            }),
            Stream.flatMap(Stream.fromIterable),
            Stream.rechunk(1)
          )
        })
      )

    const put: Tier.Tier["put"] = ({ body, header }, options) =>
      Effect.gen(function* () {
        counts.puts += 1
        if (self.answer !== undefined) return self.answer
        const chunks: Array<Uint8Array> = []
        yield* Stream.runForEach(Body.toStream(body), (chunk) =>
          Effect.suspend(() => {
            counts.taken += 1
            return self.onTake(chunks.push(chunk) - 1)
          })
        )
        yield* self.onCommit
        return yield* inner.put({ header, body: Body.inline(Buffer.concat(chunks)) }, options)
      })

    const self: StreamingTier = {
      counts,
      onDeliver: () => Effect.void,
      alter: (chunk) => [chunk],
      onTake: () => Effect.void,
      onCommit: Effect.void,
      answer: undefined,
      tier: {
        ...inner,
        // It would answer the bytes that this tier streams.
        peek: undefined,
        capabilities: { ...inner.capabilities, streaming: true, ranges: true, persistent: true, ...capabilities },
        get: (key) =>
          Effect.map(inner.get(key), (read) => {
            if (read._tag !== "Hit" || read.blob.body._tag === "Streamed") return read
            const { bytes } = read.blob.body
            const { header } = read.blob
            return Tier.hit({ header, body: Body.streamed(bytes.byteLength, (range) => open(header, bytes, range)) })
          }),
        put
      }
    }
    return self
  })
