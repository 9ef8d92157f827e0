import { assert, describe, it } from "@effect/vitest"
import * as Key from "@terrace/core/Key"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { readFile } from "node:fs/promises"
import * as Nodes from "../examples/nodes.ts"
import { main } from "../examples/readme.ts"
import { eventually, sharedServer } from "./support/Redis.ts"

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

  it.live("shows several nodes that do their work once, and hear of one another's writes", () =>
    Effect.gen(function* () {
      assert.include(yield* text("../README.md"), yield* text("../examples/nodes.ts"))
      const { url } = yield* server
      const node = Effect.flatMap(Layer.build(Layer.fresh(Nodes.layer(url))), (context) =>
        Effect.provideContext(Nodes.makeNode, context)
      )
      const nodes = [yield* node, yield* node, yield* node]
      const key = Key.makeUnsafe("hero", "w320")
      let rendered = 0
      const render = Effect.sync(() => ({ bytes: Buffer.from(`render ${++rendered}`), contentType: "image/webp" }))

      const headers = yield* Effect.forEach([...nodes, ...nodes, ...nodes], ({ thumbnail }) => thumbnail(key, render), {
        concurrency: "unbounded"
      })

      assert.strictEqual(rendered, 1)
      assert.strictEqual(new Set(headers.map(({ digest }) => digest)).size, 1)
      yield* Effect.forEach(nodes, ({ chain }) => chain.get(key))
      yield* nodes[0]?.chain.remove(key) ?? Effect.die("no node")
      for (const { chain } of nodes) {
        yield* eventually("the removal", chain.get(key), ({ _tag }) => _tag === "NotFound")
      }
    })
  )
})
