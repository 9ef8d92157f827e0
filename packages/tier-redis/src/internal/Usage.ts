/**
 * `usage`: an estimate at a bounded cost. Redis counts keys of all kinds and knows nothing of groups; counters of our own
 * would be wrong after every eviction.
 *
 * Looks at some thousand keys of each server. If those are all, the groups are counted, else their share of the keys is
 * taken for that of all. What a group holds is the mean of a sample.
 */
import type * as Tier from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"
import type { Redis } from "ioredis"
import * as Blobs from "./Blobs.ts"
import * as Pages from "./Pages.ts"
import * as Scan from "./Scan.ts"

/** Of one server. */
const maxPages = 8
const pageKeys = 512
const maxSampled = 128

const concurrency = 16

interface Groups {
  readonly count: number
  readonly sample: ReadonlyArray<string>
}

export const usage = Effect.fnUntraced(function* (blobs: Blobs.Blobs): Effect.fn.Return<Tier.Usage, TierError> {
  const perServer = yield* Effect.forEach(Pages.servers(blobs), (server) => groupsOf(blobs, server))
  let entries = 0
  let bytes = 0
  for (const { count, sample } of perServer) {
    if (sample.length === 0) continue
    const members = yield* Effect.forEach(sample, (group) => Scan.membersOf(blobs, "usage", group), { concurrency })
    const perSampled = count / sample.length
    entries += members.flat().length * perSampled
    bytes += members.flat().reduce((sum, { size }) => sum + size, 0) * perSampled
  }
  return { bytes: Math.round(bytes), entries: Math.round(entries), exact: false }
})

const groupsOf = Effect.fnUntraced(function* (blobs: Blobs.Blobs, server: Redis): Effect.fn.Return<Groups, TierError> {
  const found = new Set<string>()
  let page = Pages.firstPage
  let pages = 0
  do {
    const read = yield* Pages.read(blobs, "usage", server, { page, count: pageKeys, groupPrefix: "" })
    for (const group of read.groups) found.add(group)
    page = read.next
    pages++
  } while (page !== Pages.firstPage && pages < maxPages)

  const sample = [...found].slice(0, maxSampled)
  if (page === Pages.firstPage) return { count: found.size, sample }
  const keys = yield* Blobs.admitted(
    blobs,
    "usage",
    Blobs.commandBytes,
    () => server.dbsize(),
    (why) => Effect.fail(Blobs.refusal(blobs, "usage", why))
  )
  return { count: found.size * Math.max(1, keys / (pages * pageKeys)), sample }
})
