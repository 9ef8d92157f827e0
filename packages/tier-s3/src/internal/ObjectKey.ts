/**
 * Keys of objects: `<prefix><group>/<name>`.
 *
 * Every character of a key means itself in S3. Only the names `.` and `..` are written with a `!` before them, since URLs
 * give them another meaning on their way.
 */
import * as Key from "@terrace/core/Key"
import * as Result from "effect/Result"

const dots = /^\.{1,2}$/
const escaped = /^!\.{1,2}$/

/** The key of an object without the prefix. */
export const path = (key: Key.Key): string => `${key.group}/${dots.test(key.name) ? `!${key.name}` : key.name}`

/** Reads what `path` has written; undefined if it is no key of ours. */
export const parse = (path: string): Key.Key | undefined => {
  const slash = path.indexOf("/")
  const name = path.slice(slash + 1)
  if (slash === -1 || dots.test(name)) return undefined
  const key = Key.make(path.slice(0, slash), escaped.test(name) ? name.slice(1) : name)
  return Result.getOrUndefined(key)
}
