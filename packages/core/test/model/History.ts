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
      /** When the chain gave it, by the clock, in Unix milliseconds; a body is read after that. */
      readonly givenAt: number
    }
  | { readonly _tag: "NotFound" }
  | { readonly _tag: "Acknowledged"; readonly generation: Generation }
  | { readonly _tag: "Failed"; readonly why: string }

interface Operation {
  readonly node: number
  readonly began: number
  /** Milliseconds of time that never goes back. */
  readonly beganAt: number
  /** Undefined while it runs, and for ever if nobody learned how it ended. */
  ended: number | undefined
  endedAt: number | undefined
  /** The latest that the clock has shown until then, in Unix milliseconds. */
  latest: number | undefined
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
  /** Undefined: a group. */
  readonly key: Key | undefined
  readonly covers: (key: Key) => boolean
  /** Of a put. */
  readonly content: string | undefined
  readonly expiresAt: number | undefined
  /** Its condition. */
  readonly expected: Generation | "absent" | undefined
}

export type Event = Read | Write

/** Content that the origin has, or had. */
export interface Offer {
  readonly _tag: "Offer"
  readonly key: Key
  /** As a chain serves it. */
  readonly content: string
  readonly node: number
  readonly began: number
  readonly beganAt: number
  /** When it was taken away, or replaced, or let go of. */
  ended: number | undefined
  isReleased: boolean
}

interface End {
  readonly at: number
  readonly node: number
}

export interface History {
  readonly events: ReadonlyArray<Event>
  readonly offers: ReadonlyArray<Offer>
  /** When a process ended and another began. */
  readonly restarts: ReadonlyArray<End>
  /** Those of them at which the process was killed. */
  readonly kills: ReadonlyArray<End>
  readonly hasStore: boolean
  readonly isTwofold: boolean
  /** No tier ever failed, and no process ended. */
  readonly isFaultless: boolean
}
