/**
 * What the operations of the tier share, and how they reach Redis.
 */
import type * as Tier from "@terrace/core/Tier"
import { type Operation, type Reason, Throttled, TierError, Unavailable, Unknown } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"
import type { Cluster, Redis } from "ioredis"
import type { Connection } from "../RedisConnection.ts"
import type { Gate } from "./Gate.ts"
import * as Script from "./Script.ts"

/** What a tier has done since it was built. */
export interface Stats {
  /** Blobs whose header or bytes were damaged, and which were dropped. */
  damaged: number
}

export interface Blobs {
  readonly name: string
  readonly prefix: string
  readonly maxBytes: number
  readonly connection: Connection
  readonly gate: Gate
  readonly stats: Stats
}

/** Bytes that any command counts for: its own, its answer, what the client keeps of it. */
export const commandBytes = 2_048

type Command<A> = (client: Redis | Cluster) => Promise<A>

export const trouble = ({ name }: Blobs, operation: Operation, reason: Reason): TierError =>
  new TierError({ tier: name, operation, reason })

/** Sends a command that counts for so many bytes, until Redis has answered it. `otherwise` if it is not let in. */
export const admitted = <A, B>(
  blobs: Blobs,
  operation: Operation,
  bytes: number,
  command: Command<A>,
  otherwise: (why: Tier.SkipReason) => Effect.Effect<B, TierError>
): Effect.Effect<A | B, TierError> =>
  Effect.suspend((): Effect.Effect<A | B, TierError> => {
    const { connection, gate } = blobs
    if (gate.isClosed) return otherwise("closed")
    // Let in and sent without a step between, at which an interruption could come.
    const send = async (client: Redis | Cluster): Promise<Effect.Effect<A | B, TierError>> => {
      if (!gate.enter(bytes)) return otherwise("busy")
      try {
        return Effect.succeed(await command(client))
      } finally {
        gate.leave(bytes)
      }
    }
    return Effect.flatten(Effect.mapError(connection.send(send), (reason) => trouble(blobs, operation, reason)))
  })

/** Runs a script; not being let in is an error. */
export const run = (
  blobs: Blobs,
  operation: Operation,
  bytes: number,
  script: Script.Script,
  key: string,
  args: ReadonlyArray<Script.Argument>
): Effect.Effect<unknown, TierError> =>
  admitted(
    blobs,
    operation,
    bytes + commandBytes,
    (client) => Script.run(client, script, key, args),
    (why) => Effect.fail(refusal(blobs, operation, why))
  )

export const refusal = (blobs: Blobs, operation: Operation, why: Tier.SkipReason): TierError =>
  trouble(
    blobs,
    operation,
    why === "closed"
      ? new Unavailable({ cause: new Error("the tier is closed"), noEffect: true })
      : new Throttled({ cause: new Error("too many bytes are under way to Redis") })
  )

/** A script has answered what it never answers. */
export const unexpected = (blobs: Blobs, operation: Operation, answer: unknown): TierError =>
  trouble(blobs, operation, new Unknown({ cause: new Error(`an answer of Redis is none: ${JSON.stringify(answer)}`) }))
