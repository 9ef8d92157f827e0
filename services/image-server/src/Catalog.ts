/**
 * Keeps the catalog: a small record of each image for those who read it elsewhere, a projection of the master's header.
 *
 * The header is the truth. A record that could not be written is written later, from the header that the image has by then;
 * one that expires changes nothing that this server answers.
 */
import type { Header } from "@terrace/core/Header"
import { TierError, TimedOut, Unknown } from "@terrace/core/TierError"
import type { ImageCatalog } from "@terrace/legacy-base64/Catalog"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as ImageAttributes from "./ImageAttributes.ts"

/** Where the records are. */
export interface Records {
  readonly write: (header: Header) => Effect.Effect<void, TierError>
  /** Whether there was one. */
  readonly remove: (id: string) => Effect.Effect<boolean, TierError>
  /** The `cdn_url` of a record, if it is a URL of http or https. */
  readonly elsewhere: (id: string) => Effect.Effect<string | undefined, TierError>
}

export interface Catalog {
  /** Writes the record of a master, now or as soon as that is possible again. Takes at most a second. */
  readonly record: (header: Header) => Effect.Effect<"written" | "later">
  /** Removes the record of an image. Fails if that is not certain. */
  readonly forget: (id: string) => Effect.Effect<boolean, TierError>
  /** Where the record of an image says that it is, if it does. Takes at most a second. */
  readonly elsewhere: (id: string) => Effect.Effect<string | undefined, TierError>
  /** Writes the record of an image that was to be removed and may still be there, as soon as that is possible. */
  readonly restore: (id: string) => Effect.Effect<void>
  /** Records that are still to be written. */
  readonly pending: () => number
}

export interface Options {
  readonly records: Records
  /** The header of the master that is stored now. */
  readonly current: (id: string) => Effect.Effect<Header | undefined, { readonly message: string }>
  /** Runs an effect while no other write of the image runs. */
  readonly alone: <A, E>(id: string, effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
}

/** Names it in errors, as the records of `@terrace/legacy-base64/Catalog` do. */
export const catalogName = "catalog"

/** Records that may wait to be written; what is beyond that is told in the log, and written with the next upload. */
const maxPending = 10_000

const deadlines = { read: Duration.seconds(1), write: Duration.seconds(1), remove: Duration.seconds(5) }

/** Between one and sixty seconds apart. */
const schedule = Schedule.min([Schedule.exponential("1 second"), Schedule.spaced("1 minute")])

/** Records in Redis: the attributes of the upload, and the facts of the stored image. */
export const recordsOf = (catalog: ImageCatalog): Records => ({
  write: (header) =>
    Effect.mapError(
      catalog.write(header.key.group, {
        fields: ImageAttributes.ofCatalog(header),
        facts: ImageAttributes.factsOf(header)
      }),
      (error) =>
        error._tag === "TierError"
          ? error
          : new TierError({ tier: catalogName, operation: "put", reason: new Unknown({ cause: error }) })
    ),
  remove: catalog.remove,
  elsewhere: (id) =>
    catalog.read(id).pipe(
      Effect.map((metadata) => metadata?.cdnUrl),
      // One that was rewritten since it was found to have no image in it.
      Effect.catchTag("LegacyError", (error) =>
        Effect.as(Effect.logWarning(`record not read id=${id}`, error.message), undefined)
      )
    )
})

/**
 * Records that go with their image, and are never written: for old records without a catalog. A removed image would come
 * back from a record that stays.
 */
export const removalsOf = (records: Records): Records => ({ ...records, write: () => Effect.void })

export const make = ({ alone, current, records }: Options): Effect.Effect<Catalog, never, Scope.Scope> =>
  Effect.gen(function* () {
    const pending = new Set<string>()
    const isNeeded = Latch.makeUnsafe(false)

    const within = <A>(
      operation: "get" | "put" | "remove",
      duration: Duration.Duration,
      effect: Effect.Effect<A, TierError>
    ): Effect.Effect<A, TierError> =>
      Effect.timeoutOrElse(effect, {
        duration,
        orElse: () =>
          Effect.fail(
            new TierError({
              tier: catalogName,
              operation,
              reason: new TimedOut({ millis: Duration.toMillis(duration) })
            })
          )
      })

    const write = (header: Header): Effect.Effect<void, TierError> =>
      within("put", deadlines.write, records.write(header))

    const later = (id: string): void => {
      if (pending.size >= maxPending) return
      pending.add(id)
      isNeeded.openUnsafe()
    }

    /** Writes what the image has by now; nothing if it is gone. What fails goes behind the others, and holds none up. */
    const repair = (id: string) =>
      alone(
        id,
        Effect.flatMap(current(id), (header) => (header === undefined ? Effect.void : write(header))).pipe(
          Effect.andThen(Effect.sync(() => pending.delete(id))),
          Effect.tapError(() => Effect.sync(() => pending.delete(id) && pending.add(id)))
        )
      )

    const repairAll = Effect.suspend(() => Effect.forEach([...pending], repair, { discard: true }))

    yield* isNeeded.await.pipe(
      Effect.andThen(Effect.retry(repairAll, { schedule })),
      Effect.andThen(
        Effect.sync(() => {
          if (pending.size === 0) isNeeded.closeUnsafe()
        })
      ),
      Effect.forever,
      Effect.forkScoped
    )

    return {
      record: (header) =>
        Effect.matchEffect(write(header), {
          onSuccess: () => Effect.succeed("written" as const),
          onFailure: (error) => {
            const { group: id } = header.key
            later(id)
            return Effect.as(
              Effect.logWarning(
                pending.has(id) ? `catalog record written later id=${id}` : `catalog record not written id=${id}`,
                error.message
              ),
              "later" as const
            )
          }
        }),
      forget: (id) =>
        Effect.tap(within("remove", deadlines.remove, records.remove(id)), () => Effect.sync(() => pending.delete(id))),
      elsewhere: (id) => within("get", deadlines.read, records.elsewhere(id)),
      restore: (id) => Effect.sync(() => later(id)),
      pending: () => pending.size
    }
  })
