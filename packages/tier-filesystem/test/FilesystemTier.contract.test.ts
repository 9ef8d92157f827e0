import * as TierSuite from "@terrace/testkit/TierSuite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as FilesystemTier from "../src/FilesystemTier.ts"
import { damage } from "./support/damage.ts"
import type { Settings } from "./support/Directory.ts"
import * as Leaks from "./support/Leaks.ts"
import * as Reads from "./support/reads.ts"

const suite = (name: string, settings: Settings, distinctKeys: number) => {
  const reads = Reads.make()
  TierSuite.suite(name, {
    tier: FilesystemTier.FilesystemTier,
    storage: Effect.map(Leaks.directory, (root) =>
      FilesystemTier.layer({ ...settings, root }).pipe(Layer.provide(reads.layer))
    ),
    leaks: Leaks.count,
    bytesRead: reads.bytes,
    damage,
    distinctKeys
  })
}

suite("a store", { role: "store" }, 10_000)
suite("a cache", { role: "cache", maxBytes: 17_000_000 }, 10_000)
suite("a store that streams from 64 KiB", { role: "store", inlineBelow: 65_536 }, 0)
