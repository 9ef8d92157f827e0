/**
 * Looks at the bucket before the tier serves, so that a wrong setting is told at start and in one line.
 */
import { CreateBucketCommand, ListObjectsV2Command, type BucketLocationConstraint } from "@aws-sdk/client-s3"
import * as Effect from "effect/Effect"
import { StartError } from "../StartError.ts"
import type { Connection } from "./Bucket.ts"
import { advice, type Conditions } from "./Conditions.ts"
import { type Failure, isCode, reasonOf } from "./Failure.ts"
import * as Request from "./Request.ts"

/**
 * Fails if the bucket cannot be used. Listing asks for the permission without which S3 answers "denied" for a key that is
 * absent, and unlike other questions about a bucket its refusal has a code.
 */
export const check = (connection: Connection, conditions: Conditions): Effect.Effect<void, StartError> => {
  const { settings } = connection
  const list = Request.tell(connection, (client, options) =>
    client.send(new ListObjectsV2Command({ Bucket: settings.bucket, Prefix: settings.prefix, MaxKeys: 1 }), options)
  )
  const present = settings.createBucket
    ? Effect.catchIf(list, isNoBucket, () => Effect.andThen(create(connection), list))
    : list
  return Effect.gen(function* () {
    yield* region(connection)
    yield* Effect.mapError(present, (failure) => explained(connection, failure))
    const ignored = yield* Effect.catchIf(
      conditions.ignored,
      // Keys that may only read, and a bucket that is full, are enough to start with; the first write tries again.
      (failure) => failure._tag === "Refused",
      () => Effect.succeed(undefined)
    ).pipe(Effect.mapError((failure) => explained(connection, failure)))
    if (ignored !== undefined) {
      const detail = `the server ignores ${ignored}, so an older blob could replace a newer one`
      return yield* Effect.fail(problem(connection, "ignores-conditions", detail, capitalized(advice)))
    }
  }).pipe(
    // Whoever can do without the bucket is not kept waiting for it.
    (checked) => (settings.ifUnreachable === "warn" ? inTime(connection, checked) : checked),
    Effect.catchIf(
      (error) => error.reason === "unreachable" && settings.ifUnreachable === "warn",
      (error) =>
        Effect.logWarning(
          `${settings.name}: started without its bucket, which is asked for when it is needed: ${error.detail}`
        )
    )
  )
}

const inTime = (connection: Connection, checked: Effect.Effect<void, StartError>): Effect.Effect<void, StartError> => {
  const { connectMillis: millis } = connection.settings
  return Effect.timeoutOrElse(checked, {
    duration: millis,
    orElse: () => Effect.fail(explained(connection, { _tag: "TimedOut", millis }))
  })
}

/** The SDK looks for a region only when it needs it. */
const region = (connection: Connection): Effect.Effect<void, StartError> =>
  Effect.asVoid(
    Effect.tryPromise({
      try: () => connection.client.config.region(),
      catch: (cause) =>
        new StartError({
          location: connection.settings.location,
          reason: "invalid-option",
          detail: "there is no region",
          fix: `Set region, for example "eu-central-1", or the variable AWS_REGION`,
          cause
        })
    })
  )

const isNoBucket = (failure: Failure): boolean => isCode(failure, "NoSuchBucket")

/** Makes the bucket; that it is there already is fine, if it is ours. */
const create = (connection: Connection): Effect.Effect<void, Failure> =>
  Effect.gen(function* () {
    const region = yield* Request.promised(connection, () => connection.client.config.region())
    // Where none is named, Amazon makes it in us-east-1, which is no name that it takes.
    const place = region === "us-east-1" ? {} : { LocationConstraint: region as BucketLocationConstraint }
    const command = new CreateBucketCommand({
      Bucket: connection.settings.bucket,
      ...(connection.settings.endpoint === undefined ? { CreateBucketConfiguration: place } : {})
    })
    yield* Request.change(connection, (client, options) => client.send(command, options)).pipe(
      Effect.catchIf(
        (failure) => isCode(failure, "BucketAlreadyOwnedByYou"),
        () => Effect.void
      )
    )
  })

const explained = (connection: Connection, failure: Failure): StartError => {
  const { bucket, connectMillis, endpoint, prefix } = connection.settings
  const server = endpoint ?? "Amazon S3"
  switch (failure._tag) {
    case "NoCredentials":
      return problem(
        connection,
        "no-credentials",
        "there are no credentials",
        "Set credentials, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where the SDK finds an identity",
        failure.cause
      )
    case "Refused": {
      const { cause, code, region, status } = failure
      if (isNoBucket(failure)) {
        const fix = `Make the bucket, for example with "aws s3 mb s3://${bucket}", or set createBucket`
        return problem(connection, "no-bucket", `there is no bucket ${bucket}`, fix, cause)
      }
      if (status === 301 || status === 307 || code === "AuthorizationHeaderMalformed") {
        const detail = `the bucket is in ${region === undefined ? "another region" : `the region ${region}`}`
        return problem(connection, "wrong-region", detail, `Set region to "${region ?? "that of the bucket"}"`, cause)
      }
      if (status < 500 && status !== 429) {
        const fix = `Allow these credentials s3:ListBucket for the bucket and s3:GetObject, s3:PutObject and s3:DeleteObject for ${prefix}*, or use others`
        return problem(connection, "denied", `the server refuses: ${cause.message}`, fix, cause)
      }
      return problem(connection, "unreachable", `${server} fails: ${cause.message}`, wait, cause)
    }
    case "Lost":
      return problem(
        connection,
        "unreachable",
        `${server} does not answer: ${failure.cause.message}`,
        wait,
        failure.cause
      )
    case "TimedOut": {
      const detail = `${server} does not answer within ${failure.millis} ms`
      return problem(connection, "unreachable", detail, failure.millis === connectMillis ? reach : wait)
    }
    case "Damaged":
    case "Busy":
      return problem(connection, "unreachable", String(reasonOf(failure)), wait)
  }
}

const wait = `Start it, or set ifUnreachable to "warn" to start without it`
const reach = `See that endpoint is right, or set ifUnreachable to "warn" to start without it`

const problem = (
  { settings }: Connection,
  reason: StartError["reason"],
  detail: string,
  fix: string,
  cause?: Error
): StartError => new StartError({ location: settings.location, reason, detail, fix, ...(cause && { cause }) })

const capitalized = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1)
