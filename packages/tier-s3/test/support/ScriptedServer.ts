/**
 * An HTTP server that answers as a test says: for what servers other than the one of the other tests say, as their
 * documentation gives it.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createServer, type IncomingMessage } from "node:http"
import * as S3Tier from "../../src/S3Tier.ts"
import * as Redacted from "effect/Redacted"

export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}

/** What is asked for. */
export interface Asked {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage["headers"]
}

export const errorXml = (code: string, more = ""): string =>
  `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>The message of ${code}.</Message>${more}</Error>`

export const emptyList: Answer = {
  status: 200,
  body: `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>`
}

/** Whether the bucket is listed, as at every start. */
export const isList = ({ method, url }: Asked): boolean => method === "GET" && url.includes("list-type=2")

/** Starts a server; answers its address. `hang up`: it closes the connection instead of an answer. */
export const make = (answer: (asked: Asked) => Answer | "hang up"): Effect.Effect<string, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<ReturnType<typeof createServer>>((resume) => {
        const server = createServer((request, response) => {
          request.resume().on("end", () => {
            const { headers, method = "", socket, url = "" } = request
            const said = answer({ method, url, headers })
            if (said === "hang up") {
              socket.destroy()
              return
            }
            const { body = "", headers: more = {}, status } = said
            response.writeHead(status, { "content-type": "application/xml", ...more }).end(body)
          })
        }).listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    ),
    (server) => {
      const address = server.address()
      return `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`
    }
  )

/** A tier on such a server. */
export const tier = (answer: (asked: Asked) => Answer | "hang up", options: Partial<S3Tier.Options> = {}) =>
  Effect.flatMap(make(answer), (endpoint) =>
    S3Tier.make({
      endpoint,
      bucket: "images",
      forcePathStyle: true,
      credentials: { accessKeyId: "key", secretAccessKey: Redacted.make("secret") },
      ...options
    })
  )
