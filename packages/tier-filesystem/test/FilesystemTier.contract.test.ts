import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as TierSuite from "@terrace/testkit/TierSuite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as FilesystemTier from "../src/FilesystemTier.ts"
import { directory } from "./support/Directory.ts"

const layer = (role: "store" | "cache", inlineBelow?: number) =>
  Layer.unwrap(Effect.map(directory, (root) => FilesystemTier.layer({ root, role, inlineBelow }))).pipe(
    Layer.provide(NodeFileSystem.layer)
  )

TierSuite.suite("a store", { tier: FilesystemTier.FilesystemTier, layer: layer("store") })
TierSuite.suite("a cache", { tier: FilesystemTier.FilesystemTier, layer: layer("cache") })
TierSuite.suite("a store that streams from 64 KiB", {
  tier: FilesystemTier.FilesystemTier,
  layer: layer("store", 65_536)
})
