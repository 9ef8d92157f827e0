/**
 * Clients of ioredis, set up so that nothing is queued without a bound, sent twice or waited for without end.
 */
import { Cluster, Redis } from "ioredis"
import type { Node, Settings } from "./Settings.ts"

export type Client = Redis | Cluster

/** Milliseconds after which the kernel asks an idle peer whether it is there. */
const keepAliveMillis = 10_000
const longestPause = 2_000

/** Doubled with every try in vain, up to two seconds, less a random part so that nodes do not come back in step. */
const pauseBefore = (attempt: number): number =>
  Math.min(longestPause, 50 * 2 ** Math.min(attempt, 10)) * (0.5 + Math.random() / 2)

const optionsOf = (settings: Settings) => ({
  username: settings.username,
  password: settings.password,
  db: settings.database,
  ...(settings.tls === undefined ? {} : { tls: settings.tls }),
  connectionName: settings.clientName,
  connectTimeout: settings.connectMillis,
  // A server that owes an answer and is silent for so long is given up, with all that it has not answered.
  socketTimeout: settings.silenceMillis,
  keepAlive: keepAliveMillis,
  lazyConnect: true,
  // A command that was sent and not answered fails when the connection breaks. It is never sent again: whether the
  // first one took effect is for the caller to find out.
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  // A server that is loading says so to each command. The check would need the right to INFO.
  enableReadyCheck: false,
  // RESP3 has nothing that is used here, and needs HELLO.
  protocol: 2 as const
})

/** A client of one server; connects when told to, and again whenever the connection breaks. */
const single = (settings: Settings): Redis => {
  const [node] = settings.nodes
  return new Redis({ ...optionsOf(settings), ...node, enableOfflineQueue: false, retryStrategy: pauseBefore })
}

/** A client of a cluster; connects when told to, and again when no node is left. */
const cluster = (settings: Settings): Cluster =>
  new Cluster([...settings.nodes], {
    lazyConnect: true,
    // Commands wait while the connection to their node is opened, for `connectMillis`; not for a cluster to be found,
    // since none is sent before.
    enableOfflineQueue: true,
    enableReadyCheck: false,
    clusterRetryStrategy: pauseBefore,
    slotsRefreshTimeout: settings.connectMillis,
    maxRedirections: 8,
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    retryDelayOnTryAgain: 100,
    ...(settings.natMap === undefined ? {} : { natMap: { ...settings.natMap } }),
    // Certificates name hosts: do not connect to addresses in their place.
    ...(settings.tls === undefined ? {} : { dnsLookup: (host, callback) => callback(null, host) }),
    redisOptions: optionsOf(settings)
  })

export const open = (settings: Settings): Client => (settings.isCluster ? cluster(settings) : single(settings))

/** The servers that hold keys. */
export const masters = (client: Client): ReadonlyArray<Redis> =>
  client.isCluster ? (client as Cluster).nodes("master") : [client as Redis]

/** A client of the server, or of any node of the cluster. It connects once, when told to, and ends when that breaks. */
export const another = (settings: Settings, client: Client): Redis =>
  new Redis({
    ...optionsOf(settings),
    ...anyNode(settings, client),
    enableOfflineQueue: false,
    retryStrategy: () => null
  })

const anyNode = (settings: Settings, client: Client): Node => {
  const known: ReadonlyArray<Node> = client.isCluster
    ? (client as Cluster).nodes().flatMap(({ options: { host, port } }) => (host && port ? [{ host, port }] : []))
    : []
  const nodes = known.length > 0 ? known : settings.nodes
  return nodes[Math.floor(Math.random() * nodes.length)] ?? settings.nodes[0]
}
