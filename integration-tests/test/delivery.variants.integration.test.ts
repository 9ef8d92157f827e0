/** Variants that lie in a bucket, which no setting of the server's environment provides for: the parts of it, composed. */
import { assert, layer } from "@effect/vitest"
import * as Delivery from "@terrace/image-server/Delivery"
import * as ImageLibrary from "@terrace/image-server/ImageLibrary"
import * as Presigned from "@terrace/image-server/Presigned"
import * as Redirects from "@terrace/image-server/Redirects"
import * as Images from "@terrace/image/Images"
import * as Preset from "@terrace/image/Preset"
import * as S3Server from "@terrace/testkit/S3Server"
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as S3Tier from "@terrace/tier-s3/S3Tier"
import * as Body from "@terrace/core/Body"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { until } from "./support/eventually.ts"
import { follow } from "./support/Bucket.ts"
import { png } from "./support/images.ts"

const wide = { ...Preset.make({ width: 400 }), delivery: "redirect" } as const
const small = { ...Preset.make({ width: 20 }), delivery: "redirect" } as const

/** Masters and variants in one bucket behind memory; only presets that say so are redirected. */
const setup = Effect.gen(function* () {
  const server = yield* S3Server.S3Server
  const { accessKeyId, endpoint, forcePathStyle, region, secretAccessKey } = server
  const s3 = yield* S3Tier.make({
    bucket: yield* server.createBucket,
    endpoint,
    forcePathStyle,
    region,
    credentials: { accessKeyId, secretAccessKey: Redacted.make(secretAccessKey) }
  })
  const memory = yield* MemoryTier.make({ maxBytes: 10_000_000 })
  const presets = new Map<string, ImageLibrary.ServedPreset>([
    ["wide", wide],
    ["small", small],
    ["here", Preset.make({ width: 300 })]
  ])
  const images = yield* ImageLibrary.make({
    masters: { caches: [{ tier: memory }], store: { tier: s3 } },
    variants: { caches: [{ tier: memory }, { tier: s3 }] },
    keepOriginal: false,
    presets
  })
  const delivery = Delivery.make({
    mode: "proxy",
    above: 5_000,
    expiry: Duration.minutes(5),
    maxAge: 3_600,
    masters: s3,
    variants: s3
  })
  const redirects = Redirects.make(images, delivery, { policy: {}, revalidating: "public", immutable: "public" })
  const presigned = Presigned.make(images, delivery)
  const request = HttpServerRequest.fromWeb(new Request("http://localhost/"))
  const asked = (preset: string | undefined) => ({ id: "hero", preset, version: undefined })
  yield* images.ingest("hero", yield* Effect.promise(() => png(500, 400)), {}, () => Effect.undefined)
  return {
    images,
    s3,
    mayRedirect: (preset?: string) => redirects.mayAnswer(request, asked(preset)),
    redirect: (preset: string) =>
      Effect.map(redirects.answer(request, asked(preset)), (response) => response?.headers["location"]),
    presigned: (preset: string) => presigned(request, `/images/hero/presigned?preset=${preset}`)
  }
})

/** The URL in the body of an answer. */
const urlOf = ({ body }: HttpServerResponse): string =>
  body._tag === "Uint8Array" ? JSON.parse(Buffer.from(body.body).toString()).url : assert.fail(body._tag)

/** Waits until a variant that was made lies in the bucket. */
const eventually = <A, E, R>(effect: Effect.Effect<A | undefined, E, R>) =>
  until("lies in the bucket", effect, (answer) => answer !== undefined)

layer(Layer.merge(S3Server.layer(), Images.layer()), { excludeTestServices: true, timeout: 120_000 })(
  "variants in a bucket",
  (it) => {
    it.effect("are redirected as their preset says, once the bucket has them, and from the size on", () =>
      Effect.gen(function* () {
        const { images, mayRedirect, redirect, s3 } = yield* setup
        assert.deepStrictEqual(["wide", "small", "here", undefined].map(mayRedirect), [true, true, false, false])
        assert.isUndefined(yield* redirect("wide"))

        const made = yield* images.variant("hero", wide)
        yield* images.variant("hero", small)
        const url = yield* eventually(redirect("wide"))

        const bytes = made._tag === "Found" ? yield* Body.toBytes(made.found.blob.body) : assert.fail(made._tag)
        assert.isTrue((yield* follow(url ?? "")).bytes.equals(Buffer.from(bytes)))
        assert.isUndefined(yield* redirect("small"))

        // Memory still has it, and the bucket not any more.
        if (made._tag === "Found") yield* s3.remove(made.found.blob.header.key, Number.MAX_SAFE_INTEGER)
        assert.isUndefined(yield* redirect("wide"))
      })
    )

    it.effect("have signed URLs once the bucket has them, whatever their size", () =>
      Effect.gen(function* () {
        const { images, presigned } = yield* setup
        const refused = yield* Effect.flip(presigned("small"))
        assert.strictEqual(refused._tag === "Problem" ? refused.type : refused._tag, "not-in-bucket")

        yield* images.variant("hero", small)
        const answer = yield* eventually(Effect.orElseSucceed(presigned("small"), () => undefined))

        const there = yield* follow(answer === undefined ? "" : urlOf(answer))
        assert.deepStrictEqual([there.status, there.headers.get("content-type")], [200, "image/webp"])
        yield* images.remove("hero", () => Effect.undefined)
        const gone = yield* Effect.flip(presigned("small"))
        assert.strictEqual(gone._tag === "Problem" ? gone.type : gone._tag, "image-not-found")
      })
    )
  }
)
