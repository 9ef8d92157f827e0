/**
 * The images of one deployment: masters in a chain with a store, variants in a chain that can make them again.
 *
 * Knows nothing of HTTP. A master is the blob `<id>/master`; a variant is named after the master's digest and what renders
 * it, so that a variant of an older master can never be reached.
 */
import * as Chain from "@terrace/core/Chain"
import { ChainUnavailable } from "@terrace/core/ChainError"
import type * as Header from "@terrace/core/Header"
import * as Body from "@terrace/core/Body"
import type { Bus } from "@terrace/core/Bus"
import type { Leases } from "@terrace/core/Leases"
import type { Origin } from "@terrace/core/Origin"
import type { Cursor, Tier } from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import * as Trail from "@terrace/core/Trail"
import { Images } from "@terrace/image/Images"
import type * as Preset from "@terrace/image/Preset"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Catalog from "./Catalog.ts"
import type * as Explanation from "./Explanation.ts"
import * as ImageKeys from "./ImageKeys.ts"
import type { Mode } from "./Delivery.ts"
import * as Placement from "./Placement.ts"
import type { OriginFailure } from "./LegacyOrigin.ts"
import * as Masters from "./Masters.ts"
import * as TierStatus from "./TierStatus.ts"
import * as Writes from "./Writes.ts"

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

/** The master was replaced or removed while a variant of it was being made. */
class MasterChanged extends Schema.TaggedError<MasterChanged>("@terrace/image-server/ImageLibrary/MasterChanged")(
  "MasterChanged",
  { id: Schema.String }
) {}

export interface Page {
  readonly images: ReadonlyArray<{ readonly id: string; readonly bytes: number }>
  /** Where to go on; undefined: this was the last page. */
  readonly next: Cursor | undefined
}

export class ImageLibrary extends Context.Service<
  ImageLibrary,
  {
    readonly ingest: Writes.Writes["ingest"]
    readonly master: (id: string) => Effect.Effect<Chain.Found | Chain.NotFound, Masters.ReadError>
    readonly header: (id: string) => Effect.Effect<Chain.FoundHeader | Chain.NotFound, Masters.ReadError>
    /** A variant, made if nobody has it; `NotFound` if there is no master. */
    readonly variant: (
      id: string,
      preset: Preset.Preset
    ) => Effect.Effect<VariantOf | Chain.NotFound, Chain.MakeError | Masters.ReadError | TierError>
    readonly remove: Writes.Writes["remove"]
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
    ) => Effect.Effect<Placement.Placement | Chain.NotFound, Masters.ReadError>
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

type VariantError = Masters.ReadError | MasterChanged | TierError

export const make = Effect.fnUntraced(function* (options: Options) {
  const engine = yield* Images
  const { bus, leases, records } = options
  const { caches, revalidateAfter, store } = options.masters
  const originals = yield* Chain.make({ name: "originals", caches: [], store, bus })
  const ofMasters = { name: "masters", caches, store, revalidateAfter, bus, leases }
  const origin = options.origin?.(originals)
  const masters: Masters.Masters =
    origin === undefined ? yield* Chain.make(ofMasters) : yield* Chain.make({ ...ofMasters, origin })
  const variants = yield* Chain.make<VariantError>({ name: "variants", caches: options.variants.caches, bus, leases })

  const alone = Writes.makeAlone()
  const current = (id: string) => Masters.current(masters, id, { origin: false })
  const catalog = records && (yield* Catalog.make({ records, alone, current }))

  const { ingest, remove } = Writes.make({
    engine,
    masters,
    originals,
    variants,
    catalog,
    alone,
    keepOriginal: options.keepOriginal,
    hasOrigin: origin !== undefined
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
      const remembered = Effect.orElseSucceed(
        Effect.map(masters.head(ImageKeys.master(id)), Masters.headerOf),
        () => undefined
      )
      const header = answer._tag === "Found" ? answer.header : yield* remembered
      return { master, variant: header && (yield* variants.explain(ImageKeys.variant(header, preset))) }
    })

  // Not by `head`, whose answer may be one that is remembered.
  const ready = Effect.flatMap(masters.explain(ImageKeys.probe), ({ answer, tiers }) =>
    answer._tag === "Unavailable" ? Effect.fail(Masters.unavailable(ImageKeys.probe, tiers)) : Effect.void
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
