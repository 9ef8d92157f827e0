/**
 * Uploads an object in parts, which nobody sees until the upload is completed.
 *
 * The parts go one after the other from one buffer, so a put holds `partBytes` whatever the size of the body. An upload
 * that is not completed is aborted, so that its parts take no room.
 */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  type CompletedPart,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  UploadPartCommand
} from "@aws-sdk/client-s3"
import * as Effect from "effect/Effect"
import { type Bucket, trouble, warn } from "./Bucket.ts"
import type { Condition } from "./Contention.ts"
import { type Failure, isCode } from "./Failure.ts"
import * as Request from "./Request.ts"

export interface Upload {
  /** Uploads the next part. The bytes are free to be changed once it has ended. */
  readonly part: (bytes: Uint8Array) => Effect.Effect<void, Failure>
  /** Makes the object visible, all parts in their order. */
  readonly complete: (condition: Condition) => Effect.Effect<void, Failure>
}

/** What `PutObject` and an upload are told of the object alike. */
export type Target = Pick<CreateMultipartUploadCommandInput, "Bucket" | "Key" | "ContentType" | "Metadata">

/** Runs `use` with an upload; aborts it unless it was completed. */
export const within = <A, E>(
  bucket: Bucket,
  target: Target,
  use: (upload: Upload) => Effect.Effect<A, E>
): Effect.Effect<A, E | Failure> =>
  Effect.suspend(() => {
    const { Bucket, Key } = target
    const parts: Array<CompletedPart> = []
    let isComplete = false
    const create = Request.change(bucket, (client, options) =>
      client.send(new CreateMultipartUploadCommand({ ...target, ChecksumAlgorithm: "CRC32" }), options)
    )
    const abort = (UploadId: string | undefined) =>
      Request.cleanUp(bucket, (client, options) =>
        client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }), options)
      ).pipe(
        Effect.asVoid,
        Effect.catch((failure) => (isCode(failure, "NoSuchUpload") ? Effect.void : left(bucket, Key, failure)))
      )
    return Effect.acquireUseRelease(
      create,
      ({ UploadId }) =>
        use({
          part: (bytes) =>
            Effect.suspend(() => {
              const PartNumber = parts.length + 1
              const command = new UploadPartCommand({
                Bucket,
                Key,
                UploadId,
                PartNumber,
                Body: bytes,
                ChecksumAlgorithm: "CRC32"
              })
              return Effect.map(
                Request.tell(bucket, (client, options) => client.send(command, options)),
                ({ ChecksumCRC32, ETag }) => void parts.push({ PartNumber, ETag, ChecksumCRC32 })
              )
            }),
          complete: (condition) =>
            Effect.map(
              Request.change(bucket, (client, options) =>
                client.send(
                  new CompleteMultipartUploadCommand({
                    Bucket,
                    Key,
                    UploadId,
                    MultipartUpload: { Parts: parts },
                    ...condition
                  }),
                  options
                )
              ),
              () => void (isComplete = true)
            )
        }),
      ({ UploadId }) => Effect.suspend(() => (isComplete ? Effect.void : abort(UploadId)))
    )
  })

const left = (bucket: Bucket, key: string | undefined, failure: Failure): Effect.Effect<void> =>
  Effect.suspend(() => {
    bucket.stats.leftUploads++
    const { message } = trouble(bucket, "put")(failure)
    return warn(bucket, `an upload of ${key ?? "an object"} could not be aborted, its parts remain: ${message}`)
  })
