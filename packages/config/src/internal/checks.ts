/**
 * What the parts of a deployment must have in common, which no part of the schema sees alone.
 *
 * They look at the tree before it is decoded, so that everything that is wrong is told at once. A check stays silent about
 * values that are already known to be wrong (`isWrong`).
 */
import * as Option from "effect/Option"
import * as Path from "node:path"
import * as Loopback from "../Loopback.ts"
import * as Form from "./Form.ts"
import { nearest } from "./nearest.ts"
import type { Problem } from "./Problem.ts"
import * as Tree from "./Tree.ts"

/** A tier in a chain, as it is written there. */
interface Use {
  /** Where its name stands. */
  readonly path: Tree.Path
  readonly entry: Tree.Path
  readonly tier: string
  readonly chain: "masters" | "variants"
  readonly role: "store" | "cache"
}

interface Context {
  readonly tree: unknown
  readonly isWrong: (path: Tree.Path) => boolean
  readonly tiers: ReadonlyArray<string>
  readonly uses: ReadonlyArray<Use>
}

type Check = (context: Context) => ReadonlyArray<Problem>

export const check = (tree: unknown, isWrong: Context["isWrong"]): ReadonlyArray<Problem> => {
  const context = { tree, isWrong, tiers: Object.keys(Tree.sectionAt(tree, ["tiers"])), uses: usesIn(tree) }
  return checks.flatMap((one) => one(context)).filter((problem) => !isWrong(problem.path))
}

// -----------------------------------------------------------------------------
// Reading the tree
// -----------------------------------------------------------------------------

const usesIn = (tree: unknown): ReadonlyArray<Use> => [
  ...cachesIn(tree, "masters"),
  ...useAt(tree, ["chains", "masters", "store"], "masters", "store"),
  ...cachesIn(tree, "variants")
]

const cachesIn = (tree: unknown, chain: Use["chain"]): ReadonlyArray<Use> => {
  const list = Tree.get(tree, ["chains", chain, "caches"])
  return Array.isArray(list)
    ? list.flatMap((_, index) => useAt(tree, ["chains", chain, "caches", index], chain, "cache"))
    : []
}

const useAt = (tree: unknown, entry: Tree.Path, chain: Use["chain"], role: Use["role"]): ReadonlyArray<Use> => {
  const path = Tree.isSection(Tree.get(tree, entry)) ? [...entry, "tier"] : entry
  const tier = Tree.get(tree, path)
  return typeof tier === "string" ? [{ path, entry, tier, chain, role }] : []
}

/** The name of the store of masters, as it is written. */
export const storeIn = (tree: unknown): string | undefined => usesIn(tree).find(({ role }) => role === "store")?.tier

export const typeOf = (tree: unknown, tier: string): string | undefined => Tree.textAt(tree, ["tiers", tier, "type"])

const ofType = ({ tiers, tree }: Context, type: string) => tiers.filter((tier) => typeOf(tree, tier) === type)

const list = (names: ReadonlyArray<string>): string => names.join(", ") || "there is none"

// -----------------------------------------------------------------------------
// Checks
// -----------------------------------------------------------------------------

const bothOrNone: Check = ({ tree }) => {
  const [given, missing] = Tree.get(tree, ["tiers"]) === undefined ? ["chains", "tiers"] : ["tiers", "chains"]
  return Tree.get(tree, [given]) !== undefined && Tree.get(tree, [missing]) === undefined
    ? [
        {
          path: [missing],
          found: "nothing",
          expected: `tiers and chains together, or none of them`,
          example:
            missing === "chains"
              ? "chains: { masters: { caches: [memory], store: disk } }"
              : "tiers: { memory: { type: memory } }"
        }
      ]
    : []
}

const names: Check = ({ tiers, tree }) => [
  ...tiers
    .filter((tier) => Option.isNone(Form.tierName.read(tier)))
    .map((tier) => ({
      path: ["tiers", tier],
      found: "a name that cannot be used",
      expected: Form.tierName.expected,
      example: "disk-2"
    })),
  ...Object.keys(Tree.sectionAt(tree, ["presets"]))
    .filter((name) => !/^[a-z0-9_-]{1,48}$/.test(name))
    .map((name) => ({
      path: ["presets", name],
      found: "a name that cannot be used",
      expected: "1 to 48 lower-case letters, digits, _ or -",
      example: "thumb"
    }))
]

const known: Check = ({ tiers, uses }) =>
  uses
    .filter(({ tier }) => !tiers.includes(tier))
    .map(({ path, tier }) => ({
      path,
      found: JSON.stringify(tier.slice(0, 100)),
      expected: `the name of a tier (${list(tiers)})`,
      example: nearest(tier, tiers)
    }))

/** Silent while a name in a chain is wrong: it may be the one that was meant. */
const used: Check = ({ isWrong, tiers, tree, uses }) =>
  (["masters", "variants"].some((chain) => isWrong(["chains", chain, "caches"])) ||
  Tree.get(tree, ["chains"]) === undefined ||
  uses.some(({ tier }) => !tiers.includes(tier))
    ? []
    : tiers
  )
    .filter((tier) => !uses.some((use) => use.tier === tier))
    .map((tier) => ({
      path: ["tiers", tier],
      found: "a tier that no chain uses",
      expected: "one that chains.masters or chains.variants names, or none",
      example: `chains.variants.caches: [${tier}]`
    }))

const once: Check = ({ tree, uses }) =>
  uses.flatMap((use, index) => {
    const before = uses.slice(0, index).find(({ chain, tier }) => chain === use.chain && tier === use.tier)
    if (
      before === undefined &&
      !(use.role === "cache" && uses.some((other) => other.role === "store" && other.tier === use.tier))
    ) {
      return sameLabel(tree, uses.slice(0, index), use)
    }
    const found = JSON.stringify(use.tier)
    return before?.role === use.role
      ? [{ path: use.path, found, expected: "each tier once in a chain" }]
      : [
          {
            path: use.role === "cache" ? use.path : (before ?? use).path,
            found,
            expected: "a tier other than the store of masters, which never forgets"
          }
        ]
  })

const labelOf = (tree: unknown, tier: string) => Tree.textAt(tree, ["tiers", tier, "name"]) ?? tier

const sameLabel = (tree: unknown, before: ReadonlyArray<Use>, use: Use): ReadonlyArray<Problem> => {
  const label = labelOf(tree, use.tier)
  const other = before.find(({ chain, tier }) => chain === use.chain && labelOf(tree, tier) === label)
  return other === undefined
    ? []
    : [
        {
          path: ["tiers", use.tier, "name"],
          found: `the name that ${other.tier} has too`,
          expected: "another name for each tier of a chain",
          example: use.tier
        }
      ]
}

const store: Check = ({ tree, uses }) =>
  uses
    .filter(({ role }) => role === "store")
    .flatMap((use): ReadonlyArray<Problem> => {
      const type = typeOf(tree, use.tier)
      if (type === "memory" || type === "redis") {
        const why =
          type === "memory"
            ? "memory forgets everything when the process ends"
            : "Redis takes small images only, and may lose what it has acknowledged"
        return [
          {
            path: use.path,
            found: `${JSON.stringify(use.tier)}, of the type ${type}`,
            expected: `a tier of the type filesystem or s3, since ${why}`,
            example: "disk"
          }
        ]
      }
      const at = (key: string): Tree.Path => ["tiers", use.tier, key]
      const durability = Tree.textAt(tree, at("durability"))
      const ofCaches = ["maxAge", "softMark", "lowMark", "touchEvery"].filter(
        (key) => type === "filesystem" && isSaid(Tree.textAt(tree, at(key)))
      )
      return [
        ...(type === "filesystem" && (durability === "none" || durability === "file")
          ? [
              {
                path: at("durability"),
                found: JSON.stringify(durability),
                expected: "file+directory in a store: what it has acknowledged must survive a power failure",
                example: "file+directory"
              }
            ]
          : []),
        ...ofCaches.map((key) => ({
          path: at(key),
          found: "an option of caches",
          expected: "none in the store of masters, which never forgets"
        })),
        ...["maxBytes", "secondTouch"]
          .filter((key) => Tree.get(tree, [...use.entry, key]) !== undefined)
          .map((key) => ({
            path: [...use.entry, key],
            found: "an option of caches",
            expected: "none at the store, which takes everything"
          }))
      ]
    })

const isSaid = (text: string | undefined): boolean =>
  text !== undefined && Option.getOrUndefined(Form.duration.read(text)) !== "off"

const directories: Check = ({ isWrong, tree, ...context }) => {
  const roots = ofType({ isWrong, tree, ...context }, "filesystem")
    .filter((tier) => !isWrong(["tiers", tier, "root"]))
    .map((tier) => ({ tier, root: rootOf(tree, tier) }))
  return pairs(roots)
    .filter(([a, b]) => isInside(a.root, b.root) || isInside(b.root, a.root))
    .map(([a, b]) => ({
      path: ["tiers", b.tier, "root"],
      found:
        a.root === b.root
          ? `the directory of ${a.tier}`
          : `a directory that lies in the one of ${a.tier}, or around it`,
      expected: "a directory for each tier",
      example: b.tier
    }))
}

/** Where a tier keeps its files. */
export const rootOf = (tree: unknown, tier: string): string =>
  Path.resolve(Tree.textAt(tree, ["dataDir"]) ?? "./data", Tree.textAt(tree, ["tiers", tier, "root"]) ?? tier)

const isInside = (inner: string, outer: string): boolean => {
  const way = Path.relative(outer, inner)
  return way === "" || (way !== ".." && !way.startsWith(`..${Path.sep}`) && !Path.isAbsolute(way))
}

const pairs = <A>(all: ReadonlyArray<A>): ReadonlyArray<readonly [A, A]> =>
  all.flatMap((second, index) => all.slice(0, index).map((first) => [first, second] as const))

const prefixes: Check = (context) => {
  const { tree } = context
  const places = ofType(context, "s3").map((tier) => {
    const at = (key: string) => Tree.textAt(tree, ["tiers", tier, key]) ?? ""
    return { tier, bucket: `${at("endpoint").replace(/\/$/, "")} ${at("bucket")}`, prefix: at("prefix") }
  })
  return pairs(places)
    .filter(([a, b]) => a.bucket === b.bucket && (a.prefix.startsWith(b.prefix) || b.prefix.startsWith(a.prefix)))
    .map(([a, b]) => ({
      path: ["tiers", b.tier, "prefix"],
      found:
        b.prefix === ""
          ? `none, in the bucket of ${a.tier}`
          : `${JSON.stringify(b.prefix)}, which begins like the one of ${a.tier} or the other way round`,
      expected: "prefixes of which none begins another, in one bucket",
      example: `${b.tier}/`
    }))
}

const redis: Check = (context) => {
  const { isWrong, tree } = context
  const tiers = ofType(context, "redis")
  const shared = pairs(
    tiers.map((tier) => ({ tier, prefix: Tree.textAt(tree, ["tiers", tier, "prefix"]) ?? "terrace" }))
  )
    .filter(([a, b]) => a.prefix === b.prefix)
    .map(([a, b]) => ({
      path: ["tiers", b.tier, "prefix"],
      found: `the one of ${a.tier}`,
      expected: "a prefix for each tier",
      example: `terrace-${b.tier}`
    }))
  if (Tree.get(tree, ["redis"]) !== undefined || isWrong(["redis"])) return shared
  const needing: ReadonlyArray<readonly [path: Tree.Path, what: string]> = [
    ...["catalog", "legacy", "bus", "leases"]
      .filter((key) => isOn(Tree.get(tree, [key])))
      .map((key) => [[key], "on"] as const),
    ...tiers.map((tier) => [["tiers", tier, "type"], "redis"] as const)
  ]
  return [
    ...shared,
    ...needing.map(([path, what]) => ({
      path,
      found: `${what}, but there is no redis`,
      expected: "redis.url, which it needs",
      example: "redis: { url: redis://127.0.0.1:6379 }"
    }))
  ]
}

export const isOn = (value: unknown): boolean =>
  Tree.isSection(value) || (Tree.isScalar(value) && Option.getOrUndefined(Form.onOff.read(String(value))) === true)

const cdn: Check = (context) =>
  Tree.get(context.tree, ["delivery", "cdnUrl"]) !== undefined && ofType(context, "s3").length === 0
    ? [
        {
          path: ["delivery", "cdnUrl"],
          found: "an address, but there is no bucket",
          expected: "a tier of the type s3, whose objects it serves",
          example: "https://cdn.example.com, and tiers: { s3: { type: s3, bucket: my-images } }"
        }
      ]
    : []

/** A server that other machines reach needs a token. */
const exposure: Check = ({ isWrong, tree }) => {
  const host = Tree.textAt(tree, ["server", "host"])
  const address = host === undefined ? undefined : Option.getOrUndefined(Form.address.read(host))
  return address === undefined ||
    Loopback.isLoopbackAddress(address) ||
    isWrong(["server", "host"]) ||
    Tree.get(tree, ["server", "token"]) !== undefined
    ? []
    : [
        {
          path: ["server", "token"],
          found: `nothing, but server.host is ${JSON.stringify(address)}`,
          expected: tokenOrLoopback,
          example: "token: ${TERRACE_TOKEN}, or host: 127.0.0.1"
        }
      ]
}

/** What is expected of a server that other machines could reach. */
export const tokenOrLoopback =
  'a token when other machines can reach the server, for example the output of "openssl rand -hex 32", or a loopback address'

const checks: ReadonlyArray<Check> = [
  bothOrNone,
  names,
  known,
  used,
  once,
  store,
  directories,
  prefixes,
  redis,
  cdn,
  exposure
]
