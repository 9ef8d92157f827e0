import { TierSuite } from "@terrace/testkit"
import * as Effect from "effect/Effect"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as SqliteTier from "./SqliteTier.ts"

const directory = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "sqlite-tier-"))),
  (path) => Effect.promise(() => rm(path, { recursive: true }))
)

TierSuite.suite("sqlite", {
  tier: SqliteTier.SqliteTier,
  storage: Effect.map(directory, (path) => SqliteTier.layer({ path: join(path, "blobs.db") }))
})
