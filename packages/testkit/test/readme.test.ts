import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFile } from "node:fs/promises"
import "../examples/readme.ts"

const text = (path: string) => Effect.promise(() => readFile(new URL(path, import.meta.url), "utf8"))

describe("README", () => {
  it.effect("shows the example that runs", () =>
    Effect.gen(function* () {
      assert.include(yield* text("../README.md"), yield* text("../examples/readme.ts"))
    })
  )
})
