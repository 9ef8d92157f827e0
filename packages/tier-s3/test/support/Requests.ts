/**
 * The HTTP requests that this process sends, as Node tells of them.
 */
import * as Effect from "effect/Effect"
import { subscribe } from "node:diagnostics_channel"
import type { ClientRequest } from "node:http"

export interface Sent {
  readonly method: string
  readonly path: string
  /** Whether it went over a connection that was there already. */
  readonly isReused: boolean
  readonly headers: Readonly<Record<string, unknown>>
}

/** `log`: there only while somebody records. */
const state: { open: number; log: Array<Sent> | undefined } = { open: 0, log: undefined }

subscribe("http.client.request.start", (message) => {
  const { request } = message as { readonly request: ClientRequest }
  state.open++
  request.once("close", () => state.open--)
  const { method, path, reusedSocket } = request
  state.log?.push({ method, path, isReused: reusedSocket, headers: request.getHeaders() })
})

/** How many are not over: they wait for an answer, or its body is neither read to its end nor given up. */
export const inFlight = (): number => state.open

/** Runs an effect; answers what was sent meanwhile too. */
export const during = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<readonly [answer: A, sent: ReadonlyArray<Sent>], E, R> =>
  Effect.suspend(() => {
    const log: Array<Sent> = []
    state.log = log
    const stop = Effect.sync(() => void (state.log = undefined))
    return Effect.ensuring(
      Effect.map(effect, (answer) => [answer, log] as const),
      stop
    )
  })

/** What was sent since `during` began, which has not ended. */
export const sentSoFar = (): ReadonlyArray<Sent> => [...(state.log ?? [])]

export const methods = (sent: ReadonlyArray<Sent>): string => sent.map(({ method }) => method).join(" ")
