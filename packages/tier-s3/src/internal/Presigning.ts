/**
 * Signs URLs (AWS Signature Version 4, query parameters):
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html.
 *
 * Nothing is asked of the server: whether the object is there, the client finds out.
 */
import { GetObjectCommand, HeadObjectCommand, type S3Client } from "@aws-sdk/client-s3"
import { getSignedUrl } from "@aws-sdk/s3-request-presigner"
import type * as Key from "@terrace/core/Key"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type Presigned, PresignError, type PresignOptions } from "../Presign.ts"
import type { Settings } from "./Settings.ts"
import * as ObjectKey from "./ObjectKey.ts"

/** The most that a signature may last: 7 days. */
const maxSeconds = 604_800

/** `signer`: a client for the address under which the server is reached from outside. */
export const presign = (
  settings: Settings,
  signer: S3Client,
  key: Key.Key,
  { cacheControl, contentDisposition, contentType, expiresIn = "15 minutes", method = "GET" }: PresignOptions
): Effect.Effect<Presigned, PresignError> =>
  Effect.gen(function* () {
    const duration = Duration.fromInput(expiresIn)
    const seconds = Option.isSome(duration) ? Math.floor(Duration.toSeconds(duration.value)) : Number.NaN
    if (!(seconds >= 1 && seconds <= maxSeconds)) {
      return yield* Effect.fail(
        new PresignError({
          tier: settings.name,
          reason: "invalid-option",
          detail: `expiresIn is ${JSON.stringify(expiresIn)}: expected 1 second to 7 days, for example "15 minutes"`
        })
      )
    }
    const input = {
      Bucket: settings.bucket,
      Key: settings.prefix + ObjectKey.path(key),
      ResponseCacheControl: cacheControl,
      ResponseContentType: contentType,
      ResponseContentDisposition: contentDisposition
    }
    const millis = yield* Clock.currentTimeMillis
    const options = { expiresIn: seconds, signingDate: DateTime.toDateUtc(DateTime.makeUnsafe(millis)) }
    const { credentialsEnd, url } = yield* Effect.tryPromise({
      try: async () => {
        // Asked before: should they be renewed now, those that sign end later.
        const { expiration } = await signer.config.credentials()
        const command = method === "GET" ? new GetObjectCommand(input) : new HeadObjectCommand(input)
        return { credentialsEnd: expiration?.getTime(), url: await getSignedUrl(signer, command, options) }
      },
      catch: (cause) =>
        new PresignError({ tier: settings.name, reason: "no-credentials", detail: "there are no credentials", cause })
    })
    // The signature counts whole seconds, and is worth nothing without the credentials.
    const signatureEnd = (Math.floor(millis / 1_000) + seconds) * 1_000
    return { url, method, expiresAt: Math.min(signatureEnd, credentialsEnd ?? signatureEnd) }
  })

/** Where a CDN serves the object, in ASCII; undefined: there is none. */
export const publicUrl = ({ cdnUrl, prefix }: Settings, key: Key.Key): string | undefined =>
  cdnUrl === undefined
    ? undefined
    : `${new URL(cdnUrl).href.replace(/\/$/, "")}/${encodeURI(prefix + ObjectKey.path(key))}`
