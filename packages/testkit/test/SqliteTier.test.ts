import { assert, describe, it } from "@effect/vitest"
import type * as Key from "@terrace/core/Key"
import type * as Tier from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import { Fixtures, TierSuite } from "@terrace/testkit"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
// Runs the suite on a tier in a file.
import "../examples/readme.ts"
import * as SqliteTier from "../examples/SqliteTier.ts"

/** The path of a database in a directory that is removed with the scope. */
const file = Effect.map(
  Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "terrace-sqlite-"))),
    (directory) => Effect.promise(() => rm(directory, { recursive: true }))
  ),
  (directory) => join(directory, "blobs.db")
)

/** A connection beside that of the tier, closed with the scope. */
const connect = (path: string) =>
  Effect.acquireRelease(
    Effect.sync(() => new DatabaseSync(path)),
    (database) => Effect.sync(() => database.close())
  )

const blob = Fixtures.blob({ group: "g", generation: 1, size: 3_000 })
const { key } = blob.header

const reasonOf = <A, R>(effect: Effect.Effect<A, TierError, R>) =>
  Effect.map(Effect.flip(effect), (error) => error.reason._tag)

const tagOf = (tier: Tier.Tier) => Effect.map(tier.get(key), (read) => read._tag)

TierSuite.suite("sqlite in memory", {
  tier: SqliteTier.SqliteTier,
  layer: SqliteTier.layer({ path: ":memory:" }),
  distinctKeys: 10_000
})

const damages = {
  body: "UPDATE blobs SET bytes = CAST(substr(bytes, 1, size - 1) || x'00' AS BLOB)",
  header: "UPDATE blobs SET header = 'damaged'",
  truncated: "UPDATE blobs SET bytes = substr(bytes, 1, size - 1)"
} satisfies Record<TierSuite.Damage, string>

describe("a SQLite file that is damaged behind the tier's back", () => {
  const damaging = TierSuite.cases.filter(({ requires }) => requires.damage === true && requires.streaming !== true)

  it.effect.each(damaging)("$name", (self) =>
    Effect.gen(function* () {
      const path = yield* file
      const tier = yield* SqliteTier.make({ path })
      const database = yield* connect(path)
      const damage = ({ group, name }: Key.Key, where: TierSuite.Damage) =>
        Effect.sync(() => {
          database.prepare(`${damages[where]} WHERE grp = ? AND name = ?`).run(group, name)
        })

      yield* TierSuite.run(self, tier, { damage })
    })
  )
})

describe("SqliteTier", () => {
  it.effect("a blob is there when the file is opened again", () =>
    Effect.gen(function* () {
      const path = yield* file
      yield* Effect.scoped(Effect.flatMap(SqliteTier.make({ path }), (tier) => tier.put(blob)))

      const tier = yield* SqliteTier.make({ path })

      assert.strictEqual(yield* tagOf(tier), "Hit")
      assert.deepStrictEqual(yield* tier.usage, { entries: 1, bytes: 3_000, exact: true })
    })
  )

  it.effect("put - newer wins among all tiers that have opened the file", () =>
    Effect.gen(function* () {
      const path = yield* file
      const [left, right] = [yield* SqliteTier.make({ path }), yield* SqliteTier.make({ path })]
      const at = (generation: number) => Fixtures.blob({ group: "g", generation })

      assert.deepStrictEqual(yield* left.put(at(5)), { _tag: "Stored" })
      assert.deepStrictEqual(yield* right.put(at(4)), { _tag: "Superseded", current: 5 })
      assert.deepStrictEqual(yield* right.put(at(6), { expected: 5 }), { _tag: "Stored" })
      assert.deepStrictEqual(yield* left.put(at(7), { expected: 5 }), { _tag: "Conflict", current: 6 })
      assert.deepStrictEqual(yield* left.remove(key, 5), { _tag: "Superseded", current: 6 })
    })
  )

  it.effect.each([
    { damage: "a byte of the body", sql: "UPDATE blobs SET bytes = zeroblob(size)" },
    { damage: "the length of the body", sql: "UPDATE blobs SET bytes = x'00'" },
    { damage: "the header", sql: "UPDATE blobs SET header = 'damaged'" },
    { damage: "the key", sql: "UPDATE blobs SET header = replace(header, 'g/master', 'h/master')" }
  ])("get - a row of which $damage is damaged reads as Miss, is removed, and can be put again", ({ sql }) =>
    Effect.gen(function* () {
      const path = yield* file
      const tier = yield* SqliteTier.make({ path })
      yield* tier.put(blob)
      const database = yield* connect(path)
      database.exec(sql)

      assert.strictEqual(yield* tagOf(tier), "Miss")

      assert.strictEqual((yield* tier.head(key))._tag, "Miss")
      assert.strictEqual((yield* tier.usage).entries, 0)
      assert.deepStrictEqual(yield* tier.put(blob, { expected: "absent" }), { _tag: "Stored" })
      assert.strictEqual(yield* tagOf(tier), "Hit")
    })
  )

  it.effect("put - fails with NoSpace where the database is full; what was there stays, and removing makes room", () =>
    Effect.gen(function* () {
      const tier = yield* SqliteTier.make({ path: yield* file, maxPages: 64 })
      const put = (generation: number, name: string) =>
        tier.put(Fixtures.blob({ group: "g", name, generation, size: 150_000 }))
      yield* tier.put(blob)
      yield* put(1, "large")

      const overwrite = yield* Effect.flip(put(2, "master"))
      assert.strictEqual(overwrite.reason._tag, "NoSpace")
      assert.isFalse(overwrite.isUnknownOutcome)

      const read = yield* tier.get(key)
      assert.isTrue(read._tag === "Hit" && read.blob.header.generation === 1)
      yield* tier.removeGroup("g", 1)
      assert.deepStrictEqual(yield* put(2, "master"), { _tag: "Stored" })
    })
  )

  it.effect("put - fails with Throttled while another process is writing; reads are answered", () =>
    Effect.gen(function* () {
      const path = yield* file
      const tier = yield* SqliteTier.make({ path })
      yield* tier.put(blob)
      const other = yield* connect(path)
      other.exec("BEGIN IMMEDIATE")

      assert.strictEqual(yield* reasonOf(tier.put(Fixtures.blob({ group: "g", generation: 2 }))), "Throttled")
      assert.strictEqual(yield* reasonOf(tier.remove(key, 1)), "Throttled")
      assert.strictEqual(yield* tagOf(tier), "Hit")
      other.exec("COMMIT")

      assert.deepStrictEqual(yield* tier.remove(key, 1), { _tag: "Removed" })
    })
  )

  it.effect("put - gives back the room of what has expired", () =>
    Effect.gen(function* () {
      const path = yield* file
      const tier = yield* SqliteTier.make({ path })
      yield* tier.put(Fixtures.blob({ group: "passing", expiresAt: 1 }))
      const database = yield* connect(path)
      database.exec("UPDATE blobs SET expires = 0")
      assert.strictEqual((yield* tier.usage).entries, 1)

      yield* tier.put(blob)

      assert.deepStrictEqual(yield* tier.usage, { entries: 1, bytes: 3_000, exact: true })
    })
  )

  it.effect("scan - lists more than a page, each key once, and refuses a cursor of another tier", () =>
    Effect.gen(function* () {
      const tier = yield* SqliteTier.make({ path: ":memory:" })
      for (let index = 0; index < 600; index++) yield* tier.put(Fixtures.blob({ group: `g${index}`, size: 1 }))

      const keys = (yield* Stream.runCollect(tier.scan())).map((entry) => entry.key.text)

      assert.strictEqual(keys.length, 600)
      assert.strictEqual(new Set(keys).size, 600)
      assert.strictEqual(yield* reasonOf(Stream.runDrain(tier.scan({ after: "no key" }))), "BadCursor")
    })
  )

  it.effect("make - fails with Denied where there is no directory, with Corrupt where the file is no database", () =>
    Effect.gen(function* () {
      const path = yield* file
      yield* Effect.promise(() => writeFile(path, "not a database, but long enough to be taken for one".repeat(100)))

      assert.strictEqual(yield* reasonOf(SqliteTier.make({ path })), "Corrupt")
      assert.strictEqual(yield* reasonOf(SqliteTier.make({ path: join(path, "below", "blobs.db") })), "Denied")
    })
  )

  it.effect("fails where its table was taken away, and never answers Miss", () =>
    Effect.gen(function* () {
      const path = yield* file
      const tier = yield* SqliteTier.make({ path })
      yield* tier.put(blob)
      const database = yield* connect(path)
      database.exec("DROP TABLE blobs")

      assert.strictEqual(yield* reasonOf(tier.get(key)), "Unknown")
      assert.strictEqual(yield* reasonOf(tier.put(blob)), "Unknown")
    })
  )

  it.effect("closes the file with its scope", () =>
    Effect.gen(function* () {
      const path = yield* file
      const tier = yield* Effect.scoped(SqliteTier.make({ path }))

      const error = yield* Effect.flip(tier.get(key))

      assert.strictEqual(error.reason._tag, "Unknown")
      const log = yield* Effect.exit(Effect.tryPromise(() => stat(`${path}-wal`)))
      assert.strictEqual(log._tag, "Failure", "the log was merged into the file when the last connection closed")
    })
  )
})
