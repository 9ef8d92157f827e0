/**
 * Replaces a record if it still is what it was, in one step.
 *
 * SHA-1 is the one digest that scripts of Redis have; whoever could make two records of the same SHA-1 may write any record
 * anyway. Together with the length it stands for the whole value, which would have to be sent to be compared as it is.
 *
 * Costs, for 4 MB on one core of a server: 14 ms in which Redis does nothing else, half of it to hand the value to the
 * script; 2 ms here for the SHA-1. Comparing with the value itself takes Redis as long, and WATCH needs a connection that
 * nobody else uses, and a second read.
 *
 * The script is sent whole, every time: a few hundred bytes once in the life of a record, and no server can have forgotten it.
 */

/**
 * Arguments: bytes and SHA-1 of the record that is expected, and the text that takes its place. Answers `compacted`,
 * `changed` or `gone`.
 *
 * A record that is that text already is `compacted`: a first try of the same call has landed, whose answer was lost.
 * `allow-oom`: it makes room, and would be refused exactly where there is none. Needs Redis 7.
 */
export const script = `#!lua flags=allow-oom
local current = redis.pcall('GET', KEYS[1])
if not current then return 'gone' end
if type(current) == 'table' then
  if string.find(current.err, '^WRONGTYPE') then return 'changed' end
  return current
end
if current == ARGV[3] then return 'compacted' end
if #current ~= tonumber(ARGV[1]) or redis.sha1hex(current) ~= ARGV[2] then return 'changed' end
redis.call('SET', KEYS[1], ARGV[3], 'KEEPTTL')
return 'compacted'
`
