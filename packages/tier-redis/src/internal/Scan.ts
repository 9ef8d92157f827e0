/**
 * `scan`: server by server, page by page, groups and names of a page in the order of their text.
 *
 * SCAN promises that a key which is there from beginning to end is answered, whatever happens to others; so does this.
 */
import * as Key from "@terrace/core/Key"
import type * as Tier from "@terrace/core/Tier"
import { BadCursor, type Operation, type TierError } from "@terrace/core/TierError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Redis } from "ioredis"
import * as Blobs from "./Blobs.ts"
import * as Cursor from "./Cursor.ts"
import * as Layout from "./Layout.ts"
import * as Pages from "./Pages.ts"
import * as scripts from "./scripts.ts"

/** Keys of a page. A cursor grows by eight characters per group of a page. */
const pageKeys = 48

/** Groups of a page that are listed at the same time. */
const concurrency = 16

interface Servers {
  readonly clients: ReadonlyArray<Redis>
  readonly processIds: ReadonlyArray<string>
  readonly fingerprint: string
}

interface Position {
  readonly server: number
  readonly page: string
  /** What of the page is not listed again. */
  readonly after: Cursor.Cursor | undefined
}

export const scan = (
  blobs: Blobs.Blobs,
  { after, groupPrefix = "" }: Tier.ScanOptions = {}
): Stream.Stream<Tier.Entry, TierError> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const cursor = after === undefined ? undefined : Option.getOrUndefined(Cursor.decode(after))
      const badCursor = Blobs.trouble(blobs, "scan", new BadCursor({ cursor: after ?? "" }))
      if (after !== undefined && cursor === undefined) return Stream.fail(badCursor)
      const servers = yield* serversOf(blobs)
      // Another process of a server knows nothing of the cursor: from where it stands, keys would be missed.
      const isOwn = cursor === undefined || (cursor.servers === servers.fingerprint && servers.clients[cursor.server])
      if (!isOwn) return Stream.fail(badCursor)
      const start: Position = { server: cursor?.server ?? 0, page: cursor?.page ?? Pages.firstPage, after: cursor }
      return Stream.paginate<Position, Tier.Entry, TierError>(start, (position) =>
        pageAt(blobs, servers, position, groupPrefix)
      )
    })
  )

const serversOf = Effect.fnUntraced(function* (blobs: Blobs.Blobs): Effect.fn.Return<Servers, TierError> {
  const clients = Pages.servers(blobs)
  const processIds = yield* Effect.forEach(clients, (client) => Pages.processId(blobs, "scan", client), {
    concurrency: "unbounded"
  })
  return { clients, processIds, fingerprint: Cursor.serversOf(processIds) }
})

const pageAt = Effect.fnUntraced(function* (
  blobs: Blobs.Blobs,
  { clients, fingerprint, processIds }: Servers,
  { after, page, server }: Position,
  groupPrefix: string
): Effect.fn.Return<readonly [ReadonlyArray<Tier.Entry>, Option.Option<Position>], TierError> {
  const client = clients[server]
  if (client === undefined) return [[], Option.none()]
  const [{ groups, next }, processId] = yield* Effect.all(
    [Pages.read(blobs, "scan", client, { page, count: pageKeys, groupPrefix }), Pages.processId(blobs, "scan", client)],
    { concurrency: 2 }
  )
  if (processId !== processIds[server]) return yield* Pages.restarted(blobs, "scan")

  const listedBefore = after === undefined ? new Set<string>() : Cursor.fingerprintsOf(after)
  const left = groups.filter((group) => !listedBefore.has(Cursor.fingerprint(group)))
  const members = yield* Effect.forEach(left, (group) => membersOf(blobs, "scan", group), { concurrency })

  let listed = after?.listed ?? ""
  const entries = left.flatMap((group, index) => {
    const before = listed
    listed += Cursor.fingerprint(group)
    return (members[index] ?? [])
      .filter(({ key }) => group !== after?.group || key.name > after.name)
      .map(({ key, size }) =>
        entryOf({ servers: fingerprint, server, page, listed: before, group, name: key.name }, key, size)
      )
  })
  const following: Position =
    next === Pages.firstPage
      ? { server: server + 1, page: next, after: undefined }
      : { server, page: next, after: undefined }
  return [entries, following.server < clients.length ? Option.some(following) : Option.none()]
})

/** The cursor is made when it is asked for: most are not. */
const entryOf = (cursor: Cursor.Cursor, key: Key.Key, size: number): Tier.Entry => ({
  key,
  size,
  get cursor() {
    return Cursor.encode(cursor)
  }
})

interface Member {
  readonly key: Key.Key
  readonly size: number
}

/** The blobs of a group, by name. */
export const membersOf = Effect.fnUntraced(function* (
  blobs: Blobs.Blobs,
  operation: Operation,
  group: string
): Effect.fn.Return<ReadonlyArray<Member>, TierError> {
  const now = yield* Clock.currentTimeMillis
  const answer = yield* Blobs.run(blobs, operation, 0, scripts.list, Layout.groupKey(blobs.prefix, group), ["", now])
  if (!Array.isArray(answer)) return yield* Blobs.unexpected(blobs, operation, answer)
  const flat = answer as ReadonlyArray<unknown>
  const members: Array<Member> = []
  for (let index = 0; index + 1 < flat.length; index += 2) {
    const key = Key.make(group, String(flat[index]))
    if (key._tag === "Success") members.push({ key: key.success, size: Number(flat[index + 1]) })
  }
  return members.sort((left, right) => (left.key.name < right.key.name ? -1 : 1))
})
