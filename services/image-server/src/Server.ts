/**
 * The server as layers: storage and image engine below the library, the library below HTTP.
 */
import * as ImageCatalog from "@terrace/legacy-base64/Catalog"
import * as Records from "@terrace/legacy-base64/Records"
import * as FilesystemTier from "@terrace/tier-filesystem/FilesystemTier"
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as RedisConnection from "@terrace/tier-redis/RedisConnection"
import * as Images from "@terrace/image/Images"
import * as Preset from "@terrace/image/Preset"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import { join } from "node:path"
import * as Access from "./Access.ts"
import * as Catalog from "./Catalog.ts"
import * as Handlers from "./Handlers.ts"
import * as ImageLibrary from "./ImageLibrary.ts"
import * as LegacyOrigin from "./LegacyOrigin.ts"
import * as NodeServer from "./NodeServer.ts"
import * as RequestBody from "./RequestBody.ts"
import * as Routes from "./Routes.ts"
import type { ServerConfig } from "./ServerConfig.ts"
import * as Upload from "./Upload.ts"

/** Bytes of uploads in flight, all together: 256 MiB, or what the largest upload takes as JSON. */
const uploadBudget = (config: ServerConfig): number =>
  Math.max(268_435_456, Handlers.jsonWeight * Upload.maxJsonBytes(config.maxUploadBytes))

/** Masters below this many bytes are read whole and shared by their readers, if memory takes them; larger ones stream. */
const inlineBelow = (config: ServerConfig): number =>
  Math.max(1_048_576, Math.min(4_194_304, Math.floor(config.memoryMaxBytes / 8)))

/** A page full of thumbnails nobody has asked for yet may wait its turn; uploads are bounded by their bytes. */
const imageQueue = { queue: 512, queueMillis: 20_000 }

/** What Redis is used for, if there is one: old records, the catalog. */
const withRedis = (config: ServerConfig, budget: RequestBody.Budget) =>
  Effect.gen(function* () {
    if (config.redisUrl === undefined) return {}
    const maxImageBytes = config.maxUploadBytes
    const maxRecordBytes = Upload.maxJsonBytes(maxImageBytes)
    const connection = yield* RedisConnection.make({ url: config.redisUrl, cluster: config.redisCluster })
    const records = yield* Records.make({ maxImageBytes, maxRecordBytes }).pipe(
      Effect.provideService(RedisConnection.RedisConnection, connection)
    )
    const catalog = yield* ImageCatalog.make({ ttl: Duration.seconds(config.recordTtl) }).pipe(
      Effect.provideService(RedisConnection.RedisConnection, connection)
    )
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
  })

/** Opens the storage of a deployment and composes the library. */
const library = (config: ServerConfig, budget: RequestBody.Budget) =>
  Layer.effect(
    ImageLibrary.ImageLibrary,
    Effect.gen(function* () {
      const sweepEvery = config.sweepEvery ?? Duration.infinity
      const store = yield* FilesystemTier.make({
        root: join(config.dataDir, "masters"),
        role: "store",
        maxBytes: config.storeMaxBytes,
        inlineBelow: inlineBelow(config),
        sweepEvery
      })
      const disk = yield* FilesystemTier.make({
        root: join(config.dataDir, "variants"),
        role: "cache",
        maxBytes: config.diskMaxBytes,
        maxAge: config.diskMaxAge,
        sweepEvery
      })
      // One budget for both chains: their names never meet.
      const memory = yield* MemoryTier.make({ maxBytes: config.memoryMaxBytes })
      return yield* ImageLibrary.make({
        store,
        masterCaches: [memory],
        variantCaches: [memory, disk],
        keepOriginal: config.keepOriginal,
        presets: new Map([["thumb", Preset.thumb]]),
        ...(yield* withRedis(config, budget))
      })
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
    Effect.map(ImageLibrary.ImageLibrary, (images) => {
      const handlers = Handlers.make(images, {
        maxAge: config.maxAge,
        maxUploadBytes: config.maxUploadBytes,
        uploadBudget: budget,
        resourcePolicy: config.resourcePolicy
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
