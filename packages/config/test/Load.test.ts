import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Load from "../src/Load.ts"
import { deploymentOf, problemsOf } from "./support/decoding.ts"
import { examples, textOf } from "./support/examples.ts"

const directory = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "terrace-config-"))),
  (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
)

const fileOf = (name: string, text: string) =>
  Effect.gen(function* () {
    const path = join(yield* directory, name)
    yield* Effect.promise(() => writeFile(path, text))
    return path
  })

const load = (file: string, environment: Load.Environment = {}) =>
  Effect.provide(Load.load({ file, environment }), NodeFileSystem.layer)

describe("Load.load", () => {
  it.effect("reads a file, and tells which variables it uses", () =>
    Effect.gen(function* () {
      const path = yield* fileOf("any.yaml", "server:\n  port: ${A:-1}\nimages:\n  quality: ${B:-2}")

      const { deployment, file, variables } = yield* load(path, { A: "1234" })

      assert.strictEqual(deployment.server.port, 1_234)
      assert.strictEqual(deployment.images.quality, 2)
      assert.strictEqual(file, path)
      assert.deepStrictEqual(Array.from(variables), ["A", "B"])
    })
  )

  it.effect("begins every line with the name of the file", () =>
    Effect.gen(function* () {
      const path = yield* fileOf("any.yml", "server: { port: eighty }\nimages: { quality: 0 }")

      const { problems } = yield* Effect.flip(load(path))

      assert.strictEqual(problems.length, 2)
      for (const problem of problems) assert.isTrue(problem.startsWith(`${path}: `), problem)
    })
  )

  it.effect("says of a file that cannot be read what it is", () =>
    Effect.gen(function* () {
      const path = join(yield* directory, "nowhere.yaml")
      assert.deepStrictEqual((yield* Effect.flip(load(path))).problems, [
        `${path}: cannot be read (NotFound), expected a file, for example --config terrace.yaml`
      ])
      assert.deepStrictEqual((yield* Effect.flip(load("terrace.toml"))).problems, [
        "terrace.toml: found another ending, expected .yaml, .yml, .json, for example --config terrace.yaml"
      ])
      const inside = yield* directory
      assert.include((yield* Effect.flip(load(`${inside}.yaml`))).message, "cannot be read")
    })
  )
})

describe("examples", () => {
  const environment = { REDIS_URL: "redis://there", BUCKET: "my-images", TOKEN: "secret" }

  for (const name of examples) {
    it.effect(`${name} - can be used`, () =>
      Effect.map(textOf(name), (text) => assert.deepStrictEqual(problemsOf(text, environment), []))
    )
  }

  it.effect("embedded.yaml - is what a server without a file does, but for the names of the tiers", () =>
    Effect.map(textOf("embedded.yaml"), (text) => {
      const { tiers, ...rest } = deploymentOf(text)
      const { tiers: usualTiers, ...usual } = deploymentOf(undefined)
      const unnamed = (all: typeof tiers) =>
        Object.fromEntries(Object.entries(all).map(([name, tier]) => [name, { ...tier, name }]))
      assert.deepStrictEqual(rest, usual)
      assert.deepStrictEqual(unnamed(tiers), unnamed(usualTiers))
    })
  )
})

describe("any text", () => {
  const total = (text: string, name: string, environment: Load.Environment) => {
    const result = Load.decode({ name, text }, environment)
    assert.isTrue(Result.isSuccess(result) || result.failure.problems.length > 0)
    if (Result.isFailure(result)) {
      for (const problem of result.failure.problems) assert.isFalse(/[\n\r]/.test(problem), problem)
    }
  }

  it.effect.prop(
    "is a deployment or problems, a line each",
    [Schema.String, Schema.String],
    ([text, value]) =>
      Effect.sync(() => {
        total(text, "terrace.yaml", { A: value })
        total(text, "terrace.json", {})
        total(`server:\n  port: ${text}\n  token: \${A}`, "terrace.yaml", { A: value, TERRACE_PORT: value })
        total(`{ tiers: { ${text}: { type: ${value} } } }`, "terrace.yaml", {})
        total(JSON.stringify({ [text]: value, tiers: { [value]: { type: text } } }), "terrace.json", {})
      }),
    { arbitrary: { runs: 200 } }
  )

  // Pieces of what is nearly right reach what random text does not.
  const lines = [
    "server:",
    "  port: 80",
    "  token: ${A}",
    "tiers:",
    "  memory: { type: memory }",
    "  disk:",
    "    type: filesystem",
    "    root: ..",
    "  s3: { type: s3, bucket: images, prefix: 'a/' }",
    "chains:",
    "  masters:",
    "    caches: [memory, { tier: disk, retry: off }]",
    "    store: s3",
    "    store:",
    "      tier: [s3]",
    "  variants: { caches: [{}, null, 5, memory] }",
    "  variants: *a",
    "redis: &a { url: redis://there }",
    "__proto__: { type: memory }",
    "  constructor: 5",
    "<<: { bus: off }",
    "presets: { thumb: [], card: { width: 1e3 } }",
    "- x",
    "\t",
    '"',
    "catalog:",
    "  ttl: -1",
    "legacy: { keepOriginal: { } }"
  ]

  it.effect.prop(
    "made of lines that are nearly right is a deployment or problems too",
    [Schema.Array(Schema.Int)],
    ([choices]) =>
      Effect.sync(() => {
        const text = choices.map((choice) => lines[Math.abs(choice) % lines.length]).join("\n")
        total(text, "terrace.yaml", { A: "a", TERRACE_DISK_MAX_AGE: "1 day", TERRACE_S3_PREFIX: "x/" })
      }),
    { arbitrary: { runs: 500 } }
  )
})
