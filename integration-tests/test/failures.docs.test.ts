import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readdir, readFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const here = fileURLToPath(new URL(".", import.meta.url))
const page = fileURLToPath(new URL("../../docs/guides/failures.md", import.meta.url))

const textOf = (path: string) => Effect.promise(() => readFile(path, "utf8"))

/** The names of the tests in a file. */
const namesIn = (source: string): ReadonlyArray<string> =>
  Array.from(source.matchAll(/\bit\.(?:live|effect)\(\s*"((?:[^"\\]|\\.)*)"/g), ([, name]) => name ?? "")

interface Proof {
  /** Path of the file of the test. */
  readonly file: string
  /** How the name of the test begins. */
  readonly name: string
}

const proofsIn = (row: string): ReadonlyArray<Proof> =>
  Array.from(row.matchAll(/\[[^\]]+\]\(([^)]+\.test\.ts)\) "([^"]+)"/g), ([, path, name]) => ({
    file: join(dirname(page), path ?? ""),
    name: name ?? ""
  }))

const rows = Effect.map(textOf(page), (text) => text.split("\n").filter((line) => /^\| (?!what fails|-)/.test(line)))

describe("the page of failures", () => {
  it.live("names for each row a test that is there", () =>
    Effect.gen(function* () {
      assert.isAbove((yield* rows).length, 20)
      for (const row of yield* rows) {
        const proofs = proofsIn(row.split(" | ").at(-1) ?? "")
        assert.isAbove(proofs.length, 0, row)
        for (const { file, name } of proofs) {
          const names = namesIn(yield* textOf(file))
          assert.strictEqual(names.filter((other) => other.startsWith(name)).length, 1, `${file}: ${name}`)
        }
      }
    })
  )

  it.live("names every test of a failure", () =>
    Effect.gen(function* () {
      const proofs = (yield* rows).flatMap(proofsIn)
      const files = yield* Effect.promise(() => readdir(here))
      for (const file of files.filter((name) => /^failures\..*\.integration\.test\.ts$/.test(name))) {
        const path = join(here, file)
        const names = namesIn(yield* textOf(path))
        assert.isAbove(names.length, 0, file)
        for (const name of names) {
          const isNamed = proofs.some((proof) => proof.file === path && name.startsWith(proof.name))
          assert.isTrue(isNamed, `${file}: ${name}`)
        }
      }
    })
  )
})
