import { assert, describe, it } from "@effect/vitest"
import * as Trouble from "@terrace/core/TierError"
import { ChaosTier } from "@terrace/testkit"
import { readFileSync } from "node:fs"
import "../examples/chaos.ts"
import * as MapTier from "../examples/MapTier.ts"

const text = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8")

/** The lines without what all of them are indented by. */
const dedented = (lines: ReadonlyArray<string>): string => {
  const indents = lines.filter((line) => line !== "").map((line) => line.length - line.trimStart().length)
  return lines.map((line) => line.slice(Math.min(...indents))).join("\n")
}

/** Whether the excerpt is a run of whole lines of the source, wherever they are indented. */
const holds = (source: string, excerpt: string): boolean => {
  const lines = source.split("\n")
  const length = excerpt.split("\n").length
  return lines.some((_, start) => dedented(lines.slice(start, start + length)) === excerpt)
}

const excerpts = (document: string): ReadonlyArray<string> =>
  [...document.matchAll(/^```ts\n([\s\S]*?)\n```$/gm)].map((match) => match[1] ?? "")

/** What the rows of the tables begin with, where that is code. */
const firstCells = (document: string): Array<string> =>
  [...document.matchAll(/^\| `(\w+)`/gm)].map((match) => match[1] ?? "")

const guide = "../../../docs/guides/write-a-tier.md"

/** The examples that tests of this package run. */
const examples = ["MapTier.ts", "SqliteTier.ts", "chaos.ts", "containers.ts", "readme.ts"].map((name) =>
  text(`../examples/${name}`)
)

describe("documents", () => {
  it("README shows the examples that run", () => {
    for (const name of ["readme.ts", "chaos.ts", "containers.ts"]) {
      assert.include(excerpts(text("../README.md")), text(`../examples/${name}`).trimEnd())
    }
  })

  it.each(["../README.md", guide])("%s - its code is text of the examples", (path) => {
    const shown = excerpts(text(path))
    assert.isAbove(shown.length, 0)
    for (const excerpt of shown)
      assert.isTrue(
        examples.some((source) => holds(source, excerpt)),
        excerpt
      )
  })

  it("README lists every fault, and the guide every reason and capability", () => {
    const { capabilities } = MapTier.make()
    const faults = Object.keys(ChaosTier.make(MapTier.make(), { seed: 1, faults: {} }).injected)
    const reasons = Object.keys(Trouble).filter((name) => name !== "TierError" && name !== "operations")

    assert.includeMembers(firstCells(text("../README.md")), faults)
    assert.includeMembers(firstCells(text(guide)), [...reasons, ...Object.keys(capabilities), "maxBytes"])
  })

  it("a word that differs is noticed", () => {
    const source = "const a = {\n  b: 1,\n\n  c: 2\n}"
    assert.isTrue(holds(source, "b: 1,\n\nc: 2"))
    assert.isFalse(holds(source, "b: 1,\n\nc: 3"))
    assert.isFalse(holds(source, "b: 1,\nc: 2"))
  })
})
