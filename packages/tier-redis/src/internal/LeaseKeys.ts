/**
 * A lease in Redis: a key that holds the token of its holder and expires by itself. Each step is one script.
 *
 * `SET NX PX` and a release that compares: https://redis.io/docs/latest/commands/set/#patterns. It is a lock of one server,
 * which a failover may give to two; nothing here relies on there being one holder.
 */
import type { Subject } from "@terrace/core/Leases"
import * as Script from "./Script.ts"

/** The braces keep it in the slot of its group. */
export const keyOf = (prefix: string, { chain, key }: Subject): string =>
  `${prefix}:l:{${key.group}}:${key.name}:${chain}`

export const channelOf = (prefix: string): string => `${prefix}:leases`

/**
 * Arguments: token, life in milliseconds. Answers -1 if the lease was given, else how long that of another still lives. One
 * that would live for ever, which is none of ours (a `PERSIST` by hand, a copied database), lives that long from now on.
 */
export const take: Script.Script = Script.make(`
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return -1 end
local left = redis.call('PTTL', KEYS[1])
if left >= 0 then return left end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return tonumber(ARGV[2])
`)

/** Arguments: token, life in milliseconds. Answers 1 if the lease is still held by this token. */
export const renew: Script.Script = Script.make(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`)

/** Arguments: token, channel. Ends the lease if it is held by this token, and tells whoever waits. */
export const release: Script.Script = Script.make(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.pcall('PUBLISH', ARGV[2], KEYS[1])
return 1
`)
