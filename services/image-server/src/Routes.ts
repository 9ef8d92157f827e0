/**
 * Every route of the server on one screen, and what all of them share.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { randomUUID } from "node:crypto"
import type { Access, Visibility } from "./Access.ts"
import type { Handlers } from "./Handlers.ts"
import { securityHeaders } from "./ImageResponse.ts"
import * as Problem from "./Problem.ts"

export type Respond = Effect.Effect<HttpServerResponse.HttpServerResponse, Problem.RouteError, Scope.Scope>
export type Handle = (request: HttpServerRequest) => Respond

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
  const { collection, image, metadata, others } = resources(handlers)

  const match = (path: string): Resource | undefined => {
    if (path.startsWith("/images/")) return path.endsWith("/metadata") ? metadata : image
    return path === "/images" ? collection : others.get(path)
  }

  const dispatch = (request: HttpServerRequest): Respond => {
    const { method, url } = request
    const question = url.indexOf("?")
    const resource = match(question === -1 ? url : url.slice(0, question))
    const target = resource === undefined ? undefined : methodOf(resource, method)
    const decision = access(method, target?.visibility ?? "public", request.headers)
    if (decision._tag === "Unauthorized") {
      return Effect.fail(Problem.of("unauthorized", decision.reason, { "www-authenticate": decision.challenge }))
    }
    if (decision._tag === "Forbidden") return Effect.fail(Problem.of("forbidden", decision.reason))
    if (resource === undefined) return Effect.fail(notFound)
    return target === undefined ? Effect.fail(methodNotAllowed(method, resource)) : target.handle(request)
  }

  return (request) => Effect.catchCause(dispatch(request), (cause) => refuse(request, cause))
}

const methodOf = (resource: Resource, method: string): Method | undefined => {
  if (method === "GET" || method === "HEAD") return resource.GET
  return method === "POST" || method === "PUT" || method === "DELETE" ? resource[method] : undefined
}

const notFound = Problem.of("not-found", "there is nothing at this path: images are at /images/<id>")

const methodNotAllowed = (method: string, resource: Resource): Problem.Problem => {
  const allow = Object.keys(resource)
    .flatMap((name) => (name === "GET" ? ["GET", "HEAD"] : [name]))
    .join(", ")
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
  const log = status >= 500 ? Effect.logError("request failed", cause) : Effect.logDebug("request refused")
  return Effect.as(
    Effect.annotateLogs(log, { requestId, method: request.method, path: request.url, problem: problem.type }),
    response
  )
}
