/**
 * The groups of one server, page by page, by SCAN.
 */
import { type Operation, type TierError, Unavailable } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"
import type { Redis } from "ioredis"
import * as Blobs from "./Blobs.ts"
import * as Layout from "./Layout.ts"

export interface Page {
  /** Sorted, each once. */
  readonly groups: ReadonlyArray<string>
  /** Redis' cursor of the next page; `0`: this was the last. */
  readonly next: string
}

export const firstPage = "0"

/** Reads one page of about `count` keys, whatever they are, and answers the groups among them. */
export const read = (
  blobs: Blobs.Blobs,
  operation: Operation,
  server: Redis,
  { count, groupPrefix, page }: { readonly page: string; readonly count: number; readonly groupPrefix: string }
): Effect.Effect<Page, TierError> =>
  Blobs.admitted(
    blobs,
    operation,
    Blobs.commandBytes,
    async () => {
      const match = `${escaped(Layout.groupKey(blobs.prefix, groupPrefix).slice(0, -1))}*`
      const [next, keys] = await server.scan(page, "MATCH", match, "COUNT", count, "TYPE", "hash")
      const groups = keys.flatMap((key) => Layout.groupOf(blobs.prefix, key) ?? [])
      return { groups: [...new Set(groups)].sort(), next }
    },
    (why) => Effect.fail(Blobs.refusal(blobs, operation, why))
  )

/** Text that a pattern of Redis takes as it is. */
const escaped = (text: string): string => text.replace(/[\\*?[\]^-]/g, String.raw`\$&`)

/** An id of the process behind a server, new with every start; empty if the user may not ask. */
export const processId = (blobs: Blobs.Blobs, operation: Operation, server: Redis): Effect.Effect<string, TierError> =>
  Blobs.admitted(
    blobs,
    operation,
    Blobs.commandBytes,
    () => server.info("server"),
    (why) => Effect.fail(Blobs.refusal(blobs, operation, why))
  ).pipe(
    Effect.map((info) => /^run_id:(\w+)/m.exec(info)?.[1] ?? ""),
    Effect.catchReason("TierError", "Denied", () => Effect.succeed(""))
  )

export const restarted = (blobs: Blobs.Blobs, operation: Operation): TierError =>
  Blobs.trouble(
    blobs,
    operation,
    new Unavailable({ cause: new Error("a server was restarted while its keys were listed: list them anew") })
  )

/** The servers that hold keys, in the same order every time. */
export const servers = ({ connection }: Blobs.Blobs): ReadonlyArray<Redis> =>
  [...connection.masters()].sort((left, right) => (addressOf(left) < addressOf(right) ? -1 : 1))

const addressOf = ({ options: { host, port } }: Redis): string => `${host}:${port}`
