import * as Chain from "@terrace/core/Chain"
import * as Key from "@terrace/core/Key"
import * as FilesystemTier from "@terrace/tier-filesystem/FilesystemTier"
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as Effect from "effect/Effect"

export const program = Effect.gen(function* () {
  const memory = yield* MemoryTier.make({ maxBytes: 64_000_000 })
  const disk = yield* FilesystemTier.make({ root: "./data/notes", role: "store" })
  const notes = yield* Chain.make({ name: "notes", caches: [{ tier: memory }], store: { tier: disk } })

  const key = Key.makeUnsafe("monday", "text")
  yield* notes.put(key, { bytes: Buffer.from("Buy milk"), contentType: "text/plain" })
  return yield* notes.get(key)
})
