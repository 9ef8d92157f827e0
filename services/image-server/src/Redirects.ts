/**
 * Answers a request for an image without its bytes: by a redirect to where they lie, or a 304.
 *
 * The header of the image is asked for, never its body: what the bucket delivers itself need not come through this server
 * first.
 */
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import type { Delivery } from "./Delivery.ts"
import { versionOf } from "./ImageKeys.ts"
import type { ImageLibrary } from "./ImageLibrary.ts"
import * as ImageResponse from "./ImageResponse.ts"
import * as ImageUrl from "./ImageUrl.ts"
import type { RouteError } from "./Problem.ts"

export interface Headers {
  /** What every answer carries. */
  readonly policy: Readonly<Record<string, string>>
  /** `Cache-Control` of an image. */
  readonly revalidating: string
  /** `Cache-Control` of a version of an image. */
  readonly immutable: string
}

export interface Redirects {
  /** Whether to ask at all. */
  readonly mayAnswer: (request: HttpServerRequest, asked: ImageUrl.ImageRequest) => boolean
  /** Undefined: the client needs the bytes from here, or is told what is wrong. */
  readonly answer: (
    request: HttpServerRequest,
    asked: ImageUrl.ImageRequest
  ) => Effect.Effect<HttpServerResponse | undefined, RouteError>
}

export const make = (
  library: Pick<ImageLibrary["Service"], "locate" | "presets">,
  delivery: Delivery,
  { immutable, policy, revalidating }: Headers
): Redirects => ({
  mayAnswer: ({ headers }, { preset }) =>
    preset === undefined
      ? delivery.mayRedirect("master", undefined, headers)
      : delivery.mayRedirect("variant", library.presets.get(preset)?.delivery, headers),

  answer: (request, { id, preset: name, version: expected }) =>
    Effect.gen(function* () {
      const preset = name === undefined ? undefined : yield* Effect.fromResult(ImageUrl.presetOf(library.presets, name))
      const placement = yield* library.locate(id, preset)
      if (placement._tag === "NotFound" || placement.found === undefined) return undefined
      const { found, isIn, master } = placement
      const version = versionOf(master)
      const isVersioned = expected !== undefined
      if (isVersioned && expected !== version) return undefined
      const cacheControl = isVersioned ? immutable : revalidating
      const unchanged = ImageResponse.notModified(request, { ...found, cacheControl }, policy)
      if (unchanged !== undefined) return unchanged
      const destination = yield* delivery.destination(
        { kind: preset === undefined ? "master" : "variant", found, version, isVersioned, isIn },
        request.method === "HEAD" ? "HEAD" : "GET"
      )
      if (destination === undefined) return undefined
      yield* Effect.annotateLogs(Effect.logDebug("redirected"), { id, to: destination.to })
      return ImageResponse.redirect(destination, policy)
    })
})
