/**
 * Options of a connection, checked and with their defaults. No message repeats a URL, which may hold a password.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { ConnectionOptions } from "node:tls"
import type { Options } from "../RedisConnection.ts"
import { StartError } from "../StartError.ts"

export interface Node {
  readonly host: string
  readonly port: number
}

export interface Settings {
  readonly nodes: readonly [Node, ...ReadonlyArray<Node>]
  /** The nodes as text, for messages. */
  readonly address: string
  readonly isCluster: boolean
  readonly username: string | undefined
  readonly password: string | undefined
  readonly database: number
  /** Undefined: without TLS. */
  readonly tls: ConnectionOptions | undefined
  readonly isRequired: boolean
  readonly clientName: string
  readonly connectMillis: number
  readonly silenceMillis: number
  readonly natMap: Readonly<Record<string, Node>> | undefined
}

interface Parsed extends Node, Pick<Settings, "username" | "password" | "database"> {
  readonly isSecure: boolean
}

export const resolve = (options: Options): Effect.Effect<Settings, StartError> =>
  Effect.try({ try: () => settingsOf(options), catch: asStartError })

const example = "redis://user:password@localhost:6379/0, or rediss:// for TLS"

const invalid = (detail: string, fix: string, address = "the configured address"): StartError =>
  new StartError({ address, reason: "invalid-option", detail, fix })

/** A parser that throws something else has a bug, which is no problem of the options. */
const asStartError = (cause: unknown): StartError => {
  if (cause instanceof StartError) return cause
  throw cause
}

const settingsOf = (options: Options): Settings => {
  const urls = Array.isArray(options.url) ? options.url : [options.url]
  const [first, ...others] = urls.map(parse)
  if (first === undefined) throw invalid("there is no URL", `Give at least one, for example ${example}`)
  const isCluster = options.cluster ?? false
  const nodes = [nodeOf(first), ...others.map(nodeOf)] as const
  const address = nodes.map(({ host, port }) => `${host.includes(":") ? `[${host}]` : host}:${port}`).join(", ")

  if (others.length > 0 && !isCluster) {
    throw invalid("several URLs are the nodes of a cluster", "Set `cluster: true`, or give one URL", address)
  }
  if (others.some((other) => !sharesAccess(first, other))) {
    const detail = "the nodes of a cluster have different users, passwords or schemes"
    throw invalid(detail, "Give each URL the same ones", address)
  }
  if (isCluster && first.database !== 0) {
    throw invalid("a cluster has database 0 only", "Leave the number out of the URL", address)
  }
  if (options.tls !== undefined && !first.isSecure) {
    throw invalid("`tls` is set, but the URL does not ask for TLS", "Begin it with rediss://", address)
  }
  return {
    nodes,
    address,
    isCluster,
    username: first.username,
    password: first.password,
    database: first.database,
    tls: first.isSecure ? { ...options.tls } : undefined,
    isRequired: options.required ?? false,
    clientName: options.clientName ?? "terrace",
    connectMillis: millis("connectTimeout", options.connectTimeout ?? "2 seconds", address),
    silenceMillis: millis("silenceTimeout", options.silenceTimeout ?? "10 seconds", address),
    natMap: options.natMap
  }
}

const parse = (given: string | Redacted.Redacted): Parsed => {
  const text = typeof given === "string" ? given : Redacted.value(given)
  const url = URL.parse(text)
  const fix = `Expected redis://[user:password@]host[:port][/database], for example ${example}`
  if (url === null) throw invalid("its URL is none", fix)
  const { hash, hostname, pathname, port, protocol, search } = url
  if (protocol !== "redis:" && protocol !== "rediss:") {
    throw invalid(`its URL begins with ${JSON.stringify(protocol.slice(0, 20))}`, fix)
  }
  if (hostname === "") throw invalid("its URL names no host", fix)
  const host = hostOf(hostname, fix)
  if (search !== "" || hash !== "") throw invalid("its URL has a part after the database", fix, host)
  if (!/^\/?\d{0,5}$/.test(pathname)) throw invalid("the database in its URL is no number", fix, host)
  return {
    host,
    port: port === "" ? 6_379 : Number(port),
    username: url.username === "" ? undefined : decoded(url.username, host),
    password: url.password === "" ? undefined : decoded(url.password, host),
    database: Number(pathname.slice(1)),
    isSecure: protocol === "rediss:"
  }
}

/** Without the brackets of IPv6. */
const hostOf = (hostname: string, fix: string): string => {
  try {
    return decodeURIComponent(hostname).replace(/^\[|\]$/g, "")
  } catch {
    throw invalid("the host in its URL has a stray `%`", fix)
  }
}

const decoded = (text: string, host: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    throw invalid("user or password in its URL has a stray `%`", "Write `%` as `%25`", host)
  }
}

const nodeOf = ({ host, port }: Parsed): Node => ({ host, port })

const sharesAccess = (left: Parsed, right: Parsed): boolean =>
  left.username === right.username && left.password === right.password && left.isSecure === right.isSecure

const millis = (name: string, input: Duration.Input, address: string): number => {
  const value = Duration.toMillis(Duration.fromInputUnsafe(input))
  if (Number.isFinite(value) && value >= 1) return value
  throw invalid(`\`${name}\` is ${value} ms`, "Give it a time of at least 1 ms, for example `2 seconds`", address)
}
