/**
 * Who may do what.
 *
 * With a token, public routes are open to everyone and every other route needs `Authorization: Bearer <token>` (RFC 6750).
 * Browsers never send that header by themselves, so no further rule is needed against foreign pages.
 *
 * Without a token the server listens on loopback only, and what protects it is that browsers say where a request comes
 * from. Three attacks are in mind:
 *
 * - DNS rebinding: a page whose own name is made to resolve to 127.0.0.1 is "same origin" to the browser, but its name is in
 *   `Host`. So `Host` must be a loopback name, on every route.
 * - cross-site request forgery: a page of another origin posts to `http://localhost:8080`. Its `Origin` is not the request's
 *   `Host`, or `Sec-Fetch-Site` says so. So a foreign `Origin` (`null` included) or a `Sec-Fetch-Site` other than `same-origin`
 *   and `none` is refused on every write and every route that is not public. `same-site` is refused too: to a browser
 *   `http://localhost:3000` is the same site, but it is another program.
 * - reading by other pages: browsers keep the bytes from other origins unless the server sends CORS headers, which it does
 *   not. Pages of other origins may therefore show public images with `<img>`, as they may with a token.
 */
import { isLoopbackIPv4 } from "@terrace/config/Loopback"
import * as Redacted from "effect/Redacted"
import { hash, timingSafeEqual } from "node:crypto"
import type { RequestHeaders } from "./Conditional.ts"

/** `public`: anyone may read. `token`: only who has the token. */
export type Visibility = "public" | "token"

export type Decision =
  | { readonly _tag: "Allowed" }
  /** 401; `challenge` is the value of `WWW-Authenticate`. */
  | { readonly _tag: "Unauthorized"; readonly reason: string; readonly challenge: string }
  /** 403. */
  | { readonly _tag: "Forbidden"; readonly reason: string }

/** Decides about one request. A method other than `GET`, `HEAD` and `OPTIONS` is a write, whatever the route's visibility. */
export type Access = (method: string, visibility: Visibility, headers: RequestHeaders) => Decision

/** The rules for a server with this token, or without one. */
export const make = (token: Redacted.Redacted | undefined): Access => {
  if (token === undefined) return withoutToken
  const expected = digest(Redacted.value(token))
  return (method, visibility, headers) =>
    visibility === "public" && isRead(method) ? allowed : bearer(headers["authorization"], expected)
}

const isRead = (method: string): boolean => method === "GET" || method === "HEAD" || method === "OPTIONS"

// -----------------------------------------------------------------------------
// With a token
// -----------------------------------------------------------------------------

const bearer = (authorization: string | undefined, expected: Buffer): Decision => {
  if (authorization === undefined) return missingToken
  const space = authorization.indexOf(" ")
  const scheme = space === -1 ? authorization : authorization.slice(0, space)
  if (scheme.toLowerCase() !== "bearer") return wrongScheme
  const given = space === -1 ? "" : authorization.slice(space).trim()
  // Digests have one length, so the comparison takes the same time whatever was sent.
  return timingSafeEqual(digest(given), expected) && given !== "" ? allowed : wrongToken
}

const digest = (text: string): Buffer => hash("sha256", text, "buffer")

const realm = `Bearer realm="terrace"`
const allowed: Decision = { _tag: "Allowed" }
const missingToken: Decision = {
  _tag: "Unauthorized",
  reason: "this needs the header Authorization: Bearer <token>",
  challenge: realm
}
const wrongScheme: Decision = {
  _tag: "Unauthorized",
  reason: "the Authorization header has another scheme: expected Bearer <token>",
  challenge: realm
}
const wrongToken: Decision = {
  _tag: "Unauthorized",
  reason: "the token is not the one that this server was started with",
  challenge: `${realm}, error="invalid_token"`
}

// -----------------------------------------------------------------------------
// Without a token
// -----------------------------------------------------------------------------

const withoutToken: Access = (method, visibility, headers) => {
  const { host, origin } = headers
  if (host === undefined || !isLoopbackHost(host)) return foreignHost
  if (visibility === "public" && isRead(method)) return allowed
  if (origin !== undefined && !isSameAuthority(origin, host)) return foreignOrigin
  const site = headers["sec-fetch-site"]
  return site === undefined || site === "same-origin" || site === "none" ? allowed : crossSite
}

const foreignHost: Decision = {
  _tag: "Forbidden",
  reason:
    "this server has no token and answers to loopback names only: expected Host to be localhost, 127.0.0.1 or [::1], for example localhost:8080"
}
const foreignOrigin: Decision = {
  _tag: "Forbidden",
  reason: "this server has no token and takes this request from its own pages only: Origin is not its own"
}
const crossSite: Decision = {
  _tag: "Forbidden",
  reason:
    "this server has no token and takes this request from its own pages only: expected Sec-Fetch-Site to be same-origin or none"
}

/** Whether the authority of an `Origin` header is that of `Host`; ports may be left out where the scheme implies them. */
const isSameAuthority = (origin: string, host: string): boolean => {
  const scheme = origin.startsWith("http://") ? "http://" : origin.startsWith("https://") ? "https://" : undefined
  if (scheme === undefined) return false
  const port = scheme === "http://" ? ":80" : ":443"
  return withoutPort(origin.slice(scheme.length), port) === withoutPort(host, port)
}

const withoutPort = (authority: string, port: string): string =>
  (authority.endsWith(port) ? authority.slice(0, -port.length) : authority).toLowerCase()

/**
 * Whether a `Host` header, with or without a port, is a loopback name: `localhost`, a name under `.localhost` (RFC 6761 §6.3), an
 * address of 127.0.0.0/8 in plain dotted form, or `[::1]`. Other spellings of those addresses are refused: browsers
 * normalise them before they fill in `Host`.
 */
export const isLoopbackHost = (host: string): boolean => {
  if (host.startsWith("[")) return /^\[::1\](?::[0-9]{1,5})?$/.test(host)
  const colon = host.indexOf(":")
  if (colon !== -1 && !/^[0-9]{1,5}$/.test(host.slice(colon + 1))) return false
  const name = (colon === -1 ? host : host.slice(0, colon)).toLowerCase()
  return isLoopbackIPv4(name) || name === "localhost" || (name.endsWith(".localhost") && isDnsName(name))
}

const isDnsName = (name: string): boolean =>
  name.length <= 253 && name.split(".").every((label) => /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(label))
