/**
 * Checks of what the chains make of the tiers.
 */
import * as Option from "effect/Option"
import type { Check } from "./Check.ts"
import * as Form from "./Form.ts"
import { nearest } from "./nearest.ts"
import type { Problem } from "./Problem.ts"
import * as Tree from "./Tree.ts"
import * as Uses from "./Uses.ts"

export const bothOrNone: Check = ({ tree }) => {
  const has = (key: string) => Tree.get(tree, [key]) !== undefined
  if (has("tiers") === has("chains")) return []
  const [missing, example] = has("tiers")
    ? ["chains", "chains: { masters: { caches: [memory], store: disk } }"]
    : ["tiers", "tiers: { memory: { type: memory } }"]
  return [{ path: [missing], found: "nothing", expected: "tiers and chains together, or none of them", example }]
}

export const known: Check = ({ shown, tiers, uses }) =>
  uses
    .filter(({ tier }) => !tiers.includes(tier))
    .map(({ path, tier }) => ({
      path,
      found: shown(path),
      expected: `the name of a tier (${tiers.join(", ") || "there is none"})`,
      example: nearest(tier, tiers)
    }))

/** Silent while a name in a chain is wrong: it may be the one that was meant. */
export const used: Check = ({ isWrong, tiers, tree, uses }) => {
  const isDoubtful =
    Tree.get(tree, ["chains"]) === undefined ||
    ["masters", "variants"].some((chain) => isWrong(["chains", chain, "caches"])) ||
    uses.some(({ tier }) => !tiers.includes(tier))
  return tiers
    .filter((tier) => !isDoubtful && !uses.some((use) => use.tier === tier))
    .map((tier) => ({
      path: ["tiers", tier],
      found: "a tier that no chain uses",
      expected: "one that chains.masters or chains.variants names, or none",
      example: `chains.variants.caches: [${tier}]`
    }))
}

export const once: Check = ({ shown, uses }) =>
  uses
    .filter(
      ({ chain, role, tier }, index) =>
        role === "cache" &&
        uses.slice(0, index).some((other) => other.chain === chain && other.role === role && other.tier === tier)
    )
    .map(({ path }) => ({ path, found: shown(path), expected: "each tier once in a chain" }))

export const noStoreAsCache: Check = ({ shown, tree, uses }) =>
  uses
    .filter(({ role, tier }) => role === "cache" && tier === Uses.storeIn(tree))
    .map(({ path }) => ({
      path,
      found: shown(path),
      expected: "a tier other than the store of masters, which never forgets"
    }))

/** Two tiers of a chain must not have one name for clients and metrics. */
export const names: Check = ({ tree, uses }) => {
  const nameOf = (tier: string) => Tree.textAt(tree, ["tiers", tier, "name"]) ?? tier
  return uses.flatMap((use, index): ReadonlyArray<Problem> => {
    const other = uses
      .slice(0, index)
      .find(({ chain, tier }) => chain === use.chain && tier !== use.tier && nameOf(tier) === nameOf(use.tier))
    if (other === undefined) return []
    const found = `the name that ${other.tier} has too`
    const expected = "another name for each tier of a chain"
    return [{ path: ["tiers", use.tier, "name"], found, expected, example: use.tier }]
  })
}

// -----------------------------------------------------------------------------
// The store
// -----------------------------------------------------------------------------

export const durableStore: Check = ({ shown, tree, uses }) =>
  uses
    .filter(({ role }) => role === "store")
    .flatMap(({ path, tier }): ReadonlyArray<Problem> => {
      const why = whyNoStore[Uses.typeOf(tree, tier) ?? ""]
      if (why !== undefined) {
        const expected = `a tier of the type filesystem or s3, since ${why}`
        return [{ path, found: `${shown(path)}, of the type ${Uses.typeOf(tree, tier)}`, expected, example: "disk" }]
      }
      const flushed: Tree.Path = ["tiers", tier, "durability"]
      return ["none", "file"].includes(Tree.textAt(tree, flushed) ?? "")
        ? [
            {
              path: flushed,
              found: shown(flushed),
              expected: "file+directory in a store: what it has acknowledged must survive a power failure",
              example: "file+directory"
            }
          ]
        : []
    })

const whyNoStore: Readonly<Record<string, string | undefined>> = {
  memory: "memory forgets everything when the process ends",
  redis: "Redis takes small images only, and may lose what it has acknowledged"
}

/** What only a cache may be told. */
export const optionsOfCaches: Check = ({ tree, uses }) =>
  uses
    .filter(({ role }) => role === "store")
    .flatMap(({ entry, tier }) => [
      ...["maxAge", "softMark", "lowMark", "touchEvery"]
        .filter((key) => Uses.typeOf(tree, tier) === "filesystem" && isSaid(Tree.textAt(tree, ["tiers", tier, key])))
        .map((key) => ({ path: ["tiers", tier, key], expected: "none in the store of masters, which never forgets" })),
      ...["maxBytes", "secondTouch"]
        .filter((key) => Tree.get(tree, [...entry, key]) !== undefined)
        .map((key) => ({ path: [...entry, key], expected: "none at the store, which takes everything" }))
    ])
    .map((problem) => ({ ...problem, found: "an option of caches" }))

const isSaid = (text: string | undefined): boolean =>
  text !== undefined && Option.getOrUndefined(Form.duration.read(text)) !== "off"
