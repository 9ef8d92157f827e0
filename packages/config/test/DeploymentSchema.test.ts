import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Yaml from "effect/encoding/Yaml"
import * as JsonSchema from "effect/JsonSchema"
import * as Schema from "effect/Schema"
import * as SchemaRepresentation from "effect/SchemaRepresentation"
import { readFile } from "node:fs/promises"
import { jsonSchema } from "../src/DeploymentSchema.ts"
import { examples, textOf } from "./support/examples.ts"

describe("terrace.schema.json", () => {
  it.effect("is what the schema says (npm run docs)", () =>
    Effect.gen(function* () {
      const text = yield* Effect.promise(() => readFile(new URL("../terrace.schema.json", import.meta.url), "utf8"))
      assert.deepStrictEqual(JSON.parse(text), JSON.parse(JSON.stringify(jsonSchema())))
    })
  )

  /** The schema of editors, read back: what it takes, an editor takes. */
  const editor = SchemaRepresentation.fromJsonSchemaDocument(JsonSchema.fromSchemaDraft2020_12(jsonSchema()), {
    patterns: "apply"
  }) as Schema.Codec<unknown>
  const takes = (value: unknown): boolean =>
    Schema.decodeUnknownResult(editor, { onExcessProperty: "error" })(value)._tag === "Success"

  for (const name of examples) {
    it.effect(`takes ${name}`, () => Effect.map(textOf(name), (text) => assert.isTrue(takes(Yaml.parse(text)))))
  }

  it("takes nothing else", () => {
    assert.isTrue(takes({ server: { port: 80 } }))
    assert.isTrue(takes({ delivery: { mode: "${MODE}" } }))
    for (const wrong of [
      { prot: 80 },
      { server: { prot: 80 } },
      { server: 80 },
      { server: { port: true } },
      { delivery: { mode: "redirct" } },
      { tiers: { a: { type: "ftp" } } },
      { tiers: { a: { type: "s3" } } },
      { chains: { masters: { caches: "memory", store: "a" }, variants: {} } },
      { redis: {} }
    ]) {
      assert.isFalse(takes(wrong), JSON.stringify(wrong))
    }
  })
})
