import { Images, Preset } from "@terrace/image"
import * as Effect from "effect/Effect"

/** The master and the thumbnail of an upload. */
export const thumbnail = (upload: Uint8Array) =>
  Effect.gen(function* () {
    const images = yield* Images.Images
    const master = yield* images.normalise(upload)
    const thumb = yield* images.render(master.bytes, Preset.thumb)
    return { master, thumb }
  }).pipe(
    // Each reason can be handled by itself; what is left stays in the error channel.
    Effect.catchReason("ImageError", "UnsupportedType", (reason) =>
      Effect.succeed({ refused: `${reason.detected} is not accepted` })
    )
  )
