/**
 * A tier that takes and delivers large bodies as streams, over one that keeps them in memory.
 */
import * as Body from "@terrace/core/Body"
import type * as Header from "@terrace/core/Header"
import * as Tier from "@terrace/core/Tier"
import { Corrupt, Gone, TierError } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

export const pieceBytes = 65_536

export const gone = (tier: string, header: Header.Header): TierError =>
  new TierError({ tier, operation: "open", reason: new Gone({ key: header.key.text }) })

/** The bytes in pieces, each a copy. */
export const pieces = (bytes: Uint8Array): ReadonlyArray<Uint8Array> =>
  Array.from({ length: Math.ceil(bytes.byteLength / pieceBytes) }, (_, index) =>
    bytes.slice(index * pieceBytes, (index + 1) * pieceBytes)
  )

/** The bytes that a tier without streams has of this generation; undefined if it has none. */
export const bytesOf = (memory: Tier.Tier, header: Header.Header): Effect.Effect<Uint8Array | undefined, TierError> =>
  Effect.map(memory.get(header.key), (read) =>
    read._tag === "Hit" &&
    read.blob.body._tag === "Inline" &&
    read.blob.header.generation === header.generation &&
    read.blob.header.digest === header.digest
      ? read.blob.body.bytes
      : undefined
  )

/** All bytes of a body. Fails once there are more than the header names. */
export const collect = (tier: string, body: Body.Body, header: Header.Header): Effect.Effect<Uint8Array, TierError> =>
  Effect.suspend(() => {
    const taken: Array<Uint8Array> = []
    let total = 0
    const take = (piece: Uint8Array) => {
      total += piece.byteLength
      taken.push(piece)
      return total > header.size ? Effect.fail(tooLong(tier, header)) : Effect.void
    }
    return Effect.map(Stream.runForEach(Body.toStream(body), take), () => Buffer.concat(taken))
  })

const tooLong = (tier: string, { key }: Header.Header): TierError =>
  new TierError({
    tier,
    operation: "put",
    reason: new Corrupt({ detail: `${key.text} delivers more bytes than its header names` })
  })

export const make = (memory: Tier.Tier): Tier.Tier => ({
  ...memory,
  peek: undefined,
  capabilities: { ...memory.capabilities, streaming: true, ranges: true },
  get: (key) =>
    Effect.map(memory.get(key), (read) => {
      if (read._tag !== "Hit" || read.blob.header.size < pieceBytes) return read
      const { header } = read.blob
      const open = (range?: Body.Range) =>
        Stream.unwrap(
          Effect.map(bytesOf(memory, header), (bytes) =>
            bytes === undefined
              ? Stream.fail(gone(memory.name, header))
              : Stream.fromIterable(pieces(bytes.subarray(range?.start, range?.end)), { chunkSize: 1 })
          )
        )
      return Tier.hit({ header, body: Body.streamed(header.size, open) })
    }),
  put: ({ body, header }, options) =>
    Effect.flatMap(collect(memory.name, body, header), (bytes) =>
      memory.put({ header, body: Body.inline(bytes) }, options)
    )
})
