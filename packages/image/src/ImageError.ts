/**
 * Why an image was refused or could not be made.
 *
 * Messages are one line that a client may see: they name what is wrong and what is expected, and carry no stack, path
 * or memory address. What the decoder said is cleaned before it gets here.
 */
import * as Schema from "effect/Schema"

/** The bytes are not of an accepted type, whatever name or content type they came with. */
export class UnsupportedType extends Schema.TaggedError<UnsupportedType>("@terrace/image/ImageError/UnsupportedType")(
  "UnsupportedType",
  {
    /** What the first bytes say, for example `svg`; `unknown` if nothing matches. */
    detected: Schema.String,
    allowed: Schema.Array(Schema.String)
  }
) {
  readonly isRetryable = false
  override get message(): string {
    const what = this.detected === "unknown" ? "the type of the bytes is not known" : `the bytes are ${this.detected}`
    return `${what}: expected one of ${this.allowed.join(", ")}`
  }
}

/** The bytes claim an accepted type but are empty, cut off or damaged. */
export class Undecodable extends Schema.TaggedError<Undecodable>("@terrace/image/ImageError/Undecodable")(
  "Undecodable",
  { detail: Schema.String }
) {
  readonly isRetryable = false
  override get message(): string {
    return `the image cannot be decoded: ${this.detail}`
  }
}

/** A limit on size, found from the header before any pixel is decoded, or from the preset before any is rendered. */
export class TooManyPixels extends Schema.TaggedError<TooManyPixels>("@terrace/image/ImageError/TooManyPixels")(
  "TooManyPixels",
  {
    /** Whether the image that came in is too large, or the one that was asked for. */
    side: Schema.Literals(["input", "output"]),
    /** Which limit: `pixels` is width × height × frames, `dimension` the longer of width and height. */
    exceeded: Schema.Literals(["pixels", "dimension", "frames"]),
    /** Pixels of one frame. */
    width: Schema.Number,
    height: Schema.Number,
    frames: Schema.Number,
    limit: Schema.Number
  }
) {
  readonly isRetryable = false
  override get message(): string {
    const size = `${this.width}×${this.height}${this.frames === 1 ? "" : ` in ${this.frames} frames`}`
    const expected = {
      pixels: `at most ${this.limit} pixels in all`,
      dimension: `at most ${this.limit} pixels a side`,
      frames: `at most ${this.limit} frames`
    }[this.exceeded]
    return `the ${this.side === "input" ? "image" : "requested image"} is ${size}: expected ${expected}`
  }
}

/** The preset asks for something that no image can be; never the fault of the image. */
export class InvalidPreset extends Schema.TaggedError<InvalidPreset>("@terrace/image/ImageError/InvalidPreset")(
  "InvalidPreset",
  { detail: Schema.String }
) {
  readonly isRetryable = false
  override get message(): string {
    return `the preset is not valid: ${this.detail}`
  }
}

/** The operation took longer than its limit. Its slot stays taken until libvips has stopped. */
export class TimedOut extends Schema.TaggedError<TimedOut>("@terrace/image/ImageError/TimedOut")("TimedOut", {
  millis: Schema.Number
}) {
  readonly isRetryable = false
  override get message(): string {
    return `the image took longer than ${this.millis} ms to process: expected one that needs less work`
  }
}

/** All slots are taken, and the queue is full or did not move in time. Nothing was begun. */
export class Busy extends Schema.TaggedError<Busy>("@terrace/image/ImageError/Busy")("Busy", {
  /** Operations that were waiting. */
  queued: Schema.Number
}) {
  readonly isRetryable = true
  override get message(): string {
    return `too many images are being processed (${this.queued} waiting): try again later`
  }
}

export type Reason = UnsupportedType | Undecodable | TooManyPixels | InvalidPreset | TimedOut | Busy

/** The one error of image operations; match its `reason` with `Effect.catchReason`. */
export class ImageError extends Schema.TaggedError<ImageError>("@terrace/image/ImageError")("ImageError", {
  reason: Schema.Union([UnsupportedType, Undecodable, TooManyPixels, InvalidPreset, TimedOut, Busy])
}) {
  override get message(): string {
    return this.reason.message
  }

  /** Whether the same call may succeed later. */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
}

/** Shorthand for `new ImageError({ reason })`. */
export const of = (reason: Reason): ImageError => new ImageError({ reason })
