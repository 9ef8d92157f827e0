/**
 * The SDK's client, which lives as long as its scope.
 */
import { S3Client, type S3ClientConfig } from "@aws-sdk/client-s3"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { Agent as HttpAgent } from "node:http"
import { Agent as HttpsAgent } from "node:https"
import type { Settings } from "./Settings.ts"

/**
 * How long a connection may lie idle, in milliseconds: less than servers allow, since a request on a connection that the
 * server has just closed is lost.
 */
const idleMillis = 5_000

/** Makes a client for the endpoint; closes its connections at the end. */
export const make = (settings: Settings, endpoint: string | undefined): Effect.Effect<S3Client, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => new S3Client(configOf(settings, endpoint))),
    (client) => Effect.sync(() => client.destroy())
  )

/**
 * A client that only signs, for the address under which clients reach the server. With the checksums of requests on, the SDK
 * puts that of an empty body into URLs.
 */
export const signing = (client: S3Client, settings: Settings): Effect.Effect<S3Client, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(
      () =>
        new S3Client({
          ...configOf(settings, settings.publicEndpoint ?? settings.endpoint),
          credentials: client.config.credentials,
          requestChecksumCalculation: "WHEN_REQUIRED"
        })
    ),
    (signer) => Effect.sync(() => signer.destroy())
  )

const configOf = (settings: Settings, endpoint: string | undefined): S3ClientConfig => {
  const { connectMillis, credentials, forcePathStyle, region } = settings
  // How many there are at once, the gates say.
  const agent = { keepAlive: true, timeout: idleMillis }
  return {
    forcePathStyle,
    maxAttempts: 1,
    followRegionRedirects: false,
    // Ours are asked for anyway; those of S3 do not cover ranges.
    responseChecksumValidation: "WHEN_REQUIRED",
    // Waiting for `100 Continue` costs a round trip; what may be refused is asked before.
    expectContinueHeader: false,
    requestHandler: {
      httpAgent: new HttpAgent(agent),
      httpsAgent: new HttpsAgent(agent),
      connectionTimeout: connectMillis
    },
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined
      ? {}
      : {
          credentials: {
            accessKeyId: credentials.accessKeyId,
            secretAccessKey: Redacted.value(credentials.secretAccessKey),
            ...(credentials.sessionToken === undefined
              ? {}
              : { sessionToken: Redacted.value(credentials.sessionToken) })
          }
        })
  }
}
