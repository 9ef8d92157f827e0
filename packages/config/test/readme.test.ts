import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { program } from "../examples/readme.ts"
import { problemsOf } from "./support/decoding.ts"
import { examples } from "./support/examples.ts"

const text = (path: string) => Effect.promise(() => readFile(new URL(path, import.meta.url), "utf8"))

describe("docs/guides/configure.md", () => {
  it.effect("shows tiers and chains that can be used, and the messages as they are", () =>
    Effect.gen(function* () {
      const guide = yield* text("../../../docs/guides/configure.md")
      const blocks = (language: string) =>
        Array.from(guide.matchAll(new RegExp(`\`\`\`${language}\\n([^\`]*)\`\`\``, "g")), ([, block]) => block ?? "")

      const [deployment = assert.fail("none")] = blocks("yaml")
      assert.deepStrictEqual(problemsOf(deployment), [])
      const wrong = `server: { port: eighty }
tiers: { memory: { type: memory }, disk: { type: filesystem }, s3: { type: s3, bucket: images } }
chains: { masters: { caches: [memory, disk], store: s4 }, variants: {} }`
      assert.sameMembers((blocks("text")[0] ?? "").trim().split("\n"), Array.from(problemsOf(wrong)))
    })
  )

  it.effect("links to examples that are there, all of them", () =>
    Effect.gen(function* () {
      const guide = yield* text("../../../docs/guides/configure.md")
      const linked = Array.from(
        guide.matchAll(/\]\(\.\.\/\.\.\/packages\/config\/examples\/([a-z0-9-]+\.yaml)\)/g),
        ([, name]) => name
      )
      assert.sameMembers(linked, Array.from(examples))
    })
  )
})

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
