/**
 * Where the chains of a tree use its tiers, as it is written there.
 */
import * as Tree from "./Tree.ts"

/** A tier in a chain. */
export interface Use {
  /** Where its name stands. */
  readonly path: Tree.Path
  /** The entry of the chain, which may have more to say of it. */
  readonly entry: Tree.Path
  readonly tier: string
  readonly chain: "masters" | "variants"
  readonly role: "store" | "cache"
}

/** In the order of the chains, the store behind its caches. */
export const usesIn = (tree: unknown): ReadonlyArray<Use> => [
  ...cachesIn(tree, "masters"),
  ...useAt(tree, ["chains", "masters", "store"], "masters", "store"),
  ...cachesIn(tree, "variants")
]

/** The name of the store of masters. */
export const storeIn = (tree: unknown): string | undefined => usesIn(tree).find(({ role }) => role === "store")?.tier

export const tiersIn = (tree: unknown): ReadonlyArray<string> => Object.keys(Tree.sectionAt(tree, ["tiers"]))

export const tiersOfType = (tree: unknown, type: string): ReadonlyArray<string> =>
  tiersIn(tree).filter((tier) => typeOf(tree, tier) === type)

export const typeOf = (tree: unknown, tier: string): string | undefined => Tree.textAt(tree, ["tiers", tier, "type"])

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
