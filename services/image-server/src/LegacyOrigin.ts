/**
 * The origin of images that are still kept as base64 in Redis: `image:<id>`, as the first servers wrote them.
 *
 * A record is read within a budget of bytes, decoded, and made into a master. Once the chain says that the store has the
 * master, the record is replaced by its metadata, by compare-and-set; before that the decoded bytes are stored as the
 * original, since the base64 is the only one there is.
 */
import type { Chain } from "@terrace/core/Chain"
import type { ChainUnavailable, WriteError } from "@terrace/core/ChainError"
import type { Header } from "@terrace/core/Header"
import type * as Key from "@terrace/core/Key"
import type * as Origin from "@terrace/core/Origin"
import { type Operation, Throttled, TierError, TimedOut, Unknown } from "@terrace/core/TierError"
import type { ImageError } from "@terrace/image/ImageError"
import type { Images } from "@terrace/image/Images"
import type { LegacyError } from "@terrace/legacy-base64/LegacyError"
import * as LegacyRecord from "@terrace/legacy-base64/LegacyRecord"
import type { Metadata } from "@terrace/legacy-base64/Metadata"
import { type Fingerprint, fingerprint, type LegacyRecords } from "@terrace/legacy-base64/Records"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as ImageAttributes from "./ImageAttributes.ts"
import * as ImageKeys from "./ImageKeys.ts"
import * as Originals from "./Originals.ts"
import type { Budget } from "./RequestBody.ts"

/** An old record that cannot become an image. It stays in Redis as it is. */
export class UnusableRecord extends Schema.TaggedError<UnusableRecord>(
  "@terrace/image-server/LegacyOrigin/UnusableRecord"
)("UnusableRecord", {
  id: Schema.String,
  /** One sentence that a client may see. */
  detail: Schema.String
}) {
  override get message(): string {
    return `the old record of ${this.id} cannot be used: ${this.detail}`
  }
}

export type OriginFailure = ImageError | UnusableRecord

export interface Options {
  readonly records: LegacyRecords
  readonly engine: Pick<Images["Service"], "normalise">
  /** Where originals are kept; undefined: they are not. */
  readonly originals: Chain | undefined
  /** Bytes that uploads and records hold together; enough for the largest record. */
  readonly budget: Budget
  /** Largest record that is read, in bytes. */
  readonly maxRecordBytes: number
}

/** Appears in trails, logs and metrics. */
const name = "legacy"

/** What a byte of a record costs of the budget: the record, its text and the decoded image are held at the same time. */
const weight = 3

/** A page full of old images waits its turn for the budget, as it does for the image engine. */
const queue = { patience: "20 seconds", maxWaiting: 512 } as const

/** Time that Redis has for one answer. */
const answerMillis = 5_000

/**
 * Of a whole read or release: neither the wait for the budget nor a store that is slow to take an original is a failure of
 * Redis, which has its own deadline for each answer.
 */
const deadline = "1 minute"

type Sighting = Origin.Sighting<OriginFailure>
type Holding = Origin.Holding<OriginFailure>
type Release = Origin.Release<OriginFailure>

/** `drop` lets go of the decoded image. */
interface Sighted {
  readonly sighting: Sighting
  readonly drop: Effect.Effect<unknown>
}

const nothing: Sighting = { _tag: "Nothing" }
const letGo: Sighting = { _tag: "LetGo" }
const busy: Sighting = { _tag: "Skipped", why: "busy" }
const absent: Sighted = { sighting: nothing, drop: Effect.void }
const released: Release = { _tag: "Released" }
const gone: Release = { _tag: "Gone" }

const lost = "the old record went while redis did not answer, its image is kept"

export const make = ({
  budget,
  engine,
  maxRecordBytes,
  originals,
  records: patient
}: Options): Origin.Origin<OriginFailure> => {
  const records: Pick<LegacyRecords, "read" | "size" | "compact"> = {
    read: (id) => inTime("get", patient.read(id)),
    size: (id) => inTime("head", patient.size(id)),
    compact: (id, before, after) => inTime("put", patient.compact(id, before, after))
  }

  /** What Redis has of an image. A record that cannot be used is held too: making an image of it says why. */
  const sight = (id: string): Effect.Effect<Sighted, TierError> =>
    Effect.gen(function* () {
      const record = yield* records.read(id)
      if (record === undefined) return absent
      const { image, metadata } = yield* patient.decode(record)
      return image === undefined
        ? { sighting: letGo, drop: Effect.void }
        : holding(id, fingerprint(record), image, metadata)
    }).pipe(
      Effect.catchTag("LegacyError", (error) => Effect.succeed({ sighting: unusable(id, error), drop: Effect.void }))
    )

  const unusable = (id: string, error: LegacyError): Holding => ({
    _tag: "Holding",
    make: Effect.fail(new UnusableRecord({ id, detail: error.message }))
  })

  const holding = (id: string, before: Fingerprint, image: Uint8Array, metadata: Metadata): Sighted => {
    let held: Uint8Array | undefined = image
    let takeBack: Effect.Effect<void> | undefined = originals === undefined ? Effect.void : undefined
    /** Redis was out of reach since the record was read: one that is not there any more may have been lost, or have expired. */
    let hasFailed = false

    /** Sees to it that the original is kept. Answers what takes it back; undefined: the record is another one, or gone. */
    const keep = Effect.fnUntraced(function* (chain: Chain, stored: Header) {
      const bytes = held ?? (yield* readAgain(id, before))
      if (bytes === undefined) return undefined
      const { contentType } = ImageAttributes.decode(stored).source
      return yield* Originals.keeping(chain, id, stored.digest, { bytes, contentType })
    }, Effect.scoped)

    const made = Effect.fnUntraced(function* (bytes: Uint8Array) {
      const master = yield* Effect.catchTag(engine.normalise(bytes), "ImageError", (error) => refused(id, error))
      return {
        bytes: master.bytes,
        contentType: master.contentType,
        attributes: {
          ...(yield* ImageAttributes.ofRecord(ImageKeys.master(id), metadata.fields)),
          ...ImageAttributes.encode(master, bytes.byteLength)
        }
      }
    })
    const make = Effect.suspend(() =>
      held === undefined ? Effect.die(new Error(`the record of ${id} is held no longer`)) : made(held)
    )

    /** Called again after a failure: what it has done by then is not done anew. */
    const release = (stored: Header): Effect.Effect<Release, TierError> =>
      Effect.gen(function* () {
        if (originals !== undefined) takeBack ??= yield* keep(originals, stored)
        const after = LegacyRecord.compacted(metadata, ImageAttributes.factsOf(stored))
        const compacting = Effect.tapError(records.compact(id, before, after), () =>
          Effect.sync(() => (hasFailed = true))
        )
        const outcome = takeBack === undefined ? "changed" : yield* compacting
        if (outcome === "compacted") return released
        const { drop, sighting: now } = outcome === "gone" ? absent : yield* sight(id)
        if (now._tag === "Holding") {
          // No scope pays for it: it is held no longer than it takes to make its master.
          const briefly = { ...now, make: Effect.ensuring(now.make, drop) }
          return {
            _tag: "Changed",
            holding: inPlaceOf(stored.digest, takeBack ?? Effect.void, briefly)
          } satisfies Release
        }
        // Without an image in it, it is what another node, or an upload, has left there.
        if (now._tag !== "Nothing") return released
        // What is stored may be all that is left of the image.
        if (hasFailed) return yield* Effect.as(Effect.logWarning(`${lost} id=${id}`), released)
        yield* takeBack ?? Effect.void
        return gone
      }).pipe(Effect.mapError(asTierError))

    return { sighting: { _tag: "Holding", make, release }, drop: Effect.sync(() => (held = undefined)) }
  }

  /** The image of a record once more, if that is still the same one. */
  const readAgain = (id: string, before: Fingerprint) =>
    Effect.gen(function* () {
      yield* Effect.mapError(
        budget.takeInTurn(weight * before.bytes, queue),
        (cause) => new TierError({ tier: name, operation: "get", reason: new Throttled({ cause }) })
      )
      const record = yield* records.read(id)
      if (record === undefined || fingerprint(record).sha1 !== before.sha1) return undefined
      return (yield* patient.decode(record)).image
    }).pipe(Effect.catchTag("LegacyError", () => Effect.undefined))

  /** Once the new content is stored, the original of the old one goes, unless both have the same master. */
  const inPlaceOf = (digest: string, takeBack: Effect.Effect<void>, holding: Holding): Holding => ({
    ...holding,
    release:
      holding.release &&
      ((stored) =>
        Effect.andThen(
          stored.digest === digest ? Effect.void : takeBack,
          holding.release?.(stored) ?? Effect.succeed(released)
        ))
  })

  /** What is wrong with an image stays wrong; a server that is busy may do it later. */
  const refused = (id: string, error: ImageError): Effect.Effect<never, OriginFailure> =>
    error.reason._tag === "Busy" || error.reason._tag === "TimedOut"
      ? Effect.fail(error)
      : Effect.andThen(patient.countNoImage, Effect.fail(new UnusableRecord({ id, detail: error.message })))

  const read = (key: Key.Key): Effect.Effect<Sighting, TierError, Scope.Scope> =>
    Effect.gen(function* () {
      if (key.name !== ImageKeys.masterName) return nothing
      const bytes = yield* records.size(key.group)
      if (bytes === 0) return nothing
      const isTaken = yield* Effect.isSuccess(budget.takeInTurn(weight * Math.min(bytes, maxRecordBytes), queue))
      if (!isTaken) return busy
      const { drop, sighting } = yield* sight(key.group)
      // What is paid for by the scope is held no longer.
      yield* Effect.addFinalizer(() => drop)
      return sighting
    })

  return {
    name,
    policy: { deadline },
    has: (key) =>
      key.name === ImageKeys.masterName
        ? Effect.map(records.size(key.group), (bytes) => bytes > 0)
        : Effect.succeed(false),
    read
  }
}

const inTime = <A, E>(operation: Operation, effect: Effect.Effect<A, E>): Effect.Effect<A, E | TierError> =>
  Effect.timeoutOrElse(effect, {
    duration: answerMillis,
    orElse: () => Effect.fail(new TierError({ tier: name, operation, reason: new TimedOut({ millis: answerMillis }) }))
  })

/** Trouble with originals says nothing of Redis, whose breaker counts what comes from here. */
const asTierError = (error: WriteError | ChainUnavailable): TierError =>
  error._tag === "TierError" && error.tier === name
    ? error
    : new TierError({ tier: name, operation: "remove", reason: new Unknown({ cause: error }) })
