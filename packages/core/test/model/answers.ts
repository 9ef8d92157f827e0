/**
 * What a chain has answered, as the history keeps it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Body from "../../src/Body.ts"
import type * as Chain from "../../src/Chain.ts"
import * as Header from "../../src/Header.ts"
import type { TierError } from "../../src/TierError.ts"
import * as Trail from "../../src/Trail.ts"
import type { Answer } from "./History.ts"

export interface Given {
  readonly found: Chain.Found | Chain.FoundHeader | Chain.NotFound
  /** Undefined: only the header was asked for. */
  readonly bytes: Uint8Array | undefined
  readonly givenAt: number
}

/** Reads the body too, as part of the read. */
export const withBytes = <E>(
  read: Effect.Effect<Chain.Found | Chain.NotFound, E>
): Effect.Effect<Given, E | TierError> =>
  Effect.flatMap(read, (found) =>
    Effect.flatMap(Clock.currentTimeMillis, (givenAt): Effect.Effect<Given, TierError> =>
      found._tag === "NotFound"
        ? Effect.succeed({ found, bytes: undefined, givenAt })
        : Effect.map(Body.toBytes(found.blob.body), (bytes) => ({ found, bytes, givenAt }))
    )
  )

export const withoutBytes = <E>(read: Effect.Effect<Chain.FoundHeader | Chain.NotFound, E>): Effect.Effect<Given, E> =>
  Effect.flatMap(read, (found) =>
    Effect.map(Clock.currentTimeMillis, (givenAt) => ({ found, bytes: undefined, givenAt }))
  )

export const answerOfRead = (exit: Exit.Exit<Given, unknown>): Answer => {
  if (Exit.isFailure(exit)) return { _tag: "Failed", why: String(exit.cause) }
  const { bytes, found, givenAt } = exit.value
  if (found._tag === "NotFound") return found
  const header = "header" in found ? found.header : found.blob.header
  return {
    _tag: "Found",
    header,
    content: bytes && Buffer.from(bytes).toString(),
    isWhole: bytes === undefined || Header.verifies(header, bytes),
    isUnconfirmed: Trail.isUnconfirmed(found.trail),
    givenAt
  }
}

export const answerOfWrite = (exit: Exit.Exit<Chain.PutReceipt | Chain.RemoveReceipt, unknown>): Answer =>
  Exit.isFailure(exit)
    ? { _tag: "Failed", why: String(exit.cause) }
    : {
        _tag: "Acknowledged",
        generation: "generation" in exit.value ? exit.value.generation : exit.value.header.generation
      }
