/**
 * Every route of the server on one screen, and what all of them share.
 */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { randomUUID } from "node:crypto"
import type { IncomingMessage } from "node:http"
import type { Access, Visibility } from "./Access.ts"
import type { Handlers } from "./Handlers.ts"
import { securityHeaders } from "./ImageResponse.ts"
import * as Problem from "./Problem.ts"

export type Respond = Effect.Effect<HttpServerResponse.HttpServerResponse, Problem.RouteError, Scope.Scope>
/** `target` is the path and query as the client sent them. */
export type Handle = (request: HttpServerRequest, target: string) => Respond

interface Method {
  readonly visibility: Visibility
  readonly handle: Handle
}

/** The methods of one resource; `HEAD` is `GET` without the body. */
type Resource = Readonly<Partial<Record<"GET" | "POST" | "PUT" | "DELETE", Method>>>

interface Resources {
  readonly collection: Resource
  readonly image: Resource
  readonly metadata: Resource
  readonly presigned: Resource
  readonly explanation: Resource
  readonly others: ReadonlyMap<string, Resource>
}

const open = (handle: Handle): Method => ({ visibility: "public", handle })
const guarded = (handle: Handle): Method => ({ visibility: "token", handle })

const resources = (handlers: Handlers): Resources => ({
  /* /images               */ collection: { GET: guarded(handlers.list), POST: guarded(handlers.create) },
  /* /images/:id           */ image: {
    GET: open(handlers.image),
    PUT: guarded(handlers.replace),
    DELETE: guarded(handlers.remove)
  },
  /* /images/:id/metadata  */ metadata: { GET: open(handlers.metadata) },
  /* /images/:id/presigned */ presigned: { GET: guarded(handlers.presigned) },
  /* /explain/images/:id   */ explanation: { GET: guarded(handlers.explain) },
  others: new Map<string, Resource>([
    ["/tiers", { GET: guarded(handlers.tiers) }],
    ["/healthz", { GET: open(handlers.alive) }],
    ["/readyz", { GET: open(handlers.ready) }]
  ])
})

/**
 * The application: from a request to a response that is always one, problems included.
 *
 * The request target is matched as it came, so that the one decoding of an id is the one of `ImageUrl`.
 */
export const make = (
  handlers: Handlers,
  access: Access
): ((request: HttpServerRequest) => Effect.Effect<HttpServerResponse.HttpServerResponse, never, Scope.Scope>) => {
  const { collection, explanation, image, metadata, others, presigned } = resources(handlers)

  const match = (path: string): Resource | undefined => {
    if (path.startsWith("/images/")) {
      return isPartOf(path, "/metadata") ? metadata : isPartOf(path, "/presigned") ? presigned : image
    }
    if (path.startsWith("/explain/images/")) return explanation
    return path === "/images" ? collection : others.get(path)
  }

  const dispatch = (request: HttpServerRequest): Respond => {
    const incoming = NodeHttpServerRequest.toIncomingMessage(request)
    if (!hasOneHost(incoming)) return Effect.fail(badHost)
    const { method } = request
    const target = targetOf(incoming)
    const question = target.indexOf("?")
    const resource = match(question === -1 ? target : target.slice(0, question))
    const found = resource === undefined ? undefined : methodOf(resource, method)
    const decision = access(method, found?.visibility ?? "public", request.headers)
    if (decision._tag === "Unauthorized") {
      return Effect.fail(Problem.of("unauthorized", decision.reason, { "www-authenticate": decision.challenge }))
    }
    if (decision._tag === "Forbidden") return Effect.fail(Problem.of("forbidden", decision.reason))
    if (resource === undefined) return Effect.fail(notFound)
    if (method === "OPTIONS") return Effect.succeed(options(resource))
    return found === undefined ? Effect.fail(methodNotAllowed(method, resource)) : found.handle(request, target)
  }

  return (request) => Effect.catchCause(dispatch(request), (cause) => refuse(request, cause))
}

/** `/images/metadata` is the image of that id. */
const isPartOf = (path: string, suffix: string): boolean =>
  path.endsWith(suffix) && path.length > "/images".length + suffix.length

type Incoming = Pick<IncomingMessage, "httpVersion" | "rawHeaders"> & { readonly url?: string | undefined }

/** The request target in origin-form; of the absolute-form (RFC 9112 §3.2.2) only scheme and authority are cut off. */
const targetOf = ({ url = "/" }: Incoming): string => {
  if (url.startsWith("/")) return url
  const rest = url.replace(/^https?:\/\/[^/?#]*/i, "")
  return rest.startsWith("/") ? rest : `/${rest}`
}

/** RFC 9112 §3.2: a request of HTTP/1.1 has one `Host`, no more and no less. */
const hasOneHost = ({ httpVersion, rawHeaders }: Incoming): boolean => {
  let hosts = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]
    if (name?.length === 4 && name.toLowerCase() === "host") hosts += 1
  }
  return hosts === 1 || (hosts === 0 && httpVersion === "1.0")
}

const badHost = Problem.of("bad-request", "a request needs exactly one Host header")

const methodOf = (resource: Resource, method: string): Method | undefined => {
  if (method === "GET" || method === "HEAD") return resource.GET
  return method === "POST" || method === "PUT" || method === "DELETE" ? resource[method] : undefined
}

const notFound = Problem.of("not-found", "there is nothing at this path: images are at /images/<id>")

const allowed = (resource: Resource): string =>
  Object.keys(resource)
    .flatMap((name) => (name === "GET" ? ["GET", "HEAD"] : [name]))
    .join(", ")

const options = (resource: Resource): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.empty({ status: 204, headers: { ...securityHeaders, allow: `${allowed(resource)}, OPTIONS` } })

const methodNotAllowed = (method: string, resource: Resource): Problem.Problem => {
  const allow = allowed(resource)
  return Problem.of("method-not-allowed", `${method} is not possible here: expected ${allow}`, { allow })
}

/** Answers an error; what the client does not see of it goes to the log under the same request id. */
const refuse = (
  request: HttpServerRequest,
  cause: Cause.Cause<Problem.RouteError>
): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
  if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
  const requestId = randomUUID()
  const error = Cause.findErrorOption(cause)
  const problem =
    error._tag === "Some"
      ? Problem.fromError(error.value)
      : Problem.of("internal", "an internal error; the log has it under the request id")
  const { status } = Problem.kinds[problem.type]
  const response = HttpServerResponse.setHeaders(Problem.toResponse(problem, requestId), securityHeaders)
  const log =
    status < 500
      ? Effect.logDebug("request refused")
      : status === 500
        ? Effect.logError("request failed", cause)
        : Effect.logWarning(`request failed: ${error._tag === "Some" ? error.value.message : "unknown"}`)
  return Effect.as(
    Effect.annotateLogs(log, { requestId, method: request.method, path: request.url, problem: problem.type }),
    response
  )
}
