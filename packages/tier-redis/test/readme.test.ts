import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFile } from "node:fs/promises"
import { main } from "../examples/readme.ts"
import { sharedServer } from "./support/Redis.ts"

const text = (path: string) => Effect.promise(() => readFile(new URL(path, import.meta.url), "utf8"))

const server = sharedServer()

describe("README", () => {
  it.live("shows the example that runs, and what it answers", () =>
    Effect.gen(function* () {
      const readme = yield* text("../README.md")

      assert.include(readme, yield* text("../examples/readme.ts"))
      assert.include(readme, `answers \`${yield* main((yield* server).url)}\``)
    })
  )
})
