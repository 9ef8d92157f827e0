/**
 * Name of a stored blob: a group, and a name within it.
 *
 * The group is the unit of purge: everything derived from one thing shares its group, so removing the group removes all
 * of it. The text form is `group/name`.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

/** Letters, digits, `.`, `_`, `-`; 1 to 200 characters; the first is a letter or a digit. */
export const groupPattern: RegExp = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/

/** Lower-case letters, digits, `~`, `.`, `_`, `-`; 1 to 48 characters. */
export const namePattern: RegExp = /^[a-z0-9~._-]{1,48}$/

/** A validated key. Keys are compared by `text`. */
export interface Key {
  readonly group: string
  readonly name: string
  /** `group/name`. */
  readonly text: string
}

/** A text that is no key; the message names the offending part, the expected form and an example. */
export class InvalidKey extends Schema.TaggedError<InvalidKey>("@terrace/core/Key/InvalidKey")("InvalidKey", {
  part: Schema.Literals(["group", "name"]),
  value: Schema.String
}) {
  override get message(): string {
    return this.part === "group"
      ? `group ${shown(this.value)} is not valid: expected 1 to 200 letters, digits, ".", "_" or "-", beginning with a letter or digit, for example "hero_recycle-01"`
      : `name ${shown(this.value)} is not valid: expected 1 to 48 lower-case letters, digits, "~", ".", "_" or "-", for example "master"`
  }
}

const shown = (value: string): string => JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)

/** Whether `group` may name a group. */
export const isGroup = (group: string): boolean => groupPattern.test(group)

/** Builds a key from its parts. */
export const make = (group: string, name: string): Result.Result<Key, InvalidKey> =>
  !isGroup(group)
    ? Result.fail(new InvalidKey({ part: "group", value: group }))
    : !namePattern.test(name)
      ? Result.fail(new InvalidKey({ part: "name", value: name }))
      : Result.succeed({ group, name, text: `${group}/${name}` })

/** Builds a key from parts that are known to be valid; throws `InvalidKey` if they are not. */
export const makeUnsafe = (group: string, name: string): Key => Result.getOrThrow(make(group, name))

/** Reads the text form `group/name`. */
export const parse = (text: string): Result.Result<Key, InvalidKey> => {
  const slash = text.indexOf("/")
  return slash === -1
    ? Result.fail(new InvalidKey({ part: "name", value: "" }))
    : make(text.slice(0, slash), text.slice(slash + 1))
}
