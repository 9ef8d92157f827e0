/**
 * Requests to the server of a block of tests, and what its answers may hold.
 */
import { assert } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { TestServer } from "./TestServer.ts"

export class Server extends Context.Service<Server, TestServer>()("test/Server") {}

/** Sends a request; the test clock does not move it. */
export const send = (path: string, init: RequestInit = {}) =>
  Effect.gen(function* () {
    const { url } = yield* Server
    return yield* Effect.promise(() => fetch(url + path, { redirect: "manual", ...init }))
  })

export const bytesOf = (response: Response) => Effect.promise(async () => Buffer.from(await response.arrayBuffer()))

/** One tier of a chain in `GET /tiers`. */
export interface TierReport {
  readonly tier: string
  readonly role: string
  readonly sharedWith?: string
  readonly usage?: {
    readonly bytes: number
    readonly entries: number
    readonly limit?: number
    readonly exact: boolean
  }
  readonly evictions?: number
  readonly breaker: string
  readonly counters: Readonly<Record<string, unknown>>
}

/** What the answers of all routes may hold. */
export interface Answer {
  readonly id?: string
  readonly etag?: string
  readonly contentType?: string
  readonly width?: number
  readonly height?: number
  readonly frames?: number
  readonly alpha?: boolean
  readonly url?: string
  readonly bytes?: number
  readonly digest?: string
  readonly source?: { readonly contentType: string; readonly bytes: number }
  readonly attributes?: Readonly<Record<string, string>>
  readonly tiers?: Readonly<Record<string, string>>
  readonly record?: boolean
  readonly answer?: string
  readonly from?: string
  readonly masters?: Readonly<Record<string, string>>
  readonly variants?: Readonly<Record<string, string>>
  readonly images?: ReadonlyArray<{ readonly id: string }>
  readonly next?: string
  readonly chains?: ReadonlyArray<{ readonly chain: string; readonly tiers: ReadonlyArray<TierReport> }>
  readonly type?: string
  readonly status?: number | string
  readonly detail?: string
}

export const jsonOf = (response: Response) => Effect.promise(() => response.json() as Promise<Answer>)

export const put = (id: string, body: Uint8Array, headers: Record<string, string> = {}) =>
  send(`/images/${id}`, { method: "PUT", body: new Uint8Array(body), headers })

export const problemOf = (response: Response) =>
  Effect.map(jsonOf(response), ({ detail, status, type }) => {
    assert.strictEqual(response.headers.get("content-type"), "application/problem+json")
    assert.strictEqual(response.status, status)
    assert.isAbove(String(detail).length, 10)
    return String(type).replace("urn:terrace:problem:", "")
  })

/** One chain in `GET /explain/images/:id`. */
export interface ChainExplanation {
  readonly answer: string
  readonly from?: string
  readonly tiers: ReadonlyArray<{
    readonly tier: string
    readonly role: string
    readonly outcome: string
    readonly why?: string
    readonly millis: number
    readonly breaker: string
    readonly standing?: string
    readonly has?: {
      readonly generation: number
      readonly digest: string
      readonly size: number
      readonly createdAt: string
    }
  }>
}

/** What `GET /explain/images/:id` answers. */
export interface Explanation {
  readonly id: string
  readonly preset?: string
  readonly answer: string
  readonly from?: string
  readonly master: ChainExplanation
  readonly variant?: ChainExplanation
}

export const explanationOf = (response: Response) => Effect.promise(() => response.json() as Promise<Explanation>)
