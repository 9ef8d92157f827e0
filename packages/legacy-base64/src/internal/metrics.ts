/** Numbers that are read when the metrics are. Names and attributes are stable. */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"

export interface Counter {
  readonly name: keyof typeof descriptions
  readonly attributes: Readonly<Record<string, string>>
  readonly read: () => number
}

const descriptions = {
  terrace_legacy_reads: "Reads of old records",
  terrace_legacy_records: "Old records that were taken apart",
  terrace_legacy_refusals: "Old records that cannot be used, and stay as they are",
  terrace_legacy_compactions: "Tries to replace an old record by its metadata",
  terrace_catalog_reads: "Reads of catalog records",
  terrace_catalog_writes: "Writes of catalog records",
  terrace_catalog_removals: "Removals of catalog records"
} as const

/** One counter for each of the counts, whose names are values of the attribute. */
export const counters = (
  name: Counter["name"],
  attribute: string,
  counts: Readonly<Record<string, number>>
): ReadonlyArray<Counter> =>
  Object.keys(counts).map((value) => ({ name, attributes: { [attribute]: value }, read: () => counts[value] ?? 0 }))

/** Shows the counters, in the registry of the context, until the scope closes. */
export const observe = (counters: ReadonlyArray<Counter>): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(
    Effect.acquireRelease(
      Effect.map(Effect.context(), (context) =>
        counters.map(({ attributes, name, read }) =>
          Metric.registerUnsafe(
            Metric.counter(name, { description: descriptions[name], attributes, incremental: true }),
            context,
            { get: () => ({ count: read(), incremental: true }), update: () => {}, modify: () => {} }
          )
        )
      ),
      (registrations) =>
        Effect.sync(() => {
          for (const registration of registrations) registration.remove()
        })
    )
  )
