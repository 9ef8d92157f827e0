/**
 * Inspects, normalises and renders images.
 *
 * Every operation takes whole images as bytes and runs in a slot of `CpuSlots`, because even reading a header takes a
 * thread of libuv. The bytes are read in place: do not change them until the operation has settled, which after an
 * interruption or `TimedOut` may be later than the answer.
 *
 * Memory: no more than `slots` images are decoded at a time. One takes 6 to 10 bytes an input pixel while it is made a
 * WebP, up to 22 if it must be held whole at 16 bits or its pixels are noise, and 35 an output pixel to be made an AVIF:
 * with the default limits at most about 1.1 GB a slot, usually far less. Bytes of images that wait in the queue are the
 * caller's, and not bounded here.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as CpuSlots from "./CpuSlots.ts"
import type * as ImageError from "./ImageError.ts"
import * as engine from "./internal/engine.ts"
import type { Inspection } from "./internal/inspect.ts"
import { inspect } from "./internal/inspect.ts"
import type { Master } from "./internal/normalise.ts"
import { normalise } from "./internal/normalise.ts"
import type { Rendered } from "./internal/render.ts"
import { render } from "./internal/render.ts"
import * as Limits from "./Limits.ts"
import type { Preset } from "./Preset.ts"

export type { Inspection, Master, Rendered }

/** Image operations; see each for its errors. Beside those, all fail with `TimedOut` and `Busy`. */
export class Images extends Context.Service<
  Images,
  {
    /**
     * Reads the header.
     *
     * **Behavior**
     *
     * - Fails with `UnsupportedType` for anything but JPEG, PNG, WebP, GIF and AVIF, judged by the bytes alone.
     * - Fails with `TooManyPixels` for an image beyond the input limits, with `Undecodable` for a damaged header.
     * - Decodes no pixel: an image that passes may still turn out `Undecodable`.
     */
    readonly inspect: (bytes: Uint8Array) => Effect.Effect<Inspection, ImageError.ImageError>

    /**
     * Makes the master: upright, 8-bit sRGB, WebP, without metadata.
     *
     * **Behavior**
     *
     * - Fails as `inspect` does, and with `Undecodable` for pixels that are cut off or damaged.
     * - Keeps the size in pixels, an alpha channel, and the frames, delays and loop count of an animation.
     */
    readonly normalise: (bytes: Uint8Array) => Effect.Effect<Master, ImageError.ImageError>

    /**
     * Makes a variant. The bytes are usually a master's, but may be any accepted image.
     *
     * **Behavior**
     *
     * - Fails as `normalise` does, with `InvalidPreset` for a preset out of range, and with `TooManyPixels` if the variant
     *   would be beyond the output limits.
     * - WebP keeps an animation, unless its frames together would be beyond the output limit; it is then a still of the
     *   first frame, as in the other formats.
     * - JPEG is progressive, on white where the image is transparent.
     */
    readonly render: (bytes: Uint8Array, preset: Preset) => Effect.Effect<Rendered, ImageError.ImageError>

    /** Slots and queue at this moment. */
    readonly usage: Effect.Effect<CpuSlots.Usage>
  }
>()("@terrace/image/Images") {}

export interface Options extends CpuSlots.Options {
  /** Limits that differ from `Limits.defaults`. */
  readonly limits?: Partial<Limits.Limits> | undefined
  /** WebP quality of a master, 1 to 100. Default 85. */
  readonly masterQuality?: number | undefined
  /** WebP effort of a master, 0 (fastest) to 6 (smallest). Default 4. */
  readonly masterEffort?: number | undefined
}

/** Makes the service. Sets process-wide state of sharp: see `layer`. */
export const make = (options: Options = {}): Effect.Effect<Images["Service"]> =>
  Effect.sync(() => {
    engine.configure()
    const slots = CpuSlots.make(options)
    const limits = { ...Limits.defaults, ...options.limits }
    const master = { quality: options.masterQuality ?? 85, effort: options.masterEffort ?? 4 }
    const job = <A>(run: (signal: AbortSignal) => Promise<A>) =>
      slots.run({ run, onError: engine.toImageError(limits), millis: limits.operationMillis })

    return Images.of({
      inspect: (bytes) => job(() => inspect(bytes, limits)),
      normalise: (bytes) => job((signal) => normalise(bytes, limits, master, signal)),
      render: (bytes, preset) => job((signal) => render(bytes, preset, limits, signal)),
      usage: slots.usage
    })
  })

/**
 * Provides `Images`.
 *
 * Building it changes sharp for the whole process: every loader is blocked but JPEG, PNG, WebP, GIF and AVIF from
 * buffers, the operation cache is off, and libvips uses one thread an operation. Closing it changes nothing back.
 */
export const layer = (options: Options = {}): Layer.Layer<Images> => Layer.effect(Images, make(options))
