/**
 * A process with a store in the directory that its argument names. Prints a line when it has started, and lives until it
 * is killed.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as FilesystemTier from "@terrace/tier-filesystem/FilesystemTier"

const root = process.argv[2] ?? ""

NodeRuntime.runMain(
  Effect.scoped(
    Effect.gen(function* () {
      const result = yield* Effect.result(FilesystemTier.make({ root, role: "store", minFreeBytes: 0 }))
      process.stdout.write(result._tag === "Success" ? "held\n" : `refused: ${result.failure.reason}\n`)
      if (result._tag === "Success") yield* Effect.never
    })
  ).pipe(Effect.provide(NodeFileSystem.layer))
)
