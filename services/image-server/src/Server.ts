/**
 * The server as layers: storage and image engine below the library, the library below HTTP.
 */
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
import type { ServerConfig } from "./ServerConfig.ts"
import * as Storage from "./Storage.ts"
import * as Upload from "./Upload.ts"

/** Bytes of uploads in flight, all together: 256 MiB, or what the largest upload takes as JSON. */
const uploadBudget = (config: ServerConfig): number =>
  Math.max(268_435_456, Handlers.jsonWeight * Upload.maxJsonBytes(config.maxUploadBytes))

/** A page full of thumbnails nobody has asked for yet may wait its turn; uploads are bounded by their bytes. */
const imageQueue = { queue: 512, queueMillis: 20_000 }

/** What Redis has of images: old records, the catalog. */
const recordsIn = (connection: RedisConnection.Connection, config: ServerConfig, budget: RequestBody.Budget) =>
  Effect.gen(function* () {
    const maxImageBytes = config.maxUploadBytes
    const maxRecordBytes = Upload.maxJsonBytes(maxImageBytes)
    const records = yield* Records.make({ maxImageBytes, maxRecordBytes })
    const catalog = yield* ImageCatalog.make({ ttl: Duration.seconds(config.recordTtl) })
    const engine = yield* Images.Images
    const origin: ImageLibrary.OriginOf = (originals) =>
      LegacyOrigin.make({
        records,
        engine,
        originals: config.legacyKeepOriginal ? originals : undefined,
        budget,
        maxRecordBytes
      })
    return { origin, records: Catalog.recordsOf(catalog) }
  }).pipe(Effect.provideService(RedisConnection.RedisConnection, connection))

/** How images leave the storage of a deployment, beside the library that is made of it. */
class Outlet extends Context.Service<Outlet, Delivery.Delivery>()("@terrace/image-server/Server/Outlet") {}

/** Opens the storage of a deployment and composes the library. */
const library = (config: ServerConfig, budget: RequestBody.Budget) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const { masters, shared, variants } = yield* Storage.make(config)
      const delivery = Delivery.make({
        mode: config.delivery,
        above: config.deliveryAbove,
        expiry: config.deliveryExpiry,
        maxAge: config.maxAge,
        masters: masters.s3,
        variants: variants.s3
      })
      const images = yield* ImageLibrary.make({
        masters,
        variants,
        keepOriginal: config.keepOriginal,
        presets: new Map([["thumb", Preset.thumb]]),
        bus: shared?.bus,
        leases: shared?.leases,
        ...(shared === undefined ? {} : yield* recordsIn(shared.connection, config, budget))
      })
      return Context.make(ImageLibrary.ImageLibrary, images).pipe(Context.add(Outlet, delivery))
    })
  ).pipe(Layer.provide(Images.layer({ ...imageQueue, masterQuality: config.quality, masterEffort: config.effort })))

/**
 * Serves HTTP until its scope closes: then it accepts no more, finishes what it has, and closes the storage.
 *
 * `node` is the HTTP server that `NodeServer.make` has set up.
 */
export const layer = (config: ServerConfig, node: NodeServer.NodeServer) => {
  const budget = new RequestBody.Budget(uploadBudget(config))
  return Layer.unwrap(
    Effect.gen(function* () {
      const images = yield* ImageLibrary.ImageLibrary
      const handlers = Handlers.make(images, {
        maxAge: config.maxAge,
        maxUploadBytes: config.maxUploadBytes,
        uploadBudget: budget,
        resourcePolicy: config.resourcePolicy,
        delivery: yield* Outlet
      })
      const respond = Routes.make(handlers, Access.make(config.token))
      return HttpServer.serve(Effect.map(Effect.flatMap(HttpServerRequest, respond), lastly(node)))
    })
  ).pipe(
    Layer.tap(() => announce(config)),
    Layer.provide(library(config, budget)),
    Layer.provide(
      NodeHttpServer.layerServer(() => node.server, {
        host: config.host,
        port: config.port,
        gracefulShutdownTimeout: NodeServer.gracefulStop
      })
    )
  )
}

/** While the server stops, every answer is the last of its connection. */
const lastly = (node: NodeServer.NodeServer) => (response: HttpServerResponse.HttpServerResponse) =>
  node.isStopping() ? HttpServerResponse.setHeader(response, "connection", "close") : response

const announce = (config: ServerConfig) =>
  HttpServer.addressFormattedWith((address) =>
    Effect.annotateLogs(Effect.logInfo("listening"), {
      address,
      dataDir: config.dataDir,
      access: config.token === undefined ? "no token: this machine only" : "token"
    })
  )
