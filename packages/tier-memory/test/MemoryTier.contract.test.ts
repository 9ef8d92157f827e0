import { MemoryTier } from "@terrace/tier-memory"
import { TierSuite } from "@terrace/testkit"

TierSuite.suite("memory", { tier: MemoryTier.MemoryTier, layer: MemoryTier.layer({ maxBytes: 1_048_576 }) })

TierSuite.suite("memory for large bodies", {
  tier: MemoryTier.MemoryTier,
  layer: MemoryTier.layer({ maxBytes: 67_108_864, maxEntryBytes: 16_777_216 }),
  fresh: false,
  distinctKeys: 0
})
