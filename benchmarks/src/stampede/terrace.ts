/**
 * A Terrace chain, in memory alone as the other contenders, and in front of a filesystem store.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Chain from "@terrace/core/Chain"
import * as Key from "@terrace/core/Key"
import * as FilesystemTier from "@terrace/tier-filesystem/FilesystemTier"
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import type { Contender } from "./Contender.ts"

const contender = (name: string, hasStore: boolean): Contender => ({
  name,
  open: async (produce, directory) => {
    const scope = Effect.runSync(Scope.make())
    const chain = await Effect.runPromise(
      Effect.gen(function* () {
        const memory = yield* MemoryTier.make({ maxBytes: 268_435_456 })
        const store = hasStore ? yield* FilesystemTier.make({ root: directory, role: "store" }) : undefined
        return yield* Chain.make({ name: "images", caches: [{ tier: memory }], store: store && { tier: store } })
      }).pipe(Scope.provide(scope), Effect.provide(NodeFileSystem.layer))
    )
    const producer = Effect.map(
      Effect.promise(() => produce()),
      (bytes): Chain.Draft => ({ bytes, contentType: "image/webp" })
    )
    return {
      read: async (text) => {
        const { blob } = await Effect.runPromise(chain.getOrMake(Result.getOrThrow(Key.parse(text)), producer))
        return blob.body._tag === "Inline" ? blob.body.bytes : undefined
      },
      idle: () => Effect.runPromise(chain.idle),
      end: () => Effect.runPromise(Scope.close(scope, Exit.void))
    }
  }
})

export const terrace: ReadonlyArray<Contender> = [
  contender("Terrace `chain.getOrMake`, memory", false),
  contender("Terrace `chain.getOrMake`, memory and files", true)
]
