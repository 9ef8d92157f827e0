import { assert, describe, it } from "@effect/vitest"
import * as Catalog from "@terrace/legacy-base64/Catalog"
import * as Records from "@terrace/legacy-base64/Records"
import * as RedisConnection from "@terrace/tier-redis/RedisConnection"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { Admin, call, serverLayer } from "./support/Redis.ts"
import { dumps, facts } from "./support/written.ts"

/** Every counter that is not zero, as `name value: count`. */
const counted = Effect.map(Metric.snapshot, (series) =>
  series
    .filter(({ id }) => /^terrace_(legacy|catalog)_/.test(id))
    .flatMap(({ attributes, id, state, type }) =>
      type === "Counter" && state.count !== 0
        ? [`${id} ${Object.values(attributes ?? {}).join(" ")}: ${state.count}`]
        : []
    )
    .toSorted()
)

describe("metrics", () => {
  it.layer(serverLayer, { timeout: "60 seconds" })((it) => {
    it.effect("of records count what was read, taken apart, compacted and refused, by reason", () =>
      Effect.gen(function* () {
        const records = yield* Records.make()
        const admin = yield* Admin
        const record = Buffer.from(dumps({ base64_data: "QUJD" }))
        const fingerprint = Records.fingerprint(record)
        yield* call(admin, "SET", "image:a", record)
        yield* call(admin, "RPUSH", "image:list", "a")

        yield* records.read("a")
        yield* records.read("nothing")
        yield* Effect.flip(records.read("list"))
        yield* records.decode(record)
        yield* records.decode(Buffer.from("{}"))
        for (const bad of ["[]", "{", `{"base64_data": 1}`, `{"base64_data": "?"}`, `{"base64_data": "!"}`]) {
          yield* Effect.flip(records.decode(Buffer.from(bad)))
        }
        yield* records.compact("a", fingerprint, "{}")
        yield* records.compact("a", fingerprint, "{}")
        yield* records.compact("a", fingerprint, "[]")
        yield* records.compact("nothing", fingerprint, "{}")
        yield* records.countNoImage

        assert.deepStrictEqual(yield* counted, [
          "terrace_legacy_compactions changed: 1",
          "terrace_legacy_compactions compacted: 2",
          "terrace_legacy_compactions gone: 1",
          "terrace_legacy_reads absent: 1",
          "terrace_legacy_reads found: 1",
          "terrace_legacy_records image: 1",
          "terrace_legacy_records metadata: 1",
          "terrace_legacy_refusals InvalidBase64: 2",
          "terrace_legacy_refusals InvalidField: 1",
          "terrace_legacy_refusals InvalidJson: 1",
          "terrace_legacy_refusals NoImage: 1",
          "terrace_legacy_refusals NotAString: 1",
          "terrace_legacy_refusals NotAnObject: 1"
        ])
      })
    )

    it.effect("of the catalog count reads, writes and removals by outcome", () =>
      Effect.gen(function* () {
        const catalog = yield* Catalog.make()
        const admin = yield* Admin
        yield* call(admin, "SET", "image:broken", "{")

        yield* catalog.write("b", { fields: {}, facts })
        yield* Effect.flip(catalog.write("b", { fields: { cached: "no" }, facts }))
        yield* catalog.read("b")
        yield* catalog.read("nothing")
        yield* Effect.flip(catalog.read("broken"))
        yield* catalog.remove("b")
        yield* catalog.remove("b")

        assert.deepStrictEqual(yield* counted, [
          "terrace_catalog_reads absent: 1",
          "terrace_catalog_reads found: 1",
          "terrace_catalog_reads refused: 1",
          "terrace_catalog_removals absent: 1",
          "terrace_catalog_removals removed: 1",
          "terrace_catalog_writes refused: 1",
          "terrace_catalog_writes written: 1"
        ])
      })
    )
  })

  it.live("count what failed for want of a connection, and are gone with the scope", () =>
    Effect.gen(function* () {
      const connection = yield* RedisConnection.make({ url: "redis://127.0.0.1:1" })
      yield* Effect.gen(function* () {
        const records = yield* Records.make()
        const catalog = yield* Catalog.make()
        yield* Effect.flip(records.read("a"))
        yield* Effect.flip(records.compact("a", Records.fingerprint(Buffer.from("{}")), "{}"))
        yield* Effect.flip(catalog.read("a"))
        yield* Effect.flip(catalog.write("a", { fields: {}, facts }))
        yield* Effect.flip(catalog.remove("a"))

        assert.deepStrictEqual(yield* counted, [
          "terrace_catalog_reads failed: 1",
          "terrace_catalog_removals failed: 1",
          "terrace_catalog_writes failed: 1",
          "terrace_legacy_compactions failed: 1",
          "terrace_legacy_reads failed: 1"
        ])
      }).pipe(Effect.provideService(RedisConnection.RedisConnection, connection), Effect.scoped)

      assert.deepStrictEqual(yield* counted, [])
    })
  )
})
