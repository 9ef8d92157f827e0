/**
 * What Redis does in one step, as Lua. Each script has one key, the hash of a group; see `Layout`.
 *
 * Times are those of the client's clock, as everywhere in Terrace. Generations are safe integers, which Lua's numbers
 * hold exactly; they are answered as the text they came as, because `tostring` would round them.
 */
import * as Script from "./Script.ts"

/**
 * `present` answers generation, digest and size of the blob of a name; nil if there is none, it has expired, or its bytes
 * are not as many as its header says.
 */
const present = `
local function present(key, name, now)
  local value = redis.call('HGET', key, 'h:' .. name)
  if not value then return nil end
  local generation, expires, size, digest = string.match(value, '^1 (%d+) (%S+) (%d+) (%x+) ')
  if not generation then return nil end
  if expires ~= '-' and now >= tonumber(expires) then return nil end
  if redis.call('HSTRLEN', key, 'p:' .. name) ~= tonumber(size) then return nil end
  if size == '0' and redis.call('HEXISTS', key, 'p:' .. name) == 0 then return nil end
  return generation, digest, size
end
local key, name = KEYS[1], ARGV[1]
`

/**
 * Stores a blob if it is the newer one. Arguments: name, header value, bytes, generation, digest, expected (or empty),
 * now, lifetime (0: for ever). Answers `stored`, `conflict` with what is there, or `superseded` by what is there.
 *
 * HSET is the first write: where it is refused, for want of memory or of rights, nothing has changed. No failure after it
 * ends the script, or an error would be answered for what has taken effect.
 *
 * The hash expires with the last of its blobs, which also lets policies such as `volatile-lru` evict it. Fields expire by
 * themselves from Redis 7.4 and Valkey 9 on; elsewhere each write of the group drops a few that have expired.
 */
export const put: Script.Script = Script.make(`${present}
local generation, digest, expected, now, lifetime = ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
local there, same = present(key, name, now)
if there == generation and same == digest then return {'stored'} end
if expected ~= '' and expected ~= (there or 'absent') then return {'conflict', there or 'absent'} end
if there and tonumber(there) >= tonumber(generation) then return {'superseded', there} end

local left = redis.call('PTTL', key)
redis.call('HSET', key, 'h:' .. name, ARGV[2], 'p:' .. name, ARGV[3])
if lifetime == 0 then
  if left >= 0 then redis.pcall('PERSIST', key) end
else
  redis.pcall('HPEXPIRE', key, lifetime, 'FIELDS', 2, 'h:' .. name, 'p:' .. name)
  local isAlone = left == -1 and redis.pcall('HLEN', key) == 2
  if left == -2 or isAlone or (left >= 0 and lifetime > left) then redis.pcall('PEXPIRE', key, lifetime) end
end

local some = redis.pcall('HRANDFIELD', key, 6)
for _, field in ipairs(some.err and {} or some) do
  local other = string.match(field, '^h:(.*)$')
  if other and not present(key, other, now) then redis.pcall('HDEL', key, field, 'p:' .. other) end
end
return {'stored'}
`)

/** Removes a blob. Arguments: name, generation, now. Answers `removed`, `absent` or `superseded` by what is there. */
export const remove: Script.Script = Script.make(`${present}
local there = present(key, name, tonumber(ARGV[3]))
if there and tonumber(there) > tonumber(ARGV[2]) then return {'superseded', there} end
redis.call('HDEL', key, 'h:' .. name, 'p:' .. name)
return {there and 'removed' or 'absent'}
`)

/**
 * Removes the blobs of a group. Arguments: nothing, generation, now. Answers how many were removed, how many are newer,
 * and the newest of those.
 */
export const removeGroup: Script.Script = Script.make(`${present}
local generation, now = tonumber(ARGV[2]), tonumber(ARGV[3])
local removed, newer, newest, gone = 0, 0, '', {}
for _, field in ipairs(redis.call('HKEYS', key)) do
  local member = string.match(field, '^h:(.*)$')
  if member then
    local there = present(key, member, now)
    if there and tonumber(there) > generation then
      newer = newer + 1
      if newest == '' or tonumber(there) > tonumber(newest) then newest = there end
    else
      if there then removed = removed + 1 end
      table.insert(gone, member)
    end
  end
end
if newer == 0 then
  redis.call('UNLINK', key)
else
  for _, member in ipairs(gone) do redis.call('HDEL', key, 'h:' .. member, 'p:' .. member) end
end
return {removed, newer, newest}
`)

/** Answers the header value of a blob, or nothing. Arguments: name, now. */
export const head: Script.Script = Script.make(`${present}
return present(key, name, tonumber(ARGV[2])) and redis.call('HGET', key, 'h:' .. name)
`)

/** Answers name and size of each blob of a group. Arguments: nothing, now. */
export const list: Script.Script = Script.make(`${present}
local found = {}
for _, field in ipairs(redis.call('HKEYS', key)) do
  local member = string.match(field, '^h:(.*)$')
  if member then
    local there, _, size = present(key, member, tonumber(ARGV[2]))
    if there then
      table.insert(found, member)
      table.insert(found, size)
    end
  end
end
return found
`)

/** Drops a blob if header value and bytes are still these. Arguments: name, header value, bytes. Answers 1 if so. */
export const drop: Script.Script = Script.make(`
local key, h, p = KEYS[1], 'h:' .. ARGV[1], 'p:' .. ARGV[1]
if redis.call('HGET', key, h) ~= ARGV[2] or (redis.call('HGET', key, p) or '') ~= ARGV[3] then return 0 end
redis.call('HDEL', key, h, p)
return 1
`)
