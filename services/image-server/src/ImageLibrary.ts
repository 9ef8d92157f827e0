/**
 * The images of one deployment: masters in a chain with a store, variants in a chain that can make them again.
 *
 * Knows nothing of HTTP. A master is the blob `<id>/master`; a variant is named after the master's digest and what renders
 * it, so that a variant of an older master can never be reached.
 */
import * as Chain from "@terrace/core/Chain"
import { ChainUnavailable, Conflict, type WriteError } from "@terrace/core/ChainError"
import type { Generation } from "@terrace/core/Generation"
import * as Header from "@terrace/core/Header"
import * as Body from "@terrace/core/Body"
import type { Bus } from "@terrace/core/Bus"
import type * as Key from "@terrace/core/Key"
import type { Leases } from "@terrace/core/Leases"
import type { Origin, OriginError } from "@terrace/core/Origin"
import type { Cursor, Tier } from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import * as Trail from "@terrace/core/Trail"
import type { ImageError } from "@terrace/image/ImageError"
import { Images } from "@terrace/image/Images"
import type * as Preset from "@terrace/image/Preset"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { hash } from "node:crypto"
import { crc32 } from "node:zlib"
import * as Catalog from "./Catalog.ts"
import type * as Explanation from "./Explanation.ts"
import * as ImageAttributes from "./ImageAttributes.ts"
import * as ImageKeys from "./ImageKeys.ts"
import type { Mode } from "./Delivery.ts"
import * as Originals from "./Originals.ts"
import * as Placement from "./Placement.ts"
import type { UnusableRecord } from "./LegacyOrigin.ts"
import * as TierStatus from "./TierStatus.ts"

export interface Options {
  /** Hold masters; the store holds originals too, and never forgets one. */
  readonly masters: TiersOf<"caches" | "revalidateAfter"> & { readonly store: Chain.Link }
  /** Hold variants. */
  readonly variants: TiersOf<"caches">
  /** Keep the bytes of an upload as they came, besides the master. */
  readonly keepOriginal: boolean
  /** By name. */
  readonly presets: ReadonlyMap<string, ServedPreset>
  /** Where an image comes from that no tier has. */
  readonly origin?: OriginOf | undefined
  /** Where a small record of each image is kept. */
  readonly records?: Catalog.Records | undefined
  /** Tells other nodes what was written here. */
  readonly bus?: Bus | undefined
  /** Let one node make what all would make. */
  readonly leases?: Leases | undefined
}

/** A preset, and how what is made by it reaches clients; by default as masters do. */
export type ServedPreset = Preset.Preset & { readonly delivery?: Mode | undefined }

/** Tiers of a chain, fastest first, and how it uses them. */
type TiersOf<Field extends keyof Chain.Options> = Pick<Chain.Options, Field>

/** Makes the origin of masters; it keeps originals beside them as uploads do. */
export type OriginOf = (originals: Chain.Chain) => Origin<OriginFailure>
/** Why what an origin has cannot become an image. */
export type OriginFailure = ImageError | UnusableRecord
/** Why a master cannot be read. */
export type ReadError = ChainUnavailable | OriginError<OriginFailure>

/** The master was replaced or removed while a variant of it was being made. */
class MasterChanged extends Schema.TaggedError<MasterChanged>("@terrace/image-server/ImageLibrary/MasterChanged")(
  "MasterChanged",
  { id: Schema.String }
) {}

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

export interface Page {
  readonly images: ReadonlyArray<{ readonly id: string; readonly bytes: number }>
  /** Where to go on; undefined: this was the last page. */
  readonly next: Cursor | undefined
}

export type IngestError = ImageError | WriteError | ReadError

export class ImageLibrary extends Context.Service<
  ImageLibrary,
  {
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
    readonly master: (id: string) => Effect.Effect<Chain.Found | Chain.NotFound, ReadError>
    readonly header: (id: string) => Effect.Effect<Chain.FoundHeader | Chain.NotFound, ReadError>
    /** A variant, made if nobody has it; `NotFound` if there is no master. */
    readonly variant: (
      id: string,
      preset: Preset.Preset
    ) => Effect.Effect<VariantOf | Chain.NotFound, Chain.MakeError | ReadError | TierError>
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
    ) => Effect.Effect<Removed, WriteError | ReadError | E>
    readonly list: (
      limit: number,
      prefix: string | undefined,
      after: Cursor | undefined
    ) => Effect.Effect<Page, TierError>
    readonly presets: ReadonlyMap<string, ServedPreset>
    /**
     * Where a master, or a variant, lies; `NotFound` if there is no master. No variant is made for it, and no body read but
     * that of a master that only an origin has.
     */
    readonly locate: (
      id: string,
      preset: Preset.Preset | undefined
    ) => Effect.Effect<Placement.Placement | Chain.NotFound, ReadError>
    /** Where a record says that an image is which no tier has: a URL of http or https. */
    readonly elsewhere: (id: string) => Effect.Effect<string | undefined, TierError>
    /** What the tiers have of an image, or of a variant and its master; see `Chain.explain`. */
    readonly explain: (id: string, preset: Preset.Preset | undefined) => Effect.Effect<Explanation.Explained>
    /** Succeeds if the store answers now. */
    readonly ready: Effect.Effect<void, ChainUnavailable>
    readonly status: Effect.Effect<ReadonlyArray<TierStatus.ChainReport>>
  }
>()("@terrace/image-server/ImageLibrary") {}

export interface VariantOf {
  readonly _tag: "Found"
  readonly found: Chain.Found
  readonly master: Header.Header
}

/** A conditional removal: what it took, and the generation up to which the rest of the image goes too. */
interface Ceiling {
  readonly upTo: Generation
  readonly tiers: ReadonlyArray<Chain.TierReceipt>
  readonly removed: Header.Header | undefined
}

type VariantError = ReadError | MasterChanged | TierError

export const make = Effect.fnUntraced(function* (options: Options) {
  const engine = yield* Images
  const { bus, leases, records } = options
  const { caches, revalidateAfter, store } = options.masters
  const originals = yield* Chain.make({ name: "originals", caches: [], store, bus })
  const ofMasters = { name: "masters", caches, store, revalidateAfter, bus, leases }
  const origin = options.origin?.(originals)
  const masters: Chain.Chain<never, OriginError<OriginFailure>> = origin === undefined
    ? yield* Chain.make(ofMasters)
    : yield* Chain.make({ ...ofMasters, origin })
  const variants = yield* Chain.make<VariantError>({ name: "variants", caches: options.variants.caches, bus, leases })

  // One write of an id at a time, so that what belongs together (a master, its original) changes together.
  const locks = Array.from({ length: 64 }, () => Semaphore.makeUnsafe(1))
  const alone = <A, E>(id: string, write: Effect.Effect<A, E>): Effect.Effect<A, E> => {
    const lock = locks[crc32(id) % locks.length]
    return lock === undefined ? write : lock.withPermit(write)
  }

  /**
   * The stored master as a write must know it: what is decided on a copy that could not be compared with the store may be
   * decided on another image.
   */
  const current = (id: string, asked?: Chain.HeadOptions): Effect.Effect<Header.Header | undefined, ReadError> =>
    Effect.flatMap(masters.head(ImageKeys.master(id), asked), (answer) =>
      Trail.isUnconfirmed(answer.trail)
        ? Effect.fail(unavailable(ImageKeys.master(id), answer.trail.steps))
        : Effect.succeed(headerOf(answer))
    )

  const catalog = records && (yield* Catalog.make({ records, alone, current: (id) => current(id, { origin: false }) }))

  /** Asks the precondition, writes, and starts over if another node's write came between. */
  const conditionally = <A, E, WE>(
    id: string,
    precondition: Precondition<E>,
    write: (
      expected: Generation | "absent" | undefined,
      current: Header.Header | undefined,
      isLast: boolean
    ) => Effect.Effect<A, WE | Conflict>
  ): Effect.Effect<A, WE | Conflict | E | ReadError> => {
    const attempt = (left: number): Effect.Effect<A, WE | Conflict | E | ReadError> =>
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

  const ingest: ImageLibrary["Service"]["ingest"] = (id, bytes, attributes, precondition) =>
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
          const known = options.keepOriginal && !isLast ? (replaced?.generation ?? "absent") : undefined
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
          return options.keepOriginal
            ? Originals.storing(
                originals,
                { id, original, digest, replaced, current: current(id, { origin: false }) },
                storeMaster
              )
            : origin === undefined
              ? storeMaster
              : Effect.tap(storeMaster, () => Originals.forgetReplaced(originals, id, replaced, digest))
        })
      )
    })

  const variant: ImageLibrary["Service"]["variant"] = (id, preset) => {
    const attempt = (left: number): ReturnType<ImageLibrary["Service"]["variant"]> =>
      Effect.flatMap(masters.head(ImageKeys.master(id)), (master) => {
        if (master._tag === "NotFound") return Effect.succeed(master)
        const { header, trail } = master
        return variants.getOrMake(ImageKeys.variant(header, preset), render(header, preset)).pipe(
          Effect.map((found): VariantOf => ({ _tag: "Found", found: inDoubtWith(found, trail), master: header })),
          Effect.catchTag("MasterChanged", () =>
            left > 0
              ? attempt(left - 1)
              : Effect.fail(new ChainUnavailable({ chain: "variants", key: header.key.text, tiers: [] }))
          )
        )
      })
    return attempt(2)
  }

  const render = (header: Header.Header, preset: Preset.Preset): Effect.Effect<Chain.Draft, VariantError> =>
    Effect.gen(function* () {
      const master = yield* masters.get(header.key)
      if (master._tag === "NotFound" || master.blob.header.digest !== header.digest) {
        return yield* new MasterChanged({ id: header.key.group })
      }
      // A master that is streamed may be replaced before its first byte is read.
      const bytes = yield* Effect.catchReason(Body.toBytes(master.blob.body), "TierError", "Gone", () =>
        Effect.fail(new MasterChanged({ id: header.key.group }))
      )
      const rendered = yield* engine.render(bytes, preset)
      return { bytes: rendered.bytes, contentType: rendered.contentType }
    })

  const remove: ImageLibrary["Service"]["remove"] = (id, precondition) =>
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
      if (origin !== undefined && conditional?.removed !== undefined) {
        yield* Originals.forgetRemoved(originals, id, conditional.removed)
      }
      const rest = yield* masters.removeGroup(id, { upTo: conditional?.upTo })
      const made = yield* variants.removeGroup(id)
      return { masters: conditional?.tiers ?? rest.tiers, variants: made.tiers }
    })

  const list: ImageLibrary["Service"]["list"] = (limit, prefix, after) =>
    masters.scan({ groupPrefix: prefix, after }).pipe(
      Stream.filter((entry) => entry.key.name === ImageKeys.masterName),
      Stream.take(limit + 1),
      Stream.runCollect,
      Effect.map((entries) => ({
        images: entries.slice(0, limit).map(({ key, size }) => ({ id: key.group, bytes: size })),
        next: entries.length > limit ? entries[limit - 1]?.cursor : undefined
      }))
    )

  const explain: ImageLibrary["Service"]["explain"] = (id, preset) =>
    Effect.gen(function* () {
      const master = yield* masters.explain(ImageKeys.master(id))
      const { answer } = master
      if (preset === undefined || answer._tag === "NotFound") return { master, variant: undefined }
      // The chain may remember the header of a master that no tier can show now; variants are found by that.
      const remembered = Effect.orElseSucceed(Effect.map(masters.head(ImageKeys.master(id)), headerOf), () => undefined)
      const header = answer._tag === "Found" ? answer.header : yield* remembered
      return { master, variant: header && (yield* variants.explain(ImageKeys.variant(header, preset))) }
    })

  // Not by `head`, whose answer may be one that is remembered.
  const ready = Effect.flatMap(masters.explain(ImageKeys.probe), ({ answer, tiers }) =>
    answer._tag === "Unavailable" ? Effect.fail(unavailable(ImageKeys.probe, tiers)) : Effect.void
  )

  const chains: ReadonlyArray<TierStatus.Member> = [
    { chain: masters, tiers: tiersOf([...caches, store]) },
    ...(options.keepOriginal || origin !== undefined ? [{ chain: originals, tiers: tiersOf([store]) }] : []),
    { chain: variants, tiers: tiersOf(options.variants.caches) }
  ]

  return ImageLibrary.of({
    ready,
    ingest,
    master: (id) => masters.get(ImageKeys.master(id)),
    header: (id) => masters.head(ImageKeys.master(id)),
    variant,
    remove,
    list,
    presets: options.presets,
    locate: (id, preset) => Placement.locate({ masters, variants, store: store.tier.name }, id, preset),
    elsewhere: (id) => catalog?.elsewhere(id) ?? Effect.undefined,
    explain,
    status: TierStatus.report(chains)
  })
})

const tiersOf = (links: ReadonlyArray<Chain.Link>): ReadonlyArray<Tier> => links.map(({ tier }) => tier)

const headerOf = (answer: Chain.FoundHeader | Chain.NotFound): Header.Header | undefined =>
  answer._tag === "Found" ? answer.header : undefined

/** The error for a master of which the store could not say what it has. */
const unavailable = (key: Key.Key, steps: ReadonlyArray<Pick<Trail.Step, "tier" | "outcome">>): ChainUnavailable =>
  new ChainUnavailable({
    chain: "masters",
    key: key.text,
    tiers: steps.flatMap(({ outcome, tier }) =>
      outcome._tag === "Failed"
        ? [{ tier, why: outcome.reason }]
        : outcome._tag === "Skipped" || outcome._tag === "Unconfirmed"
          ? [{ tier, why: outcome.why }]
          : []
    )
  })

/** What stems from a master that could not be compared with the store is as uncertain, and says so. */
const inDoubtWith = (found: Chain.Found, master: Trail.Trail): Chain.Found =>
  Trail.isUnconfirmed(master)
    ? {
        ...found,
        trail: {
          ...found.trail,
          steps: [...found.trail.steps, ...master.steps.filter(({ outcome }) => outcome._tag === "Unconfirmed")]
        }
      }
    : found
