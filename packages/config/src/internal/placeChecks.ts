/**
 * Checks of where tiers keep what they have: each needs a place of its own.
 */
import * as Path from "node:path"
import { type Check, pairs } from "./Check.ts"
import * as Tree from "./Tree.ts"
import * as Uses from "./Uses.ts"

/** A directory each, none inside another: a sweep removes what it does not know. */
export const directories: Check = ({ isWrong, tree }) => {
  const roots = Uses.tiersOfType(tree, "filesystem")
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

const rootOf = (tree: unknown, tier: string): string =>
  Path.resolve(Tree.textAt(tree, ["dataDir"]) ?? "./data", Tree.textAt(tree, ["tiers", tier, "root"]) ?? tier)

const isInside = (inner: string, outer: string): boolean => {
  const way = Path.relative(outer, inner)
  return way === "" || (way !== ".." && !way.startsWith(`..${Path.sep}`) && !Path.isAbsolute(way))
}

/** In one bucket, prefixes of which none begins another: a tier lists all that begins with its own. */
export const prefixes: Check = ({ shown, tree }) => {
  const places = Uses.tiersOfType(tree, "s3").map((tier) => {
    const at = (key: string) => Tree.textAt(tree, ["tiers", tier, key]) ?? ""
    return { tier, bucket: `${at("endpoint").replace(/\/$/, "")} ${at("bucket")}`, prefix: at("prefix") }
  })
  return pairs(places)
    .filter(([a, b]) => a.bucket === b.bucket && (a.prefix.startsWith(b.prefix) || b.prefix.startsWith(a.prefix)))
    .map(([a, b]) => ({
      path: ["tiers", b.tier, "prefix"],
      found: `${shown(["tiers", b.tier, "prefix"])}, which does not tell its objects from those of ${a.tier}`,
      expected: "prefixes of which none begins another, in one bucket",
      example: `${b.tier}/`
    }))
}

export const redisPrefixes: Check = ({ tree }) =>
  pairs(
    Uses.tiersOfType(tree, "redis").map((tier) => ({
      tier,
      prefix: Tree.textAt(tree, ["tiers", tier, "prefix"]) ?? "terrace"
    }))
  )
    .filter(([a, b]) => a.prefix === b.prefix)
    .map(([a, b]) => ({
      path: ["tiers", b.tier, "prefix"],
      found: `the one of ${a.tier}`,
      expected: "a prefix for each tier",
      example: `terrace-${b.tier}`
    }))
