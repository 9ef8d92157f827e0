/**
 * One value of the configuration: its form, what it means, its default and an example, as a schema that carries them.
 *
 * What stands here once is told in the JSON Schema, in the guide, in the table of environment variables and in messages.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaIssue from "effect/SchemaIssue"
import type { Form, Scalar } from "./Form.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** What people are told of a part of the configuration. */
export interface Doc {
  readonly meaning: string
  readonly expected: string
  /** As one would write it in a file. */
  readonly example: string | undefined
  /** What is used if it is not there, as one would write it. */
  readonly default: string | undefined
  readonly isSecret: boolean
  /** Whether it is a text even if it looks like a number. */
  readonly isText?: boolean
  /** The key that says which of several sections it is, and what it may be. */
  readonly discriminator?: { readonly key: string; readonly expected: string; readonly example: string }
}

export interface Words {
  readonly meaning: string
  readonly example: string
}

export interface Field<A, S extends Schema.Constraint> {
  readonly form: Form<A>
  readonly doc: Doc
  readonly schema: S
}

// -----------------------------------------------------------------------------
// Values
// -----------------------------------------------------------------------------

/** A value that may be left out. */
export const optional = <A>(form: Form<A>, words: Words) => {
  const doc = docOf(form, words, undefined)
  return { form, doc, schema: Schema.optionalKey(codec(form, doc)) } satisfies Field<A, Schema.Constraint>
}

/** A value that is used as `preset` if it is left out. */
export const withDefault = <A>(form: Form<A>, preset: string, words: Words) => {
  const doc = docOf(form, words, preset)
  return { form, doc, schema: defaulting(codec(form, doc), preset) } satisfies Field<A, Schema.Constraint>
}

/** A value that must be there. */
export const required = <A>(form: Form<A>, words: Words) => {
  const doc = docOf(form, words, undefined)
  return {
    form,
    doc,
    schema: codec(form, doc).pipe(Schema.annotateKey(annotationsOf(doc)))
  } satisfies Field<A, Schema.Constraint>
}

const docOf = (
  form: Pick<Form<never>, "accepts" | "expected" | "isSecret">,
  { example, meaning }: Words,
  preset: string | undefined
): Doc => ({
  meaning,
  expected: form.expected,
  example,
  default: preset,
  isSecret: form.isSecret,
  isText: form.accepts === "text"
})

export const codec = <A>(form: Form<A>, doc: Doc): Schema.Codec<A, Scalar> =>
  encodedOf(form)
    .annotate(annotationsOf(doc))
    .pipe(
      Schema.decodeTo(form.type.annotate({ [key]: doc }), {
        decode: SchemaGetter.transformEffect((value: Scalar) =>
          Option.match(form.read(String(value).trim()), {
            onNone: () => Effect.fail(new SchemaIssue.InvalidValue()),
            onSome: (read) => Effect.succeed<unknown>(read)
          })
        ),
        encode: SchemaGetter.transform((value: unknown) => form.write(value as A))
      })
    )

/** What a file may have there, as editors are told; what it must be in detail, `Form.read` knows. */
const encodedOf = ({ accepts, choices }: Pick<Form<never>, "accepts" | "choices">): Schema.Codec<Scalar, Scalar> => {
  const text = choices === undefined ? Schema.String : Schema.Union([Schema.Literals(choices), Substituted])
  const more = { text: [], time: [], number: [Schema.Finite], switch: [Schema.Boolean, Schema.Finite] }[accepts]
  return more.length === 0 ? text : Schema.Union([text, ...more])
}

/** A text that environment variables are put into before it is read. A check would not be there for editors. */
const Substituted = Schema.TemplateLiteral([Schema.String, "${", Schema.String])

// -----------------------------------------------------------------------------
// Sections
// -----------------------------------------------------------------------------

/** Keys that belong together. */
export const section = <const Fields extends Schema.Struct.Fields>(meaning: string, fields: Fields) =>
  Schema.Struct(fields).annotate(
    annotationsOf({
      meaning,
      ...plain,
      expected: `keys below it (${Object.keys(fields)
        .filter((name) => name !== "$schema")
        .join(", ")})`
    })
  )

/** The schemas of fields, by key. */
export const schemasOf = <const Fields extends Readonly<Record<string, { readonly schema: Schema.Top }>>>(
  fields: Fields
) =>
  Object.fromEntries(Object.entries(fields).map(([key, { schema }]) => [key, schema])) as {
    readonly [K in keyof Fields]: Fields[K]["schema"]
  }

/**
 * A section, list or choice that is used as `preset` if it is left out. The default is decoded first: a default of the
 * encoded side would have the whole section checked in two steps, and told of the second one only what the first let pass.
 */
export const defaulting = <S extends Schema.Codec<unknown, unknown>>(schema: S, preset: S["Encoded"]) =>
  schema.pipe(Schema.withDecodingDefaultTypeKey(Effect.succeed(Schema.decodeUnknownSync(schema)(preset))))

/** A schema of another kind, with what people are told of it. */
export const documented = <S extends Schema.Top>(schema: S, doc: Partial<Doc> & Pick<Doc, "meaning" | "expected">) =>
  schema.annotate(annotationsOf({ ...plain, ...doc }))

const key = "@terrace/config/doc"

/** What most of what is told has not. */
export const plain = { example: undefined, default: undefined, isSecret: false }

/** Default and example are of the encoded side, whatever the type: that is what JSON Schema tells. */
export const annotationsOf = (doc: Doc): { readonly description: string } => {
  const annotations = {
    description: doc.meaning,
    ...(doc.example === undefined ? {} : { examples: [doc.example] }),
    ...(doc.default === undefined ? {} : { default: doc.default }),
    [key]: doc
  }
  return annotations
}

/** What people are told where the key is missing, and editors, who see what belongs there, are not. */
export const annotationsOfMissing = (doc: Doc): Readonly<Record<string, unknown>> => ({ [key]: doc })

/** What is said of the schema, if anything. */
export const docIn = (annotations: SchemaAST.AST["annotations"]): Doc | undefined =>
  annotations?.[key] as Doc | undefined
