/**
 * What was asked of a chain and what it answered, in the order of one count.
 */
import type { Generation } from "../../src/Generation.ts"
import type { Header } from "../../src/Header.ts"
import type { Key } from "../../src/Key.ts"

export type Answer =
  | {
      readonly _tag: "Found"
      readonly header: Header
      /** Undefined: only the header was asked for. */
      readonly content: string | undefined
      readonly isWhole: boolean
      readonly isUnconfirmed: boolean
    }
  | { readonly _tag: "NotFound" }
  | { readonly _tag: "Acknowledged"; readonly generation: Generation }
  | { readonly _tag: "Failed"; readonly why: string }

interface Operation {
  readonly began: number
  /** Unix milliseconds. */
  readonly beganAt: number
  /** Undefined while it runs, and for ever if nobody learned how it ended. */
  ended: number | undefined
  endedAt: number | undefined
  answer: Answer | undefined
  /** Its caller has gone away: nobody waits for an answer. */
  isLeft: boolean
}

export interface Read extends Operation {
  readonly _tag: "Read"
  readonly key: Key
  /** Undefined: it brought no producer. */
  readonly made: string | undefined
  /** Its producer fails. */
  readonly fails: boolean
}

export interface Write extends Operation {
  readonly _tag: "Write"
  readonly kind: "put" | "remove" | "removeGroup"
  readonly covers: (key: Key) => boolean
  /** Of a put. */
  readonly content: string | undefined
  readonly expiresAt: number | undefined
}

export type Event = Read | Write

export interface History {
  readonly events: ReadonlyArray<Event>
  /** Counts at which a process ended and another began. */
  readonly restarts: ReadonlyArray<number>
  /** Those of them at which the process was killed. */
  readonly kills: ReadonlyArray<number>
  readonly hasStore: boolean
  /** No tier ever failed, and no process ended. */
  readonly isFaultless: boolean
}
