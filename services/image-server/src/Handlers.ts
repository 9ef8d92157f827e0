/**
 * What each route does: reads the request, asks the library, words the answer.
 */
import type { Deployment } from "@terrace/config/Deployment"
import type { Found, NotFound, TierReceipt } from "@terrace/core/Chain"
import type { Header } from "@terrace/core/Header"
import * as Trail from "@terrace/core/Trail"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { hash, randomUUID } from "node:crypto"
import * as Conditional from "./Conditional.ts"
import type { Delivery } from "./Delivery.ts"
import * as Explanation from "./Explanation.ts"
import * as ImageAttributes from "./ImageAttributes.ts"
import { versionOf } from "./ImageKeys.ts"
import type { ImageLibrary } from "./ImageLibrary.ts"
import * as ImageResponse from "./ImageResponse.ts"
import * as ImageUrl from "./ImageUrl.ts"
import * as Presigned from "./Presigned.ts"
import * as Problem from "./Problem.ts"
import * as Redirects from "./Redirects.ts"
import * as RequestBody from "./RequestBody.ts"
import type { Handle, Respond } from "./Routes.ts"
import * as Upload from "./Upload.ts"
import type { Ingested, Precondition } from "./Writes.ts"

export interface Options {
  /** Seconds for `Cache-Control: max-age`. */
  readonly maxAge: number
  /** Largest image that may be uploaded, decoded, in bytes. */
  readonly maxUploadBytes: number
  /** Bytes of uploads in flight, all together. */
  readonly uploadBudget: RequestBody.Budget
  /** Value of `Cross-Origin-Resource-Policy` on images. */
  readonly resourcePolicy: Deployment["server"]["resourcePolicy"]
  readonly delivery: Delivery
}

export interface Handlers {
  readonly image: Handle
  readonly metadata: Handle
  readonly presigned: Handle
  readonly create: Handle
  readonly replace: Handle
  readonly remove: Handle
  readonly list: Handle
  readonly explain: Handle
  readonly tiers: Handle
  readonly alive: Handle
  readonly ready: Handle
}

export const make = (library: ImageLibrary["Service"], options: Options): Handlers => {
  const { delivery } = options
  const policy = { ...ImageResponse.securityHeaders, "cross-origin-resource-policy": options.resourcePolicy }
  const represent = ImageResponse.responder(policy)
  const revalidating = `public, max-age=${options.maxAge}`
  const immutable = "public, max-age=31536000, immutable"
  const redirects = Redirects.make(library, delivery, { policy, revalidating, immutable })

  // --- reading -----------------------------------------------------------------

  const image: Handle = (request, target) =>
    Effect.flatMap(Effect.fromResult(ImageUrl.parseImage(target)), (asked) =>
      redirects.mayAnswer(request, asked)
        ? Effect.flatMap(redirects.answer(request, asked), (response) =>
            response === undefined ? proxied(request, asked) : Effect.succeed(response)
          )
        : proxied(request, asked)
    )

  const proxied = (request: HttpServerRequest, asked: ImageUrl.ImageRequest): Respond =>
    asked.preset === undefined && asked.version === undefined
      ? master(request, asked.id, 2)
      : variantOrVersion(request, asked, 2)

  /** `attempts`: how often to look again for a body that was replaced before it was opened. */
  const master = (request: HttpServerRequest, id: string, attempts: number): Respond =>
    Effect.flatMap(library.master(id), (answer) =>
      answer._tag === "NotFound"
        ? elsewhere(id, answer)
        : respond(request, id, answer, revalidating, attempts > 0 ? () => master(request, id, attempts - 1) : undefined)
    )

  /** An image that no tier has, but of which a record says where it is. */
  const elsewhere = (id: string, { trail }: NotFound): Respond =>
    Trail.isLetGo(trail)
      ? Effect.flatMap(library.elsewhere(id), (url) =>
          url === undefined
            ? Effect.fail(Problem.imageNotFound(id, trail))
            : Effect.succeed(ImageResponse.redirect({ url, maxAge: options.maxAge }, policy))
        )
      : Effect.fail(Problem.imageNotFound(id, trail))

  const variantOrVersion = (request: HttpServerRequest, asked: ImageUrl.ImageRequest, attempts: number): Respond =>
    Effect.gen(function* () {
      const { id, preset: name, version } = asked
      const answer = yield* found(asked)
      if (answer._tag === "NotFound") return yield* Problem.imageNotFound(id, answer.trail)
      const current = versionOf(answer.master)
      if (version !== undefined && version !== current) {
        const query = name === undefined ? `v=${current}` : `preset=${name}&v=${current}`
        return HttpServerResponse.redirect(`/images/${id}?${query}`, {
          status: 302,
          headers: { ...policy, "cache-control": "no-store", "content-length": "0" }
        })
      }
      const again = attempts > 0 ? () => variantOrVersion(request, asked, attempts - 1) : undefined
      return yield* respond(request, id, answer.found, version === undefined ? revalidating : immutable, again)
    })

  /** The representation that was asked for, and the header of the master it stems from. */
  const found = ({ id, preset: name }: ImageUrl.ImageRequest) => {
    if (name === undefined) {
      return Effect.map(library.master(id), (answer) =>
        answer._tag === "NotFound" ? answer : { _tag: "Found" as const, found: answer, master: answer.blob.header }
      )
    }
    return Effect.flatMap(presetOf(name), (preset) => library.variant(id, preset))
  }

  const presetOf = (name: string) => Effect.fromResult(ImageUrl.presetOf(library.presets, name))

  const respond = (
    request: HttpServerRequest,
    id: string,
    { blob, trail }: Found,
    cacheControl: string,
    again: (() => Respond) | undefined
  ): Respond => {
    const response = Effect.andThen(logAnswer(id, trail), represent(request, { blob, trail, cacheControl }))
    return again === undefined || blob.body._tag === "Inline"
      ? response
      : Effect.catchIf(response, (error) => error._tag === "TierError" && error.reason._tag === "Gone", again)
  }

  const metadata: Handle = (request, target) =>
    Effect.gen(function* () {
      const id = yield* Effect.fromResult(ImageUrl.parseId(target, "/metadata"))
      const answer = yield* library.header(id)
      if (answer._tag === "NotFound") return yield* Problem.imageNotFound(id, answer.trail)
      return revalidated(request, describe(answer.header))
    })

  // --- writing -----------------------------------------------------------------

  const create: Handle = (request, target) =>
    Effect.flatMap(Effect.fromResult(ImageUrl.parseBare(target)), () => ingest(request, randomUUID()))

  const replace: Handle = (request, target) =>
    Effect.flatMap(Effect.fromResult(ImageUrl.parseId(target)), (id) => ingest(request, id))

  const ingest = (request: HttpServerRequest, id: string): Respond =>
    Effect.gen(function* () {
      const { attributes, bytes } = yield* upload(request)
      const ingested = yield* library.ingest(id, bytes, attributes, precondition(request))
      yield* Effect.annotateLogs(Effect.logInfo("image stored"), { id, bytes: ingested.header.size })
      return json(
        { ...describe(ingested.header), tiers: receipt(ingested.tiers) },
        written(ingested),
        ingested.created ? 201 : 200
      )
    })

  const upload = (request: HttpServerRequest) =>
    Effect.gen(function* () {
      const contentType = request.headers["content-type"] ?? ""
      if (request.headers["content-range"] !== undefined) {
        return yield* Problem.of("invalid-upload", "the request has a Content-Range: expected a whole image")
      }
      if ((request.headers["content-encoding"] ?? "identity") !== "identity") {
        return yield* Problem.of("unsupported-type", "the body has a Content-Encoding: expected none")
      }
      if (contentType.startsWith("multipart/")) {
        return yield* Problem.of("unsupported-type", "the body is multipart: expected the bytes of one image, or JSON")
      }
      const { maxUploadBytes: maxBytes, uploadBudget: budget } = options
      if (!isJson(contentType)) {
        return { bytes: yield* RequestBody.read(request, { maxBytes, budget, weight: 1 }), attributes: {} }
      }
      const body = yield* RequestBody.read(request, {
        maxBytes: Upload.maxJsonBytes(maxBytes),
        budget,
        weight: jsonWeight
      })
      return yield* Effect.fromResult(
        Upload.fromJson(body, {
          maxBytes,
          reserved: ImageAttributes.reserved
        })
      )
    })

  const remove: Handle = (request, target) =>
    Effect.gen(function* () {
      const id = yield* Effect.fromResult(ImageUrl.parseId(target))
      const removed = yield* library.remove(id, precondition(request))
      if (removed.record === true || removed.masters.some(({ outcome }) => outcome === "removed")) {
        yield* Effect.annotateLogs(Effect.logInfo("image removed"), { id })
      }
      const { masters, record, variants } = removed
      return json({ id, record, masters: receipt(masters), variants: receipt(variants) }, noStore)
    })

  // --- operating ---------------------------------------------------------------

  const list: Handle = (_request, target) =>
    Effect.gen(function* () {
      const { after, limit, prefix } = yield* Effect.fromResult(ImageUrl.parseList(target))
      return json(yield* library.list(limit, prefix, after), noStore)
    })

  const explain: Handle = (_request, target) =>
    Effect.gen(function* () {
      const { id, preset: name } = yield* Effect.fromResult(ImageUrl.parseExplain(target))
      const preset = name === undefined ? undefined : yield* presetOf(name)
      return json(Explanation.describe(id, name, yield* library.explain(id, preset)), noStore)
    })

  const tiers: Handle = (_request, target) =>
    Effect.gen(function* () {
      yield* Effect.fromResult(ImageUrl.parseBare(target))
      return json({ chains: yield* library.status }, noStore)
    })

  const alive: Handle = (_request, target) =>
    Effect.map(Effect.fromResult(ImageUrl.parseBare(target)), () => json({ status: "alive" }, noStore))

  const ready: Handle = (_request, target) =>
    Effect.andThen(
      Effect.fromResult(ImageUrl.parseBare(target)),
      Effect.as(library.ready, json({ status: "ready" }, noStore))
    )

  const presigned = Presigned.make(library, delivery)

  return { image, metadata, presigned, create, replace, remove, list, explain, tiers, alive, ready }
}

/** What a byte of a JSON body takes: the text and the decoded image are held beside it. */
export const jsonWeight = 3

const noStore = { "cache-control": "no-store" }

const json = (body: unknown, headers: Readonly<Record<string, string>>, status = 200) =>
  HttpServerResponse.jsonUnsafe(body, { status, headers: { ...ImageResponse.securityHeaders, ...headers } })

/** JSON that clients may keep, but ask about at every use. */
const revalidated = (request: HttpServerRequest, body: unknown) => {
  const etag = Conditional.etag(hash("sha256", JSON.stringify(body), "hex"))
  const headers = { "cache-control": "no-cache", etag }
  return Conditional.evaluate(request.headers, { etag }) === "not-modified"
    ? HttpServerResponse.empty({ status: 304, headers: { ...ImageResponse.securityHeaders, ...headers } })
    : json(body, headers)
}

/** `application/json`, and what else says that it is JSON (RFC 6839). */
const isJson = (contentType: string): boolean =>
  /^(?:application|text)\/(?:[a-z0-9.!#$&^_-]+\+)?json\s*(?:;|$)/i.test(contentType)

/** Evaluates `If-Match` and its kin against the stored master, and says what must still hold in the store. */
const precondition = (request: HttpServerRequest): Precondition<Problem.Problem> =>
  Object.assign((current: Header | undefined) => evaluate(request, current), {
    isUnconditional: Conditional.isUnconditional(request.headers)
  })

const evaluate = (request: HttpServerRequest, current: Header | undefined) => {
  const decision = Conditional.evaluateWrite(
    request.headers,
    current && { etag: Conditional.etag(current.digest), lastModified: current.createdAt }
  )
  if (decision._tag === "Failed") {
    return Effect.fail(
      Problem.of(
        "precondition-failed",
        current === undefined ? "there is no such image" : "the image is not the expected one"
      )
    )
  }
  return Effect.succeed(decision.expectation === "current" ? current?.generation : decision.expectation)
}

const written = ({ header }: Ingested) => ({
  // No ETag: it would say that the bytes were stored as they came (RFC 9110 §9.3.4). The body has it.
  ...noStore,
  location: `/images/${header.key.group}`
})

/** What clients are told of an image. */
const describe = (header: Header) => {
  const version = versionOf(header)
  const { alpha, frames, height, source, width } = ImageAttributes.decode(header)
  return {
    id: header.key.group,
    url: `/images/${header.key.group}?v=${version}`,
    version,
    digest: header.digest,
    etag: Conditional.etag(header.digest),
    contentType: header.contentType,
    bytes: header.size,
    width,
    height,
    frames,
    alpha,
    source,
    createdAt: DateTime.formatIso(DateTime.makeUnsafe(header.createdAt)),
    attributes: ImageAttributes.ofUpload(header)
  }
}

const receipt = (tiers: ReadonlyArray<TierReceipt>): Readonly<Record<string, string>> =>
  Object.fromEntries(tiers.map(({ outcome, tier }) => [tier, outcome]))

/**
 * Tells which tier answered; a memory hit only at debug level, for there are thousands in a second, unless it was due to be
 * compared with the store, which could not say.
 */
const logAnswer = (id: string, trail: Trail.Trail): Effect.Effect<void> => {
  const tier = Trail.answeredBy(trail) ?? "none"
  const fields = { tier, id }
  if (Trail.isUnconfirmed(trail))
    return Effect.annotateLogs(Effect.logInfo("answer not confirmed by the store"), fields)
  const message = Trail.isMade(trail) ? "cache miss, made" : "cache hit"
  return tier === "memory" ? Effect.logDebug(message, fields) : Effect.annotateLogs(Effect.logInfo(message), fields)
}
