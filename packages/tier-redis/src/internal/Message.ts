/**
 * What nodes tell one another: JSON of at most some hundred bytes.
 *
 * Each publisher numbers its messages. An invalidation has the next number; a sign of life repeats the last one, so that
 * others notice a last message that they have not got, and tells how many could not be sent, for those who have not heard the
 * publisher before.
 */
import type { Invalidation } from "@terrace/core/Bus"
import * as Key from "@terrace/core/Key"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

const publisher = Schema.String.check(Schema.isPattern(/^[\w-]{1,32}$/))

const InvalidationMessage = Schema.Struct({
  v: Schema.Literal(1),
  t: Schema.Literal("invalidation"),
  publisher,
  sequence: Schema.Natural,
  chain: Schema.String,
  group: Schema.String.check(Schema.isPattern(Key.groupPattern)),
  name: Schema.optionalKey(Schema.String.check(Schema.isPattern(Key.namePattern))),
  generation: Schema.Natural
})

const AliveMessage = Schema.Struct({
  v: Schema.Literal(1),
  t: Schema.Literal("alive"),
  publisher,
  sequence: Schema.Natural,
  /** Messages that could not be sent so far, or of which that is not known. */
  failed: Schema.optionalKey(Schema.Natural)
})

export type Message = typeof InvalidationMessage.Type | typeof AliveMessage.Type

const decodeJson = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Union([InvalidationMessage, AliveMessage])))

export const invalidation = (publisher: string, sequence: number, { chain, generation, group, name }: Invalidation) =>
  JSON.stringify({ v: 1, t: "invalidation", publisher, sequence, chain, group, name, generation })

export const alive = (publisher: string, sequence: number, failed: number): string =>
  JSON.stringify({ v: 1, t: "alive", publisher, sequence, failed })

/** No message is longer: a chain's name is a few words. */
const maxCharacters = 2_048

/** None if it is no message, or one of a later version. */
export const decode = (text: string): Option.Option<Message> =>
  text.length > maxCharacters ? Option.none() : decodeJson(text)
