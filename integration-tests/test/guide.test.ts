import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import type * as Chain from "@terrace/core/Chain"
import * as Key from "@terrace/core/Key"
import type * as Tier from "@terrace/core/Tier"
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import { readFileSync } from "node:fs"
import * as Examples from "../examples/chains.ts"
import { excerpts, holds } from "./support/excerpts.ts"
import { temporaryDirectory } from "./support/TestServer.ts"

const text = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8")
const guide = text("../../docs/guides/compose-a-chain.md")

const draft = (content: string): Chain.Draft => ({ bytes: Buffer.from(content), contentType: "text/plain" })

const content = (found: Chain.Found | Chain.NotFound): string =>
  found._tag === "Found" && found.blob.body._tag === "Inline"
    ? Buffer.from(found.blob.body.bytes).toString()
    : found._tag

/** As a bucket that all nodes write to. */
const bucket = Effect.map(MemoryTier.make({ name: "bucket", maxBytes: 10_000_000 }), (tier): Tier.Tier => ({
  ...tier,
  capabilities: { ...tier.capabilities, persistent: true, shared: true }
}))

const program = <A, E>(name: string, effect: Effect.Effect<A, E, Scope.Scope | FileSystem.FileSystem>) =>
  it.live(name, () => effect.pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer)))

describe("docs/guides/compose-a-chain.md", () => {
  it("shows code of the example", () => {
    const source = text("../examples/chains.ts")
    assert.isAbove(excerpts(guide).length, 3)
    for (const excerpt of excerpts(guide)) assert.isTrue(holds(source, excerpt), excerpt)
  })

  program(
    "names the metrics of a chain, all of them",
    Effect.gen(function* () {
      const notes = yield* Examples.makeNotes(yield* temporaryDirectory)
      yield* notes.get(Key.makeUnsafe("monday", "text"))
      const names = (yield* Metric.snapshot).flatMap(({ attributes, id }) =>
        attributes?.["chain"] === "notes" ? [id] : []
      )
      const reports = yield* Examples.makeReports(yield* temporaryDirectory)
      yield* reports.status
      yield* Examples.makeLetters(yield* temporaryDirectory, new Map())
      const others = (yield* Metric.snapshot).map(({ id }) => id).filter((id) => id.startsWith("terrace_"))
      const listed = Array.from(guide.matchAll(/`(terrace_\w+)`/g), ([, name]) => name ?? "")
      assert.sameMembers([...new Set([...names, ...others])], [...new Set(listed)])
    })
  )

  program(
    "what people wrote is there after a restart",
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const key = Key.makeUnsafe("monday", "text")
      yield* Effect.scoped(Effect.flatMap(Examples.makeNotes(directory), (notes) => notes.put(key, draft("Buy milk"))))
      const notes = yield* Examples.makeNotes(directory)

      const found = yield* notes.get(key)

      assert.strictEqual(content(found), "Buy milk")
      if (found._tag === "Found") assert.strictEqual(Examples.answerOf(found), "filesystem")
      yield* notes.idle
      const { answer } = yield* notes.explain(key)
      assert.strictEqual(answer._tag === "Found" ? answer.tier : answer._tag, "memory")
    })
  )

  program(
    "what can be made is made once, and its error is typed",
    Effect.gen(function* () {
      const reports = yield* Examples.makeReports(yield* temporaryDirectory)
      let prints = 0
      const print = Effect.sync(() => `report ${++prints}`)

      const failed = yield* Effect.flip(Examples.report(reports, "may", Effect.fail(new Examples.OutOfPaper())))
      const found = yield* Effect.all(
        [Examples.report(reports, "may", print), Examples.report(reports, "may", print)],
        {
          concurrency: "unbounded"
        }
      )

      assert.strictEqual(failed._tag, "OutOfPaper")
      assert.deepStrictEqual(found.map(content), ["report 1", "report 1"])
    })
  )

  program(
    "what lies in an old place moves to the disk as it is asked for",
    Effect.gen(function* () {
      const cabinet = new Map([["may", "Dear"]])
      const directory = yield* temporaryDirectory
      const key = Key.makeUnsafe("may", "text")
      yield* Effect.scoped(
        Effect.gen(function* () {
          const letters = yield* Examples.makeLetters(directory, cabinet)
          assert.strictEqual(content(yield* letters.get(key)), "Dear")
          assert.strictEqual(content(yield* letters.get(Key.makeUnsafe("june", "text"))), "NotFound")
        })
      )
      assert.strictEqual(cabinet.size, 0)
      const letters = yield* Examples.makeLetters(directory, cabinet)
      assert.strictEqual(content(yield* letters.get(key)), "Dear")
    })
  )

  program(
    "a write on one node is seen on the other",
    Effect.gen(function* () {
      const shared = yield* bucket
      const node = Effect.flatMap(temporaryDirectory, (directory) =>
        Examples.makePhotos(directory, shared, Examples.localBus)
      )
      const [here, there] = [yield* node, yield* node]
      const key = Key.makeUnsafe("hero", "master")
      yield* here.put(key, draft("old"))
      assert.strictEqual(content(yield* there.get(key)), "old")

      const receipt = yield* here.put(key, draft("new"))
      assert.strictEqual(receipt.announced, "sent")
      // The message travels.
      const seen = yield* Effect.repeat(Effect.map(there.get(key), content), {
        until: (text) => text === "new",
        times: 1_000
      })
      assert.strictEqual(seen, "new")
    })
  )
})
