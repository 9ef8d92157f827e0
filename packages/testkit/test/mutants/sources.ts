/** Bugs of streamed bodies that are put. */
import * as Body from "@terrace/core/Body"
import * as Header from "@terrace/core/Header"
import * as Tier from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { type Mutant, ofStreaming, overwrite } from "./Mutant.ts"
import { collect } from "./StreamingTier.ts"

/** Takes streamed bodies in another way, as bytes or not at all. */
const taking = (
  tier: Tier.Tier,
  take: (body: Body.Streamed, header: Header.Header) => Effect.Effect<Uint8Array, TierError>
): Tier.Tier => ({
  ...tier,
  put: (blob, options) =>
    blob.body._tag === "Inline"
      ? tier.put(blob, options)
      : Effect.flatMap(take(blob.body, blob.header), (bytes) =>
          tier.put({ header: blob.header, body: Body.inline(bytes) }, options)
        )
})

export const sources: ReadonlyArray<Mutant> = [
  ofStreaming(
    "a streamed body is opened once to look at it, and again to store it",
    (tier) =>
      taking(tier, (body, header) =>
        Effect.andThen(Stream.runDrain(Stream.take(body.open(), 1)), collect(tier.name, body, header))
      ),
    "put - opens a streamed body at most once, and whole"
  ),

  ofStreaming(
    "a source that fails is taken for one that has ended",
    (tier) => ({
      ...tier,
      put: Effect.fnUntraced(function* ({ body, header }, options) {
        const taken: Array<Uint8Array> = []
        yield* Effect.ignore(Stream.runForEach(Body.toStream(body), (piece) => Effect.sync(() => taken.push(piece))))
        const bytes = Buffer.concat(taken)
        return yield* tier.put(
          { header: Header.describe(header.key, bytes, header), body: Body.inline(bytes) },
          options
        )
      })
    }),
    "put - of a stream that fails after any number of bytes fails; the old blob and usage are as before"
  ),

  {
    ...ofStreaming(
      "a put whose source is interrupted never ends",
      (tier) =>
        taking(tier, (body, header) => Effect.onInterrupt(collect(tier.name, body, header), () => Effect.never)),
      "put - of a stream that is interrupted after any number of bytes fails; the old blob and usage are as before",
      "put of a stream that is interrupted after 0 bytes did not end within 5 s"
    ),
    waits: true
  },

  ofStreaming(
    "a source that dies leaves the key empty",
    (tier) =>
      taking(tier, (body, header) =>
        Effect.onError(collect(tier.name, body, header), () =>
          Effect.ignore(tier.remove(header.key, header.generation))
        )
      ),
    "put - of a stream that dies after any number of bytes fails; the old blob and usage are as before"
  ),

  ofStreaming(
    "a source that ends early is filled up with zeros",
    (tier) => ({
      ...tier,
      put: Effect.fnUntraced(function* ({ body, header }, options) {
        const bytes = new Uint8Array(header.size)
        const taken = yield* collect(tier.name, body, header)
        bytes.set(taken)
        const isShort = taken.byteLength < header.size
        return yield* tier.put(
          {
            header: isShort ? Header.describe(header.key, bytes, header) : header,
            body: Body.inline(isShort ? bytes : taken)
          },
          options
        )
      })
    }),
    "put - of a stream that ends after any number of bytes fails; the old blob and usage are as before"
  ),

  ofStreaming(
    "what follows the last byte is cut off",
    (tier) =>
      taking(tier, (body, header) =>
        Effect.map(Stream.runCollect(body.open()), (taken) => Buffer.concat(taken).subarray(0, header.size))
      ),
    "put - refuses a streamed body that delivers other bytes, fewer or more; the old blob and usage are as before"
  ),

  ofStreaming(
    "a put that is interrupted goes on reading its source",
    (tier) =>
      taking(tier, (body, header) =>
        Effect.flatMap(Effect.forkDetach(collect(tier.name, body, header)), (fiber) => Fiber.join(fiber))
      ),
    "put - of a stream that is interrupted after any number of pieces changes nothing and closes the stream"
  ),

  ofStreaming(
    "a put that fails does not close its source",
    (tier) =>
      taking(tier, (body, header) =>
        Effect.suspend(() => {
          const opened = Scope.makeUnsafe()
          const source = Stream.toPull(body.open()).pipe(
            Effect.map((pull) => Stream.fromPull(Effect.succeed(pull))),
            Scope.provide(opened)
          )
          return collect(
            tier.name,
            Body.streamed(body.size, () => Stream.unwrap(source)),
            header
          )
        })
      ),
    "put - of a stream that fails after any number of bytes fails; the old blob and usage are as before"
  ),

  ofStreaming(
    "what is there is looked at before a stream is read, and not again",
    (tier) => ({
      ...tier,
      put: (blob, options) =>
        Effect.gen(function* () {
          const { body, header } = blob
          const head = yield* tier.head(header.key)
          const refusal = Tier.refusal(header, head._tag === "Hit" ? head.header : undefined, options?.expected)
          if (refusal !== undefined || body._tag === "Inline") return refusal ?? (yield* tier.put(blob, options))
          const bytes = yield* collect(tier.name, body, header)
          return Header.verifies(header, bytes)
            ? yield* overwrite(tier)({ header, body: Body.inline(bytes) })
            : yield* tier.put({ header, body: Body.inline(bytes) })
        })
    }),
    "streamed put - that a newer put overtakes is Superseded when its stream ends, and the newer blob stays"
  ),

  ofStreaming(
    "newer wins when a stream has ended, but what is expected was compared before",
    (tier) => ({
      ...tier,
      put: (blob, options) =>
        Effect.flatMap(tier.head(blob.header.key), (head) => {
          const current = head._tag === "Hit" ? head.header.generation : "absent"
          return options?.expected !== undefined && options.expected !== current
            ? tier.put(blob, options)
            : tier.put(blob)
        })
    }),
    "streamed puts - that expect `absent` at once: the first whose stream ends is Stored, the other is in Conflict"
  ),

  ofStreaming(
    "what a put expected is not compared with what was removed while it read its stream",
    (tier) => ({
      ...tier,
      put: (blob, options) =>
        Effect.flatMap(tier.put(blob, options), (write) =>
          write._tag === "Conflict" && write.current === "absent" && blob.header.generation > 2
            ? tier.put(blob)
            : Effect.succeed(write)
        )
    }),
    "streamed put - that a remove overtakes is stored when its stream ends, or in Conflict if it expected what was removed"
  ),

  {
    ...ofStreaming(
      "a put keeps all others out while it waits for its stream",
      (tier) => {
        const lock = Semaphore.makeUnsafe(1)
        return { ...tier, put: (blob, options) => lock.withPermits(1)(tier.put(blob, options)) }
      },
      "streamed put - that a newer put overtakes is Superseded when its stream ends, and the newer blob stays",
      "called while a put of the key waits for its stream, did not end within 5 s"
    ),
    waits: true
  },

  ofStreaming(
    "a stream is read to its end before its length is looked at",
    (tier) =>
      taking(tier, (body, header) =>
        Effect.map(
          Stream.runFold(
            body.open(),
            () => 0,
            (total, piece) => total + piece.byteLength
          ),
          (total) => new Uint8Array(total === header.size ? total : 0)
        )
      ),
    "put - refuses a streamed body that delivers other bytes, fewer or more; the old blob and usage are as before",
    "bytes of a body of 2097159"
  ),

  ofStreaming(
    "an overwrite of a large body is a removal and a put",
    (tier) => ({
      ...tier,
      put: (blob, options) =>
        blob.header.generation > 1 && options === undefined
          ? Effect.andThen(
              Effect.andThen(tier.remove(blob.header.key, blob.header.generation - 1), Effect.yieldNow),
              tier.put(blob)
            )
          : tier.put(blob, options)
    }),
    "one writer and eight readers of streamed bodies - every read is one whole blob, and none goes back in time"
  )
]
