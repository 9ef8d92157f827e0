/**
 * Finds out what there is under a key.
 *
 * HEAD says it in one request, but for errors it has only a status: 404 also means that the bucket is gone. Where that
 * matters, the first byte is asked for as well, since the answer to GET has a code.
 */
import { GetObjectCommand, HeadObjectCommand } from "@aws-sdk/client-s3"
import * as Header from "@terrace/core/Header"
import type * as Key from "@terrace/core/Key"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { type Bucket, objectOf, warn } from "./Bucket.ts"
import { type Failure, isCode, isStatus } from "./Failure.ts"
import * as Metadata from "./Metadata.ts"
import * as Request from "./Request.ts"

export type Found =
  | { readonly _tag: "Absent" }
  /** An object that this tier has not written; it is never touched. */
  | { readonly _tag: "Foreign"; readonly etag: string | undefined }
  | {
      readonly _tag: "Present"
      readonly header: Header.Header
      readonly etag: string
      /** False: the object has another length than the header says. */
      readonly isWhole: boolean
    }

export type Present = Extract<Found, { readonly _tag: "Present" }>

export const absent: Found = { _tag: "Absent" }

/** What GET and HEAD tell of an object. */
export interface Facts {
  readonly Metadata?: Record<string, string> | undefined
  readonly ETag?: string | undefined
  readonly ContentLength?: number | undefined
  readonly ContentRange?: string | undefined
}

export const foundOf = (key: Key.Key, facts: Facts): Found => {
  const header = Metadata.decode(key, facts.Metadata)
  if (header === undefined || facts.ETag === undefined) return { _tag: "Foreign", etag: facts.ETag }
  const isWhole = (lengthOf(facts) ?? header.size) === header.size
  return { _tag: "Present", header, etag: facts.ETag, isWhole }
}

/** Length of the whole object; undefined: the server does not say. */
const lengthOf = ({ ContentLength, ContentRange }: Facts): number | undefined => {
  const total = ContentRange === undefined ? undefined : /\/(\d+)$/.exec(ContentRange)?.[1]
  return total === undefined ? ContentLength : Number(total)
}

/** The object of `key`. `isProven`: absence is answered only if the server says that the key, not the bucket, is absent. */
export const look = (bucket: Bucket, key: Key.Key, isProven: boolean): Effect.Effect<Found, Failure> =>
  Effect.catch(head(bucket, key), (failure) => {
    if (failure._tag !== "Refused") return Effect.fail(failure)
    if (failure.status === 404 && !isProven) return Effect.succeed(absent)
    // Who asks for fewer requests is not asked again.
    return failure.status === 503 || failure.status === 429
      ? Effect.fail<Failure>({ ...failure, code: "SlowDown" })
      : firstByte(bucket, key)
  })

const head = (bucket: Bucket, key: Key.Key): Effect.Effect<Found, Failure> =>
  Effect.map(
    Request.tell(bucket, (client, options) => client.send(new HeadObjectCommand(objectOf(bucket, key)), options)),
    (facts) => foundOf(key, facts)
  )

const firstByte = (bucket: Bucket, key: Key.Key): Effect.Effect<Found, Failure> =>
  Request.ask(
    bucket,
    (client, options) => client.send(new GetObjectCommand({ ...objectOf(bucket, key), Range: "bytes=0-0" }), options),
    (facts) => Effect.succeed(foundOf(key, facts))
  ).pipe(Effect.catch((failure) => (isNoSuchKey(failure) ? Effect.succeed(absent) : orEmpty(bucket, key, failure))))

export const isNoSuchKey = (failure: Failure): boolean => isCode(failure, "NoSuchKey")

/** A range of an object without bytes cannot be satisfied, and the answer does not describe the object. */
export const orEmpty = (bucket: Bucket, key: Key.Key, failure: Failure): Effect.Effect<Found, Failure> =>
  isStatus(failure, 416) ? head(bucket, key) : Effect.fail(failure)

/** The blob that a reader may have; what is not one is counted and named in the log. */
export const readable = (bucket: Bucket, key: Key.Key, found: Found): Effect.Effect<Present | undefined> =>
  Effect.gen(function* () {
    if (found._tag === "Absent") return undefined
    if (found._tag === "Foreign") {
      bucket.stats.foreign++
      yield* warn(bucket, `the object of ${key.text} was not written by this tier; it is not served`)
      return undefined
    }
    return Header.isExpired(found.header, yield* Clock.currentTimeMillis) ? undefined : found
  })

/**
 * Counts a blob that is not served since its bytes are wrong, and fails. It stays, for a person to look at, until
 * it is replaced, also by the same blob.
 */
export const damaged = (bucket: Bucket, { etag, header }: Present, detail: string): Effect.Effect<never, Failure> =>
  Effect.suspend(() => {
    const { spoiled, stats } = bucket
    stats.damaged++
    if (spoiled.size >= maxSpoiled) spoiled.clear()
    spoiled.add(etag)
    const subject = `${header.key.text} generation ${header.generation}`
    return Effect.andThen(
      warn(bucket, `${subject} is damaged and is not served: ${detail}`),
      Effect.fail<Failure>({ _tag: "Damaged", detail: `${header.key.text}: ${detail}` })
    )
  })

/** Tags of damaged objects that are remembered. */
const maxSpoiled = 1_000
