/**
 * Whether the server heeds the conditions of writes: a server that ignores them would let an older blob replace a newer
 * one, and say nothing.
 *
 * It is tried out once, on an object of its own: whatever must fail, must fail.
 */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  PutObjectCommand,
  UploadPartCommand
} from "@aws-sdk/client-s3"
import { type Operation, type TierError, Unsupported } from "@terrace/core/TierError"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { randomBytes } from "node:crypto"
import { type Connection, error, trouble } from "./Bucket.ts"
import { type Failure, isStatus } from "./Failure.ts"
import * as Request from "./Request.ts"

export interface Conditions {
  /** Answers which condition the server ignores; undefined: none. Asks only until it has been answered once. */
  readonly ignored: Effect.Effect<string | undefined, Failure>
  /** Fails unless writes are safe. */
  readonly heeded: (operation: Operation) => Effect.Effect<void, TierError>
}

export const make = (connection: Connection): Conditions => {
  const asking = Semaphore.makeUnsafe(1)
  let verdict: { readonly ignored: string | undefined } | undefined = connection.settings.conditionalWrites
    ? undefined
    : { ignored: undefined }
  const ask = Effect.tap(probe(connection), (ignored) => Effect.sync(() => (verdict = { ignored })))
  const ignored = Effect.suspend(() =>
    verdict !== undefined
      ? Effect.succeed(verdict.ignored)
      : asking.withPermit(Effect.suspend(() => (verdict === undefined ? ask : Effect.succeed(verdict.ignored))))
  )
  return {
    ignored,
    heeded: (operation) =>
      Effect.flatMap(Effect.mapError(ignored, trouble(connection, operation)), (what) =>
        what === undefined
          ? Effect.void
          : Effect.fail(error(connection, operation, new Unsupported({ capability: `${what}: ${advice}` })))
      )
  }
}

export const advice = "set conditionalWrites to false if this process is the only writer of the bucket"

/** An ETag that no object has. */
const wrong = '"00000000000000000000000000000000"'

const probe = (connection: Connection): Effect.Effect<string | undefined, Failure> =>
  Effect.suspend(() => {
    const { bucket, prefix } = connection.settings
    // No group begins with a dot, so no blob has this key.
    const object = { Bucket: bucket, Key: `${prefix}.terrace-probe-${randomBytes(8).toString("hex")}` }
    const change = <R>(send: Request.Send<R>) => Request.cleanUp(connection, send)
    const remove = Effect.ignore(change((client, options) => client.send(new DeleteObjectCommand(object), options)))
    const put = (condition: { readonly IfMatch?: string; readonly IfNoneMatch?: string }) =>
      change((client, options) => client.send(new PutObjectCommand({ ...object, ...condition, Body: "-" }), options))
    const steps = Effect.gen(function* () {
      if (!(yield* refused(put({ IfNoneMatch: "*" })))) return "If-None-Match of PutObject"
      if (!(yield* refused(put({ IfMatch: wrong })))) return "If-Match of PutObject"
      if (!(yield* refused(completed(connection, object)))) return "If-None-Match of CompleteMultipartUpload"
      const removal = change((client, options) =>
        client.send(new DeleteObjectCommand({ ...object, IfMatch: wrong }), options)
      )
      return (yield* refused(removal)) ? undefined : "If-Match of DeleteObject"
    })
    return Effect.acquireUseRelease(
      Effect.catchIf(
        put({ IfNoneMatch: "*" }),
        (failure) => isStatus(failure, 501),
        () => Effect.succeed(undefined)
      ),
      (created) => (created === undefined ? Effect.succeed("conditions of PutObject") : steps),
      () => remove
    )
  })

/** Whether the server has seen that the condition does not hold. */
const refused = (attempt: Effect.Effect<unknown, Failure>): Effect.Effect<boolean, Failure> =>
  Effect.matchEffect(attempt, {
    onSuccess: () => Effect.succeed(false),
    onFailure: (failure) =>
      isStatus(failure, 409, 412)
        ? Effect.succeed(true)
        : isStatus(failure, 501)
          ? Effect.succeed(false)
          : Effect.fail(failure)
  })

/** Completes an upload of one part on the condition that nothing is there. */
const completed = (
  connection: Connection,
  object: { readonly Bucket: string; readonly Key: string }
): Effect.Effect<unknown, Failure> =>
  Effect.acquireUseRelease(
    Request.cleanUp(connection, (client, options) => client.send(new CreateMultipartUploadCommand(object), options)),
    ({ UploadId }) =>
      Effect.flatMap(
        Request.cleanUp(connection, (client, options) =>
          client.send(new UploadPartCommand({ ...object, UploadId, PartNumber: 1, Body: "-" }), options)
        ),
        ({ ETag }) =>
          Request.cleanUp(connection, (client, options) =>
            client.send(
              new CompleteMultipartUploadCommand({
                ...object,
                UploadId,
                IfNoneMatch: "*",
                MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] }
              }),
              options
            )
          )
      ),
    ({ UploadId }) =>
      Effect.ignore(
        Request.cleanUp(connection, (client, options) =>
          client.send(new AbortMultipartUploadCommand({ ...object, UploadId }), options)
        )
      )
  )
