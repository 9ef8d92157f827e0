/**
 * How images are written and removed: one write of an id at a time in this process, on the condition that its caller sets,
 * begun anew if another node's write came between.
 */
import type * as Chain from "@terrace/core/Chain"
import { Conflict, type WriteError } from "@terrace/core/ChainError"
import type { Generation } from "@terrace/core/Generation"
import * as Header from "@terrace/core/Header"
import type { ImageError } from "@terrace/image/ImageError"
import type { Images } from "@terrace/image/Images"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { hash } from "node:crypto"
import { crc32 } from "node:zlib"
import type * as Catalog from "./Catalog.ts"
import * as ImageAttributes from "./ImageAttributes.ts"
import * as ImageKeys from "./ImageKeys.ts"
import * as Masters from "./Masters.ts"
import * as Originals from "./Originals.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export interface Options {
  readonly engine: Pick<Images["Service"], "normalise">
  readonly masters: Masters.Masters
  readonly originals: Chain.Chain
  readonly variants: Pick<Chain.Chain, "removeGroup">
  /** Undefined: no records are kept. */
  readonly catalog: Catalog.Catalog | undefined
  readonly alone: Alone
  /** Keep the bytes of an upload as they came, besides the master. */
  readonly keepOriginal: boolean
  /** Masters may be those of an origin, whose originals are kept too. */
  readonly hasOrigin: boolean
}

/** Runs writes of one id one after the other, so that what belongs together (a master, its original) changes together. */
export type Alone = <A, E>(id: string, write: Effect.Effect<A, E>) => Effect.Effect<A, E>

/** Decides, given the header of the stored master, what the store must still hold when a write arrives. */
export interface Precondition<E> {
  (current: Header.Header | undefined): Effect.Effect<Generation | "absent" | undefined, E>
  /** It holds whatever is stored: what only an origin has need not be made for it. */
  readonly isUnconditional?: boolean | undefined
}

export interface Ingested {
  readonly header: Header.Header
  /** Whether there was no such image before. */
  readonly created: boolean
  readonly tiers: ReadonlyArray<Chain.TierReceipt>
}

export interface Removed {
  /** Whether there was a record; undefined: no records are kept. */
  readonly record: boolean | undefined
  readonly masters: ReadonlyArray<Chain.TierReceipt>
  readonly variants: ReadonlyArray<Chain.TierReceipt>
}

export type IngestError = ImageError | WriteError | Masters.ReadError

export interface Writes {
  /**
   * Makes the master of an upload and stores it.
   *
   * Behavior:
   * - the precondition is asked before the work begins, and holds when the store takes the master; if another write
   *   came between, it is asked again.
   * - attributes that do not fit in the header of a blob are refused before the work begins.
   * - with `keepOriginal`, the original is stored before the master, under a name that is the master's own.
   */
  readonly ingest: <E>(
    id: string,
    bytes: Uint8Array,
    attributes: Readonly<Record<string, string>>,
    precondition: Precondition<E>
  ) => Effect.Effect<Ingested, IngestError | E>
  /**
   * Removes an image and everything derived from it.
   *
   * Behavior:
   * - as `ingest` for the precondition.
   * - the record goes first, if there are records: what an origin has of the image must not come back. It stays if the
   *   store does not answer, and is written again if the image could not be removed after all.
   */
  readonly remove: <E>(
    id: string,
    precondition: Precondition<E>
  ) => Effect.Effect<Removed, WriteError | Masters.ReadError | E>
}

/** A conditional removal: what it took, and the generation up to which the rest of the image goes too. */
interface Ceiling {
  readonly upTo: Generation
  readonly tiers: ReadonlyArray<Chain.TierReceipt>
  readonly removed: Header.Header | undefined
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

export const makeAlone = (): Alone => {
  const locks = Array.from({ length: 64 }, () => Semaphore.makeUnsafe(1))
  return (id, write) => {
    const lock = locks[crc32(id) % locks.length]
    return lock === undefined ? write : lock.withPermit(write)
  }
}

export const make = (options: Options): Writes => {
  const { alone, catalog, engine, hasOrigin, keepOriginal, masters, originals, variants } = options

  const current = (id: string, asked?: Chain.HeadOptions) => Masters.current(masters, id, asked)

  /** Asks the precondition, writes, and starts over if another node's write came between. */
  const conditionally = <A, E, WE>(
    id: string,
    precondition: Precondition<E>,
    write: (
      expected: Generation | "absent" | undefined,
      current: Header.Header | undefined,
      isLast: boolean
    ) => Effect.Effect<A, WE | Conflict>
  ): Effect.Effect<A, WE | Conflict | E | Masters.ReadError> => {
    const attempt = (left: number): Effect.Effect<A, WE | Conflict | E | Masters.ReadError> =>
      Effect.gen(function* () {
        const found = yield* current(id, { origin: precondition.isUnconditional !== true })
        const expected = yield* precondition(found)
        return yield* Effect.catchIf(
          write(expected, found, left === 0),
          (error) => error instanceof Conflict && left > 0,
          () => attempt(left - 1)
        )
      })
    return attempt(2)
  }

  const recorded = (header: Header.Header): Effect.Effect<unknown> => catalog?.record(header) ?? Effect.void

  const ingest: Writes["ingest"] = (id, bytes, attributes, precondition) =>
    Effect.gen(function* () {
      yield* precondition(yield* current(id, { origin: precondition.isUnconditional !== true }))
      yield* Header.encode(ImageAttributes.largestHeader(ImageKeys.master(id), attributes))
      const master = yield* engine.normalise(bytes)
      const digest = hash("sha256", master.bytes, "hex")
      const draft: Chain.Draft = {
        bytes: master.bytes,
        contentType: master.contentType,
        attributes: { ...attributes, ...ImageAttributes.encode(master, bytes.byteLength) }
      }
      const original: Chain.Draft = { bytes, contentType: `image/${master.sourceFormat}`, attributes: {} }
      return yield* alone(
        id,
        conditionally(id, precondition, (asked, replaced, isLast) => {
          // Who knows what he replaces removes its original too; nobody has to wait for that for ever.
          const known = keepOriginal && !isLast ? (replaced?.generation ?? "absent") : undefined
          const storeMaster = Effect.map(
            Effect.tap(masters.put(ImageKeys.master(id), draft, { expected: asked ?? known }), ({ header }) =>
              recorded(header)
            ),
            ({ header, tiers }) => ({
              header,
              tiers,
              created: replaced === undefined
            })
          )
          return keepOriginal
            ? Originals.storing(
                originals,
                { id, original, digest, replaced, current: current(id, { origin: false }) },
                storeMaster
              )
            : !hasOrigin
              ? storeMaster
              : Effect.tap(storeMaster, () => Originals.forgetReplaced(originals, id, replaced, digest))
        })
      )
    })

  const remove: Writes["remove"] = (id, precondition) =>
    alone(
      id,
      Effect.gen(function* () {
        if (catalog === undefined) return { record: undefined, ...(yield* removeTiers(id, precondition)) }
        // A precondition that does not hold, and a store that does not answer, must leave the record as it is: it may be all
        // that there is of the image.
        yield* precondition(yield* current(id, { origin: precondition.isUnconditional !== true }))
        const record = yield* catalog.forget(id)
        const removed = yield* Effect.onError(removeTiers(id, precondition), () =>
          record ? catalog.restore(id) : Effect.void
        )
        return { record, ...removed }
      })
    )

  const removeTiers = <E>(id: string, precondition: Precondition<E>) =>
    Effect.gen(function* () {
      // What the precondition held for goes; a master that came after it stays, with what belongs to it.
      const conditional = yield* conditionally(
        id,
        precondition,
        (expected, stored): Effect.Effect<Ceiling | undefined, WriteError> =>
          typeof expected === "number"
            ? Effect.map(masters.remove(ImageKeys.master(id), { expected }), ({ tiers }) => ({
                upTo: expected,
                tiers,
                removed: stored
              }))
            : Effect.undefined
      )
      // That of an old record is younger than its master.
      if (hasOrigin && conditional?.removed !== undefined) {
        yield* Originals.forgetRemoved(originals, id, conditional.removed)
      }
      const rest = yield* masters.removeGroup(id, { upTo: conditional?.upTo })
      const made = yield* variants.removeGroup(id)
      return { masters: conditional?.tiers ?? rest.tiers, variants: made.tiers }
    })

  return { ingest, remove }
}
