/**
 * URLs under which a client gets an object from the server itself, without credentials of its own.
 */
import type * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"

export interface PresignOptions {
  /** The one method that the URL is good for; a signature covers it. Default: "GET". */
  readonly method?: "GET" | "HEAD" | undefined
  /** How long the URL is good for: 1 second to 7 days; with temporary credentials, no longer than they are. Default: 15 minutes. */
  readonly expiresIn?: Duration.Input | undefined
  /** `Cache-Control` that the server is to answer with. Default: none. */
  readonly cacheControl?: string | undefined
  /** `Content-Type` that the server is to answer with. Default: that of the blob. */
  readonly contentType?: string | undefined
  /** `Content-Disposition` that the server is to answer with, for example `attachment; filename="a.webp"`. Default: none. */
  readonly contentDisposition?: string | undefined
}

export interface Presigned {
  readonly url: string
  readonly method: "GET" | "HEAD"
  /** Unix milliseconds: when the signature ends, or the credentials that it was made with. */
  readonly expiresAt: number
}

/**
 * No URL was made. `reason`:
 * - `invalid-option`: an option has an impossible value.
 * - `no-credentials`: there are none to sign with.
 */
export class PresignError extends Schema.TaggedError<PresignError>("@terrace/tier-s3/PresignError")("PresignError", {
  tier: Schema.String,
  reason: Schema.Literals(["invalid-option", "no-credentials"]),
  /** What is the matter, what is expected, and an example. */
  detail: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `${this.tier}.presign: ${this.detail}`
  }
}
