/** How records are reached, and what it means if they cannot be. */
import { type Operation, type Reason, TierError } from "@terrace/core/TierError"
import type { Connection } from "@terrace/tier-redis/RedisConnection"
import * as Effect from "effect/Effect"
import { type LegacyError, NotAString, of, TooLarge } from "../LegacyError.ts"

/** Records under one prefix, for one user of them. */
export interface Place {
  readonly connection: Connection
  /** Name in errors. */
  readonly name: string
  /** Begins every key. */
  readonly prefix: string
}

type Client = Connection["client"]

/** Sends a command about the key of `id`. */
export const send = <A>(
  { connection, name, prefix }: Place,
  operation: Operation,
  id: string,
  command: (client: Client, key: string) => Promise<A>
): Effect.Effect<A, TierError> =>
  Effect.mapError(
    connection.send((client) => command(client, prefix + id)),
    (reason) => new TierError({ tier: name, operation, reason })
  )

/**
 * The record of `id`, if it has at most `maxBytes`; of a larger one, not more than that is sent. Undefined: there is none,
 * or an empty one, which Redis does not tell apart here.
 */
export const read = (
  place: Place,
  id: string,
  maxBytes: number
): Effect.Effect<Buffer | undefined, TierError | LegacyError> =>
  send(place, "get", id, (client, key) => client.getrangeBuffer(key, 0, maxBytes)).pipe(
    Effect.mapError((error) => (isWrongType(error.reason) ? of(new NotAString()) : error)),
    Effect.flatMap((bytes) =>
      bytes.length > maxBytes
        ? Effect.fail(of(new TooLarge({ part: "record", maxBytes })))
        : Effect.succeed(bytes.length === 0 ? undefined : bytes)
    )
  )

/** Bytes of the record of `id`; 0: there is none; 1 if it is no string. */
export const size = (place: Place, id: string): Effect.Effect<number, TierError> =>
  Effect.catchIf(
    send(place, "head", id, (client, key) => client.strlen(key)),
    ({ reason }) => isWrongType(reason),
    () => Effect.succeed(1)
  )

const isWrongType = (reason: Reason): boolean =>
  reason._tag === "Unknown" && reason.cause instanceof Error && /^WRONGTYPE\b/.test(reason.cause.message)
