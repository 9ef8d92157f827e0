/**
 * A tier whose backend can be damaged, in truth one in memory and a note of what is damaged in it.
 */
import * as Body from "@terrace/core/Body"
import * as Header from "@terrace/core/Header"
import type * as Key from "@terrace/core/Key"
import * as Tier from "@terrace/core/Tier"
import { Corrupt, TierError } from "@terrace/core/TierError"
import type { TierSuite } from "@terrace/testkit"
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as StreamingTier from "./StreamingTier.ts"

/** Where a tier with a bug does other than a sound one. */
export interface Handling {
  /** Whether bytes are compared with their checksums before they leave. */
  readonly verifies: (part: "inline" | "stream" | "range") => boolean
  /** Whether a header that cannot be read is noticed. */
  readonly readsHeader: boolean
  readonly counts: boolean
  /** Whether what is damaged is taken away, so that it can be put again. */
  readonly setsAside: boolean
  /** How much of a stream is verified before its bytes leave. */
  readonly unit: "chunk" | "piece"
}

export const sound: Handling = { verifies: () => true, readsHeader: true, counts: true, setsAside: true, unit: "chunk" }

const chunk = Header.chunkBytes

export const memory: Effect.Effect<Tier.Tier> = MemoryTier.make({
  name: "damageable",
  maxBytes: 67_108_864,
  maxEntryBytes: 16_777_216
})

export const make = (memory: Tier.Tier, handling: Handling = sound) => {
  const damaged = new Map<string, TierSuite.Damage>()
  let corrupted = 0
  const { name } = memory

  const setAside = ({ generation, key }: Header.Header) =>
    Effect.gen(function* () {
      if (handling.counts) corrupted++
      if (!handling.setsAside) return
      damaged.delete(key.text)
      yield* memory.remove(key, generation)
    })

  const stored = (key: Key.Key, bytes: Uint8Array): Uint8Array => {
    const where = damaged.get(key.text)
    if (where === "truncated") return bytes.subarray(0, -1)
    return where === "body" ? bytes.map((byte, at) => (at === bytes.length - 1 ? byte ^ 1 : byte)) : bytes
  }

  const headerOf = (header: Header.Header): Header.Header | undefined =>
    damaged.get(header.key.text) !== "header"
      ? header
      : handling.readsHeader
        ? undefined
        : { ...header, attributes: {} }

  const corrupt = ({ key }: Header.Header) =>
    new TierError({ tier: name, operation: "open", reason: new Corrupt({ detail: key.text }) })

  const open = (header: Header.Header, range: Body.Range = { start: 0, end: header.size }, isRange: boolean) =>
    Effect.gen(function* () {
      const whole = yield* StreamingTier.bytesOf(memory, header)
      if (whole === undefined) return Stream.fail(StreamingTier.gone(name, header))
      const bytes = stored(header.key, whole)
      const unit = handling.unit === "chunk" ? chunk : StreamingTier.pieceBytes
      const numbers = Array.from(
        { length: Math.max(0, Math.ceil(range.end / unit) - Math.floor(range.start / unit)) },
        (_, index) => Math.floor(range.start / unit) + index
      )
      const isSound = (number: number) => {
        const run = bytes.subarray(number * unit, (number + 1) * unit)
        return Buffer.compare(run, whole.subarray(number * unit, (number + 1) * unit)) === 0
      }
      return Stream.mapEffect(Stream.fromIterable(numbers, { chunkSize: 1 }), (number) =>
        headerOf(header) !== undefined && (isSound(number) || !handling.verifies(isRange ? "range" : "stream"))
          ? Effect.succeed(
              bytes.subarray(Math.max(number * unit, range.start), Math.min((number + 1) * unit, range.end))
            )
          : Effect.andThen(setAside(header), Effect.fail(corrupt(header)))
      )
    }).pipe(Stream.unwrap)

  const tier: Tier.Tier = {
    ...memory,
    peek: undefined,
    capabilities: { ...memory.capabilities, streaming: true, ranges: true },
    corrupted: () => corrupted,
    get: Effect.fnUntraced(function* (key) {
      const read = yield* memory.get(key)
      if (read._tag !== "Hit" || read.blob.body._tag !== "Inline") return read
      const header = headerOf(read.blob.header)
      const bytes = stored(key, read.blob.body.bytes)
      if (header !== undefined && header.size >= Body.inlineBelow) {
        return Tier.hit({
          header,
          body: Body.streamed(header.size, (range) => open(header, range, range !== undefined))
        })
      }
      if (header !== undefined && (Header.matches(header, bytes) || !handling.verifies("inline"))) {
        return Tier.hit({ header, body: Body.inline(bytes) })
      }
      yield* setAside(read.blob.header)
      return Tier.miss
    }),
    head: (key) =>
      Effect.map(memory.head(key), (read) => {
        const header = read._tag === "Hit" ? headerOf(read.header) : undefined
        return header === undefined ? Tier.miss : Tier.hitHeader(header)
      }),
    put: (blob, options) =>
      Effect.gen(function* () {
        const { header } = blob
        const bytes = yield* StreamingTier.collect(name, blob.body, header)
        if (damaged.get(header.key.text) === "header" && handling.setsAside) yield* setAside(header)
        const before = yield* memory.head(header.key)
        const write = yield* memory.put({ header, body: Body.inline(bytes) }, options)
        // To a retry, `Stored` is answered and nothing is written.
        const isRetry = before._tag === "Hit" && before.header.generation === header.generation
        if (write._tag === "Stored" && !isRetry) damaged.delete(header.key.text)
        return write
      })
  }

  const damage = (key: Key.Key, where: TierSuite.Damage): Effect.Effect<void> =>
    Effect.sync(() => {
      damaged.set(key.text, where)
    })

  return { tier, options: { damage } }
}
