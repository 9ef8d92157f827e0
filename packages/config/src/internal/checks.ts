/**
 * What the parts of a deployment must have in common, which no part of the schema sees alone.
 *
 * They look at the tree before it is decoded, so that everything that is wrong is told at once. Nothing is told of a place
 * that is already known to be wrong.
 */
import * as Option from "effect/Option"
import * as Loopback from "../Loopback.ts"
import * as ChainChecks from "./chainChecks.ts"
import type { Check, Context } from "./Check.ts"
import * as Form from "./Form.ts"
import * as PlaceChecks from "./placeChecks.ts"
import type { Problem } from "./Problem.ts"
import * as Tree from "./Tree.ts"
import * as Uses from "./Uses.ts"

export const check = (
  tree: unknown,
  { isWrong, shown }: Pick<Context, "isWrong" | "shown">
): ReadonlyArray<Problem> => {
  const context = { tree, isWrong, shown, tiers: Uses.tiersIn(tree), uses: Uses.usesIn(tree) }
  return checks.flatMap((one) => one(context)).filter((problem) => !isWrong(problem.path))
}

const names: Check = ({ tiers, tree }) => {
  const presets = Object.keys(Tree.sectionAt(tree, ["presets"]))
  return [
    ...tiers
      .filter((tier) => Option.isNone(Form.tierName.read(tier)))
      .map((tier) => ({ path: ["tiers", tier], expected: Form.tierName.expected, example: "disk-2" })),
    ...presets
      .filter((name) => !/^[a-z0-9_-]{1,48}$/.test(name))
      .map((name) => ({
        path: ["presets", name],
        expected: "1 to 48 lower-case letters, digits, _ or -",
        example: "thumb"
      }))
  ].map((problem) => ({ ...problem, found: "a name that cannot be used" }))
}

/** What is said to be on, and works through Redis only. */
const redis: Check = ({ isWrong, tree }) => {
  if (Tree.get(tree, ["redis"]) !== undefined || isWrong(["redis"])) return []
  const parts = ["catalog", "legacy", "bus", "leases"].filter((key) => isOn(Tree.get(tree, [key])))
  return [
    ...parts.map((key) => ({ path: [key], what: "on" })),
    ...Uses.tiersOfType(tree, "redis").map((tier) => ({ path: ["tiers", tier, "type"], what: "redis" }))
  ].map(({ path, what }) => ({
    path,
    found: `${what}, but there is no redis`,
    expected: "redis.url, which it needs",
    example: "redis: { url: redis://127.0.0.1:6379 }"
  }))
}

/** A CDN serves what lies in a bucket. */
const cdn: Check = ({ shown, tree }) => {
  const path: Tree.Path = ["delivery", "cdnUrl"]
  return Tree.get(tree, path) === undefined || Uses.tiersOfType(tree, "s3").length > 0
    ? []
    : [
        {
          path,
          found: `${shown(path)}, but no tier is a bucket`,
          expected: "a tier of the type s3, whose objects the CDN serves, or none",
          example: "tiers.bucket: { type: s3, bucket: my-images }"
        }
      ]
}

/** A read counts for the largest image: with less room, none would begin. */
const roomInRedis: Check = ({ shown, tree }) =>
  Uses.tiersOfType(tree, "redis").flatMap((tier): ReadonlyArray<Problem> => {
    const path: Tree.Path = ["tiers", tier, "maxBytesUnderWay"]
    const bytesAt = (at: Tree.Path) => Option.getOrUndefined(Form.byteSize(1).read(Tree.textAt(tree, at) ?? ""))
    const room = bytesAt(path)
    const largest = bytesAt(["tiers", tier, "maxBytes"]) ?? 262_144
    return room === undefined || room >= largest
      ? []
      : [{ path, found: shown(path), expected: `at least maxBytes, ${largest} bytes`, example: "64MiB" }]
  })

/** Whether a part that may be on, off or written out is on. */
export const isOn = (value: unknown): boolean =>
  Tree.isSection(value) || (Tree.isScalar(value) && Option.getOrUndefined(Form.onOff.read(String(value))) === true)

/** A server that other machines reach needs a token. */
const exposure: Check = ({ isWrong, shown, tree }) => {
  const host: Tree.Path = ["server", "host"]
  const token: Tree.Path = ["server", "token"]
  const address = Option.getOrUndefined(Form.address.read(Tree.textAt(tree, host) ?? "localhost"))
  const isOpen = address !== undefined && !Loopback.isLoopbackAddress(address) && !isWrong(host)
  return isOpen && Tree.get(tree, token) === undefined
    ? [
        {
          path: token,
          found: `nothing, but server.host is ${shown(host)}`,
          expected: tokenOrLoopback,
          example: "token: ${TERRACE_TOKEN}, or host: 127.0.0.1"
        }
      ]
    : []
}

/** What is expected of a server that other machines could reach. */
export const tokenOrLoopback =
  'a token when other machines can reach the server, for example the output of "openssl rand -hex 32", or a loopback address'

const checks: ReadonlyArray<Check> = [
  ChainChecks.bothOrNone,
  names,
  ChainChecks.known,
  ChainChecks.used,
  ChainChecks.once,
  ChainChecks.noStoreAsCache,
  ChainChecks.names,
  ChainChecks.durableStore,
  ChainChecks.optionsOfCaches,
  PlaceChecks.directories,
  PlaceChecks.prefixes,
  PlaceChecks.redisPrefixes,
  redis,
  cdn,
  roomInRedis,
  exposure
]
