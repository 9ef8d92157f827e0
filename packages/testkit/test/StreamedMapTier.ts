/**
 * The map of the examples, delivering bodies from 1 MiB on as streams of 64 KiB pieces.
 */
import * as Body from "@terrace/core/Body"
import * as Tier from "@terrace/core/Tier"
import { Gone, TierError } from "@terrace/core/TierError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as MapTier from "../examples/MapTier.ts"

export class StreamedMapTier extends Context.Service<StreamedMapTier, Tier.Tier>()(
  "@terrace/testkit/test/StreamedMapTier"
) {}

const pieceBytes = 65_536

export const make = (): Tier.Tier => {
  const map = MapTier.make()
  return {
    ...map,
    capabilities: { ...map.capabilities, streaming: true, ranges: true },
    get: (key) =>
      Effect.map(map.get(key), (read) => {
        if (read._tag !== "Hit" || read.blob.body._tag === "Streamed") return read
        const { body, header } = read.blob
        if (header.size < Body.inlineBelow) return read
        const open = ({ end, start } = { start: 0, end: header.size }) =>
          Effect.map(map.head(key), (head) =>
            head._tag === "Hit" && head.header.generation === header.generation
              ? Stream.fromIterable(pieces(body.bytes.subarray(start, end)))
              : Stream.fail(new TierError({ tier: "map", operation: "open", reason: new Gone({ key: key.text }) }))
          ).pipe(Stream.unwrap)
        return Tier.hit({ header, body: Body.streamed(header.size, open) })
      }),
    put: (blob, options) =>
      Effect.flatMap(Body.toBytes(bounded(blob.body, blob.header.size)), (bytes) =>
        map.put({ header: blob.header, body: Body.inline(bytes) }, options)
      )
  }
}

/** Stops with the first piece that goes beyond `size`, so that a source without end is refused. */
const bounded = (body: Body.Body, size: number): Body.Body =>
  body._tag === "Inline"
    ? body
    : Body.streamed(size, (range) =>
        Stream.suspend(() => {
          let total = 0
          return Stream.takeUntil(body.open(range), (piece) => (total += piece.byteLength) > size)
        })
      )

const pieces = (bytes: Uint8Array): ReadonlyArray<Uint8Array> =>
  Array.from({ length: Math.ceil(bytes.byteLength / pieceBytes) }, (_, index) =>
    bytes.subarray(index * pieceBytes, (index + 1) * pieceBytes)
  )
