import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { program } from "../examples/readme.ts"

const text = (path: string) => Effect.promise(() => readFile(new URL(path, import.meta.url), "utf8"))

describe("README", () => {
  it.effect("shows the example that runs, and what it answers", () =>
    Effect.gen(function* () {
      const readme = yield* text("../README.md")
      const directory = yield* Effect.acquireRelease(
        Effect.promise(() => mkdtemp(join(tmpdir(), "terrace-readme-"))),
        (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
      )
      const file = fileURLToPath(new URL("../examples/embedded.yaml", import.meta.url))

      assert.include(readme, yield* text("../examples/readme.ts"))
      const answer = yield* Effect.provide(program(file, { IMAGES: directory }), NodeFileSystem.layer)
      assert.include(readme, `it answers \`${answer}\`.`)
    })
  )
})
