/**
 * How the bytes of an image reach a client: through this server, or by a redirect to where they lie.
 *
 * A redirect is answered only where the bytes certainly are; whatever stands in its way, the image is proxied, so that no
 * request fails for it. A redirect to a signed URL outlives neither the signature nor the blob, and covers the method
 * that will be used. Why it is so: `docs/decisions/0012-delivery.md`.
 */
import type { FoundHeader } from "@terrace/core/Chain"
import type { Header } from "@terrace/core/Header"
import * as Trail from "@terrace/core/Trail"
import * as Metadata from "@terrace/legacy-base64/Metadata"
import { type Presigned, PresignError } from "@terrace/tier-s3/Presign"
import type { S3 } from "@terrace/tier-s3/S3Tier"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { RequestHeaders } from "./Conditional.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** `proxy`: the bytes come from this server. `redirect`: from where they lie, if they are large enough. */
export type Mode = "proxy" | "redirect"
export type Method = "GET" | "HEAD"

/** What delivery needs of a tier: it names objects, and signs URLs. */
export type Bucket = Pick<S3, "name" | "presign" | "publicUrl">

export interface Options {
  /** Of masters, and of presets that do not say. */
  readonly mode: Mode
  /** Size from which on something is redirected, in bytes. */
  readonly above: number
  /** How long a signed URL is good for: 1 second to 7 days. */
  readonly expiry: Duration.Duration
  /** How long clients may keep an image without asking, in seconds. */
  readonly maxAge: number
  /** The tier that has masters under a URL. */
  readonly masters: Bucket | undefined
  /** The tier that has variants under a URL. */
  readonly variants: Bucket | undefined
}

export type Kind = "master" | "variant"

export interface Subject {
  readonly kind: Kind
  readonly found: FoundHeader
  /** The version of the master that it stems from. */
  readonly version: string
  /** Whether the client has asked for that version. */
  readonly isVersioned: boolean
  /** Whether the tier of this name certainly has it now. */
  readonly isIn: (tier: string) => Effect.Effect<boolean>
}

/** Where to send a client. */
export interface Destination {
  readonly to: "cdn" | "bucket"
  readonly url: string
  /** How long a client may go there without asking again, in seconds: less than the URL is good for. */
  readonly maxAge: number
}

export interface Delivery {
  /** Whether what is asked for may be redirected at all; `mode` is that of the preset. If not, nothing is looked at. */
  readonly mayRedirect: (kind: Kind, mode: Mode | undefined, headers: RequestHeaders) => boolean
  /** Where to send a client that asks with `method`; undefined: nowhere, it gets the bytes from here. */
  readonly destination: (subject: Subject, method: Method) => Effect.Effect<Destination | undefined>
  /** The tier that can sign URLs. */
  readonly bucketOf: (kind: Kind) => Bucket | undefined
  /**
   * Signs a URL that ends no later than the blob does. `expires` in seconds, by default as the options say. Undefined: the
   * blob has less than a second left.
   */
  readonly sign: (
    bucket: Bucket,
    header: Header,
    method: Method,
    expires?: number
  ) => Effect.Effect<Presigned | undefined, PresignError>
}

// -----------------------------------------------------------------------------
// Times
// -----------------------------------------------------------------------------

/** A signature takes microseconds; what takes longer waits for credentials. */
const signingDeadline = Duration.seconds(2)

/** How long nothing is redirected after no URL could be signed: looking for credentials takes time, each time. */
const pause = Duration.seconds(10)

/**
 * How long a redirect to a URL may be kept that is good for so many seconds: a fifth less, at most a minute, for clocks that
 * differ and clients that take their time.
 */
export const keepFor = (seconds: number): number => Math.max(0, seconds - Math.min(60, Math.ceil(seconds / 5)))

// -----------------------------------------------------------------------------
// Constructor
// -----------------------------------------------------------------------------

export const make = (options: Options): Delivery => {
  const { above, maxAge, mode } = options
  const expiry = Math.floor(Duration.toSeconds(options.expiry))
  /** By the monotonic clock, in nanoseconds. */
  let pausedUntil = 0n

  const bucketOf = (kind: Kind): Bucket | undefined => (kind === "master" ? options.masters : options.variants)

  const sign: Delivery["sign"] = (bucket, header, method, expires = expiry) =>
    Effect.clockWith((clock) => {
      const now = clock.currentTimeMillisUnsafe()
      const left = header.expiresAt === undefined ? expires : Math.floor((header.expiresAt - now) / 1_000)
      const seconds = Math.min(expires, left)
      if (seconds < 1) return Effect.undefined
      return bucket
        .presign(header.key, {
          method,
          expiresIn: Duration.seconds(seconds),
          contentType: header.contentType,
          // Under this URL the bytes are found as long as it is good, and by nobody who was not sent there.
          cacheControl: `private, max-age=${seconds}`
        })
        .pipe(
          Effect.timeoutOrElse({
            duration: signingDeadline,
            orElse: () =>
              Effect.fail(
                new PresignError({
                  tier: bucket.name,
                  reason: "no-credentials",
                  detail: `no credentials within ${Duration.format(signingDeadline)}`
                })
              )
          })
        )
    })

  /** For a redirect: one that cannot be signed is none, and for a while none is tried. */
  const signed = (bucket: Bucket, { found: { header }, isVersioned }: Subject, method: Method) =>
    Effect.clockWith((clock): Effect.Effect<Destination | undefined> => {
      if (clock.monotonicTimeNanosUnsafe() < pausedUntil) return Effect.undefined
      return Effect.matchEffect(sign(bucket, header, method), {
        onSuccess: (presigned) => {
          const seconds =
            presigned === undefined ? 0 : Math.floor((presigned.expiresAt - clock.currentTimeMillisUnsafe()) / 1_000)
          if (presigned === undefined || seconds < 1) return Effect.undefined
          const kept = keepFor(seconds)
          return Effect.succeed({
            to: "bucket",
            url: presigned.url,
            maxAge: isVersioned ? kept : Math.min(kept, maxAge)
          })
        },
        onFailure: (error) => {
          pausedUntil = clock.monotonicTimeNanosUnsafe() + Duration.toNanosUnsafe(pause)
          return Effect.as(
            Effect.logWarning(`redirects paused for ${Duration.format(pause)}, images are proxied`, error),
            undefined
          )
        }
      })
    })

  return {
    mayRedirect: (kind, own, headers) =>
      (own ?? mode) === "redirect" && (kind === "master" || options.variants !== undefined) && !isOnValidators(headers),
    destination: (subject, method) => {
      const { found, kind, version } = subject
      const { header, trail } = found
      if (header.size < above || Trail.isUnconfirmed(trail)) return Effect.undefined
      const elsewhere = kind === "master" ? Metadata.cdnUrlOf(header.attributes[Metadata.cdnField]) : undefined
      if (elsewhere !== undefined) return Effect.succeed({ to: "cdn", url: elsewhere, maxAge })
      const bucket = bucketOf(kind)
      if (bucket === undefined) return Effect.undefined
      return Effect.flatMap(subject.isIn(bucket.name), (isThere): Effect.Effect<Destination | undefined> => {
        if (!isThere) return Effect.undefined
        // A CDN does not know when a blob expires.
        const url = header.expiresAt === undefined ? bucket.publicUrl(header.key) : undefined
        return url === undefined
          ? signed(bucket, subject, method)
          : // It keeps what it has by the URL: another version needs another. The name of a variant has it.
            Effect.succeed({ to: "cdn", url: kind === "master" ? `${url}?v=${version}` : url, maxAge })
      })
    },
    bucketOf,
    sign
  }
}

/**
 * Conditions that only hold for our validators, and that a client repeats where it is sent: there the entity tag is
 * another, and `If-Range` may not be known at all.
 */
const isOnValidators = (headers: RequestHeaders): boolean =>
  headers["if-match"] !== undefined || headers["if-unmodified-since"] !== undefined || headers["if-range"] !== undefined
