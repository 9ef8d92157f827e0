/** Bugs of single steps: what others see of a put that is under way, what is kept exactly, what errors say. */
import type { Blob } from "@terrace/core/Blob"
import * as Body from "@terrace/core/Body"
import * as Header from "@terrace/core/Header"
import * as Key from "@terrace/core/Key"
import * as Tier from "@terrace/core/Tier"
import { TierError } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { type Mutant, newest, ofMemory, overwrite, waiting, withHeader } from "./Mutant.ts"

const describedAs = ({ header }: Blob, bytes: Uint8Array): Blob => ({
  header: Header.describe(header.key, bytes, header),
  body: Body.inline(bytes)
})

/** Lists from the entries that are there at each step, by their number. */
const byNumber = (tier: Tier.Tier, groupPrefix: string | undefined, from: number) =>
  Stream.unfold(from, (number) =>
    Effect.map(Stream.runCollect(tier.scan({ groupPrefix })), (entries) => {
      const entry = entries[number]
      return entry === undefined ? undefined : ([{ ...entry, cursor: String(number + 1) }, number + 1] as const)
    })
  )

export const memory: ReadonlyArray<Mutant> = [
  ofMemory(
    "a streamed body is declined as too large",
    (tier) => ({
      ...tier,
      put: (blob, options) =>
        blob.body._tag === "Streamed" ? Effect.succeed(Tier.declined("too-large")) : tier.put(blob, options)
    }),
    "put - answers Unsupported to a streamed body where streaming is not declared, and keeps what it had"
  ),

  ofMemory(
    "errors name another operation",
    (tier) => ({
      ...tier,
      put: (blob, options) =>
        Effect.mapError(
          tier.put(blob, options),
          ({ reason }) => new TierError({ tier: tier.name, operation: "usage", reason })
        )
    }),
    "put - refuses bytes that are not those of the header: one bit is wrong; the old blob stays",
    "the operation that is named"
  ),

  ofMemory(
    "errors name another tier",
    (tier) => ({ ...tier, name: "other" }),
    "scan - answers BadCursor to what is no cursor, or lists nothing that is not there",
    "the tier that is named"
  ),

  waiting(
    ofMemory(
      "a put that is interrupted never ends",
      (tier) => ({
        ...tier,
        put: (blob, options) =>
          Effect.onInterrupt(Effect.andThen(Effect.yieldNow, tier.put(blob, options)), () => Effect.never)
      }),
      "put - over an old blob, interrupted after any number of steps, leaves the old blob or the new; a later put works",
      "put, interrupted after 1 steps, did not end within 5 s of its interruption"
    )
  ),

  ofMemory(
    "the bytes are visible before they are verified",
    (tier) => ({
      ...tier,
      put: Effect.fnUntraced(function* (blob, options) {
        const bytes = yield* Body.toBytes(blob.body)
        if (Header.verifies(blob.header, bytes)) return yield* tier.put(blob, options)
        yield* tier.put(describedAs(blob, bytes), options)
        yield* Effect.yieldNow
        yield* tier.remove(blob.header.key, blob.header.generation)
        return yield* tier.put(blob, options)
      })
    }),
    "put - refuses bytes that are not those of the header: one bit is wrong; the old blob stays"
  ),

  ofMemory(
    "checksums are not verified",
    (tier) => ({
      ...tier,
      put: Effect.fnUntraced(function* (blob, options) {
        const bytes = yield* Body.toBytes(blob.body)
        const described = describedAs(blob, bytes)
        return yield* tier.put(described.header.digest === blob.header.digest ? described : blob, options)
      })
    }),
    "put - refuses a header whose checksums are not those of the bytes though its digest is; the old blob stays"
  ),

  ofMemory(
    "an overwrite is a removal and a put",
    (tier) => ({
      ...tier,
      put: Effect.fnUntraced(function* (blob, options) {
        const head = yield* tier.head(blob.header.key)
        const refusal = Tier.refusal(blob.header, head._tag === "Hit" ? head.header : undefined, options?.expected)
        return refusal ?? (yield* overwrite(tier)(blob))
      })
    }),
    "put - over an old blob, interrupted after any number of steps, leaves the old blob or the new; a later put works"
  ),

  ofMemory(
    "an overwrite writes the header, and the bytes a turn later; nobody can interrupt it, and reads take a turn too",
    (tier) => {
      const halfway = new Map<string, Tier.Read>()
      const overwriteInSteps = Effect.fnUntraced(function* (blob: Blob, options?: Tier.PutOptions) {
        const { header } = blob
        const old = yield* tier.get(header.key)
        const isOverwrite = old._tag === "Hit" && Tier.refusal(header, old.blob.header, options?.expected) === undefined
        if (!isOverwrite || !Header.verifies(header, yield* Body.toBytes(blob.body)))
          return yield* tier.put(blob, options)
        halfway.set(header.key.text, Tier.hit({ header, body: old.blob.body }))
        yield* Effect.yieldNow
        halfway.delete(header.key.text)
        return yield* tier.put(blob, options)
      })
      return {
        ...tier,
        peek: undefined,
        get: (key) =>
          Effect.andThen(
            Effect.yieldNow,
            Effect.suspend(() => {
              const torn = halfway.get(key.text)
              return torn === undefined ? tier.get(key) : Effect.succeed(torn)
            })
          ),
        put: (blob, options) => Effect.uninterruptible(overwriteInSteps(blob, options))
      }
    },
    "one writer and eight readers - every read is one whole blob, and none goes back in time"
  ),

  ofMemory(
    "a put writes one half, then the other",
    (tier) => ({
      ...tier,
      put: Effect.fnUntraced(function* (blob, options) {
        const bytes = yield* Body.toBytes(blob.body)
        const head = yield* tier.head(blob.header.key)
        const isRefused = head._tag === "Hit" || options !== undefined || !Header.verifies(blob.header, bytes)
        if (!isRefused) {
          yield* tier.put(describedAs(blob, bytes.slice(0, bytes.byteLength / 2)))
          yield* tier.remove(blob.header.key, newest)
        }
        return yield* tier.put(blob, options)
      })
    }),
    "put - of a new key, interrupted after any number of steps, leaves nothing or the blob; a later put works"
  ),

  ofMemory(
    "removeGroup checks, then acts",
    (tier) => ({
      ...tier,
      removeGroup: Effect.fnUntraced(function* (group, generation) {
        const entries = yield* Stream.runCollect(tier.scan({ groupPrefix: group }))
        let removed = 0
        for (const { key } of entries) {
          const head = yield* tier.head(key)
          if (key.group !== group || head._tag !== "Hit" || head.header.generation > generation) continue
          yield* Effect.yieldNow
          yield* tier.remove(key, newest)
          removed++
        }
        return { _tag: "Removed", removed, superseded: 0 } as const
      })
    }),
    "put against removeGroup of an older generation - the new blob stays"
  ),

  ofMemory(
    "remove checks, then acts",
    (tier) => ({
      ...tier,
      remove: Effect.fnUntraced(function* (key, generation) {
        const head = yield* tier.head(key)
        if (head._tag !== "Hit") return Tier.absent
        if (head.header.generation > generation) return { _tag: "Superseded", current: head.header.generation } as const
        yield* Effect.yieldNow
        return yield* tier.remove(key, newest)
      })
    }),
    "put against an older remove - the new blob stays"
  ),

  ofMemory(
    "reads share one buffer",
    (tier) => {
      const shared = new Uint8Array(131_072)
      return {
        ...tier,
        get: (key) =>
          Effect.map(tier.get(key), (read) => {
            if (read._tag !== "Hit" || read.blob.body._tag !== "Inline") return read
            shared.set(read.blob.body.bytes)
            const bytes = shared.subarray(0, read.blob.header.size)
            return Tier.hit({ header: read.blob.header, body: Body.inline(bytes) })
          }),
        put: (blob, options) => {
          if (blob.body._tag === "Inline") shared.set(blob.body.bytes.subarray(0, shared.byteLength))
          return tier.put(blob, options)
        }
      }
    },
    "get - bytes that were read stay what they are when the blob is replaced by a blob of the same size"
  ),

  ofMemory(
    "a cursor is the number of an entry",
    (tier) => ({
      ...tier,
      scan: ({ after, groupPrefix } = {}) => byNumber(tier, groupPrefix, after === undefined ? 0 : Number(after))
    }),
    "scan - resumed page by page, hides no key that is there all along, whatever is put and removed meanwhile"
  ),

  ofMemory(
    "a scan under way skips an entry for each that is removed",
    (tier) => ({
      ...tier,
      scan: (options) => (options?.after === undefined ? byNumber(tier, options?.groupPrefix, 0) : tier.scan(options))
    }),
    "scan - hides no key that is there all along, whatever is put and removed meanwhile"
  ),

  ofMemory(
    "a cursor that is none is a defect",
    (tier) => ({
      ...tier,
      scan: (options) =>
        Stream.suspend(() => {
          if (options?.after !== undefined) Key.makeUnsafe(options.after.split("/")[0] ?? "", "master")
          return tier.scan(options)
        })
    }),
    "scan - answers BadCursor to what is no cursor, or lists nothing that is not there"
  ),

  ofMemory(
    "what is too large is Stored and forgotten",
    (tier) => ({
      ...tier,
      put: (blob, options) =>
        Effect.map(tier.put(blob, options), (write) => (write._tag === "Declined" ? Tier.stored : write))
    }),
    "put - declines a body above the declared maxBytes as too large, and keeps what it had"
  ),

  ofMemory(
    "halves of characters become question marks",
    (tier) =>
      withHeader(tier, (header) => ({
        ...header,
        attributes: Object.fromEntries(
          Object.entries(header.attributes).map(([name, value]) => [name, value.toWellFormed()])
        )
      })),
    "put - keeps halves of characters in attributes and content type exactly, or refuses it"
  ),

  ofMemory(
    "attributes are copied one by one into an object",
    (tier) =>
      withHeader(tier, (header) => {
        const attributes: Record<string, string> = {}
        for (const [name, value] of Object.entries(header.attributes)) attributes[name] = value
        return { ...header, attributes }
      }),
    "put - keeps attributes of odd names, each with its value, or refuses them"
  ),

  ofMemory(
    "times pass through JSON",
    (tier) =>
      withHeader(tier, (header) => ({ ...header, createdAt: JSON.parse(JSON.stringify(header.createdAt)) as number })),
    "put - keeps times that are no finite numbers exactly, or refuses them"
  )
]
