/**
 * The JSON Schema of the file, for editors. It is made from the schema that decodes it; `npm run docs` writes it to
 * `terrace.schema.json`.
 */
import * as Schema from "effect/Schema"
import type * as JsonSchema from "effect/JsonSchema"
import { Deployment } from "./Deployment.ts"

/** JSON Schema, draft 2020-12. Numbers and times are also accepted as texts, into which variables may be put. */
export const jsonSchema = (): JsonSchema.JsonSchema => {
  const { definitions, schema } = Schema.toJsonSchemaDocument(Deployment, { onExcessProperty: "error" })
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Terrace",
    ...schema,
    ...(Object.keys(definitions).length === 0 ? {} : { $defs: definitions })
  }
}
