/**
 * A storage tier in one SQLite file: what a third party writes to join a chain.
 *
 * Limits: a body is read and written whole, at most 16 MiB, while the thread waits; a deadline cannot end a call that has
 * begun. Blobs past `expiresAt` give back their room with the next write. Needs `node:sqlite` (Node 24).
 */
import * as Body from "@terrace/core/Body"
import * as Header from "@terrace/core/Header"
import * as Key from "@terrace/core/Key"
import * as Tier from "@terrace/core/Tier"
import * as Trouble from "@terrace/core/TierError"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { DatabaseSync } from "node:sqlite"

export class SqliteTier extends Context.Service<SqliteTier, Tier.Tier>()("@terrace/testkit/examples/SqliteTier") {}

export interface Options {
  /** File of the database, made if missing, in a directory that exists; or `:memory:`. */
  readonly path: string
  /** Unique in a chain. Default: `sqlite`. */
  readonly name?: string | undefined
  /** Most pages of the database, of 4 KiB. Default: no limit but the device. */
  readonly maxPages?: number | undefined
}

// A commit is on the disk before it is acknowledged: FULL flushes the log, EXTRA also the directory where there is none.
// What never expires does so at infinity. `bytes` is last: the columns before it are read without it.
const schema = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = EXTRA;
  CREATE TABLE IF NOT EXISTS blobs (
    id INTEGER PRIMARY KEY,
    grp TEXT NOT NULL,
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    expires REAL NOT NULL,
    size INTEGER NOT NULL,
    header TEXT NOT NULL,
    bytes BLOB NOT NULL,
    UNIQUE (grp, name)
  ) STRICT;
  CREATE INDEX IF NOT EXISTS blobs_by_expiry ON blobs (expires);
  CREATE INDEX IF NOT EXISTS blobs_by_size ON blobs (size);`

// No character of a group sorts after "~": the groups that begin with a prefix end before it followed by "~".
const prepare = (database: DatabaseSync) => ({
  blob: database.prepare("SELECT id, header, bytes FROM blobs WHERE grp = ? AND name = ? AND expires > ?"),
  header: database.prepare("SELECT header FROM blobs WHERE grp = ? AND name = ? AND expires > ?"),
  generation: database.prepare("SELECT generation FROM blobs WHERE grp = ? AND name = ?"),
  newest: database.prepare("SELECT count(*) AS members, max(generation) AS generation FROM blobs WHERE grp = ?"),
  page: database.prepare(`SELECT grp AS "group", name, size FROM blobs
    WHERE (grp, name) > (?, ?) AND grp < ? || '~' AND expires > ? ORDER BY grp, name LIMIT ?`),
  usage: database.prepare("SELECT count(*) AS entries, ifnull(sum(size), 0) AS bytes FROM blobs"),
  store: database.prepare(`INSERT OR REPLACE
    INTO blobs (grp, name, generation, expires, size, header, bytes) VALUES (?, ?, ?, ?, ?, ?, ?)`),
  remove: database.prepare("DELETE FROM blobs WHERE grp = ? AND name = ?"),
  removeGroup: database.prepare("DELETE FROM blobs WHERE grp = ? AND generation <= ?"),
  removeExpired: database.prepare("DELETE FROM blobs WHERE expires <= ?"),
  removeDamaged: database.prepare("DELETE FROM blobs WHERE id = ? AND header = ?")
})

type HeaderRow = { readonly header: string }
type BlobRow = { readonly id: number; readonly header: string; readonly bytes: Uint8Array }
type Position = { readonly group: string; readonly name: string }
type PageRow = Position & { readonly size: number }
type Counted = { readonly entries: number; readonly bytes: number }

/** Largest body, in bytes. */
const maxBytes = 16_777_216
/** Before every key. */
const beginning: Position = { group: "", name: "" }
const pageRows = 256
/** How long a writer waits for another one, in milliseconds; the thread waits with it. */
const busyMillis = 50

/** Opens the database; it is closed with the scope. */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Tier.Tier, Trouble.TierError, Scope.Scope> {
  const tier = options.name ?? "sqlite"
  const trouble = (operation: Trouble.Operation, reason: Trouble.Reason) =>
    new Trouble.TierError({ tier, operation, reason })
  const attempt = <A>(operation: Trouble.Operation, run: (now: number) => A) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) =>
      Effect.try({ try: () => run(now), catch: (cause) => trouble(operation, reasonOf(cause)) })
    )

  const database = yield* Effect.acquireRelease(
    attempt("open", () => new DatabaseSync(options.path, { timeout: busyMillis })),
    (open) => Effect.sync(() => open.close())
  )
  const statements = yield* attempt("open", () => {
    database.exec(schema)
    if (options.maxPages !== undefined) database.exec(`PRAGMA max_page_count = ${options.maxPages}`)
    return prepare(database)
  })

  /** Runs `write` alone among all writers of the file, without what has expired: all of it takes effect, or nothing. */
  const transact = <A>(operation: Trouble.Operation, write: (now: number) => A) =>
    attempt(operation, (now) => {
      database.exec("BEGIN IMMEDIATE")
      try {
        statements.removeExpired.run(now)
        const answer = write(now)
        database.exec("COMMIT")
        return answer
      } finally {
        if (database.isTransaction) database.exec("ROLLBACK")
      }
    })

  const inFile = options.path !== ":memory:"
  let corrupted = 0
  return {
    name: tier,
    capabilities: {
      streaming: false,
      ranges: false,
      atomicPut: inFile ? "shared" : "process",
      durable: inFile,
      persistent: inFile,
      shared: inFile,
      list: true,
      nativeExpiry: false,
      maxBytes
    },

    get: Effect.fnUntraced(function* (key) {
      const row = yield* attempt("get", (now) => statements.blob.get(key.group, key.name, now) as BlobRow | undefined)
      if (row === undefined) return Tier.miss
      const header = headerOf(key, row)
      if (header !== undefined && Header.matches(header, row.bytes)) {
        return Tier.hit({ header, body: Body.inline(row.bytes) })
      }
      corrupted++
      yield* attempt("get", () => statements.removeDamaged.run(row.id, row.header))
      yield* Effect.logWarning(`${tier}: the row of ${key.text} is damaged and was removed`)
      return Tier.miss
    }),

    head: (key) =>
      attempt("head", (now) => {
        const header = headerOf(key, statements.header.get(key.group, key.name, now) as HeaderRow | undefined)
        return header === undefined ? Tier.miss : Tier.hitHeader(header)
      }),

    put: Effect.fnUntraced(function* ({ body, header }, putOptions) {
      const { group, name, text } = header.key
      if (body._tag === "Streamed") return yield* trouble("put", new Trouble.Unsupported({ capability: "streaming" }))
      const encoded = yield* Effect.result(Header.encode(header))
      if (encoded._tag === "Failure" || body.bytes.byteLength > maxBytes) return Tier.declined("too-large")
      const kept = headerOf(header.key, { header: encoded.success })
      if (kept === undefined || !Header.verifies(header, body.bytes)) {
        const detail = `${text} has a header that cannot be read back, or bytes that are not those of its header`
        return yield* trouble("put", new Trouble.Corrupt({ detail }))
      }
      return yield* transact("put", (now) => {
        if (Header.isExpired(header, now)) return Tier.declined("expired")
        const present = headerOf(header.key, statements.header.get(group, name, now) as HeaderRow | undefined)
        const refusal = Tier.refusal(header, present, putOptions?.expected)
        if (refusal !== undefined) return refusal
        const expires = header.expiresAt ?? Infinity
        statements.store.run(group, name, header.generation, expires, header.size, encoded.success, body.bytes)
        return Tier.stored
      })
    }),

    remove: ({ group, name }, generation) =>
      transact("remove", (): Tier.Removal => {
        const present = statements.generation.get(group, name) as { readonly generation: number } | undefined
        if (present === undefined) return Tier.absent
        if (present.generation > generation) return { _tag: "Superseded", current: present.generation }
        statements.remove.run(group, name)
        return Tier.removed
      }),

    removeGroup: (group, generation) =>
      transact("removeGroup", (): Tier.GroupRemoval => {
        const removed = Number(statements.removeGroup.run(group, generation).changes)
        const newer = statements.newest.get(group) as { readonly members: number; readonly generation: number | null }
        return { _tag: "Removed", removed, superseded: newer.members, current: newer.generation ?? undefined }
      }),

    scan: ({ after, groupPrefix = "" } = {}) => {
      const cursor = after === undefined ? Result.succeed(beginning) : Key.parse(after)
      if (cursor._tag === "Failure") {
        return Stream.fail(trouble("scan", new Trouble.BadCursor({ cursor: after ?? "" })))
      }
      const start = cursor.success.group < groupPrefix ? { group: groupPrefix, name: "" } : cursor.success
      return Stream.paginate<Position, Tier.Entry, Trouble.TierError>(start, ({ group, name }) =>
        attempt("scan", (now) => {
          const rows = statements.page.all(group, name, groupPrefix, now, pageRows) as Array<PageRow>
          const last = rows.length < pageRows ? undefined : rows.at(-1)
          return [rows.flatMap(entryOf), Option.fromNullishOr(last)]
        })
      )
    },

    usage: attempt("usage", () => ({ ...(statements.usage.get() as Counted), exact: true })),
    corrupted: () => corrupted
  }
})

export const layer = (options: Options): Layer.Layer<SqliteTier, Trouble.TierError> =>
  Layer.effect(SqliteTier, make(options))

/** None if there is no row, or a damaged one. */
const headerOf = (key: Key.Key, row: HeaderRow | undefined) => {
  const header = row === undefined ? undefined : Option.getOrUndefined(Header.decode(row.header))
  return header?.key.text === key.text ? header : undefined
}

/** None if the row is damaged. */
const entryOf = ({ group, name, size }: PageRow): ReadonlyArray<Tier.Entry> => {
  const key = Key.make(group, name)
  return key._tag === "Success" ? [{ key: key.success, size, cursor: key.success.text }] : []
}

/** What a failure of SQLite means; its result codes: https://sqlite.org/rescode.html. */
const reasonOf = (cause: unknown): Trouble.Reason => {
  const code = cause instanceof Error && "errcode" in cause ? Number(cause.errcode) & 0xff : 0
  switch (code) {
    case 5: // BUSY
    case 6: // LOCKED
      return new Trouble.Throttled({ cause })
    case 10: // IOERR: of a commit, too, which may have taken effect
      return new Trouble.Unavailable({ cause })
    case 3: // PERM
    case 8: // READONLY
    case 14: // CANTOPEN
      return new Trouble.Denied({ cause })
    case 13: // FULL
      return new Trouble.NoSpace({ detail: "the database has no room for the blob" })
    case 11: // CORRUPT
    case 26: // NOTADB
      return new Trouble.Corrupt({ detail: "the file is no intact database" })
    default:
      return new Trouble.Unknown({ cause })
  }
}
