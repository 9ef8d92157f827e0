/**
 * Tiers and chains of a deployment whose file names none, as a file would write them.
 */

/** Masters on the disk, which is the store, and variants in a cache beside them; memory before both. */
export const onDisk = {
  tiers: {
    memory: { type: "memory" as const },
    masters: { type: "filesystem" as const, name: "filesystem" },
    variants: { type: "filesystem" as const, name: "filesystem", maxBytes: "1GiB", maxAge: "30 days" }
  },
  chains: {
    masters: { caches: ["memory"], store: "masters" },
    variants: { caches: ["memory", "variants"] }
  }
}

/** Masters in a bucket; the disk is a cache, with one budget for both chains, since their names never meet. */
export const inBucket = {
  tiers: {
    memory: { type: "memory" as const },
    disk: { type: "filesystem" as const, name: "filesystem", root: "cache", maxBytes: "1GiB", maxAge: "30 days" },
    s3: { type: "s3" as const }
  },
  chains: {
    masters: { caches: ["memory", "disk"], store: "s3" },
    variants: { caches: ["memory", "disk"] }
  }
}
