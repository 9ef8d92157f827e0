import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Effect as EffectType } from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as BlobFile from "../src/internal/BlobFile.ts"
import { directory } from "./support/Directory.ts"

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8")

interface Example {
  readonly program: (root: string) => EffectType<unknown, unknown>
}

const isExample = (module: unknown): module is Example => Predicate.hasProperty(module, "program")

describe("README", () => {
  it.effect("its example runs", () =>
    Effect.gen(function* () {
      const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? assert.fail("no example")
      const file = fileURLToPath(new URL(`./readme-example-${process.pid}.ts`, import.meta.url))
      const root = yield* directory
      yield* Effect.acquireRelease(
        Effect.sync(() => writeFileSync(file, code)),
        () => Effect.sync(() => rmSync(file))
      )
      const example: unknown = yield* Effect.promise(() => import(file))
      if (!isExample(example)) assert.fail("the example exports no program")
      assert.deepEqual(yield* example.program(`${root}/masters`), { tag: "Hit", entries: 1 })
    })
  )

  it("names the largest trailer", () => {
    assert.include(readme, `${BlobFile.maxTrailerBytes.toLocaleString("en")} bytes`)
  })
})
