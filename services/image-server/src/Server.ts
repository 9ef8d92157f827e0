/**
 * The server as layers: storage and image engine below the library, the library below HTTP.
 */
import type { Deployment, PresetConfig } from "@terrace/config/Deployment"
import * as Storage from "@terrace/config/Storage"
import * as ImageCatalog from "@terrace/legacy-base64/Catalog"
import * as Records from "@terrace/legacy-base64/Records"
import * as RedisConnection from "@terrace/tier-redis/RedisConnection"
import * as Images from "@terrace/image/Images"
import * as Preset from "@terrace/image/Preset"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Access from "./Access.ts"
import * as Catalog from "./Catalog.ts"
import * as Delivery from "./Delivery.ts"
import * as Handlers from "./Handlers.ts"
import * as ImageLibrary from "./ImageLibrary.ts"
import * as LegacyOrigin from "./LegacyOrigin.ts"
import * as NodeServer from "./NodeServer.ts"
import * as RequestBody from "./RequestBody.ts"
import * as Routes from "./Routes.ts"
import * as Upload from "./Upload.ts"

/** Bytes of uploads in flight, all together: what the deployment says, or what the largest upload takes as JSON. */
const uploadBudget = ({ limits }: Deployment): number =>
  Math.max(limits.uploadsUnderWay, Handlers.jsonWeight * Upload.maxJsonBytes(limits.uploadBytes))

/** A page full of thumbnails nobody has asked for yet may wait its turn; uploads are bounded by their bytes. */
const engineOptions = ({ images, limits }: Deployment): Images.Options => ({
  queue: limits.queue,
  queueMillis: Duration.toMillis(limits.queueTime),
  limits: {
    inputPixels: limits.inputPixels,
    frames: limits.frames,
    outputPixels: limits.outputPixels,
    outputSide: limits.outputSide,
    operationMillis: Duration.toMillis(limits.imageTime)
  },
  masterQuality: images.quality,
  masterEffort: images.effort
})

const presetOf = ({ delivery, ...config }: PresetConfig): ImageLibrary.ServedPreset => ({
  ...Preset.make(config),
  delivery
})

/** What Redis has of images: old records, the catalog. */
const recordsIn = (shared: Storage.Shared, deployment: Deployment, budget: RequestBody.Budget) =>
  Effect.gen(function* () {
    const { catalog, legacy } = deployment
    const maxImageBytes = deployment.limits.uploadBytes
    const maxRecordBytes = Upload.maxJsonBytes(maxImageBytes)
    const engine = yield* Images.Images
    const old = shared.legacy && (yield* on(shared.legacy)(Records.make({ maxImageBytes, maxRecordBytes })))
    const origin: ImageLibrary.OriginOf | undefined =
      old &&
      ((originals) =>
        LegacyOrigin.make({
          records: old,
          engine,
          originals: legacy !== "off" && legacy.keepOriginal ? originals : undefined,
          budget,
          maxRecordBytes
        }))
    if (catalog === "off" && old === undefined) return { origin, records: undefined }
    const ttl = catalog === "off" ? undefined : Duration.seconds(catalog.ttl)
    const kept = Catalog.recordsOf(yield* on(shared.connection)(ImageCatalog.make({ ttl })))
    return { origin, records: catalog === "off" ? Catalog.removalsOf(kept) : kept }
  })

const on = (connection: RedisConnection.Connection) =>
  Effect.provideService(RedisConnection.RedisConnection, connection)

/** How images leave the storage of a deployment, beside the library that is made of it. */
class Outlet extends Context.Service<Outlet, Delivery.Delivery>()("@terrace/image-server/Server/Outlet") {}

/** Opens the storage of a deployment and composes the library. */
const library = (deployment: Deployment, budget: RequestBody.Budget) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const { masters, shared, variants } = yield* Storage.make(deployment)
      const delivery = Delivery.make({
        mode: deployment.delivery.mode,
        above: deployment.delivery.above,
        expiry: deployment.delivery.expiry,
        maxAge: deployment.server.maxAge,
        masters: masters.s3,
        variants: variants.s3
      })
      const images = yield* ImageLibrary.make({
        masters,
        variants,
        keepOriginal: deployment.images.keepOriginal,
        presets: new Map(Object.entries(deployment.presets).map(([name, preset]) => [name, presetOf(preset)])),
        bus: shared?.bus,
        leases: shared?.leases,
        ...(shared === undefined ? {} : yield* recordsIn(shared, deployment, budget))
      })
      return Context.make(ImageLibrary.ImageLibrary, images).pipe(Context.add(Outlet, delivery))
    })
  ).pipe(Layer.provide(Images.layer(engineOptions(deployment))))

/**
 * Serves HTTP until its scope closes: then it accepts no more, finishes what it has, and closes the storage.
 *
 * `node` is the HTTP server that `NodeServer.make` has set up.
 */
export const layer = (deployment: Deployment, node: NodeServer.NodeServer) => {
  const { limits, server } = deployment
  const budget = new RequestBody.Budget(uploadBudget(deployment))
  return Layer.unwrap(
    Effect.gen(function* () {
      const images = yield* ImageLibrary.ImageLibrary
      const handlers = Handlers.make(images, {
        maxAge: server.maxAge,
        maxUploadBytes: limits.uploadBytes,
        uploadBudget: budget,
        resourcePolicy: server.resourcePolicy,
        delivery: yield* Outlet
      })
      const respond = Routes.make(handlers, Access.make(server.token))
      return HttpServer.serve(Effect.map(Effect.flatMap(HttpServerRequest, respond), lastly(node)))
    })
  ).pipe(
    Layer.tap(() => announce(deployment)),
    Layer.provide(library(deployment, budget)),
    Layer.provide(
      NodeHttpServer.layerServer(() => node.server, {
        host: server.host,
        port: server.port,
        gracefulShutdownTimeout: NodeServer.gracefulStop
      })
    )
  )
}

/** While the server stops, every answer is the last of its connection. */
const lastly = (node: NodeServer.NodeServer) => (response: HttpServerResponse.HttpServerResponse) =>
  node.isStopping() ? HttpServerResponse.setHeader(response, "connection", "close") : response

const announce = ({ dataDir, server, tiers }: Deployment) =>
  HttpServer.addressFormattedWith((address) =>
    Effect.annotateLogs(Effect.logInfo("listening"), {
      address,
      ...(Object.values(tiers).some(({ type }) => type === "filesystem") ? { dataDir } : {}),
      access: server.token === undefined ? "no token: this machine only" : "token"
    })
  )
