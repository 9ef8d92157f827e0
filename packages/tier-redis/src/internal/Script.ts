/**
 * A Lua script on one key. It is sent by its SHA-1; a server that does not know it, after a restart, a failover or
 * `SCRIPT FLUSH`, gets its text.
 */
import type { Cluster, Redis } from "ioredis"
import { hash } from "node:crypto"

export interface Script {
  readonly lua: string
  readonly sha: string
}

export const make = (lua: string): Script => ({ lua, sha: hash("sha1", lua, "hex") })

export type Argument = string | number | Buffer

/** Strings in the reply are decoded as UTF-8. */
export const run = async (
  client: Redis | Cluster,
  { lua, sha }: Script,
  key: string,
  args: ReadonlyArray<Argument>
): Promise<unknown> => {
  try {
    return await client.call("evalsha", sha, 1, key, ...args)
  } catch (error) {
    // The server has done nothing.
    if (!(error instanceof Error) || !error.message.startsWith("NOSCRIPT")) throw error
    return client.call("eval", lua, 1, key, ...args)
  }
}
