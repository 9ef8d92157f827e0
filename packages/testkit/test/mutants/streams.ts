/** Bugs of streamed bodies that are read. */
import * as Body from "@terrace/core/Body"
import * as Header from "@terrace/core/Header"
import * as Tier from "@terrace/core/Tier"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { type Mutant, ofStreaming, streaming } from "./Mutant.ts"
import { collect, gone, pieceBytes, pieces } from "./StreamingTier.ts"

type Open = Body.Streamed["open"]

/** Delivers streamed bodies in another way; `tier` has them in streams. */
const opening = (tier: Tier.Tier, change: (header: Header.Header, open: Open) => Open): Tier.Tier => ({
  ...tier,
  get: (key) =>
    Effect.map(tier.get(key), (read) => {
      if (read._tag !== "Hit" || read.blob.body._tag === "Inline") return read
      const { body, header } = read.blob
      return Tier.hit({ header, body: Body.streamed(body.size, change(header, body.open)) })
    })
})

/** What is there now, whichever blob that is. */
const current = (tier: Tier.Tier, header: Header.Header, range: Body.Range | undefined) =>
  Stream.unwrap(
    Effect.map(tier.get(header.key), (read) =>
      read._tag === "Hit" ? Body.toStream(read.blob.body, range) : Stream.fail(gone(tier.name, header))
    )
  )

export const streams: ReadonlyArray<Mutant> = [
  ofStreaming(
    "large bodies are held in memory",
    (tier) => ({
      ...tier,
      get: (key) =>
        Effect.flatMap(tier.get(key), (read) =>
          read._tag === "Hit"
            ? Effect.map(Body.toBytes(read.blob.body), (bytes) =>
                Tier.hit({ header: read.blob.header, body: Body.inline(bytes) })
              )
            : Effect.succeed(read)
        )
    }),
    "get - answers bodies of 1 MiB and more as streams where streaming is declared"
  ),

  {
    name: "a range is cut from all that was read",
    caughtBy: "open - of a range reads from the backend the chunks of the range only, where ranges is declared",
    make: Effect.map(streaming, (sound) => {
      let read = 0
      const tier = opening(sound, (header, open) => (range = { start: 0, end: header.size }) => {
        let position = 0
        return Stream.map(open(), (piece) => {
          read += piece.byteLength
          const start = position
          position += piece.byteLength
          return piece.subarray(Math.max(0, range.start - start), Math.max(0, range.end - start))
        })
      })
      return { tier, options: { bytesRead: Effect.sync(() => read) } }
    })
  },

  ofStreaming(
    "a range that begins where a chunk begins loses a byte",
    (tier) =>
      opening(tier, (header, open) => (range) => {
        if (range === undefined || range.start === 0 || range.start % Header.chunkBytes !== 0) return open(range)
        return open({ start: range.start + (range.start < header.size ? 1 : 0), end: range.end })
      }),
    "open - delivers ranges at the edges of the body and of its chunks exactly"
  ),

  ofStreaming(
    "an empty range is the whole body",
    (tier) => opening(tier, (_, open) => (range) => (range?.start === range?.end ? open() : open(range))),
    "open - delivers ranges at the edges of the body and of its chunks exactly"
  ),

  ofStreaming(
    "the end of a range is included",
    (tier) =>
      opening(
        tier,
        (_, open) => (range) => open(range === undefined ? range : { start: range.start, end: range.end + 1 })
      ),
    "open - delivers any ranges, drawn at random, exactly"
  ),

  ofStreaming(
    "all readers of a body share one position",
    (tier) =>
      opening(tier, (header) => {
        let next = 0
        return (range) =>
          Stream.unwrap(
            Effect.map(
              collect(
                tier.name,
                Body.streamed(header.size, () => current(tier, header, range)),
                header
              ),
              (bytes) => {
                const all = pieces(bytes)
                next = next >= all.length ? 0 : next
                return Stream.unfold(undefined, () =>
                  Effect.sync(() => {
                    const piece = all[next++]
                    return piece === undefined ? undefined : ([piece, undefined] as const)
                  })
                )
              }
            )
          )
      }),
    "open - of one body may run many times at once, each on its own"
  ),

  ofStreaming(
    "a stream that is opened late delivers what is there by then",
    (tier) => opening(tier, (header) => (range) => current(tier, header, range)),
    "open - fails with Gone before its first byte if the blob was replaced by a blob of the same size before"
  ),

  ofStreaming(
    "a stream that is opened after a removal is empty",
    (tier) =>
      opening(
        tier,
        (header, open) => (range) =>
          Stream.unwrap(Effect.map(tier.head(header.key), (head) => (head._tag === "Hit" ? open(range) : Stream.empty)))
      ),
    "open - fails with Gone before its first byte if the blob was removed before"
  ),

  ofStreaming(
    "a body can be opened for ever",
    (tier) => ({
      ...tier,
      get: Effect.fnUntraced(function* (key) {
        const read = yield* tier.get(key)
        if (read._tag !== "Hit" || read.blob.body._tag === "Inline") return read
        const bytes = yield* Body.toBytes(read.blob.body)
        const open = (range?: Body.Range) => Stream.fromIterable(pieces(bytes.subarray(range?.start, range?.end)))
        return Tier.hit({ header: read.blob.header, body: Body.streamed(bytes.byteLength, open) })
      })
    }),
    "open - fails with Gone once the blob is past `expiresAt`"
  ),

  ofStreaming(
    "each piece is read from what is there by then",
    (tier) =>
      opening(
        tier,
        (header) =>
          (range = { start: 0, end: header.size }) =>
            Stream.unfold(range.start, (start) => {
              const end = Math.min(start + pieceBytes, range.end)
              if (start >= end) return Effect.succeed(undefined)
              const now = collect(
                tier.name,
                Body.streamed(header.size, () => current(tier, header, { start, end })),
                header
              )
              return Effect.map(now, (piece) => [piece, end] as const)
            })
      ),
    "open - a reader whose blob is replaced by a blob of the same size meanwhile gets its own bytes, or fails"
  ),

  ofStreaming(
    "a stream whose blob is gone ends early",
    (tier) =>
      opening(
        tier,
        (header, open) => (range) =>
          Stream.takeWhileEffect(open(range), () => Effect.map(tier.head(header.key), (head) => head._tag === "Hit"))
      ),
    "open - a reader whose blob is removed meanwhile gets its own bytes, or fails"
  ),

  {
    name: "a reader that stops early leaves its file open",
    caughtBy: "open - a reader that stops early leaves nothing behind",
    make: Effect.map(streaming, (sound) => {
      let open = 0
      const tier = opening(
        sound,
        (_, whole) => (range) =>
          Stream.suspend(() => {
            open++
            return Stream.concat(
              whole(range),
              Stream.suspend(() => {
                open--
                return Stream.empty
              })
            )
          })
      )
      return { tier, options: { leaks: Effect.sync(() => open) } }
    })
  },

  {
    name: "a reader that is interrupted leaves its file open",
    caughtBy: "open - a reader that is interrupted leaves nothing behind",
    make: Effect.map(streaming, (sound) => {
      let open = 0
      const tier = opening(
        sound,
        (_, whole) => (range) =>
          Stream.suspend(() => {
            open++
            return Stream.onEnd(
              whole(range),
              Effect.sync(() => open--)
            )
          })
      )
      return { tier, options: { leaks: Effect.sync(() => open) } }
    })
  }
]
