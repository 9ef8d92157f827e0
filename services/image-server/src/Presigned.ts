/**
 * `GET /images/:id/presigned`: a URL under which the bucket itself answers the image, for those who hand it on.
 *
 * Whatever the delivery is set to. A URL is only given for what is current and certainly in the bucket, so that nobody is
 * handed one that leads nowhere.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Conditional from "./Conditional.ts"
import type { Delivery } from "./Delivery.ts"
import { versionOf } from "./ImageKeys.ts"
import type { ImageLibrary } from "./ImageLibrary.ts"
import { securityHeaders } from "./ImageResponse.ts"
import * as ImageUrl from "./ImageUrl.ts"
import * as Problem from "./Problem.ts"
import type { Handle } from "./Routes.ts"

/** A URL is good for what is there now; an answer without one may be another in a moment. */
const noStore = { "cache-control": "no-store" }

export const make =
  (
    library: Pick<ImageLibrary["Service"], "locate" | "presets">,
    delivery: Pick<Delivery, "bucketOf" | "sign">
  ): Handle =>
  (_request, target) =>
    Effect.gen(function* () {
      const { expires, id, method, preset: name } = yield* Effect.fromResult(ImageUrl.parsePresign(target))
      const preset = name === undefined ? undefined : yield* Effect.fromResult(ImageUrl.presetOf(library.presets, name))
      const bucket = delivery.bucketOf(preset === undefined ? "master" : "variant")
      if (bucket === undefined) return yield* noBucket(name)
      const placement = yield* library.locate(id, preset)
      if (placement._tag === "NotFound") return yield* notFound(id, Problem.imageNotFound(id, placement.trail).type)
      if (placement.isUnconfirmed) {
        return yield* Problem.of("unavailable", "whether this is what the bucket has cannot be learned now")
      }
      const { found, isIn, master } = placement
      if (found === undefined || !(yield* isIn(bucket.name))) return yield* notInBucket(id, name)
      const { header } = found
      const presigned = yield* delivery.sign(bucket, header, method, expires)
      if (presigned === undefined) return yield* notFound(id, "image-not-found")
      return HttpServerResponse.jsonUnsafe(
        {
          id,
          preset: name,
          url: presigned.url,
          method: presigned.method,
          expiresAt: DateTime.formatIso(DateTime.makeUnsafe(presigned.expiresAt)),
          version: versionOf(master),
          etag: Conditional.etag(header.digest),
          contentType: header.contentType,
          bytes: header.size
        },
        { headers: { ...securityHeaders, ...noStore } }
      )
    })

/** As for the image itself, but kept by nobody. */
const notFound = (id: string, type: Problem.ProblemType): Problem.Problem =>
  Problem.of(type, `there is no image ${id} to make a URL for`, noStore)

const noBucket = (preset: string | undefined): Problem.Problem =>
  Problem.of(
    "no-bucket",
    preset === undefined
      ? "masters are kept on this server's disk: expected a deployment with TERRACE_S3_BUCKET"
      : "variants are kept in no bucket: expected a URL without preset, which is that of the master"
  )

const notInBucket = (id: string, preset: string | undefined): Problem.Problem =>
  Problem.of(
    "not-in-bucket",
    preset === undefined
      ? `${id} has just been made and is not stored yet: try again in a moment`
      : `${preset} of ${id} is not in the bucket: it gets there once it has been asked for`,
    preset === undefined ? { "retry-after": "1" } : undefined
  )
