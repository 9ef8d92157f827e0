/**
 * A process that puts blobs of growing generations into a store until it is killed, and prints each acknowledgement:
 * `<group> <generation>`. Arguments: the directory, the first generation.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as FilesystemTier from "@terrace/tier-filesystem/FilesystemTier"
import * as Effect from "effect/Effect"
import { writeSync } from "node:fs"
import { crashBlob, groups } from "./crash-blobs.ts"

const root = process.argv[2] ?? ""
const first = Number(process.argv[3])

NodeRuntime.runMain(
  Effect.scoped(
    Effect.gen(function* () {
      const tier = yield* FilesystemTier.make({ root, role: "store", minFreeBytes: 0 })
      writeSync(1, "started\n")
      yield* Effect.forEach(
        groups,
        (group) =>
          Effect.gen(function* () {
            for (let generation = first; ; generation++) {
              const write = yield* tier.put(crashBlob(group, generation))
              if (write._tag === "Stored") writeSync(1, `${group} ${generation}\n`)
            }
          }),
        { concurrency: "unbounded", discard: true }
      )
    })
  ).pipe(Effect.provide(NodeFileSystem.layer))
)
